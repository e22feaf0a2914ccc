//! From a merged spec to [`Device`]: everything that a schema cannot say, and the mapper's own check. Pure.
//!
//! Every mistake is reported, each where it stands: the properties are judged one by one, and those that are right are
//! bound even when others are not. It knows no protocol and no file.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use fieldgate_crds as crd;
use mapper_api::{Access, At, BindError, ByteOrder, DataType, ErrorKind, Mapper, Point, PointId, Refusal, Value};
use mapper_values::{DATE_TIME_SIZES, Shape};
use serde_json::Value as Json;

use super::{
    crd::Schemas,
    issue::{Finding, Severity},
    schema,
    yaml::{self, Node},
};
use crate::model::{Desired, Device, DeviceId, Print, Property, Publish, Safe};

/// The shortest period that may be asked for, and the one used when none is given.
const SHORTEST: Duration = Duration::from_millis(10);
const USUAL: Duration = Duration::from_secs(1);
/// The shortest interval in which a value is reported: each is a write to the API server.
const REPORT: Duration = Duration::from_secs(10);

/// What the source knows of a device besides its spec.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub id: DeviceId,
    /// The identity of the resource.
    pub uid: String,
    /// The generation of the spec.
    pub generation: i64,
    /// That of its DeviceModel.
    pub model_generation: Option<i64>,
}

/// The device, if nothing is wrong with it, and what there is to say of its spec.
pub struct Verdict {
    /// None if a finding is an error.
    pub device: Option<Device>,
    /// Mistakes and notes.
    pub findings: Vec<Finding>,
}

/// Judges a merged spec.
pub fn validate(identity: Identity, spec: &Node, mappers: &[Arc<dyn Mapper>], schemas: &Schemas) -> Verdict {
    let mut findings = Vec::new();
    schema::walk(spec, &schemas.merged, &mut findings);
    let device = judge(identity, spec, mappers, schemas, &mut findings);
    let wrong = findings.iter().any(|f| f.severity == Severity::Error);
    Verdict { device: device.filter(|_| !wrong), findings }
}

fn judge(
    identity: Identity,
    spec: &Node,
    mappers: &[Arc<dyn Mapper>],
    schemas: &Schemas,
    out: &mut Vec<Finding>,
) -> Option<Device> {
    // Where the whole fits its schema, each part does.
    let fits = out.is_empty();
    let poll_every = period(spec, "pollEvery", out).unwrap_or(USUAL);
    let chosen = protocol(spec, mappers, out);
    let empty = Vec::new();
    let items = spec.get("properties").map_or(empty.as_slice(), Node::items);
    if items.is_empty() {
        out.push(Finding::at(spec, "has no properties: nothing will be read").note());
    }
    let item_schema = &schemas.merged["properties"]["properties"]["items"];
    let mut sound = Vec::new();
    for item in items {
        let mut shape = Vec::new();
        if !fits {
            schema::walk(item, item_schema, &mut shape);
        }
        let before = out.len();
        let address = chosen.as_ref().and_then(|(mapper, _)| address(item, &**mapper, mappers, out));
        let parsed = if shape.is_empty() { parse(item, out) } else { None };
        let Some(parsed) = parsed else { continue };
        let property = property(item, &parsed, poll_every, out).map(|p| written(item, &parsed, p, out));
        if let (Some(property), Some(address), true) = (property, address, out.len() == before) {
            sound.push((item, parsed, property, address.to_json()));
        }
    }
    let (mapper, endpoint) = chosen?;
    let mut shape = Vec::new();
    if !fits {
        schema::walk(endpoint, &schemas.merged["properties"]["protocol"]["properties"][mapper.name()], &mut shape);
    }
    if !shape.is_empty() {
        return None;
    }
    let points = sound
        .iter()
        .map(|(_, parsed, property, address)| Point {
            address,
            data_type: parsed.data_type,
            order: parsed.order.unwrap_or_default(),
            size: parsed.size,
            access: property.access,
        })
        .collect();
    let json = endpoint.to_json();
    // A mapper that breaks down over one device must not take the others with it.
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let bound = mapper.clone().bind(&json, points)?;
        let mut found: Vec<_> =
            bound.notes().into_iter().map(|note| placed(note, mapper.name(), endpoint, &sound).note()).collect();
        for (point, (item, _, property, _)) in (0..).zip(&sound) {
            let (desired, safe) = (property.desired.as_ref().map(|d| &d.raw), property.safe.as_ref().map(|s| &s.raw));
            for (key, raw) in [("desired", desired), ("safe", safe)] {
                if let Some(Err((_, refusal))) = raw.map(|raw| bound.plan_write(&[(point, raw.clone())])) {
                    found.push(Finding::at(item.get(key).unwrap_or(item), refusal.detail));
                }
            }
        }
        Ok((bound, found))
    }));
    let bound = match judged {
        Ok(Ok((bound, found))) => {
            out.extend(found);
            bound
        }
        Ok(Err(errors)) => {
            let errors: Vec<BindError> = errors;
            out.extend(errors.into_iter().map(|error| placed(error, mapper.name(), endpoint, &sound)));
            return None;
        }
        Err(_) => {
            let name = mapper.name();
            let message = format!("the mapper {name} broke down over this device, which is a defect of the mapper");
            out.push(Finding::at(endpoint, message));
            return None;
        }
    };
    let properties: Box<[_]> = sound.into_iter().map(|(_, _, property, _)| Arc::new(property)).collect();
    Some(Device {
        id: identity.id,
        uid: identity.uid,
        generation: identity.generation,
        model_generation: identity.model_generation,
        model: spec.get("model").and_then(Node::text).map(str::to_owned),
        poll_every,
        print: Print::of(&spec.to_json(), &properties),
        properties,
        bound,
    })
}

