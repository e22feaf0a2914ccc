//! Where this machine tells of its devices. A test points elsewhere.

use std::path::PathBuf;

/// The folders that ports are looked for in.
#[derive(Debug, Clone)]
pub struct System {
    /// The kernel's devices: `/sys`.
    pub sys: PathBuf,
    /// Device files: `/dev`.
    pub dev: PathBuf,
    /// Processes and locks: `/proc`.
    pub proc: PathBuf,
    /// Names of groups: `/etc/group`.
    pub groups: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { sys: "/sys".into(), dev: "/dev".into(), proc: "/proc".into(), groups: "/etc/group".into() }
    }
}
