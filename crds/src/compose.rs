//! The final CRDs: the generated ones, with the mappers' schemas put in and all that is unfit for users taken out. Pure.
//!
//! Fragments come as JSON; this crate knows no protocol. The address of a property stands on the property under the
//! protocol's key, as volumes do in a pod. What a model may give is required of a Device by rules that ask whether
//! there is a model, never by `required`. A schema gets no `default` and no `nullable`, and every list, text and map
//! gets a bound, without which the API server refuses the rules as too costly.

use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::transform::Transform;
use serde_json::{Map, Value, json};

use crate::MAX_PROPERTIES;

/// Reserved under `protocol` and on properties, for mappers that the binary does not know.
pub const RESERVED: &str = "external";

/// What a mapper registers.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// The protocol's key.
    pub name: &'static str,
    /// The schema below `spec.protocol.<name>`.
    pub endpoint: Value,
    /// The schema below `spec.properties[].<name>`.
    pub address: Value,
    /// The schema below `spec.samples[].given.<name>` of a model, if the protocol has recorded answers.
    pub sample: Option<Value>,
}

/// Both CRDs.
#[derive(Debug, Clone, PartialEq)]
pub struct Crds {
    /// `devices.fieldgate.dev`.
    pub device: Value,
    /// `devicemodels.fieldgate.dev`.
    pub model: Value,
}

/// Where the schema of the objects stands in a CRD.
pub const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// What kube generates from the types, as text: generated at run time it would link the whole schema of schemas, to read
/// and to write, for what is the same in every program. A test holds it to the types.
const GENERATED: &str = include_str!("generated.json");

/// Composes the CRDs for these protocols.
///
/// # Panics
/// When a protocol is named [`RESERVED`], or a fragment is no JSON schema.
pub fn compose(fragments: &[Fragment]) -> Crds {
    let fragments: Vec<Fragment> = fragments.iter().map(structural).collect();
    let mut generated: Value = serde_json::from_str(GENERATED).expect("a test holds it to the types");
    let (mut device, mut model) = (generated["device"].take(), generated["model"].take());
    let schema = root(&mut device);
    let mut spec = schema["properties"]["spec"].take();
    walk(&mut spec, &mut clean);
    device_spec(&mut spec, &fragments);
    walk(&mut spec, &mut bound);
    let status = &mut schema["properties"]["status"];
    walk(status, &mut clean);
    status["properties"]["conditions"]["maxItems"] = json!(16);
    list_map(&mut status["properties"]["conditions"], "type");
    status["properties"]["reported"]["maxProperties"] = json!(MAX_PROPERTIES);

    let of_model = root(&mut model);
    let model_spec = model_spec(of_model["properties"]["spec"].take(), &spec, &fragments);
    rules_without_model(&mut spec, &fragments);
    schema["description"] = spec["description"].clone();
    schema["properties"]["spec"] = spec;

    of_model["description"] = model_spec["description"].clone();
    of_model["properties"]["spec"] = model_spec;
    Crds { device, model }
}

/// The schema of the whole object, without its title.
fn root(crd: &mut Value) -> &mut Value {
    let schema = crd.pointer_mut(SCHEMA).expect("kube gives every CRD a schema");
    schema.as_object_mut().expect("a schema is an object").remove("title");
    schema
}

/// A generated schema in the form that the API server takes: no references, defaults or nulls, and bounds on everything.
///
/// # Panics
/// When it is no JSON schema.
pub fn structural_schema(schema: &Value) -> Value {
    let mut schema = schemars::Schema::try_from(schema.clone()).expect("a JSON schema is an object");
    StructuralSchemaRewriter.transform(&mut schema);
    OptionalEnum.transform(&mut schema);
    OptionalIntOrString.transform(&mut schema);
    let mut schema = schema.to_value();
    walk(&mut schema, &mut clean);
    walk(&mut schema, &mut bound);
    schema
}