type Sound<'a> = (&'a Node, crd::Property, Property, Json);

/// A mapper's mistake at the node that it speaks of.
fn placed(error: BindError, protocol: &str, endpoint: &Node, sound: &[Sound<'_>]) -> Finding {
    let item = |point: PointId| sound.get(usize::from(point)).map_or(endpoint, |(item, ..)| item);
    let place = match error.at {
        At::Endpoint => endpoint,
        At::Property(point) => item(point),
        At::Address(point) => item(point).get(protocol).unwrap_or(item(point)),
    };
    Finding { cause: error.kind.into(), ..Finding::inside(place, &error.path, error.message) }
}

/// The one protocol that is given, and its endpoint.
fn protocol<'a>(
    spec: &'a Node,
    mappers: &[Arc<dyn Mapper>],
    out: &mut Vec<Finding>,
) -> Option<(Arc<dyn Mapper>, &'a Node)> {
    let node = spec.get("protocol")?;
    let names = mappers.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ");
    let given: Vec<_> = node
        .entries()
        .iter()
        .filter_map(|e| mappers.iter().find(|m| m.name() == &*e.key).map(|m| (m.clone(), &e.node)))
        .collect();
    match given.len() {
        1 => given.into_iter().next(),
        // A misspelt protocol is already reported as an unknown key.
        0 if !node.entries().is_empty() => None,
        _ => {
            out.push(Finding::at(node, format!("exactly one protocol must be given: {names}")));
            None
        }
    }
}

fn parse(item: &Node, out: &mut Vec<Finding>) -> Option<crd::Property> {
    serde_json::from_value(item.to_json()).map_err(|error| out.push(Finding::at(item, error.to_string()))).ok()
}

/// The address under the device's protocol; every other one is refused.
fn address<'a>(
    item: &'a Node,
    mapper: &dyn Mapper,
    mappers: &[Arc<dyn Mapper>],
    out: &mut Vec<Finding>,
) -> Option<&'a Node> {
    for foreign in mappers.iter().map(|m| m.name()).filter(|name| *name != mapper.name()) {
        if let Some(node) = item.get(foreign) {
            let own = mapper.name();
            out.push(Finding::at(
                node,
                format!("is an address of {foreign}, but spec.protocol is {own}: write the address under {own}"),
            ));
        }
    }
    let address = item.get(mapper.name());
    if address.is_none() {
        out.push(Finding::missing(item, mapper.name(), "is required: the property's address"));
    }
    address
}

/// A duration of at least [`SHORTEST`]. What is no duration is reported by the schema's walk.
fn period(node: &Node, key: &str, out: &mut Vec<Finding>) -> Option<Duration> {
    let below = node.get(key)?;
    let crd::Duration(period) = below.text()?.parse().ok()?;
    if period < SHORTEST {
        out.push(Finding::at(below, format!("{} is too short; at least 10ms is accepted", crd::Duration(period))));
    }
    Some(period)
}

fn number(node: &Node) -> Option<f64> {
    if let yaml::Value::Number(number) = &node.value { number.as_f64() } else { None }
}

