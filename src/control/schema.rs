//! Walks a tree along a structural schema and reports every mistake, with what would be accepted. Pure.
//!
//! It knows the keywords that the composed CRDs use. The rules in CEL are not run here: [`super::validate`] says the
//! same of the merged device.

use std::{cell::RefCell, collections::HashMap, sync::LazyLock};

use fieldgate_crds::Duration;
use regex_lite::Regex;
use serde_json::Value as Json;

use super::{
    issue::Finding,
    yaml::{Node, Value},
};

/// The pattern that stands for a duration in every schema: its own words are better than "does not match".
static DURATION: LazyLock<Json> = LazyLock::new(|| mapper_api::schema_of::<Duration>()["pattern"].clone());

/// Reports everything in which the node does not fit the schema.
pub fn walk(node: &Node, schema: &Json, out: &mut Vec<Finding>) {
    if is_open(schema) && schema.get("type").is_none() {
        return;
    }
    if node.value == Value::Null {
        let accepted = accepted(schema);
        out.push(Finding::at(node, format!("has no value; write {accepted}, or leave the key out")));
        return;
    }
    if let Some(wanted) = schema["type"].as_str()
        && !fits(node, wanted)
    {
        out.push(Finding::at(node, wrong_type(node, wanted, schema)));
        return;
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(&node.to_json())
    {
        let names: Vec<&str> = values.iter().filter_map(Json::as_str).collect();
        let hint = node.text().and_then(|text| did_you_mean(text, &names)).unwrap_or_default();
        out.push(Finding::at(node, format!("{} is not one of: {}{hint}", show(node), names.join(", "))));
        return;
    }
    match &node.value {
        Value::Number(number) => range(node, number.as_f64().unwrap_or(f64::NAN), schema, out),
        Value::Text(text) => form(node, text, schema, out),
        Value::List(items) => list(node, items, schema, out),
        Value::Map(_) => map(node, schema, out),
        Value::Null | Value::Bool(_) => {}
    }
}

fn is_open(schema: &Json) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == Json::Bool(true)
}

fn fits(node: &Node, wanted: &str) -> bool {
    let kind = node.kind();
    kind == wanted || (wanted == "number" && kind == "integer")
}

fn wrong_type(node: &Node, wanted: &str, schema: &Json) -> String {
    let shown = show(node);
    match (wanted, &node.value) {
        ("string", Value::Number(_) | Value::Bool(_)) => {
            format!("{shown} is {}, but a text is wanted; write it in quotes: \"{shown}\"", article(node))
        }
        ("integer" | "number", Value::Text(text)) if text.parse::<f64>().is_ok() => {
            format!("{shown} is a text, but {} is wanted; write {text} without quotes", accepted(schema))
        }
        ("boolean", Value::Text(_)) => format!("{shown} is a text; write true or false"),
        ("array", _) => format!("{shown} is {}, but a list is wanted: put `- ` before each item", article(node)),
        ("object", _) => {
            let keys = keys_of(schema);
            let keys = if keys.is_empty() { String::new() } else { format!(" with the keys {}", keys.join(", ")) };
            format!("{shown} is {}, but a map is wanted{keys}", article(node))
        }
        _ => format!("{shown} is {}, but {} is wanted", article(node), accepted(schema)),
    }
}

fn article(node: &Node) -> &'static str {
    match &node.value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(n) if n.is_f64() => "a number with decimals",
        Value::Number(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}

/// What a schema accepts, in a few words.
fn accepted(schema: &Json) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return format!("one of {}", values.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "));
    }
    let between = match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(" from {low} up"),
        (None, Some(high)) => format!(" up to {high}"),
        (None, None) => String::new(),
    };
    match schema["type"].as_str() {
        Some("integer") => format!("a whole number{between}"),
        Some("number") => format!("a number{between}"),
        Some("boolean") => "true or false".to_owned(),
        Some("string") if schema["pattern"] == *DURATION => "a duration such as 500ms or 1m30s".to_owned(),
        Some("string") => "a text".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") => "a map".to_owned(),
        _ => "a value".to_owned(),
    }
}

/// The value in a few characters.
fn show(node: &Node) -> String {
    match &node.value {
        Value::List(_) | Value::Map(_) => "this".to_owned(),
        Value::Text(text) if text.chars().count() > 40 => {
            format!("{:?}...", text.chars().take(37).collect::<String>())
        }
        _ => node.to_json().to_string(),
    }
}

fn range(node: &Node, value: f64, schema: &Json, out: &mut Vec<Finding>) {
    let (low, high) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    if low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high) {
        return;
    }
    let message = match (low, high) {
        (Some(low), Some(high)) => format!("{} is not in {low}..{high}", show(node)),
        (Some(low), None) => format!("{} is below {low}", show(node)),
        (_, high) => format!("{} is above {}", show(node), high.unwrap_or(f64::NAN)),
    };
    out.push(Finding::at(node, message));
}