fn structural(fragment: &Fragment) -> Fragment {
    assert_ne!(fragment.name, RESERVED, "the protocol key {RESERVED} is reserved");
    Fragment {
        name: fragment.name,
        endpoint: structural_schema(&fragment.endpoint),
        address: structural_schema(&fragment.address),
        sample: fragment.sample.as_ref().map(structural_schema),
    }
}

fn device_spec(spec: &mut Value, fragments: &[Fragment]) {
    let names: Vec<&str> = fragments.iter().map(|f| f.name).collect();
    let mut protocol = union("How to reach the device: exactly one key, the protocol's name.", fragments, |f| {
        // What is required may come from the model: a rule of the Device asks for it.
        let mut endpoint = f.endpoint.clone();
        walk(&mut endpoint, &mut relax);
        Some(endpoint)
    });
    if !names.is_empty() {
        rule(
            &mut protocol,
            format!("[{}].exists_one(x, x)", given(&names)),
            format!("exactly one protocol must be given: {}", names.join(", ")),
            None,
        );
    }
    spec["properties"]["protocol"] = protocol;

    let properties = &mut spec["properties"]["properties"];
    properties["maxItems"] = json!(MAX_PROPERTIES);
    list_map(properties, "name");
    let item = &mut properties["items"];
    let own = item.as_object_mut().expect("a property is an object");
    own.remove("x-kubernetes-preserve-unknown-fields");
    own.insert("required".to_owned(), json!(["name"]));
    untyped(&mut item["properties"]["desired"]);
    untyped(&mut item["properties"]["safe"]);
    untyped(&mut item["properties"]["publish"]["properties"]["deadband"]);
    item["properties"]["labels"]["maxProperties"] = json!(256);
    for f in fragments {
        let mut address = f.address.clone();
        walk(&mut address, &mut say_alternatives);
        item["properties"][f.name] = address;
    }
    rule(item, "!has(self.min) || !has(self.max) || self.min <= self.max", "min must not be above max", Some(".min"));
    rule(
        item,
        "!has(self.size) || !has(self.type) || self.type in ['string', 'bytes']",
        "size is for string and bytes only; the other types have their own",
        Some(".size"),
    );
    if names.len() > 1 {
        rule(
            item,
            format!("[{}].filter(x, x).size() <= 1", given(&names)),
            "a property has one address, under the key of the device's protocol",
            None,
        );
    }
    for name in &names {
        rule(
            spec,
            format!(
                "!has(self.properties) || !has(self.protocol) || has(self.protocol.{name}) || \
                 self.properties.all(p, !has(p.{name}))"
            ),
            format!(
                "a property has an address of {name}, but spec.protocol is another: \
                 move it under the protocol's own key"
            ),
            Some(".properties"),
        );
    }
}

/// What a Device must give when it names no model.
fn rules_without_model(spec: &mut Value, fragments: &[Fragment]) {
    rule(
        spec,
        "has(self.model) || !has(self.properties) || self.properties.all(p, has(p.type))",
        "every property needs a type, here or in the model",
        Some(".properties"),
    );
    for f in fragments {
        let (path, endpoint) = (format!("self.protocol.{}", f.name), f.endpoint.as_object());
        if let Some((alternatives, message)) = endpoint.and_then(|schema| alternatives(schema, &path)) {
            rule(
                spec,
                format!("has(self.model) || !has({path}) || {alternatives}"),
                format!("spec.protocol.{}: {message}", f.name),
                Some(".protocol"),
            );
        }
        let mut wanted = Vec::new();
        required(
            &f.endpoint,
            &format!("self.protocol.{}", f.name),
            &format!("has(self.protocol.{})", f.name),
            &mut wanted,
        );
        for (when, key) in wanted {
            rule(
                spec,
                format!("has(self.model) || !({when}) || has({key})"),
                format!("{} is required, here or in the model", key.replacen("self", "spec", 1)),
                Some(".protocol"),
            );
        }
    }
}

