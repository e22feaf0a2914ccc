//! The API server's audit log: every request as the server saw it. The judge of what a gateway costs.

use std::{
    collections::HashSet,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::Value as Json;

/// What is logged: who asked for what, and what was answered, without bodies; nothing of what the server asks itself.
pub(super) const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
                                 - { level: None, users: [\"system:apiserver\"] }\n- { level: Metadata }\n";

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// `admin`, or `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// `devices`, `devices/status`; empty for a path that is no resource.
    pub resource: String,
    /// The object's namespace, if it has one.
    pub namespace: String,
    /// The object's name, if one was meant.
    pub name: String,
    /// The path and query as asked for.
    pub uri: String,
    /// The answer's HTTP status.
    pub status: u64,
    /// When it came: RFC 3339 in UTC, microseconds.
    pub at: String,
    /// The client's User-Agent.
    pub agent: String,
}

/// Each request once, in the order in which they were answered: a watch when it begins. From this byte on.
pub(super) fn read(path: &Path, from: u64) -> Result<Vec<Entry>> {
    let mut text = String::new();
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.seek(SeekFrom::Start(from))?;
    file.read_to_string(&mut text)?;
    let mut seen = HashSet::new();
    // The server may be writing the last line.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut entries = Vec::new();
    for line in whole.lines() {
        let event: Json = serde_json::from_str(line)?;
        let word = |pointer: &str| event.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
        if !seen.insert(word("/auditID")) {
            continue;
        }
        let sub = word("/objectRef/subresource");
        let resource = word("/objectRef/resource");
        entries.push(Entry {
            verb: word("/verb"),
            user: word("/user/username"),
            resource: if sub.is_empty() { resource } else { format!("{resource}/{sub}") },
            namespace: word("/objectRef/namespace"),
            name: word("/objectRef/name"),
            uri: word("/requestURI"),
            status: event.pointer("/responseStatus/code").and_then(Json::as_u64).unwrap_or(0),
            at: word("/requestReceivedTimestamp"),
            agent: word("/userAgent"),
        });
    }
    Ok(entries)
}
