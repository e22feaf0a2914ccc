//! What a proxy may do to a request. Seen with the proxies of edge clusters, or with a bad line.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Value as Json, json};

/// An answer that the API server did not give.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Its content type, if it has one.
    pub content_type: Option<&'static str>,
    /// Seconds after which to come again.
    pub retry_after: Option<u32>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// A Status of Kubernetes.
    pub fn status(status: u16, reason: &str, message: &str) -> Self {
        let body = status_of(status, reason, message).to_string();
        Self { status, content_type: Some("application/json"), retry_after: None, body }
    }

    /// Words of the proxy's own, without a newline: `dial tcp 10.0.0.1:6443: connect: connection refused`.
    pub fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: Some("text/plain; charset=utf-8"), retry_after: None, body: body.into() }
    }

    /// Nothing but a status, as 502 with `Content-Length: 0` is.
    pub fn empty(status: u16) -> Self {
        Self { status, content_type: None, retry_after: None, body: String::new() }
    }

    /// 429 with this many seconds to wait.
    pub fn too_many(seconds: u32) -> Self {
        let answer = Self::status(429, "TooManyRequests", "storage is (re)initializing");
        Self { retry_after: Some(seconds), ..answer }
    }
}

fn status_of(status: u16, reason: &str, message: &str) -> Json {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": status,
    })
}

/// What is done to a body of JSON.
type Edit = Arc<dyn Fn(&mut Json) + Send + Sync>;

/// What is done to a request.
#[derive(Clone)]
pub enum Fault {
    /// It is passed on, but later.
    Delay(Duration),
    /// It is not passed on; this is the answer.
    Answer(Answer),
    /// It is passed on and done, but this is the answer.
    DoneBut(Answer),
    /// It is passed on; the answer's body is changed.
    Edit(Edit),
    /// It is not passed on: 200, `Content-Length: 0`. As a watch that ends at once.
    Empty,
    /// It is not passed on: 200, and a body in which nothing ever comes.
    Silent,
    /// It is not passed on, and never answered.
    Hang,
    /// A PATCH is not passed on: 200 with the object as it stands.
    OldObject,
    /// It is passed on; at the next piece of the answer's body half of it comes, then the connection breaks.
    CutMidChunk,
    /// A watch is not passed on: 200, and an event that says that its version is too old.
    Gone,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Delay(time) => return write!(f, "Delay({time:?})"),
            Self::Answer(answer) => return write!(f, "Answer({})", answer.status),
            Self::DoneBut(answer) => return write!(f, "DoneBut({})", answer.status),
            Self::Edit(_) => "Edit",
            Self::Empty => "Empty",
            Self::Silent => "Silent",
            Self::Hang => "Hang",
            Self::OldObject => "OldObject",
            Self::CutMidChunk => "CutMidChunk",
            Self::Gone => "Gone",
        };
        f.write_str(name)
    }
}

impl Fault {
    /// The answer's body is changed.
    pub fn edit(edit: impl Fn(&mut Json) + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(edit))
    }

    /// An empty list with a resourceVersion: it looks as if everything had been deleted.
    pub fn empty_list() -> Self {
        Self::edit(|list| list["items"] = json!([]))
    }

    /// An empty list without any metadata, of kind `EmptyList`.
    pub fn bare_list() -> Self {
        Self::edit(|list| *list = json!({"apiVersion": list["apiVersion"], "items": [], "kind": "EmptyList"}))
    }

    /// The whole list, but with no resourceVersion.
    pub fn list_without_version() -> Self {
        Self::edit(|list| {
            if let Some(metadata) = list["metadata"].as_object_mut() {
                metadata.remove("resourceVersion");
            }
        })
    }

    /// The list with further items, as of another node or of another kind.
    pub fn foreign_items(items: Vec<Json>) -> Self {
        Self::edit(move |list| {
            if let Some(all) = list["items"].as_array_mut() {
                all.extend(items.iter().cloned());
            }
        })
    }

    /// Every page is the same one, and names a next.
    pub fn endless_pages() -> Self {
        Self::edit(|list| list["metadata"]["continue"] = json!("again"))
    }

    /// The event of a watch whose version is too old, as one line.
    pub(super) fn gone() -> String {
        let status = status_of(410, "Expired", "too old resource version: 1 (2)");
        format!("{}\n", json!({"type": "ERROR", "object": status}))
    }
}