/// Alternatives of required keys as a rule: the API server's own words for `oneOf` name none of them.
fn say_alternatives(schema: &mut Map<String, Value>) {
    if let Some((rule, message)) = alternatives(schema, "self") {
        schema.remove("oneOf");
        schema.insert("x-kubernetes-validations".to_owned(), json!([{ "rule": rule, "message": message }]));
    }
}

/// The rule and message of a `oneOf` that names nothing but required keys.
fn alternatives(schema: &Map<String, Value>, path: &str) -> Option<(String, String)> {
    let branches = schema.get("oneOf")?.as_array()?.iter();
    let keys = |branch: &Value| -> Option<Vec<String>> {
        let keys = branch.as_object().filter(|b| b.len() == 1)?.get("required")?.as_array()?;
        keys.iter().map(|k| k.as_str().filter(|k| speakable(k)).map(str::to_owned)).collect()
    };
    let branches: Vec<Vec<String>> = branches.map(keys).collect::<Option<_>>()?;
    let given = |keys: &Vec<String>| keys.iter().map(|k| format!("has({path}.{k})")).collect::<Vec<_>>().join(" && ");
    let names = branches.iter().map(|keys| keys.join(" with ")).collect::<Vec<_>>().join(", ");
    Some((
        format!("[{}].exists_one(x, x)", branches.iter().map(given).collect::<Vec<_>>().join(", ")),
        format!("exactly one of these must be given: {names}"),
    ))
}

/// The required keys below `path`, each with the condition under which it is asked for.
fn required(schema: &Value, path: &str, when: &str, out: &mut Vec<(String, String)>) {
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).filter(|k| speakable(k)) {
        out.push((when.to_owned(), format!("{path}.{key}")));
    }
    for (key, below) in schema["properties"].as_object().into_iter().flatten().filter(|(k, _)| speakable(k)) {
        let path = format!("{path}.{key}");
        required(below, &path, &format!("{when} && has({path})"), out);
    }
}

/// Whether a rule can say this key as it is: an identifier that the rules' language has no other use for.
fn speakable(key: &str) -> bool {
    const TAKEN: [&str; 12] =
        ["in", "as", "break", "const", "else", "for", "function", "if", "import", "let", "namespace", "null"];
    key.bytes().all(|b| b.is_ascii_alphanumeric()) && !TAKEN.contains(&key)
}

/// A Device's spec with nothing required, without the keys that are a device's own, and with a model's own samples.
fn model_spec(mut own: Value, device: &Value, fragments: &[Fragment]) -> Value {
    let mut spec = device.clone();
    walk(&mut spec, &mut relax);
    spec["properties"]["properties"]["items"]["required"] = json!(["name"]);
    let keys = spec["properties"].as_object_mut().expect("a spec has properties");
    keys.remove("nodeName");
    keys.remove("model");
    let protocol = &mut spec["properties"]["protocol"];
    protocol["description"] = json!("What the devices' endpoints have in common, under the protocol's key.");
    let names: Vec<&str> = fragments.iter().map(|f| f.name).collect();
    if let Some(rules) = protocol["x-kubernetes-validations"].as_array_mut() {
        rules.clear();
        rule(
            protocol,
            format!("[{}].filter(x, x).size() <= 1", given(&names)),
            format!("at most one protocol may be given: {}", names.join(", ")),
            None,
        );
    }
    walk(&mut own, &mut clean);
    spec["description"] = own["description"].take();
    let mut samples = own["properties"]["samples"].take();
    samples["maxItems"] = json!(64);
    samples["items"]["properties"]["given"] =
        union("What the device answered, under the protocol's key.", fragments, |f| f.sample.clone());
    let expect = &mut samples["items"]["properties"]["expect"];
    *expect = json!({
        "type": "object",
        "description": expect["description"].take(),
        "x-kubernetes-preserve-unknown-fields": true,
        "maxProperties": MAX_PROPERTIES,
    });
    walk(&mut samples, &mut bound);
    spec["properties"]["samples"] = samples;
    spec
}

