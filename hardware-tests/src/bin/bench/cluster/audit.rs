//! What the API server wrote down of the gateways' requests: the judge of who wrote what and when.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

/// The users whose requests count: the gateways' service account, whatever its namespace.
const GATEWAYS: &str = "system:serviceaccount:";

/// One request that may change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// create, update, patch, delete.
    pub verb: String,
    /// devices, events.
    pub resource: String,
    /// status, or nothing.
    pub subresource: String,
    /// The object.
    pub name: String,
    /// When the server received it, since 1970.
    pub at: Duration,
    /// What it answered.
    pub code: u64,
}

impl Write {
    /// Its kind in a word, such as `patch devices/status 200`.
    pub fn kind(&self) -> String {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{} {}", self.verb, self.resource, self.subresource, self.code)
    }
}

/// The log.
pub struct Audit(pub PathBuf);

impl Audit {
    /// Where the log ends now.
    pub fn mark(&self) -> Result<u64> {
        Ok(std::fs::metadata(&self.0).with_context(|| format!("no audit log {}", self.0.display()))?.len())
    }

    /// The gateways' writes since a mark.
    pub fn since(&self, mark: u64) -> Result<Vec<Write>> {
        let mut file = File::open(&self.0)?;
        file.seek(SeekFrom::Start(mark))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may not be whole yet.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole.lines().filter_map(write).collect())
    }
}

/// The write that a line tells of, if it is one of a gateway's and has been answered.
fn write(line: &str) -> Option<Write> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reads = ["get", "list", "watch"];
    let counts = text("/stage") == "ResponseComplete"
        && text("/user/username").starts_with(GATEWAYS)
        && !reads.contains(&text("/verb").as_str());
    counts.then(|| Write {
        verb: text("/verb"),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        name: text("/objectRef/name"),
        at: micros(&text("/requestReceivedTimestamp")).unwrap_or_default(),
        code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
    })
}

/// `2026-11-24T07:52:02.123456Z` since 1970.
fn micros(text: &str) -> Option<Duration> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Duration::try_from(at.duration_since(jiff::Timestamp::UNIX_EPOCH)).ok()
}

/// The most of these moments that lie within any span of this length.
pub fn most_within(moments: &[Duration], span: Duration) -> usize {
    let mut moments = moments.to_vec();
    moments.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (k, at) in moments.iter().enumerate() {
        while *at - moments[first] >= span {
            first += 1;
        }
        most = most.max(k + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gateways_answered_writes_count() {
        let line = r#"{"stage":"ResponseComplete","verb":"patch","user":{"username":"system:serviceaccount:fieldgate:fieldgate"},"objectRef":{"resource":"devices","subresource":"status","name":"a"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-24T07:52:02.123456Z"}"#;
        let seen = write(line).expect("a write");
        assert_eq!((seen.kind().as_str(), seen.name.as_str()), ("patch devices/status 200", "a"));
        assert_eq!(seen.at, Duration::from_micros(1_795_506_722_123_456));
        for (from, to) in [
            ("ResponseComplete", "RequestReceived"),
            ("\"patch\"", "\"watch\""),
            ("system:serviceaccount:fieldgate:fieldgate", "system:apiserver"),
        ] {
            assert_eq!(write(&line.replace(from, to)), None, "{to}");
        }
    }

    #[test]
    fn the_fullest_span() {
        let moments: Vec<Duration> = [0, 100, 900, 999, 1000, 2500].map(Duration::from_millis).into();
        assert_eq!(most_within(&moments, Duration::from_secs(1)), 4);
        assert_eq!(most_within(&moments, Duration::from_secs(10)), 6);
        assert_eq!(most_within(&[], Duration::from_secs(1)), 0);
    }
}
