//! Lists and watches as requests: their paths, the pages of a list, the lines of a watch. It keeps nothing and waits for
//! nothing but answers.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fieldgate_crds::{GROUP, VERSION};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    client::{Ask, Link, encode, part},
    failure::Failure,
    object::{self, Found, Key, plural},
};
use crate::{control::document::Kind, settings::Select};

/// The objects of one kind, in one namespace or all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// What they are.
    pub kind: Kind,
    /// Where.
    pub namespace: Option<Arc<str>>,
}

/// How the objects of a scope are asked for.
#[derive(Debug, Clone)]
pub struct Query {
    path: String,
    selector: Option<String>,
}

/// So many objects a page.
const LIMIT: usize = 500;
/// A list of more pages than this has no end.
const PAGES: usize = 200;
/// The longest line of a watch: an object of the largest size, several times over.
const LONGEST: usize = 16 << 20;

/// The path of one object.
pub fn path(key: &Key) -> String {
    let (namespace, name) = (encode(&key.id.namespace), encode(&key.id.name));
    format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{}/{name}", plural(key.kind))
}

impl Query {
    /// All DeviceModels of the scope, or the Devices of this node.
    pub fn new(scope: &Scope, node: &str, select: Select) -> Self {
        let namespace = scope.namespace.as_ref().map(|n| format!("/namespaces/{}", encode(n))).unwrap_or_default();
        let selector = (scope.kind == Kind::Device).then(|| match select {
            Select::Field => format!("fieldSelector={}", encode(&format!("spec.nodeName={node}"))),
            Select::Label => format!("labelSelector={}", encode(&format!("{GROUP}/node={node}"))),
        });
        Self { path: format!("/apis/{GROUP}/{VERSION}{namespace}/{}", plural(scope.kind)), selector }
    }

    fn ask(&self, verb: &'static str, parameters: &str) -> Ask {
        let selector = self.selector.as_ref().map(|s| format!("&{s}")).unwrap_or_default();
        Ask::get(verb, format!("{}?{parameters}{selector}", self.path))
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageHead,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageHead {
    resource_version: String,
    #[serde(rename = "continue")]
    token: String,
}

/// A list on its way, page by page.
pub struct List<'a> {
    link: &'a Link,
    query: &'a Query,
    kind: Kind,
    token: String,
    pages: usize,
    /// Every name so far.
    pub keys: BTreeSet<Key>,
    /// Where a watch goes on from; empty if the list did not say.
    pub version: String,
    done: bool,
}

impl<'a> List<'a> {
    /// Nothing is asked yet.
    pub fn new(link: &'a Link, query: &'a Query, kind: Kind) -> Self {
        let (token, version) = (String::new(), String::new());
        Self { link, query, kind, token, pages: 0, keys: BTreeSet::new(), version, done: false }
    }

    /// The objects of the next page; none after the last.
    ///
    /// # Errors
    /// Everything but a page of a list of this kind that comes to an end. What came before may be used.
    pub async fn next(&mut self) -> Result<Option<Vec<Found>>, Failure> {
        if self.done {
            return Ok(None);
        }
        let mut parameters = format!("limit={LIMIT}");
        if !self.token.is_empty() {
            parameters = format!("{parameters}&continue={}", encode(&self.token));
        }
        let body = self.link.ask(&self.query.ask("list", &parameters)).await?;
        let page: Page<'_> =
            serde_json::from_slice(&body).map_err(|error| Failure::away(format!("the list is none: {error}")))?;
        let items = page.items.ok_or_else(|| Failure::away("the list has no items"))?;
        let objects: Result<Vec<Found>, String> = items.iter().map(|o| object::read(self.kind, o.get())).collect();
        let objects = objects.map_err(|error| Failure::away(format!("the list holds {error}")))?;
        let known = self.keys.len();
        self.keys.extend(objects.iter().map(|found| found.key.clone()));
        self.pages += 1;
        // A cache that kept one page only gives it again and again.
        let endless = page.metadata.token == self.token || self.keys.len() == known || self.pages >= PAGES;
        if !page.metadata.token.is_empty() && endless {
            return Err(Failure::away("the list repeats itself: an old page from a cache"));
        }
        self.done = page.metadata.token.is_empty();
        self.token = page.metadata.token;
        // The version of the first page: what happened while the others were read comes by the watch.
        if self.pages == 1 {
            self.version = page.metadata.resource_version;
        }
        Ok(Some(objects))
    }
}

/// One line of a watch.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// An object is new to this watch, or was changed.
    Seen(Box<Found>),
    /// An object no longer belongs to the scope.
    Deleted(Key),
    /// Nothing but a later version.
    Bookmark,
    /// The server gives up this watch.
    Error(Failure),
}

/// An open watch.
pub struct Watch {
    kind: Kind,
    body: Incoming,
    buffer: Vec<u8>,
    /// How much of the buffer was looked through for an end of line.
    seen: usize,
    /// Where the next watch goes on from.
    pub version: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: PageHead,
}

