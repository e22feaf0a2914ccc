//! The topics, below a root that is settable.

use crate::model::DeviceId;

/// The names of the retained topics of a device.
pub const DEVICE_RETAINED: [&str; 3] = ["state", "availability", "info"];

/// Makes the topics of one node.
#[derive(Debug, Clone)]
pub struct Topics {
    root: String,
    node: String,
}

impl Topics {
    /// Topics below this root, for this node.
    pub fn new(root: &str, node: &str) -> Self {
        Self { root: root.into(), node: node.into() }
    }

    /// `<root>/device/<namespace>/<name>/<leaf>`.
    pub fn device(&self, id: &DeviceId, leaf: &str) -> String {
        format!("{}/device/{}/{}/{leaf}", self.root, id.namespace, id.name)
    }

    /// `<root>/bridge/<node>/<leaf>`.
    pub fn bridge(&self, leaf: &str) -> String {
        format!("{}/bridge/{}/{leaf}", self.root, self.node)
    }
}