/// Everything of a property but its address and the values that are written.
fn property(item: &Node, parsed: &crd::Property, device_period: Duration, out: &mut Vec<Finding>) -> Option<Property> {
    let data_type = parsed.data_type;
    let access = parsed.access.unwrap_or_default();
    let sized = data_type.width().is_none();
    match (sized, item.get("size")) {
        (true, None) => out.push(Finding::missing(
            item,
            "size",
            format!("is required for type {data_type}: its length in bytes, {}", lengths(data_type)),
        )),
        (false, Some(node)) => out.push(Finding::at(
            node,
            format!(
                "is for string, bytes, bcd and dateTime only; {data_type} always has {} bytes",
                data_type.width().unwrap_or(0)
            ),
        )),
        (true, Some(node)) if parsed.size.is_some_and(|size| !fits(data_type, size)) => {
            out.push(Finding::at(node, format!("a {data_type} has so many bytes: {}", lengths(data_type))));
        }
        _ => {}
    }
    if let (Some(order), Some(node)) = (parsed.order, item.get("order")) {
        let odd = parsed.size.is_some_and(|size| !size.is_multiple_of(2));
        match order {
            ByteOrder::Cdab | ByteOrder::Dcba if data_type.is_text() => out.push(Finding::at(
                node,
                format!("a {data_type} has no word order to swap; ABCD and BADC are accepted"),
            )),
            ByteOrder::Cdab | ByteOrder::Badc if sized && odd && !data_type.is_text() => out.push(Finding::at(
                node,
                format!("a {data_type} of an odd size has no words to swap; ABCD and DCBA are accepted"),
            )),
            _ => {}
        }
    }
    for key in ["scale", "offset", "min", "max", "tolerance"] {
        if let (false, Some(node)) = (data_type.is_number(), item.get(key)) {
            out.push(Finding::at(node, format!("is for numbers only; the type is {data_type}")));
        }
    }
    if let (Some(min), Some(max), Some(node)) = (parsed.min, parsed.max, item.get("min"))
        && min > max
    {
        out.push(Finding::at(node, format!("{min} is above max, which is {max}")));
    }
    let shape = shape(item, parsed, out);
    let poll_every = period(item, "pollEvery", out).unwrap_or(device_period);
    let max_age = period(item, "maxAge", out);
    if let (Some(age), Some(node)) = (max_age.filter(|age| *age < poll_every), item.get("maxAge")) {
        let (age, poll) = (crd::Duration(age), crd::Duration(poll_every));
        out.push(Finding::at(node, format!("{age} is shorter than the poll period {poll}: it would always be stale")));
    }
    let publish = publish(item, parsed, access, out);
    let report_every = report(item, parsed, access, out);
    Some(Property {
        name: parsed.name.as_str().into(),
        data_type,
        size: parsed.size,
        unit: parsed.unit.clone(),
        access,
        shape: shape?,
        min: parsed.min,
        max: parsed.max,
        poll_every,
        max_age: max_age.unwrap_or(poll_every * 3),
        learns_age: max_age.is_none(),
        desired: None,
        safe: None,
        report_every,
        publish,
    })
}

/// Whether a type without a width of its own can have this length.
fn fits(data_type: DataType, size: u16) -> bool {
    match data_type {
        DataType::Bcd => (1..=8).contains(&size),
        DataType::DateTime => DATE_TIME_SIZES.contains(&size),
        _ => true,
    }
}

/// The lengths that are accepted, in words.
fn lengths(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Bcd => "from 1 to 8, of two digits each",
        DataType::DateTime => {
            "4 (seconds since 1970), 8 (milliseconds), 7 (CP56Time2a) or 6 (year - 2000 to second, a byte each)"
        }
        _ => "from 1 to 512",
    }
}

