//! What YAML must not hold: it names a mounted file instead, `<secrets folder>/<name>/<key>`. What is in it appears in no
//! message.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// No secret is longer; a file that is was not meant.
const LONGEST: u64 = 256;

/// Something that YAML must not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// The file below the bridge's secrets folder that holds it.
    pub secret_ref: SecretRef,
}

/// A file `<name>/<key>` below the bridge's secrets folder, as a mounted Kubernetes Secret has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The folder: the Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// The file: the key in the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub key: String,
}

impl SecretRef {
    /// The file's path and its text without blanks around it. To be read when a device's bus is opened, so that a file that
    /// comes late is found. `what` is the key in YAML, `expected` says what the file should hold.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] without a folder or a readable file, with the path and what is expected of it.
    pub fn read(&self, folder: Option<&Path>, what: &str, expected: &str) -> Result<(PathBuf, String)> {
        let unreachable = |message: String| Error::new(ErrorKind::Unreachable, message);
        let Self { name, key } = self;
        let folder = folder.ok_or_else(|| {
            unreachable(format!(
                "{what}: the settings name no secrets folder, below which {name}/{key} would be looked for"
            ))
        })?;
        let path = folder.join(name).join(key);
        let mut text = String::new();
        File::open(&path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)).map_err(|error| {
            unreachable(format!("{what}: cannot read {}: {error}; a file with {expected} is expected", path.display()))
        })?;
        Ok((path, text.trim().to_owned()))
    }
}
