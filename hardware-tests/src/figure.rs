//! One figure is one line of JSON.

use serde_json::{Map, Value};

/// A figure under construction.
pub struct Figure(Map<String, Value>);

impl Figure {
    /// A figure of this name and unit, with what is to be reached.
    pub fn new(name: &str, unit: &str, reach: &str) -> Self {
        let mut figure = Self(Map::new());
        figure.0.insert("figure".into(), name.into());
        figure.0.insert("unit".into(), unit.into());
        figure.0.insert("reach".into(), reach.into());
        figure
    }

    /// Adds a key. Numbers are rounded to four decimals.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::Number(number) if number.is_f64() => {
                number.as_f64().map_or(Value::Null, |value| ((value * 1e4).round() / 1e4).into())
            }
            Value::Array(items) => {
                items.into_iter().map(|item| item.as_f64().map_or(item, |v| ((v * 1e4).round() / 1e4).into())).collect()
            }
            other => other,
        };
        self.0.insert(key.into(), value);
        self
    }

    /// Prints the line.
    pub fn print(self) {
        println!("{}", Value::Object(self.0));
    }
}

/// The middle one; of an even number, the mean of the two in the middle. NaN for none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(below), values.get(above)) {
        (Some(below), Some(above)) => f64::midpoint(*below, *above),
        _ => f64::NAN,
    }
}

/// The value that this share of them does not exceed. 0 for none.
pub fn percentile(values: &mut [u64], share: f64) -> u64 {
    values.sort_unstable();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles() {
        assert_eq!(median([3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
        assert!(median([]).is_nan());
        let mut hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!((percentile(&mut hundred, 0.5), percentile(&mut hundred, 0.99)), (50, 99));
        assert_eq!(percentile(&mut [], 0.5), 0);
    }
}
