//! Where Devices and DeviceModels come from. A source yields one whole set after the other; nobody merges changes.

use std::sync::Arc;

use super::files::FileSource;

/// One file of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, as messages show it.
    pub name: Arc<str>,
    /// Its text: the newest, or the last one that could be read and was YAML.
    pub text: Arc<str>,
    /// Why the newest text is not used, with its line (0 if it could not be read at all).
    pub error: Option<(u32, String)>,
}

/// Everything that a source holds at one moment, files in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// The files.
    pub files: Vec<SourceFile>,
    /// What is wrong with the source as a whole.
    pub error: Option<String>,
}

/// A source of devices.
pub enum Source {
    /// A folder of YAML.
    Files(FileSource),
}

impl Source {
    /// The first set at once, then the next one that differs. Cancel-safe.
    pub async fn next(&mut self) -> Objects {
        match self {
            Self::Files(files) => files.next().await,
        }
    }
}
