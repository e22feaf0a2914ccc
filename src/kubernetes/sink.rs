//! Statuses to the API server, by PATCH on the status of one very object. A success counts only if the answer shows what
//! was sent: caches at the edge answer 200 with the old object. It decides nothing about when, and it tries once.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fieldgate_crds::DeviceStatus;
use http::Method;
use serde_json::json;
use tokio::time::timeout;

use super::{
    client::{Ask, Link, PATIENCE},
    events::Events,
    failure::{Failure, Kind as Why},
    list::path,
    mirror::{Mirror, is_older},
    object::{self, Found, Key},
};
use crate::{
    control::{
        carry::is_same,
        document::Kind,
        sink::{Notice, Pending, StatusSink, Stored, Written},
    },
    model::DeviceId,
};

/// The way back for statuses.
pub struct ClusterSink {
    link: Arc<Link>,
    node: String,
    mirror: Arc<Mirror>,
    events: Events,
}

/// The manager of the fields that this bridge writes.
pub(super) const MANAGER: &str = "fieldgate";

impl ClusterSink {
    /// The way back for the statuses of this node's Devices.
    pub fn new(link: Arc<Link>, node: &str, mirror: Arc<Mirror>) -> Self {
        Self { events: Events::new(link.clone(), node), link, node: node.to_owned(), mirror }
    }

    async fn patch(&self, device: &DeviceId, stored: &Stored, status: &DeviceStatus) -> Written {
        let key = Key { kind: Kind::Device, id: device.clone() };
        let ask = Ask {
            verb: "patch",
            method: Method::PATCH,
            path: format!("{}/status?fieldManager={MANAGER}", path(&key)),
            content: Some("application/json-patch+json"),
            body: patch(&stored.uid, &self.node, status),
        };
        let Ok(answer) = timeout(PATIENCE, self.link.ask(&ask)).await else {
            return Written::Unknown(format!("no whole answer within {} s", PATIENCE.as_secs()), None);
        };
        let failure = match answer {
            Ok(body) => {
                let found = object::read(Kind::Device, &String::from_utf8_lossy(&body));
                if let Ok(found) = &found
                    && found.uid == stored.uid
                {
                    let written = echoed(found, stored, status);
                    if written == Written::Confirmed {
                        self.mirror.put(found);
                    }
                    return written;
                }
                return Written::Unknown("the answer is not the object that was written".to_owned(), None);
            }
            Err(failure) => failure,
        };
        // The server does not say that the uid or the node is another: it only refuses the whole patch.
        if failure.kind == Why::Invalid && self.is_gone(&key, &stored.uid).await {
            return Written::Gone;
        }
        refused(failure)
    }

    /// Whether another object has this name now, or none, or another node has it.
    async fn is_gone(&self, key: &Key, uid: &str) -> bool {
        match timeout(PATIENCE, self.link.ask(&Ask::get("get", path(key)))).await {
            Ok(Ok(body)) => object::read(key.kind, &String::from_utf8_lossy(&body))
                .is_ok_and(|found| found.uid != uid || found.node.as_deref() != Some(&*self.node)),
            Ok(Err(failure)) => failure.kind == Why::NotFound,
            Err(_) => false,
        }
    }
}

impl StatusSink for ClusterSink {
    fn stored(&self, device: &DeviceId) -> Option<Stored> {
        self.mirror.get(device)
    }

    fn changed(&self) -> Pending<'_, Vec<DeviceId>> {
        Box::pin(self.mirror.changed())
    }

    fn write<'a>(&'a self, device: &'a DeviceId, stored: &'a Stored, status: &'a DeviceStatus) -> Pending<'a, Written> {
        Box::pin(self.patch(device, stored, status))
    }

    fn notify<'a>(&'a self, device: &'a DeviceId, stored: &'a Stored, notice: &'a Notice) -> Pending<'a, ()> {
        Box::pin(self.events.tell(device, stored, notice))
    }
}

/// Replaces the status as a whole, so that keys vanish, if the object is still the one that was meant and this node's.
fn patch(uid: &str, node: &str, status: &DeviceStatus) -> Bytes {
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": "/spec/nodeName", "value": node},
        {"op": "add", "path": "/status", "value": status},
    ]);
    patch.to_string().into()
}

/// What a success is worth.
fn echoed(found: &Found, stored: &Stored, sent: &DeviceStatus) -> Written {
    let unknown = |message: &str| Written::Unknown(message.to_owned(), None);
    // The CRD of an older bridge has no such field, and the API server leaves it out.
    let kept = found.status.observed_model_generation.and(sent.observed_model_generation);
    let sent = &DeviceStatus { observed_model_generation: kept, ..sent.clone() };
    if !is_same(&found.status, sent) {
        return unknown("it was accepted but not stored: the answer shows another status (a cache in between?)");
    }
    if is_older(&found.version, &stored.version) {
        return unknown("the answer shows an object older than the one known (a cache in between?)");
    }
    if found.version == stored.version && !is_same(&stored.status, sent) {
        return unknown("the answer shows what was sent, but the object is no newer (an echo of a cache?)");
    }
    Written::Confirmed
}

