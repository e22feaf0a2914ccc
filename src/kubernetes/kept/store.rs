//! The file: read once, then appended to, and replaced as a whole when it has grown too much or something was wrong with
//! it. Blocks; it decides nothing about when.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write as _},
    path::{Path, PathBuf},
};

use super::{
    Set,
    codec::{self, Content, Found},
};
use crate::state;

const FILE: &str = "objects";
/// The file may grow to twice what it must hold, and this much more, before it is replaced.
const FLOOR: u64 = 64 << 10;

/// The objects as they stand on disk.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    set: Set,
    /// The file, open for appending, if there is one.
    file: Option<File>,
    /// How long it is.
    length: u64,
    /// The file does not end well, or nobody knows what of it is on disk: it is replaced, never appended to.
    repair: bool,
    /// It could not be read. The disk may give it at the next start: it is left alone until there is something to keep.
    unread: bool,
}

impl Store {
    /// Opens the folder, which is created if it is not there, and what is kept in it; says what was left out of it. A file
    /// that the disk does not give is no error: without it the bridge serves all the same, once the API server is there.
    pub fn open(folder: &Path) -> io::Result<(Self, Vec<String>)> {
        state::create(folder)?;
        let path = folder.join(FILE);
        let mut store =
            Self { folder: folder.into(), set: Set::new(), file: None, length: 0, repair: false, unread: false };
        let (file, writable) = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => (file, true),
            // What is kept can be read all the same. The writer tries to replace the file, and says why it cannot.
            Err(error) if state::is_worn(&error) => (File::open(&path)?, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((store, Vec::new())),
            Err(error) => return Err(error),
        };
        let shown = path.display();
        let Content { set, whole, torn, damaged } = match codec::read(BufReader::new(&file)) {
            Ok(Found::Content(content)) => content,
            Err(error) => {
                (store.repair, store.unread) = (true, true);
                let told = format!("{shown}: it cannot be read: {error}; nothing of it is used. Is the disk failing?");
                return Ok((store, vec![told]));
            }
            Ok(Found::Other(version)) => {
                let aside = folder.join(format!("{FILE}.{}", suffix(version.as_deref())));
                if let Err(error) = fs::rename(&path, &aside) {
                    return Ok((
                        store,
                        vec![format!("{shown}: nothing of it is used, and it cannot be moved aside: {error}")],
                    ));
                }
                let told = format!(
                    "{shown}: it is not of the version that this program writes; left alone as {}, and nothing of it is used",
                    aside.display()
                );
                return Ok((store, vec![told]));
            }
        };
        (store.set, store.file, store.length) = (set, writable.then_some(file), whole + torn);
        store.repair = !writable || torn > 0 || whole == 0 || !damaged.is_empty();
        let told = damaged.into_iter().map(|(line, reason)| format!("{shown} line {line}: {reason}; left out"));
        Ok((store, told.collect()))
    }

    /// What is on disk.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// Where it stands.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Whether the file is to be replaced although what it holds is right.
    pub fn must_repair(&self) -> bool {
        self.repair && !self.unread
    }

    /// Brings the disk to this set; returns how many bytes were written. After an error the disk holds an earlier set, or
    /// some of the changes, and the next call tries again.
    pub fn write(&mut self, wanted: &Set) -> io::Result<u64> {
        let changes = changes(&self.set, wanted);
        let added = changes.len() as u64;
        let fits = !self.repair && self.length + added <= most(wanted);
        let written = match &mut self.file {
            _ if self.unread && wanted.is_empty() => 0,
            _ if added == 0 && !self.repair => 0,
            Some(file) if fits => {
                if let Err(Failed { error, cut_off }) = append(file, self.length, changes.as_bytes()) {
                    self.repair = !cut_off;
                    return Err(error);
                }
                self.length += added;
                added
            }
            _ => {
                self.repair = true;
                let file = replace(&self.folder, wanted)?;
                self.length = file.metadata()?.len();
                self.file = Some(file);
                (self.repair, self.unread) = (false, false);
                self.length
            }
        };
        self.set.clone_from(wanted);
        Ok(written)
    }
}

/// How long a file with this set may become.
fn most(set: &Set) -> u64 {
    2 * set.iter().map(|(key, text)| codec::size(key, text)).sum::<u64>() + FLOOR
}

/// The records that lead from one set to the other.
fn changes(from: &Set, to: &Set) -> String {
    let gone = from.keys().filter(|key| !to.contains_key(key)).map(|key| codec::record(key, None));
    // Texts in the same memory are not compared.
    let put = to.iter().filter(|(key, text)| from.get(key) != Some(text));
    put.map(|(key, text)| codec::record(key, Some(text))).chain(gone).collect()
}

struct Failed {
    error: io::Error,
    /// What went wrong is gone from the file, which can be appended to again.
    cut_off: bool,
}

fn append(file: &mut File, length: u64, records: &[u8]) -> Result<(), Failed> {
    file.write_all(records).map_err(|error| Failed { error, cut_off: file.set_len(length).is_ok() })?;
    // After a failed sync nobody knows what is on disk, and a second sync may lie: a new file is written then.
    file.sync_data().map_err(|error| Failed { error, cut_off: false })
}

/// Puts a file with this set in the place of the old one.
fn replace(folder: &Path, set: &Set) -> io::Result<File> {
    state::replace(folder, FILE, |file| {
        file.write_all(codec::head().as_bytes())?;
        set.iter().try_for_each(|(key, text)| file.write_all(codec::record(key, Some(text)).as_bytes()))
    })
}

/// The end of the name under which a file of another version is left alone.
fn suffix(version: Option<&str>) -> String {
    let short = version.filter(|v| !v.is_empty() && v.len() <= 8 && v.bytes().all(|b| b.is_ascii_alphanumeric()));
    short.map_or_else(|| "unknown".into(), |version| format!("v{version}"))
}

#[cfg(test)]
mod tests;