/// An object with one key for each protocol.
fn union(description: &str, of: &[Fragment], part: impl Fn(&Fragment) -> Option<Value>) -> Value {
    let keys: Map<String, Value> = of.iter().filter_map(|f| Some((f.name.to_owned(), part(f)?))).collect();
    json!({ "type": "object", "description": description, "properties": keys })
}

fn given(names: &[&str]) -> String {
    names.iter().map(|name| format!("has(self.{name})")).collect::<Vec<_>>().join(", ")
}

fn rule(schema: &mut Value, rule: impl Into<String>, message: impl Into<String>, path: Option<&str>) {
    let mut entry = json!({ "rule": rule.into(), "message": message.into() });
    if let Some(path) = path {
        entry["fieldPath"] = json!(path);
    }
    match schema["x-kubernetes-validations"].as_array_mut() {
        Some(rules) => rules.push(entry),
        None => schema["x-kubernetes-validations"] = json!([entry]),
    }
}

fn list_map(schema: &mut Value, key: &str) {
    schema["x-kubernetes-list-type"] = json!("map");
    schema["x-kubernetes-list-map-keys"] = json!([key]);
}

/// Any scalar: a structural schema cannot say "a number or a text".
fn untyped(schema: &mut Value) {
    let description = schema["description"].take();
    *schema = json!({ "description": description, "x-kubernetes-preserve-unknown-fields": true });
}

/// Calls `edit` on a schema and on every schema below it, the lower ones first.
fn walk(schema: &mut Value, edit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|below| walk(below, edit));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(below) = object.get_mut(key) {
            walk(below, edit);
        }
    }
    edit(object);
}

/// Takes out what would be stored, or means nothing to the API server.
fn clean(schema: &mut Map<String, Value>) {
    for key in ["default", "nullable", "title", "examples"] {
        schema.remove(key);
    }
    let narrow = |format: &str| format.starts_with("uint") || matches!(format, "int8" | "int16");
    if schema.get("format").and_then(Value::as_str).is_some_and(narrow) {
        schema.remove("format");
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|v| !v.is_null());
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.remove("additionalProperties");
    }
    let open = schema.get("additionalProperties") == Some(&Value::Bool(true));
    let shapeless = !schema.contains_key("type") && !schema.keys().any(|k| k.starts_with("x-kubernetes-"));
    if open || shapeless {
        schema.remove("additionalProperties");
        schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
    }
}

/// Takes out what is required, and "one of these keys", which is required too.
fn relax(schema: &mut Map<String, Value>) {
    for key in ["required", "oneOf", "anyOf", "allOf", "not"] {
        schema.remove(key);
    }
}

