//! What the tests of the kept objects share: a folder, and sets.

use std::{fs, path::PathBuf, sync::Arc};

use super::{KeptObject, Key, Set};
use crate::control::document::Kind;

/// A folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    /// A path that is not there yet.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fieldgate-kept-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("objects")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Devices of the namespace `n` and their texts.
pub fn set(devices: &[(&str, &str)]) -> Set {
    let key = |name: &str| Key { kind: Kind::Device, namespace: "n".into(), name: name.into() };
    devices.iter().map(|(name, text)| (key(name), Arc::from(*text))).collect()
}

/// The same as objects.
pub fn objects(set: &Set) -> Vec<KeptObject> {
    let object = |(key, text): (&Key, &Arc<str>)| KeptObject {
        kind: key.kind,
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        text: text.clone(),
    };
    set.iter().map(object).collect()
}

/// Many devices with texts of this length.
pub fn many(devices: usize, length: usize) -> Set {
    let key = |at| Key { kind: Kind::Device, namespace: "n".into(), name: format!("device-{at}").into() };
    (0..devices).map(|at| (key(at), Arc::from("x".repeat(length)))).collect()
}
