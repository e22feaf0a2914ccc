//! Where Devices and DeviceModels come from. A source yields one whole set after the other; nobody merges changes.

use std::{pin::Pin, sync::Arc};

use crate::model::DeviceId;

/// One text of a set: a file, or an object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// As messages show it: the path of a file; `Device plant-a/boiler-7` for an object of the cluster.
    pub name: Arc<str>,
    /// The newest text, or the last one that could be read and was YAML. An object of the cluster is JSON, with its head
    /// (uid, generation, creationTimestamp) and without its status. What did not change is the very same [`Arc`].
    pub text: Arc<str>,
    /// Why the newest text is not used, with its line (0 if it could not be read at all).
    pub error: Option<(u32, String)>,
}

/// Where the texts of a set stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// In files: identity and generation are ours to give, and a message names the line.
    #[default]
    Files,
    /// In the cluster: identity, generation and age stand in the object's head, one object a text.
    Cluster,
}

/// Everything that a source holds at one moment, in the order of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// Where they stand.
    pub origin: Origin,
    /// The texts.
    pub texts: Vec<SourceText>,
    /// What is wrong with the source as a whole.
    pub error: Option<String>,
    /// Devices that left the set since the one before because another node serves them now; any other that left was deleted.
    pub moved: Vec<DeviceId>,
}

/// A set that is on its way.
pub type Coming<'a> = Pin<Box<dyn Future<Output = Objects> + Send + 'a>>;

/// A source of devices.
pub trait Source: Send {
    /// The first set as soon as there is one, then the next one that differs. Cancel-safe.
    fn next(&mut self) -> Coming<'_>;
}
