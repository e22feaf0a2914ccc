//! As much of JSON Schema as the schemas under `docs/mqtt` use. A keyword that it does not know fails the test.

use serde_json::Value as Json;

/// The mistakes of a value against a schema.
pub fn mistakes(schema: &Json, value: &Json, path: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (key, rule) in schema.as_object().expect("a schema is an object") {
        let wrong = match key.as_str() {
            "$schema" | "$id" | "title" | "description" => false,
            "type" => {
                let types: Vec<_> = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                !types.iter().any(|t| is(t.as_str().unwrap(), value))
            }
            "const" => rule != value,
            "enum" => !rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_some_and(|v| v < rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_some_and(|v| v > rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_some_and(|v| v.len() < usize::try_from(rule.as_u64().unwrap()).unwrap()),
            "format" => {
                assert_eq!(rule, "date-time");
                value.as_str().is_some_and(|v| v.parse::<jiff::Timestamp>().is_err() || !v.ends_with('Z'))
            }
            "required" => {
                let missing = rule.as_array().unwrap().iter().filter(|k| value.get(k.as_str().unwrap()).is_none());
                out.extend(missing.map(|k| format!("{path}: {k} is missing")));
                false
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(found) = value.get(name) {
                        out.extend(mistakes(rule, found, &format!("{path}.{name}")));
                    }
                }
                false
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Json::as_object);
                for (name, found) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|k| !k.contains_key(name)) {
                        match rule {
                            Json::Bool(false) => out.push(format!("{path}: {name} is not known")),
                            rule => out.extend(mistakes(rule, found, &format!("{path}.{name}"))),
                        }
                    }
                }
                false
            }
            "items" => {
                for (i, found) in value.as_array().into_iter().flatten().enumerate() {
                    out.extend(mistakes(rule, found, &format!("{path}[{i}]")));
                }
                false
            }
            other => panic!("{path}: the tests do not know {other}"),
        };
        if wrong {
            out.push(format!("{path}: {value} does not fit {key} {rule}"));
        }
    }
    out
}

fn is(name: &str, value: &Json) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("no type {other}"),
    }
}
