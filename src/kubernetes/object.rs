//! One object of an answer: what is known of it, and its text as the source passes it on. Pure. The text has neither
//! status nor managedFields, and is the server's own JSON where it can be, so that no tree is built for it.

use std::sync::Arc;

use fieldgate_crds::{DeviceStatus, GROUP, VERSION};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{control::document::Kind, model::DeviceId};

/// The name of an object: its kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// Its namespace and name.
    pub id: DeviceId,
}

impl Key {
    /// As messages show it, such as `Device plant-a/boiler-7`.
    pub fn name(&self) -> Arc<str> {
        format!("{} {}", word(self.kind), self.id).into()
    }
}

/// The kind as it stands in objects.
pub fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Device => "Device",
        Kind::Model => "DeviceModel",
    }
}

/// The kind as it stands in paths.
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Device => "devices",
        Kind::Model => "devicemodels",
    }
}

/// An object as an answer gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its name.
    pub key: Key,
    /// Its identity.
    pub uid: String,
    /// The generation of its spec.
    pub generation: i64,
    /// When it was made, RFC 3339 in UTC and seconds, as the API server writes it; empty if it is not said.
    pub created: String,
    /// Its resourceVersion.
    pub version: String,
    /// The node that it is for, if it is a Device that says so.
    pub node: Option<String>,
    /// The node that its label names, if it has that label.
    pub label: Option<String>,
    /// The model that it names, if it is a Device that does.
    pub model: Option<String>,
    /// JSON: head and spec.
    pub text: String,
    /// What is stored of its status.
    pub status: DeviceStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    metadata: Head,
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    name: String,
    namespace: String,
    uid: String,
    generation: i64,
    resource_version: String,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    labels: Option<Labels>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "fieldgate.dev/node")]
    node: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    model: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Text<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: TextHead<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TextHead<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    generation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_timestamp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_timestamp: Option<&'a str>,
}

/// Reads an object of this kind.
///
/// # Errors
/// It is none: a cache that knows no groups answers with other people's.
pub fn read(kind: Kind, json: &str) -> Result<Found, String> {
    let raw: Raw<'_> = serde_json::from_str(json).map_err(|error| format!("no object: {error}"))?;
    let api = format!("{GROUP}/{VERSION}");
    let of = |said: Option<&String>, ours: &str| said.is_none_or(|said| said == ours);
    if !of(raw.api_version.as_ref(), &api) || !of(raw.kind.as_ref(), word(kind)) {
        let (version, kind) = (raw.api_version.unwrap_or_default(), raw.kind.unwrap_or_default());
        return Err(format!("an object of another kind: {kind} of {version}"));
    }
    let head = raw.metadata;
    if head.name.is_empty() || head.namespace.is_empty() || head.uid.is_empty() {
        return Err("an object without name, namespace or uid".to_owned());
    }
    let spec: Spec = raw.spec.and_then(|spec| serde_json::from_str(spec.get()).ok()).unwrap_or_default();
    let text = Text {
        api_version: &api,
        kind: word(kind),
        metadata: TextHead {
            name: &head.name,
            namespace: &head.namespace,
            uid: &head.uid,
            generation: head.generation,
            creation_timestamp: head.creation_timestamp.as_deref(),
            deletion_timestamp: head.deletion_timestamp.as_deref(),
        },
        spec: raw.spec,
    };
    Ok(Found {
        key: Key { kind, id: DeviceId::new(&head.namespace, &head.name) },
        text: serde_json::to_string(&text).map_err(|error| error.to_string())?,
        uid: head.uid,
        created: head.creation_timestamp.unwrap_or_default(),
        generation: head.generation,
        version: head.resource_version,
        node: spec.node_name,
        label: head.labels.and_then(|labels| labels.node),
        model: spec.model,
        status: raw.status.and_then(|status| serde_json::from_str(status.get()).ok()).unwrap_or_default(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    /// A Device as an API server would give it.
    pub fn device(name: &str, node: &str, uid: &str, generation: i64) -> Json {
        json!({
            "apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device",
            "metadata": {
                "name": name, "namespace": "plant", "uid": uid, "generation": generation, "resourceVersion": "7",
                "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a": "b"}, "managedFields": [{"manager": "x"}],
            },
            "spec": {"nodeName": node, "model": "m", "protocol": {"virtual": {}}, "properties": []},
            "status": {"observedGeneration": 1, "protocol": "virtual"},
        })
    }

    #[test]
    fn the_text_has_head_and_spec_and_nothing_that_changes_with_the_status() {
        let mut json = device("a", "gw-1", "u1", 3);
        let found = read(Kind::Device, &json.to_string()).unwrap();
        assert_eq!((found.node.as_deref(), found.model.as_deref()), (Some("gw-1"), Some("m")));
        assert_eq!((&*found.version, found.status.observed_generation), ("7", Some(1)));
        let text: Json = serde_json::from_str(&found.text).unwrap();
        assert_eq!(text["spec"], json["spec"]);
        assert_eq!(text["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
        for part in ["status", "managedFields", "labels", "resourceVersion"] {
            assert!(!found.text.contains(part), "{part}: {}", found.text);
        }
        json["status"] = json!({"protocol": "other"});
        json["metadata"]["resourceVersion"] = json!("8");
        assert_eq!(read(Kind::Device, &json.to_string()).unwrap().text, found.text);
    }

    #[test]
    fn what_is_no_object_of_ours_is_refused() {
        let mut foreign = device("a", "gw-1", "u", 1);
        foreign["apiVersion"] = json!("devices.kubeedge.io/v1beta1");
        for (what, kind, json) in [
            ("another group", Kind::Device, foreign),
            ("another kind", Kind::Model, device("a", "gw-1", "u", 1)),
            ("no uid", Kind::Device, device("a", "gw-1", "", 1)),
            ("a list", Kind::Device, json!([])),
        ] {
            assert!(read(kind, &json.to_string()).is_err(), "{what}");
        }
    }
}
