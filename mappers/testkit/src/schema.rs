//! Whether a mapper's schema can be part of the resources: one structural object, every field with a sentence.

use serde_json::Value as Json;

/// All faults of a schema, each with its path.
pub(crate) fn faults(schema: &Json) -> Vec<String> {
    let mut faults = Vec::new();
    if schema["type"] != "object" {
        faults.push("it must describe an object".to_owned());
    }
    walk(schema, "", &mut faults);
    faults
}

fn walk(schema: &Json, path: &str, faults: &mut Vec<String>) {
    let Some(object) = schema.as_object() else {
        faults.push(format!("{path}: any value would do; give a type or x-kubernetes-preserve-unknown-fields"));
        return;
    };
    let preserves = object.get("x-kubernetes-preserve-unknown-fields").is_some_and(|v| v == true);
    let int_or_string = object.get("x-kubernetes-int-or-string").is_some_and(|v| v == true);
    if !object.contains_key("type") && !preserves && !int_or_string {
        faults.push(format!("{path}: a structural schema needs a type"));
    }
    for word in ["$ref", "$defs", "definitions", "default"] {
        if object.contains_key(word) {
            faults.push(format!("{path}: {word} must not stand in a resource's schema"));
        }
    }
    for junctor in ["oneOf", "anyOf", "allOf"] {
        for part in object.get(junctor).and_then(Json::as_array).into_iter().flatten() {
            if ["type", "properties", "additionalProperties", "description"].iter().any(|w| part.get(w).is_some()) {
                faults.push(format!("{path}: the API server refuses types inside {junctor}"));
            }
        }
    }
    for (name, field) in object.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
            faults.push(format!("{path}: has no description"));
        }
        walk(field, &path, faults);
    }
    if let Some(items) = object.get("items") {
        walk(items, &format!("{path}[]"), faults);
        if !object.contains_key("maxItems") {
            faults.push(format!("{path}: a list needs maxItems"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::faults;

    #[test]
    fn each_fault_is_found() {
        for (schema, fault) in [
            (json!({ "type": "string" }), "object"),
            (json!({ "type": "object", "properties": { "a": { "type": "string" } } }), ".a: has no description"),
            (json!({ "type": "object", "properties": { "a": { "description": "A." } } }), ".a: a structural"),
            (json!({ "type": "object", "properties": { "a": true } }), ".a: any value"),
            (json!({ "type": "object", "default": {} }), "default"),
            (json!({ "type": "object", "oneOf": [{ "type": "object" }] }), "oneOf"),
            (
                json!({ "type": "object", "properties": { "a": { "type": "array", "description": "A.",
                "items": { "type": "string" } } } }),
                "maxItems",
            ),
        ] {
            let found = faults(&schema);
            assert!(found.iter().any(|text| text.contains(fault)), "{fault}: {found:?}");
        }
        assert!(faults(&json!({ "type": "object" })).is_empty());
    }
}
