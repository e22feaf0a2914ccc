//! Who has a line open: by the lock that lies on its device file, and by the open files of processes, as far as they can
//! be seen. Opens no line.

use std::{
    collections::HashMap,
    fmt, fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    process,
};

/// A program that has a line open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id as seen from here; none if it can be seen only that there is one, as from within a container.
    pub pid: Option<u32>,
    /// Its name (`/proc/PID/comm`), where it may be read.
    pub program: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.program, self.pid) {
            (_, None) => f.write_str("a process that cannot be seen from here"),
            (None, Some(pid)) => write!(f, "process {pid}"),
            (Some(program), Some(pid)) => write!(f, "{program} (process {pid})"),
        }
    }
}

impl Holder {
    /// Whether it is this very process.
    pub fn is_self(&self) -> bool {
        self.pid == Some(process::id())
    }
}

/// A device file, as locks and open files name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    /// Major and minor of the file system that the file lies in.
    on: (u32, u32),
    inode: u64,
    /// The device that it stands for. Terminals of different file systems have different ones, but for ptys.
    device: u64,
}

impl Node {
    /// None if it is no character device.
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        let on = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
        meta.file_type().is_char_device().then(|| Self { on, inode: meta.ino(), device: meta.rdev() })
    }

    fn is_same_line(self, other: Self) -> bool {
        self.device == other.device && (self.on == other.on || !is_pty(self.device))
    }
}

/// The device numbers of ptys (Linux, admin-guide/devices.txt: majors 136 to 143).
pub(crate) fn is_pty(device: u64) -> bool {
    (136..=143).contains(&rustix::fs::major(device))
}

/// Who has this device file open; the one that has it locked, if any.
pub(crate) fn holder(proc: &Path, path: &Path) -> Option<Holder> {
    holders(proc, &[path]).pop().flatten()
}

/// The same of several, with one look at the processes.
pub(crate) fn holders(proc: &Path, paths: &[&Path]) -> Vec<Option<Holder>> {
    let nodes: Vec<_> = paths.iter().map(|path| Node::of(path)).collect();
    let locks = fs::read_to_string(proc.join("locks")).unwrap_or_default();
    let locked: Vec<_> = nodes.iter().map(|node| node.and_then(|node| lock(&locks, node.on, node.inode))).collect();
    let hidden = |locked: &Option<u32>| locked.is_none_or(|pid| pid == 0);
    let mut open = HashMap::new();
    if nodes.iter().zip(&locked).any(|(node, locked)| node.is_some() && hidden(locked)) {
        open = open_in(proc, &nodes);
    }
    let one = |(at, locked): (usize, Option<u32>)| {
        let pid = locked.filter(|pid| *pid > 0).or_else(|| open.get(&at).copied());
        (locked.is_some() || pid.is_some()).then(|| Holder { pid, program: pid.and_then(|pid| program(proc, pid)) })
    };
    locked.into_iter().enumerate().map(one).collect()
}

/// The process that has a `flock` on this file; 0 if it is one of another namespace, whose id is not shown here (proc(5),
/// `/proc/locks`).
fn lock(locks: &str, on: (u32, u32), inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        // 1: FLOCK  ADVISORY  WRITE 20242 fe:00:10176844 0 EOF; one that waits has an arrow after its number.
        let mut words = line.split_whitespace().skip(1);
        let (kind, pid, place) = (words.next()?, words.nth(2)?, words.next()?);
        let mut parts = place.split(':');
        let hex = |part: Option<&str>| u32::from_str_radix(part?, 16).ok();
        let same = kind == "FLOCK"
            && hex(parts.next()) == Some(on.0)
            && hex(parts.next()) == Some(on.1)
            && parts.next()?.parse() == Ok(inode);
        same.then(|| pid.parse().unwrap_or(0))
    })
}

/// The first process that has each of these open; those of other users can be seen by root alone.
fn open_in(proc: &Path, nodes: &[Option<Node>]) -> HashMap<usize, u32> {
    let mut found = HashMap::new();
    for process in entries(proc) {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        for file in entries(&process.path().join("fd")) {
            let device = fs::read_link(file.path()).is_ok_and(|to| to.starts_with("/dev"));
            let Some(node) = device.then(|| Node::of(&file.path())).flatten() else { continue };
            let same = |one: &Option<Node>| one.is_some_and(|one| one.is_same_line(node));
            if let Some(at) = nodes.iter().position(same) {
                found.entry(at).or_insert(pid);
            }
        }
    }
    found
}

fn entries(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().filter_map(io::Result::ok)
}

fn program(proc: &Path, pid: u32) -> Option<String> {
    let name = fs::read_to_string(proc.join(pid.to_string()).join("comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Holder, lock};

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 699 00:06:77 0 EOF
2: FLOCK  ADVISORY  WRITE 20242 fe:00:10176844 0 EOF
3: FLOCK  ADVISORY  WRITE 0 00:06:78 0 EOF
4: FLOCK  ADVISORY  READ 12 00:06:79 0 EOF
4: -> FLOCK  ADVISORY  WRITE 13 00:06:79 0 EOF
5: OFDLCK ADVISORY  READ -1 00:06:80 0 EOF
nonsense
";

    #[test]
    fn the_holder_of_a_lock() {
        for (on, inode, expected) in [
            ((0xfe, 0), 10_176_844, Some(20242)),
            ((0, 6), 77, None),
            ((0, 6), 78, Some(0)),
            ((0, 6), 79, Some(12)),
            ((0, 6), 80, None),
            ((0, 7), 79, None),
        ] {
            assert_eq!(lock(LOCKS, on, inode), expected, "{on:?} {inode}");
        }
    }

    #[test]
    fn names() {
        let holder = |pid, program: Option<&str>| Holder { pid, program: program.map(Into::into) };
        assert_eq!(holder(Some(7), Some("gpsd")).to_string(), "gpsd (process 7)");
        assert_eq!(holder(Some(7), None).to_string(), "process 7");
        assert_eq!(holder(None, None).to_string(), "a process that cannot be seen from here");
        assert!(holder(Some(std::process::id()), None).is_self() && !holder(None, None).is_self());
    }
}