/// Gives every text, list and map a greatest length.
fn bound(schema: &mut Map<String, Value>) {
    let (key, most) = match schema.get("type").and_then(Value::as_str) {
        Some("string") if !schema.contains_key("enum") => ("maxLength", 1024),
        Some("array") => ("maxItems", MAX_PROPERTIES),
        Some("object") if schema.contains_key("additionalProperties") => ("maxProperties", MAX_PROPERTIES),
        _ => return,
    };
    schema.entry(key).or_insert_with(|| json!(most));
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use kube::CustomResourceExt;
    use serde_json::{Value, json};

    use super::{Crds, Fragment, GENERATED, SCHEMA, compose};
    use crate::{Device, DeviceModel};

    #[test]
    fn what_was_generated_is_what_the_types_say() {
        let now = json!({"device": Device::crd(), "model": DeviceModel::crd()});
        let text = format!("{}\n", serde_json::to_string_pretty(&now).unwrap());
        if std::env::var_os("FIELDGATE_WRITE").is_some() {
            fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated.json"), &text).unwrap();
        } else {
            assert!(text == GENERATED, "the types have changed: FIELDGATE_WRITE=1 cargo test -p fieldgate-crds");
        }
    }

    fn two() -> Crds {
        let endpoint = json!({
            "type": "object", "additionalProperties": false, "required": ["unit"],
            "properties": {
                "tcp": {"type": "string", "nullable": true, "default": null},
                "unit": {"type": "integer", "format": "uint8", "minimum": 0, "maximum": 255},
                "serial": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}},
                "framing": {"type": "string", "enum": ["rtu", null], "default": "rtu"},
            },
        });
        let address = json!({"type": "object", "required": ["register"],
            "properties": {"register": {"type": "integer", "format": "uint16"}}});
        let of = |name, sample| Fragment { name, endpoint: endpoint.clone(), address: address.clone(), sample };
        compose(&[
            of("wire", Some(json!({"type": "object", "properties": {"a": {"type": "string"}}}))),
            of("air", None),
        ])
    }

    fn at<'a>(crd: &'a Value, path: &str) -> &'a Value {
        crd.pointer(&format!("{SCHEMA}{path}")).unwrap_or(&Value::Null)
    }

    fn keys(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| {
                // A property may have any name; a keyword is what counts.
                out.push(k.clone());
                keys(v, out);
            }),
            Value::Array(list) => list.iter().for_each(|v| keys(v, out)),
            _ => {}
        }
    }

    #[test]
    fn nothing_is_stored_that_nobody_wrote() {
        let crds = two();
        let mut all = Vec::new();
        keys(&crds.device, &mut all);
        keys(&crds.model, &mut all);
        for unfit in ["default", "nullable", "title"] {
            assert!(!all.iter().any(|k| k == unfit), "{unfit}");
        }
        let text = format!("{}{}", crds.device, crds.model);
        assert!(!text.contains("\"format\":\"uint") && !text.contains("null,") && !text.contains(",null"));
        assert_eq!(
            at(&crds.device, "/properties/spec/properties/protocol/properties/wire/properties/framing/enum"),
            &json!(["rtu"])
        );
    }

    #[test]
    fn each_protocol_has_its_keys_and_the_rules_name_them() {
        let Crds { device, model } = two();
        let spec = at(&device, "/properties/spec");
        assert_eq!(
            spec["properties"]["protocol"]["x-kubernetes-validations"][0]["message"],
            "exactly one protocol must be given: wire, air"
        );
        let item = &spec["properties"]["properties"]["items"];
        assert_eq!(item["required"], json!(["name"]));
        assert_eq!(item["properties"]["air"]["required"], json!(["register"]));
        assert_eq!(item.get("x-kubernetes-preserve-unknown-fields"), None);
        let rules = spec["x-kubernetes-validations"].to_string();
        assert!(rules.contains("spec.protocol.wire.unit is required, here or in the model"), "{rules}");
        assert!(rules.contains(
            "!(has(self.protocol.air) && has(self.protocol.air.serial)) || has(self.protocol.air.serial.path)"
        ));
        let model = at(&model, "/properties/spec");
        assert!(!model["x-kubernetes-validations"].to_string().contains("self.model"));
        assert_eq!(model.get("required"), None);
        assert_eq!(
            model["properties"]["samples"]["items"]["properties"]["given"]["properties"]["wire"]["type"],
            "object"
        );
        assert_eq!(model["properties"]["properties"]["items"]["required"], json!(["name"]));
    }

    #[test]
    fn no_protocol_is_a_schema_too() {
        let crds = compose(&[]);
        assert_eq!(at(&crds.device, "/properties/spec/properties/protocol/properties"), &json!({}));
    }

    #[test]
    #[should_panic(expected = "reserved")]
    fn the_reserved_key_is_kept_free() {
        compose(&[Fragment { name: "external", endpoint: json!({}), address: json!({}), sample: None }]);
    }
}
