//! The state directory: a folder of the bridge's own, locked for as long as the process lives, so that a second bridge on
//! the node is refused. What stands in it is the affair of those who put it there.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

const LOCK: &str = "lock";
/// Nobody writes a longer line about who holds the lock.
const LINE: u64 = 1024;

/// A state directory that is ours until this is dropped.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// The kernel lets go of the lock when it closes this, however the process ends.
    _lock: File,
}

impl State {
    /// Takes the folder, which is created for this user only if it is not there. `node` is this bridge's node.
    ///
    /// # Errors
    /// It cannot be created or written to, or another bridge has it: which one.
    pub fn open(folder: &Path, node: &str) -> anyhow::Result<Self> {
        let shown = folder.display();
        create(folder).with_context(|| format!("state directory {shown}: cannot be created; {HINT}"))?;
        let mut options = OpenOptions::new();
        let path = folder.join(LOCK);
        let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        // A disk that takes no more writes must not keep the devices from being polled after a restart.
        let opened = opened.or_else(|error| if is_worn(&error) { File::open(&path) } else { Err(error) });
        let mut lock = opened.with_context(|| format!("state directory {shown}: cannot be written to; {HINT}"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "state directory {shown}: another bridge has it: {}. One bridge serves a node: stop that one first, or give \
                 this one a directory (--state) and a node name (--node) of its own",
                holder(&mut lock)
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| {
                    format!("state directory {shown}: its file system has no locks; choose a directory on a local disk")
                });
            }
        }
        if let Err(error) = lock.set_len(0).and_then(|()| lock.write_all(ourselves(node).as_bytes())) {
            tracing::warn!(
                "State directory {shown}: cannot be written to ({error}). What is in it is used; nothing new is kept."
            );
        }
        Ok(Self { folder: folder.into(), _lock: lock })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

const HINT: &str = "--state must name a directory that this user may write to, such as /var/lib/fieldgate";

/// Whether this is what a disk says that is full or was remounted read-only.
pub fn is_worn(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull)
}

/// Creates a folder, and those above it, for this user only, if it is not there.
///
/// # Errors
/// It cannot be created, or something else has its name.
pub fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a new file beside the old one and puts it in its place: whenever the power fails, one of the two is there, whole.
/// The new one is open for appending.
///
/// # Errors
/// The old file is still there, or the new one is but may not outlive a power failure.
pub fn replace(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<File> {
    let new = folder.join(format!("{name}.new"));
    let written = write_new(&new, write).and_then(|file| fs::rename(&new, folder.join(name)).map(|()| file));
    if written.is_err() {
        // It may be what fills the disk.
        let _ = fs::remove_file(&new);
    }
    let file = written?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

fn write_new(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<File> {
    // Left over from a run that was killed.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = BufWriter::new(OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file)
}

fn ourselves(node: &str) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let since = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("node {node}, pid {}, host {host}, since {since}\n", std::process::id())
}

fn holder(lock: &mut File) -> String {
    let mut line = String::new();
    // It may be about to be written.
    let read = lock.rewind().and_then(|()| lock.take(LINE).read_to_string(&mut line));
    let line = line.lines().next().unwrap_or_default();
    if read.is_err() || line.is_empty() { "one that has just started".into() } else { line.into() }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("fieldgate-state-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_is_created_for_this_user_only() {
        let folder = Folder::new("created");
        let path = folder.0.join("deep/er");
        let state = State::open(&path, "gw-1").unwrap();
        assert_eq!(state.folder(), path);
        assert_eq!((mode(&path), mode(&path.join(LOCK))), (0o700, 0o600));
    }

    #[test]
    fn the_second_is_refused_and_told_who_holds_it_until_the_first_lets_go() {
        let folder = Folder::new("second");
        // What stood there before may be longer.
        fs::create_dir(&folder.0).unwrap();
        fs::write(folder.0.join(LOCK), "x".repeat(500)).unwrap();
        let first = State::open(&folder.0, "gw-1").unwrap();
        let error = format!("{:#}", State::open(&folder.0, "gw-2").unwrap_err());
        let pid = std::process::id();
        assert!(error.contains(&format!("another bridge has it: node gw-1, pid {pid}, host ")), "{error}");
        assert!(error.contains(", since 2") && error.contains("--state"), "{error}");
        drop(first);
        let second = State::open(&folder.0, "gw-2").unwrap();
        let line = fs::read_to_string(folder.0.join(LOCK)).unwrap();
        assert!(line.starts_with("node gw-2, ") && line.ends_with("Z\n"), "{line}");
        drop(second);
    }

    #[test]
    fn what_cannot_be_written_to_is_told_with_its_path() {
        let folder = Folder::new("unwritable");
        fs::create_dir(&folder.0).unwrap();
        let file = folder.0.join("file");
        fs::write(&file, "").unwrap();
        // A file where the folder should be, one above it, and a lock that cannot be opened for writing.
        let locked = folder.0.join("locked");
        fs::create_dir_all(locked.join(LOCK)).unwrap();
        for (path, says) in
            [(&file, "cannot be created"), (&file.join("in"), "cannot be created"), (&locked, "cannot be written to")]
        {
            let error = format!("{:#}", State::open(path, "gw-1").unwrap_err());
            assert!(error.contains(&path.display().to_string()) && error.contains(says), "{error}");
        }
    }
}
