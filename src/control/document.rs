//! The head of a document: apiVersion, kind, metadata. Pure.

use fieldgate_crds::{GROUP, VERSION};

use super::{
    issue::Finding,
    schema::did_you_mean,
    yaml::{Node, Value},
};
use crate::model::DeviceId;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Device.
    Device,
    /// A DeviceModel.
    Model,
}

/// A document of ours.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// What it is.
    pub kind: Kind,
    /// All of it.
    pub root: &'a Node,
    /// Its spec, if it has one.
    pub spec: Option<&'a Node>,
}

const KINDS: [&str; 2] = ["Device", "DeviceModel"];
const ROOT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// The document, its name, and every mistake in its head. None if it is not ours, or nobody can tell what it is.
pub fn read<'a>(root: &'a Node, out: &mut Vec<Finding>) -> Option<(Document<'a>, DeviceId)> {
    if !matches!(root.value, Value::Map(_)) {
        out.push(Finding::at(root, format!("is no resource; a document is a map with the keys {}", ROOT.join(", "))));
        return None;
    }
    let version = format!("{GROUP}/{VERSION}");
    let text = |key: &str| root.get(key).and_then(Node::text).unwrap_or_default();
    let (api, word) = (text("apiVersion"), text("kind"));
    let near = did_you_mean(word, &KINDS);
    if !api.is_empty() && !word.is_empty() && !api.contains("fieldgate") && near.is_none() {
        out.push(Finding::at(root, format!("{word} of {api} is none of Fieldgate's resources: left alone")).note());
        return None;
    }
    match root.get("apiVersion") {
        None => out.push(Finding::below(root, "apiVersion", format!("is required; write {version}"))),
        Some(node) if api != version => out.push(Finding::at(node, format!("{api:?} is not known; write {version}"))),
        Some(_) => {}
    }
    let kind = match word {
        "Device" => Some(Kind::Device),
        "DeviceModel" => Some(Kind::Model),
        _ => {
            match root.get("kind") {
                None => out.push(Finding::below(root, "kind", "is required; write Device or DeviceModel")),
                Some(node) => {
                    let hint = near.unwrap_or_else(|| "; Device and DeviceModel are".to_owned());
                    out.push(Finding::at(node, format!("{word:?} is not known{hint}")));
                }
            }
            None
        }
    };
    unknown(root, &ROOT, out);
    let id = metadata(root, out);
    let spec = root.get("spec");
    if spec.is_none() {
        out.push(Finding::below(root, "spec", "is required"));
    }
    Some((Document { kind: kind?, root, spec }, id?))
}

fn unknown(node: &Node, keys: &[&str], out: &mut Vec<Finding>) {
    for entry in node.entries().iter().filter(|e| !keys.contains(&&*e.key)) {
        let hint = did_you_mean(&entry.key, keys).unwrap_or_else(|| format!("; accepted: {}", keys.join(", ")));
        let finding = Finding::below(node, &entry.key, format!("unknown key{hint}"));
        out.push(Finding { mark: entry.mark, ..finding });
    }
}

fn metadata(root: &Node, out: &mut Vec<Finding>) -> Option<DeviceId> {
    let Some(metadata) = root.get("metadata") else {
        out.push(Finding::below(root, "metadata", "is required, with a name"));
        return None;
    };
    unknown(metadata, &METADATA, out);
    for key in ["labels", "annotations"] {
        for entry in metadata.get(key).map(Node::entries).unwrap_or_default() {
            if entry.node.text().is_none() {
                let message = format!("{} must be a text; write it in quotes", entry.node.to_json());
                out.push(Finding::at(&entry.node, message));
            }
        }
    }
    let namespace = match metadata.get("namespace") {
        None => "default",
        Some(node) => node.text().filter(|t| is_label(t) && t.len() <= 63).or_else(|| {
            out.push(Finding::at(node, format!("{} is no namespace; {LABEL}", node.to_json())));
            None
        })?,
    };
    let Some(node) = metadata.get("name") else {
        out.push(Finding::below(metadata, "name", format!("is required; {LABEL}")));
        return None;
    };
    let name = node.text().filter(|t| t.len() <= 253 && t.split('.').all(is_label));
    if name.is_none() {
        out.push(Finding::at(node, format!("{} is no name; {LABEL}", node.to_json())));
    }
    Some(DeviceId::new(namespace, name?))
}

const LABEL: &str = "write small letters, digits and `-`, with a letter or digit first and last, such as boiler-7";

fn is_label(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}
