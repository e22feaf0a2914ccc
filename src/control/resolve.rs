//! Merges a Device with its DeviceModel. Pure.
//!
//! Properties go by name, key by key, the model's first; an address is replaced whole, and so is any other list or map
//! of a property but `publish`. The keys of an endpoint merge at every depth. Each node keeps its place, so that a
//! mistake is shown in the file where it stands.

use super::yaml::{Entry, Node, Value};

/// The spec of the device with what the model adds. `samples` stay behind.
pub fn merge(device: &Node, model: &Node) -> Node {
    let mut entries = Vec::new();
    for own in model.entries().iter().filter(|e| !matches!(&*e.key, "samples" | "model" | "nodeName")) {
        if device.get(&own.key).is_none() {
            entries.push(own.clone());
        }
    }
    for own in device.entries() {
        let node = match (&*own.key, model.get(&own.key)) {
            ("protocol", Some(base)) => deep(&own.node, base),
            ("properties", Some(base)) => properties(&own.node, base),
            _ => own.node.clone(),
        };
        entries.push(Entry { key: own.key.clone(), mark: own.mark, node });
    }
    Node { mark: device.mark, value: Value::Map(entries) }
}

/// Maps merge, all else is replaced.
fn deep(own: &Node, base: &Node) -> Node {
    let (Value::Map(mine), Value::Map(theirs)) = (&own.value, &base.value) else { return own.clone() };
    let mut entries: Vec<Entry> = theirs.iter().filter(|e| own.get(&e.key).is_none()).cloned().collect();
    entries.extend(mine.iter().map(|e| Entry {
        node: base.get(&e.key).map_or_else(|| e.node.clone(), |below| deep(&e.node, below)),
        ..e.clone()
    }));
    Node { mark: own.mark, value: Value::Map(entries) }
}

fn properties(own: &Node, base: &Node) -> Node {
    let (Value::List(mine), Value::List(theirs)) = (&own.value, &base.value) else { return own.clone() };
    let name = |node: &Node| node.get("name").and_then(Node::text).map(str::to_owned);
    let mut items: Vec<Node> = Vec::with_capacity(theirs.len());
    for item in theirs {
        // A property that stands twice is kept twice: the schema's walk tells of it.
        let mut over = mine.iter().filter(|m| name(m).is_some() && name(m) == name(item));
        items.push(over.next().map_or_else(|| item.clone(), |m| property(m, item)));
        items.extend(over.cloned());
    }
    items.extend(mine.iter().filter(|m| !theirs.iter().any(|t| name(m).is_some() && name(t) == name(m))).cloned());
    Node { mark: own.mark, value: Value::List(items) }
}

fn property(own: &Node, base: &Node) -> Node {
    let (Value::Map(mine), Value::Map(theirs)) = (&own.value, &base.value) else { return own.clone() };
    let mut entries: Vec<Entry> = theirs.iter().filter(|e| own.get(&e.key).is_none()).cloned().collect();
    entries.extend(mine.iter().map(|e| match base.get(&e.key) {
        Some(below) if &*e.key == "publish" => Entry { node: deep(&e.node, below), ..e.clone() },
        _ => e.clone(),
    }));
    Node { mark: own.mark, value: Value::Map(entries) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge;
    use crate::control::yaml::parse;

    #[test]
    fn a_device_overrides_its_model_key_by_key() {
        let model = parse(
            "{samples: [], pollEvery: 1s, protocol: {modbus: {timeout: 1s, serial: {baud: 9600}}}, properties: [\
             {name: a, type: int16, scale: 0.1, modbus: {table: coil, register: 1}, publish: {onChange: true}},\
             {name: b, type: int16}]}",
            0,
        );
        let device = parse(
            "{model: m, protocol: {modbus: {unit: 1, serial: {path: /dev/x}}}, properties: [\
             {name: c, type: bool}, {name: a, desired: 7, modbus: {register: 2}, publish: {deadband: 1}}]}",
            1,
        );
        let merged = merge(&device.unwrap().roots[0], &model.unwrap().roots[0]);
        assert_eq!(
            merged.to_json(),
            json!({
                "model": "m", "pollEvery": "1s",
                "protocol": {"modbus": {"unit": 1, "timeout": "1s", "serial": {"baud": 9600, "path": "/dev/x"}}},
                "properties": [
                    {"name": "a", "type": "int16", "scale": 0.1, "desired": 7, "modbus": {"register": 2},
                     "publish": {"onChange": true, "deadband": 1}},
                    {"name": "b", "type": "int16"},
                    {"name": "c", "type": "bool"},
                ],
            })
        );
        let a = &merged.get("properties").unwrap().items()[0];
        assert_eq!((a.get("scale").unwrap().mark.file, a.get("desired").unwrap().mark.file), (0, 1));
    }
}
