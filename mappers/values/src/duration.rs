//! A length of time as people write it: `500ms`, `1s`, `1m30s`, `2h`.

use std::{borrow::Cow, fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration, written in YAML as a string with units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(pub time::Duration);

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("{text:?} is no duration; write numbers with units ms, s, m or h: 500ms, 1s, 1m30s");
        let (mut rest, mut total) = (text, 0_u64);
        if rest.is_empty() {
            return Err(refuse());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (_, millis) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters]).ok_or_else(refuse)?;
            total = number.checked_mul(*millis).and_then(|n| n.checked_add(total)).ok_or_else(refuse)?;
            rest = &rest[letters..];
        }
        Ok(Self(time::Duration::from_millis(total)))
    }
}

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in UNITS.iter().rev() {
            let count = rest / u128::from(*millis);
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            rest %= u128::from(*millis);
        }
        Ok(())
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$", "maxLength": 32 })
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["0s", "1ms", "500ms", "1s", "1m30s", "2h", "1h1ms"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
        assert_eq!("90s".parse::<Duration>().unwrap().to_string(), "1m30s");
    }

    #[test]
    fn what_is_no_duration_is_refused_with_an_example() {
        for text in ["", "1", "s", "1 s", "1.5s", "-1s", "1d", "99999999999999999999s", "9999999999999999999h", "1sµ"]
        {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(error.contains("500ms"), "{text}: {error}");
        }
    }
}