fn shape(item: &Node, parsed: &crd::Property, out: &mut Vec<Finding>) -> Option<Shape> {
    let labelled = parsed.data_type == DataType::Bool || parsed.data_type.is_whole();
    if let Some(node) = item.get("labels").filter(|_| !labelled) {
        out.push(Finding::at(node, format!("are for integers and bool only; the type is {}", parsed.data_type)));
        return None;
    }
    let (scale, offset) = (parsed.scale.unwrap_or(1.0), parsed.offset.unwrap_or(0.0));
    let shape = Shape::new(scale, offset, &parsed.labels)
        .map_err(|error| {
            let node = item.get("labels").or_else(|| item.get("scale")).or_else(|| item.get("offset")).unwrap_or(item);
            out.push(Finding::at(node, error.to_string()));
        })
        .ok()?;
    let Some(node) = item.get("invalid") else { return Some(shape) };
    let mut invalid = Vec::with_capacity(parsed.invalid.len());
    for (raw, node) in parsed.invalid.iter().zip(node.items()) {
        let Some(raw) = Value::from_json(raw) else {
            out.push(Finding::at(node, "must be a number, true, false or a text"));
            return None;
        };
        if let Err(error) = Shape::default().with_invalid(std::slice::from_ref(&raw), parsed.data_type) {
            out.push(Finding::at(node, error.to_string()));
            return None;
        }
        invalid.push(raw);
    }
    shape.with_invalid(&invalid, parsed.data_type).map_err(|error| out.push(Finding::at(node, error.to_string()))).ok()
}

fn publish(item: &Node, parsed: &crd::Property, access: Access, out: &mut Vec<Finding>) -> Publish {
    let (Some(node), Some(rules)) = (item.get("publish"), &parsed.publish) else { return Publish::default() };
    if !access.can_read() {
        out.push(Finding::at(node, "a property with access write is never read, so there is nothing to publish"));
    }
    Publish {
        on_change: rules.on_change.unwrap_or(false),
        deadband: node.get("deadband").and_then(|node| deadband(node, parsed, out)),
        at_least_every: period(node, "atLeastEvery", out),
    }
}

/// In the property's own unit: a share is taken of max - min.
fn deadband(node: &Node, parsed: &crd::Property, out: &mut Vec<Finding>) -> Option<f64> {
    const ACCEPTED: &str = "a number from 0 up, or a share of max - min such as \"1%\"";
    if !parsed.data_type.is_number() {
        out.push(Finding::at(node, format!("is for numbers only; the type is {}", parsed.data_type)));
        return None;
    }
    let share = node.text().and_then(|t| t.strip_suffix('%')).and_then(|t| t.trim().parse::<f64>().ok());
    let (value, of) = match (number(node), share, parsed.min, parsed.max) {
        (Some(value), ..) => (value, 1.0),
        (None, Some(share), Some(min), Some(max)) => (share / 100.0, max - min),
        (None, Some(_), ..) => {
            out.push(Finding::at(node, "a share needs both min and max of the property; give them, or a number"));
            return None;
        }
        _ => {
            out.push(Finding::at(node, format!("{} is not accepted; write {ACCEPTED}", node.to_json())));
            return None;
        }
    };
    if !value.is_finite() || value < 0.0 {
        out.push(Finding::at(node, format!("{} is not accepted; write {ACCEPTED}", node.to_json())));
        return None;
    }
    Some(value * of)
}

/// How often a value is reported that would not be otherwise.
fn report(item: &Node, parsed: &crd::Property, access: Access, out: &mut Vec<Finding>) -> Option<Duration> {
    let (node, crd::Duration(every)) = (item.get("reportEvery")?, parsed.report_every?);
    if access.can_write() {
        out.push(Finding::at(node, "changes nothing: what can be written is always reported").note());
        return None;
    }
    if every < REPORT {
        let (every, least) = (crd::Duration(every), crd::Duration(REPORT));
        out.push(Finding::at(node, format!("{every} is too short; at least {least} is accepted")));
    }
    Some(every)
}

/// The property with the values that are to be written, if it has some that can be.
fn written(item: &Node, parsed: &crd::Property, mut property: Property, out: &mut Vec<Finding>) -> Property {
    if let Some((value, raw)) = writable(item, "desired", parsed, &property, out) {
        let on_drift = parsed.on_drift.unwrap_or_default();
        property.desired = Some(Desired { value, raw, tolerance: parsed.tolerance, on_drift });
    }
    property.safe = writable(item, "safe", parsed, &property, out).map(|(value, raw)| Box::new(Safe { value, raw }));
    property
}

