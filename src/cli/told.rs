//! Which protocol is meant on the command line, and what it is told there.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use mapper_api::{Json, Mapper};
use serde_json::json;

/// What is to be done, for errors: "scanned".
pub struct Deed {
    /// As in "cannot be scanned".
    pub done: &'static str,
    /// The schema of what a mapper may be told for it; none if it cannot do it.
    pub schema: fn(&dyn Mapper) -> Option<Json>,
}

/// The mapper of this name, and the `key=value` words as its arguments; a value that its schema does not take as a text is
/// read as JSON.
///
/// # Errors
/// It does not exist or cannot do it; which can. A word is no argument.
pub fn told<'a>(
    deed: &Deed,
    protocol: &str,
    words: &[String],
    mappers: &'a [Arc<dyn Mapper>],
) -> anyhow::Result<(&'a dyn Mapper, Json)> {
    let Deed { done, schema } = deed;
    let names = || {
        let can: Vec<_> = mappers.iter().filter(|m| schema(&***m).is_some()).map(|m| m.name()).collect();
        if can.is_empty() {
            "this binary has none that can be".to_owned()
        } else {
            format!("these can be: {}", can.join(", "))
        }
    };
    let Some(mapper) = mappers.iter().find(|m| m.name() == protocol) else {
        bail!("there is no protocol {protocol} to be {done}; {}", names())
    };
    let Some(schema) = schema(&**mapper) else { bail!("{protocol} cannot be {done}; {}", names()) };
    Ok((&**mapper, arguments(words, &schema)?))
}

fn arguments(words: &[String], schema: &Json) -> anyhow::Result<Json> {
    let mut told = serde_json::Map::new();
    for word in words {
        let (key, value) = word.split_once('=').with_context(|| format!("{word:?} is no argument; write key=value"))?;
        let value = match schema["properties"][key]["type"].as_str() {
            Some("string") | None => json!(value),
            Some(kind) => serde_json::from_str(value).with_context(|| format!("{word:?}: {value:?} is no {kind}"))?,
        };
        if told.insert(key.to_owned(), value).is_some() {
            bail!("{key} is given twice");
        }
    }
    Ok(told.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn words_become_arguments_or_are_refused() {
        let schema = json!({ "properties": { "adapter": { "type": "string" }, "baud": { "type": "integer" } } });
        let told = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            super::arguments(&words, &schema).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(told(&["adapter=a=b", "baud=9600"]).unwrap(), json!({ "adapter": "a=b", "baud": 9600 }));
        for (given, part) in [
            (&["adapter"][..], "write key=value"),
            (&["a=1", "a=2"], "a is given twice"),
            (&["baud=fast"], "\"fast\" is no integer"),
        ] {
            let error = told(given).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