fn form(node: &Node, text: &str, schema: &Json, out: &mut Vec<Finding>) {
    let length = text.chars().count() as u64;
    if schema["minLength"].as_u64().is_some_and(|least| length < least) {
        out.push(Finding::at(node, "is empty; write at least one character, or leave the key out"));
        return;
    }
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        out.push(Finding::at(node, format!("has {length} characters; at most {most} are accepted")));
        return;
    }
    let Some(pattern) = schema["pattern"].as_str() else { return };
    if *DURATION == pattern {
        if let Err(error) = text.parse::<Duration>() {
            out.push(Finding::at(node, error));
        }
    } else if !matches(pattern, text) {
        let words = schema["description"].as_str().map(|d| format!(" ({d})")).unwrap_or_default();
        out.push(Finding::at(node, format!("{text:?} is not of the form {pattern}{words}")));
    }
}

/// A pattern that cannot be compiled matches: the mapper or the API server has the last word.
fn matches(pattern: &str, text: &str) -> bool {
    thread_local! {
        static SEEN: RefCell<HashMap<String, Option<Regex>>> = RefCell::default();
    }
    SEEN.with_borrow_mut(|seen| {
        let regex = seen.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    })
}

fn list(node: &Node, items: &[Node], schema: &Json, out: &mut Vec<Finding>) {
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| items.len() as u64 > *most) {
        out.push(Finding::at(node, format!("has {} items; at most {most} are accepted", items.len())));
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|least| (items.len() as u64) < *least) {
        out.push(Finding::at(node, format!("has {} items; at least {least} are needed", items.len())));
    }
    if let Some(below) = schema.get("items") {
        for item in items {
            walk(item, below, out);
        }
    }
    let Some(key) = schema["x-kubernetes-list-map-keys"][0].as_str() else { return };
    let mut seen: HashMap<&str, &Node> = HashMap::new();
    for item in items {
        let Some(name) = item.get(key) else { continue };
        let Some(text) = name.text() else { continue };
        if let Some(first) = seen.get(text) {
            let line = first.mark.line;
            let first = if line > 0 { format!("; first in line {line}") } else { String::new() };
            out.push(Finding::at(name, format!("{key} {text:?} stands twice{first}")));
        } else {
            seen.insert(text, name);
        }
    }
}

fn keys_of(schema: &Json) -> Vec<&str> {
    schema["properties"].as_object().map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn map(node: &Node, schema: &Json, out: &mut Vec<Finding>) {
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| node.entries().len() as u64 > *most) {
        out.push(Finding::at(node, format!("has {} keys; at most {most} are accepted", node.entries().len())));
    }
    for entry in node.entries() {
        if let Some(below) = schema["properties"].get(&*entry.key) {
            walk(&entry.node, below, out);
        } else if let Some(below) = schema.get("additionalProperties").filter(|s| s.is_object()) {
            walk(&entry.node, below, out);
        } else if !is_open(schema) {
            let keys = keys_of(schema);
            let hint = did_you_mean(&entry.key, &keys);
            let hint = hint.unwrap_or_else(|| format!("; accepted: {}", keys.join(", ")));
            let finding = Finding::below(node, &entry.key, format!("unknown key{hint}"));
            out.push(Finding { mark: entry.mark, ..finding });
        }
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if node.get(key).is_none() {
            let accepted = accepted(&schema["properties"][key]);
            out.push(Finding::missing(node, key, format!("is required; write {accepted}")));
        }
    }
    alternatives(node, schema, out);
}

/// `oneOf` and `anyOf` in the form that structural schemas have: alternatives of required keys.
fn alternatives(node: &Node, schema: &Json, out: &mut Vec<Finding>) {
    for (keyword, word, most) in [("oneOf", "exactly one", 1), ("anyOf", "at least one", usize::MAX)] {
        let Some(branches) = schema[keyword].as_array() else { continue };
        let needs: Vec<Vec<&str>> = branches
            .iter()
            .map(|b| b["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect())
            .collect();
        if needs.iter().any(Vec::is_empty) {
            continue;
        }
        let met = needs.iter().filter(|keys| keys.iter().all(|k| node.get(k).is_some())).count();
        if met == 0 || met > most {
            let names = needs.iter().map(|keys| keys.join(" with ")).collect::<Vec<_>>().join(", ");
            out.push(Finding::at(node, format!("{word} of these must be given: {names}")));
        }
    }
}

/// A hint at the nearest name, if one is near.
pub fn did_you_mean(text: &str, names: &[&str]) -> Option<String> {
    let lower = text.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let (best, name) = names.iter().map(|name| (distance(name), name)).min()?;
    let limit = (text.chars().count().max(name.chars().count()) / 3).clamp(1, 3);
    (best <= limit).then(|| format!("; did you mean {name:?}?"))
}