/// The value under a key in both forms, if it can be written.
fn writable(
    item: &Node,
    key: &str,
    parsed: &crd::Property,
    property: &Property,
    out: &mut Vec<Finding>,
) -> Option<(Value, Value)> {
    let node = item.get(key)?;
    let Some(value) = Value::from_json(&node.to_json()) else {
        out.push(Finding::at(node, "must be a number, true, false or a text"));
        return None;
    };
    if !property.access.can_write() {
        let written = if item.get("access").is_some() { "is" } else { "was left out, which means" };
        out.push(Finding::at(node, format!("needs access write or readWrite, but access {written} read")));
        return None;
    }
    // A number may stand as a text: no JSON number holds 64 bits.
    let text =
        || node.text().filter(|_| property.data_type.is_number() && parsed.labels.is_empty())?.trim().parse().ok();
    if let Some(wanted) = number(node).or_else(text) {
        if !wanted.is_finite() {
            out.push(Finding::at(node, format!("{wanted} is no number that can be written")));
            return None;
        }
        let (low, high) = (parsed.min.unwrap_or(f64::NEG_INFINITY), parsed.max.unwrap_or(f64::INFINITY));
        if !(low..=high).contains(&wanted) {
            let range = match (parsed.min, parsed.max) {
                (Some(min), Some(max)) => format!("is not in {min}..{max}"),
                (Some(min), None) => format!("is below min, which is {min}"),
                (_, max) => format!("is above max, which is {}", max.unwrap_or(high)),
            };
            out.push(Finding::at(node, format!("{wanted} {range}")));
            return None;
        }
    }
    match property.shape.raw(&value, property.data_type) {
        Ok(raw) => Some((value, raw)),
        Err(error) => {
            out.push(Finding::at(node, error.to_string()));
            None
        }
    }
}

/// Runs a model's recorded answer through the mapper, and compares with what it must give.
pub fn sample(device: &Device, sample: &Node, out: &mut Vec<Finding>) {
    let protocol = device.bound.protocol();
    let Some(given) = sample.at(&["given", protocol]) else {
        out.push(Finding::below(sample, "given", format!("is required under the model's protocol, {protocol}")));
        return;
    };
    let decoded = match device.bound.replay(&given.to_json()) {
        Ok(decoded) => decoded,
        Err(error) => return out.push(Finding::at(given, error)),
    };
    let found: BTreeMap<&str, Result<Value, Refusal>> = decoded
        .into_iter()
        .map(|d| {
            let property = device.property(d.point);
            let value = property.shape.seen(d.result);
            (&*property.name, value)
        })
        .collect();
    for entry in sample.get("expect").map(Node::entries).unwrap_or_default() {
        if !device.properties.iter().any(|p| *p.name == *entry.key) {
            let names: Vec<&str> = device.properties.iter().map(|p| &*p.name).collect();
            let hint = schema::did_you_mean(&entry.key, &names);
            let hint = hint.unwrap_or_else(|| format!("; the model has {}", names.join(", ")));
            out.push(Finding::at(&entry.node, format!("the model has no such property{hint}")));
            continue;
        }
        let wanted = &entry.node;
        let shown = match found.get(&*entry.key) {
            Some(Ok(value)) if same(value, wanted) => continue,
            Some(Ok(value)) => format!("gives {value}"),
            Some(Err(refusal)) if refusal.kind == ErrorKind::NotAvailable && wanted.to_json() == NONE => continue,
            Some(Err(refusal)) => format!("gives no value ({refusal})"),
            None => "says nothing of it".to_owned(),
        };
        out.push(Finding::at(wanted, format!("{} was expected, but the sample {shown}", wanted.to_json())));
    }
}

/// What a sample expects of a property that the device has no value for. A null would not do: an API server drops it.
const NONE: &str = "notAvailable";

/// Whether a value is what the YAML says, in the precision that it has.
fn same(value: &Value, wanted: &Node) -> bool {
    let Some(wanted) = Value::from_json(&wanted.to_json()) else { return false };
    match (value, &wanted) {
        #[allow(clippy::cast_possible_truncation)] // single precision is what the device has
        (Value::Float32(found), _) => as_f64(&wanted).is_some_and(|w| (w as f32).to_bits() == found.to_bits()),
        (Value::Bool(_) | Value::Text(_), _) => *value == wanted,
        (Value::Bytes(_), Value::Text(wanted)) => value.to_string() == wanted.to_lowercase(),
        // 64 bits do not fit into a JSON number, and so may stand as a text.
        (found, Value::Text(wanted)) => found.to_string() == *wanted,
        (found, _) => as_f64(found).is_some_and(|found| Some(found) == as_f64(&wanted)),
    }
}

fn as_f64(value: &Value) -> Option<f64> {
    match value {
        Value::Float32(v) => Some((*v).into()),
        Value::Float64(v) => Some(*v),
        Value::Int(_) | Value::Uint(_) => value.to_string().parse().ok(),
        _ => None,
    }
}
