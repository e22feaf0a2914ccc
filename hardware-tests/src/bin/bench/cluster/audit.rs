//! Which of the requests in the audit log are a gateway's writes, and how they lie in time. Pure.

use std::{collections::HashMap, time::Duration};

use hardware_tests::cluster::Entry;
use serde_json::{Value, json};

/// The users whose requests count: the gateways' service account, whatever its namespace.
const GATEWAYS: &str = "system:serviceaccount:";

/// Those that are a gateway's and more than a question.
pub fn writes(entries: Vec<Entry>) -> Vec<Entry> {
    let asks = |entry: &Entry| ["get", "list", "watch"].contains(&entry.verb.as_str());
    entries.into_iter().filter(|entry| entry.user.starts_with(GATEWAYS) && !asks(entry)).collect()
}

/// How many there are, and of which kinds.
pub fn kinds(writes: &[Entry]) -> Value {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for Entry { verb, resource, status, .. } in writes {
        *counts.entry(format!("{verb} {resource} {status}")).or_default() += 1;
    }
    json!({"all": writes.len(), "kinds": counts})
}

/// When each came, since 1970.
pub fn moments(writes: &[Entry]) -> Vec<Duration> {
    let moment = |entry: &Entry| {
        let at: jiff::Timestamp = entry.at.parse().ok()?;
        Duration::try_from(at.duration_since(jiff::Timestamp::UNIX_EPOCH)).ok()
    };
    writes.iter().filter_map(moment).collect()
}

/// The most of these moments that lie within any span of this length.
pub fn most_within(moments: &[Duration], span: Duration) -> usize {
    let mut moments = moments.to_vec();
    moments.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (k, at) in moments.iter().enumerate() {
        while at.saturating_sub(moments[first]) >= span {
            first += 1;
        }
        most = most.max(k + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(verb: &str, user: &str) -> Entry {
        Entry {
            verb: verb.into(),
            user: user.into(),
            resource: "devices/status".into(),
            namespace: "default".into(),
            name: "a".into(),
            uri: String::new(),
            status: 200,
            at: "2026-11-24T07:52:02.123456Z".into(),
            agent: String::new(),
        }
    }

    #[test]
    fn only_a_gateways_writes_count() {
        let gateway = "system:serviceaccount:fieldgate:fieldgate";
        let kept = writes(vec![entry("patch", gateway), entry("watch", gateway), entry("patch", "admin")]);
        assert_eq!(kept, [entry("patch", gateway)]);
        assert_eq!(kinds(&kept), json!({"all": 1, "kinds": {"patch devices/status 200": 1}}));
        assert_eq!(moments(&kept), [Duration::from_micros(1_795_506_722_123_456)]);
    }

    #[test]
    fn the_fullest_span() {
        let moments: Vec<Duration> = [0, 100, 900, 999, 1000, 2500].map(Duration::from_millis).into();
        assert_eq!(most_within(&moments, Duration::from_secs(1)), 4);
        assert_eq!(most_within(&moments, Duration::from_secs(10)), 6);
        assert_eq!(most_within(&[], Duration::from_secs(1)), 0);
    }
}