impl Watch {
    /// Opens a watch that goes on from this version and that the server ends after this time.
    ///
    /// # Errors
    /// Everything but a success.
    pub async fn open(
        link: &Link,
        query: &Query,
        kind: Kind,
        version: String,
        lasts: Duration,
    ) -> Result<Self, Failure> {
        let parameters = format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
            lasts.as_secs(),
            encode(&version)
        );
        let body = link.stream(&query.ask("watch", &parameters)).await?;
        Ok(Self { kind, body, buffer: Vec::new(), seen: 0, version })
    }

    /// The next event; none at the end. Cancel-safe.
    ///
    /// # Errors
    /// Nothing came until then, the connection broke, or what came is no event.
    pub async fn next(&mut self, until: Instant) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(end) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') {
                let end = self.seen + end;
                let event = event(self.kind, &self.buffer[..end]);
                self.buffer.drain(..=end);
                self.seen = 0;
                match event {
                    Ok(Some((event, version))) => {
                        if let Some(version) = version {
                            self.version = version;
                        }
                        return Ok(Some(event));
                    }
                    Ok(None) => continue,
                    Err(failure) => return Err(failure),
                }
            }
            self.seen = self.buffer.len();
            if self.seen > LONGEST {
                return Err(Failure::away("the watch sent a line without end"));
            }
            if self.seen == 0 && self.buffer.capacity() > 1 << 16 {
                self.buffer = Vec::new();
            }
            // What is cut off before the end of its line comes again with the next watch.
            match part(&mut self.body, until).await? {
                Some(part) => self.buffer.extend_from_slice(&part),
                None => return Ok(None),
            }
        }
    }
}

/// What a line says, and the version that it brings. None for an empty line.
fn event(kind: Kind, line: &[u8]) -> Result<Option<(Event, Option<String>)>, Failure> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let wrong = |error: &dyn std::fmt::Display| Failure::away(format!("the watch sent what is no event: {error}"));
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| wrong(&error))?;
    let json = line.object.get();
    if line.kind == "ERROR" {
        return Ok(Some((Event::Error(Failure::of_event(json)), None)));
    }
    if line.kind == "BOOKMARK" {
        let head: Versioned = serde_json::from_str(json).map_err(|error| wrong(&error))?;
        let version = Some(head.metadata.resource_version).filter(|version| !version.is_empty());
        return Ok(Some((Event::Bookmark, version)));
    }
    let found = object::read(kind, json).map_err(|error| wrong(&error))?;
    let version = Some(found.version.clone()).filter(|version| !version.is_empty());
    let event = match line.kind {
        "ADDED" | "MODIFIED" => Event::Seen(Box::new(found)),
        "DELETED" => Event::Deleted(found.key),
        other => return Err(wrong(&format!("type {other}"))),
    };
    Ok(Some((event, version)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::object::tests::device, *};

    #[test]
    fn paths() {
        let all = Scope { kind: Kind::Device, namespace: None };
        let one = Scope { kind: Kind::Model, namespace: Some("plant".into()) };
        for (query, path) in [
            (
                Query::new(&all, "gw-1", Select::Field),
                "/apis/fieldgate.dev/v1alpha1/devices?limit=5&fieldSelector=spec.nodeName%3Dgw-1",
            ),
            (
                Query::new(&all, "gw-1", Select::Label),
                "/apis/fieldgate.dev/v1alpha1/devices?limit=5&labelSelector=fieldgate.dev%2Fnode%3Dgw-1",
            ),
            (
                Query::new(&one, "gw-1", Select::Field),
                "/apis/fieldgate.dev/v1alpha1/namespaces/plant/devicemodels?limit=5",
            ),
        ] {
            assert_eq!(query.ask("list", "limit=5").path, path);
        }
    }

    #[test]
    fn lines_of_a_watch() {
        let line = |kind: &str, object: &serde_json::Value| json!({"type": kind, "object": object}).to_string();
        let read = |text: &str| event(Kind::Device, text.as_bytes());
        let object = device("a", "gw-1", "u", 1);
        let (added, version) = read(&line("ADDED", &object)).unwrap().unwrap();
        assert!(matches!(added, Event::Seen(_)) && version.as_deref() == Some("7"));
        let (deleted, _) = read(&line("DELETED", &object)).unwrap().unwrap();
        assert!(matches!(deleted, Event::Deleted(key) if &*key.name() == "Device plant/a"));
        let bookmark = json!({"kind": "Device", "metadata": {"resourceVersion": "9"}, "spec": {}});
        assert_eq!(read(&line("BOOKMARK", &bookmark)).unwrap().unwrap(), (Event::Bookmark, Some("9".into())));
        let expired = json!({"kind": "Status", "code": 410, "reason": "Expired"});
        let (error, _) = read(&line("ERROR", &expired)).unwrap().unwrap();
        assert!(matches!(error, Event::Error(failure) if failure.kind == super::super::failure::Kind::Expired));
        assert_eq!(read("").unwrap(), None);
        for wrong in ["OK", "{}", &line("ADDED", &json!({"kind": "Pod"})), &line("NEWS", &object)] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
