//! A reported value that may be told anew only so often. Pure but for the clock handed in.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// The value as it was told last, and when.
#[derive(Debug, Default)]
pub struct Held(Option<(Option<Value>, Instant)>);

impl Held {
    /// The value to tell, now that this one is found, and when it has to be looked at again if that is another.
    pub fn see(&mut self, found: Option<Value>, every: Duration, now: Instant) -> (Option<Value>, Option<Instant>) {
        match &self.0 {
            Some((told, _)) if *told == found => (found, None),
            Some((told, at)) if *at + every > now => (told.clone(), Some(*at + every)),
            _ => {
                // Nothing to tell is no telling: the first value goes at once.
                self.0 = found.is_some().then(|| (found.clone(), now));
                (found, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_told_at_once_and_then_only_so_often_and_only_if_it_changed() {
        let (start, mut held) = (Instant::now(), Held::default());
        let every = Duration::from_secs(60);
        let steps = [
            (0, None, None, None),
            (5, Some(1), Some(1), None),
            (6, Some(2), Some(1), Some(65)),
            (7, Some(1), Some(1), None),
            (8, Some(3), Some(1), Some(65)),
            (65, Some(4), Some(4), None),
            (300, Some(4), Some(4), None),
            (301, Some(5), Some(5), None),
            (302, None, Some(5), Some(361)),
            (361, None, None, None),
        ];
        for (second, found, told, again) in steps {
            let at = |second| start + Duration::from_secs(second);
            let got = held.see(found.map(|v: i32| json!(v)), every, at(second));
            assert_eq!(got, (told.map(|v: i32| json!(v)), again.map(at)), "second {second}");
        }
    }
}