/// What a failure means for a status.
fn refused(failure: Failure) -> Written {
    let wait: Option<Duration> = failure.wait;
    match failure.kind {
        Why::NotFound => Written::Gone,
        Why::Invalid => Written::Refused(failure.message),
        // An API server that has just started forbids what it will allow in a moment: a right may come as well as go.
        Why::Forbidden | Why::Away | Why::TooMany | Why::Expired | Why::Unauthorized | Why::Conflict => {
            Written::Unknown(failure.message, wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            object::tests::device,
            testing::{Liar, Reply, not_found},
        },
        *,
    };

    #[test]
    fn a_success_counts_only_if_the_answer_shows_it() {
        let status = |protocol: &str| DeviceStatus { protocol: Some(protocol.into()), ..DeviceStatus::default() };
        let found = |version: &str, protocol: &str| {
            let mut json = device("a", "gw-1", "u1", 1);
            json["metadata"]["resourceVersion"] = json!(version);
            json["status"] = json!({"protocol": protocol});
            object::read(Kind::Device, &json.to_string()).unwrap()
        };
        let stored = Stored { uid: "u1".into(), generation: 1, version: "7".into(), status: status("old") };
        for (what, answer, sent, confirmed) in [
            ("stored", found("8", "new"), "new", true),
            ("YurtHub gives the old object", found("7", "old"), "new", false),
            ("echoed but no newer", found("7", "new"), "new", false),
            ("echoed but older", found("6", "new"), "new", false),
            ("nothing to change", found("7", "old"), "old", true),
            ("stored meanwhile by an earlier try", found("8", "old"), "old", true),
        ] {
            let written = echoed(&answer, &stored, &status(sent));
            assert_eq!(written == Written::Confirmed, confirmed, "{what}: {written:?}");
        }
    }

    #[test]
    fn failures_of_writes() {
        let genuine = |reason: &str, code: u16| {
            let body = format!(r#"{{"kind":"Status","reason":"{reason}","message":"words","code":{code}}}"#);
            Failure::of_answer(code, Some("3"), body.as_bytes())
        };
        let wait = Some(Duration::from_secs(3));
        for (failure, expected) in [
            (genuine("NotFound", 404), Written::Gone),
            (genuine("Forbidden", 403), Written::Unknown("answered 403: words".into(), wait)),
            (genuine("Invalid", 422), Written::Refused("answered 422: words".into())),
            (genuine("TooManyRequests", 429), Written::Unknown("answered 429: words".into(), wait)),
            (genuine("InternalError", 500), Written::Unknown("answered 500: words".into(), wait)),
            (Failure::of_answer(404, None, b"dial tcp"), Written::Unknown("answered 404: dial tcp".into(), None)),
            (Failure::of_answer(503, None, b""), Written::Unknown("answered 503".into(), None)),
        ] {
            assert_eq!(refused(failure), expected);
        }
    }

    async fn write(
        reply: impl FnMut(&super::super::testing::Asked) -> Reply + Send + 'static,
    ) -> (Written, Vec<String>) {
        let liar = Liar::start(reply).await;
        let sink = ClusterSink::new(liar.link().await, "gw-1", Arc::default());
        let stored = Stored { uid: "u1".into(), generation: 1, version: "6".into(), status: DeviceStatus::default() };
        let status = DeviceStatus { protocol: Some("virtual".into()), ..DeviceStatus::default() };
        let written = sink.write(&DeviceId::new("plant", "a"), &stored, &status).await;
        let confirmed = sink.stored(&DeviceId::new("plant", "a")).is_some();
        assert_eq!(confirmed, written == Written::Confirmed, "what is confirmed is mirrored");
        (written, liar.asked().into_iter().map(|asked| asked.what).collect())
    }

    #[tokio::test]
    async fn a_patch_is_sent_once_whatever_the_answer_is() {
        let mut json = device("a", "gw-1", "u1", 1);
        json["status"] = json!({"protocol": "virtual"});
        let (written, asked) = write(move |asked| {
            assert_eq!(asked.body[0], json!({"op": "test", "path": "/metadata/uid", "value": "u1"}));
            Reply::Json(200, json.clone())
        })
        .await;
        let path = "PATCH /apis/fieldgate.dev/v1alpha1/namespaces/plant/devices/a/status?fieldManager=fieldgate";
        assert_eq!((written, asked), (Written::Confirmed, vec![path.to_owned()]));
        for (code, text) in [(503, "http2: client connection lost"), (429, ""), (504, ""), (502, ""), (500, "{}")] {
            let (written, asked) = write(move |_| Reply::Text(code, text)).await;
            assert!(matches!(written, Written::Unknown(_, _)), "{code}: {written:?}");
            assert_eq!(asked.len(), 1, "{code}: {asked:?}");
        }
    }

    #[tokio::test]
    async fn a_write_without_an_answer_is_given_up_in_time() {
        let start = tokio::time::Instant::now();
        let (written, asked) = write(|_| Reply::Silence).await;
        assert!(matches!(written, Written::Unknown(_, _)) && asked.len() == 1, "{written:?}");
        assert!(start.elapsed() < PATIENCE + Duration::from_secs(3), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn another_object_of_that_name_is_not_written_to() {
        let refuse = || Reply::Json(422, json!({"kind": "Status", "reason": "Invalid", "message": "m", "code": 422}));
        for (what, now, expected) in [
            ("another", Some("u2"), Written::Gone),
            ("none", None, Written::Gone),
            ("the same: it is the status", Some("u1"), Written::Refused("answered 422: m".into())),
        ] {
            let (written, asked) = write(move |asked| match now {
                _ if asked.what.starts_with("PATCH") => refuse(),
                Some(uid) => Reply::Json(200, device("a", "gw-1", uid, 1)),
                None => not_found(),
            })
            .await;
            assert_eq!((written, asked.len()), (expected, 2), "{what}");
        }
    }
}
