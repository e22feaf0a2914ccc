//! A folder of YAML as a source: reads it, watches it, and yields a new set when the contents differ.
//!
//! It reads every `*.yaml`, `*.yml` and `*.json` of the folder and its subfolders, follows links, and leaves names
//! that begin with a dot alone. A file that cannot be read or is no YAML keeps its last good text, and so does
//! everything when the folder itself is gone. It does not judge what the documents say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    source::{Coming, Objects, Source, SourceText},
    yaml,
};

/// Changes are read when nothing has happened for this long,
const QUIET: Duration = Duration::from_millis(100);
/// or when they have gone on for this long.
const LONGEST: Duration = Duration::from_millis(500);
/// The largest file; Kubernetes allows no larger object either.
const MAX_SIZE: u64 = 1 << 20;
const MAX_DEPTH: usize = 8;

/// A watched folder.
pub struct FileSource {
    folder: PathBuf,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
    /// When the first of the changes came that have not been read yet.
    pending: Option<Instant>,
    last: Option<Objects>,
}

impl FileSource {
    /// Watches a folder. The first set is read by [`FileSource::next`].
    ///
    /// # Errors
    /// The folder is none, or the system has no more watches.
    pub fn new(folder: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let folder = folder.into();
        ensure_folder(&folder)?;
        let changed = Arc::new(Notify::new());
        let tell = changed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| is_change(event.kind)) {
                tell.notify_one();
            }
        })
        .context("cannot watch for changed files")?;
        Ok(Self { folder, watcher, watched: BTreeSet::new(), changed, pending: None, last: None })
    }

    /// One set, without a watch for what comes after it.
    ///
    /// # Errors
    /// The folder is none.
    pub fn read_once(folder: &Path) -> anyhow::Result<Objects> {
        ensure_folder(folder)?;
        let mut scan = Scan::default();
        scan.folder(folder, 0, &mut |_| {});
        Ok(collect(scan, &BTreeMap::new()))
    }

    async fn next_set(&mut self) -> Objects {
        if self.last.is_none() {
            let objects = self.read();
            self.last = Some(objects.clone());
            return objects;
        }
        loop {
            if self.pending.is_none() {
                self.changed.notified().await;
            }
            let since = *self.pending.get_or_insert_with(Instant::now);
            loop {
                let until = (Instant::now() + QUIET).min(since + LONGEST);
                if timeout_at(until, self.changed.notified()).await.is_err() || Instant::now() >= since + LONGEST {
                    break;
                }
            }
            self.pending = None;
            let objects = self.read();
            if self.last.as_ref() != Some(&objects) {
                self.last = Some(objects.clone());
                return objects;
            }
        }
    }

    fn read(&mut self) -> Objects {
        let before = self.last.iter().flat_map(|o| &o.texts).map(|f| (f.name.clone(), f.clone())).collect();
        let mut scan = Scan::default();
        // Whoever watches first and reads second misses nothing.
        self.watch(&mut scan);
        collect(scan, &before)
    }

    /// Lists the folder, and watches it and every folder that a link in it leads to.
    fn watch(&mut self, scan: &mut Scan) {
        let folder = self.folder.clone();
        if fs::symlink_metadata(&folder).is_ok_and(|m| m.is_symlink()) {
            scan.watch.extend(parent(&folder));
        }
        let mut limit = None;
        // A watch follows the folder, not its name: each is set anew, in case another took its place.
        let mut set = |watcher: &mut RecommendedWatcher, path: &Path| {
            if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive)
                && path.exists()
            {
                limit = Some(format!("changes in {} will not be seen: {error}", path.display()));
            }
        };
        set(&mut self.watcher, &folder);
        scan.folder(&folder, 0, &mut |path| set(&mut self.watcher, path));
        if scan.error.as_ref().is_some_and(|(failed, _)| *failed == folder) {
            // Gone: wait for it in the nearest folder above that is there.
            scan.watch.extend(folder.ancestors().skip(1).map(or_here).find(|p| p.is_dir()));
        }
        for path in scan.watch.iter().filter(|p| **p != folder) {
            set(&mut self.watcher, path);
        }
        scan.watch.insert(folder);
        for path in self.watched.difference(&scan.watch) {
            // It may be gone, and the watch with it.
            let _ = self.watcher.unwatch(path);
        }
        self.watched.clone_from(&scan.watch);
        if let (Some(message), None) = (limit, &scan.error) {
            scan.error = Some((PathBuf::from("\0"), message));
        }
    }
}

impl Source for FileSource {
    /// The first set at once.
    fn next(&mut self) -> Coming<'_> {
        Box::pin(self.next_set())
    }
}

fn ensure_folder(folder: &Path) -> anyhow::Result<()> {
    let found = fs::metadata(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    anyhow::ensure!(found.is_dir(), "{} is no folder", folder.display());
    Ok(())
}

/// Reads what a scan found. Below a folder that could not be listed everything stays as it was.
fn collect(scan: Scan, before: &BTreeMap<Arc<str>, SourceText>) -> Objects {
    let mut files: Vec<SourceText> = match &scan.error {
        Some((folder, _)) => before.values().filter(|f| Path::new(&*f.name).starts_with(folder)).cloned().collect(),
        None => Vec::new(),
    };
    for path in &scan.paths {
        let name: Arc<str> = path.to_string_lossy().into();
        if !files.iter().any(|f| f.name == name) {
            files.extend(read_file(path, &name, before.get(&name)));
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Objects { texts: files, error: scan.error.map(|(_, message)| message), ..Objects::default() }
}

/// Reading a file is an event too: only what may have changed one counts.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn or_here(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

fn parent(path: &Path) -> Option<PathBuf> {
    path.parent().map(or_here)
}

#[derive(Default)]
struct Scan {
    /// Folders to watch.
    watch: BTreeSet<PathBuf>,
    /// Folders listed already, by their real path: links may lead in circles.
    seen: BTreeSet<PathBuf>,
    /// The files, unsorted.
    paths: Vec<PathBuf>,
    /// The first folder that could not be listed, and why.
    error: Option<(PathBuf, String)>,
}

impl Scan {
    fn folder(&mut self, folder: &Path, depth: usize, watch: &mut impl FnMut(&Path)) {
        let real = fs::canonicalize(folder);
        if depth > MAX_DEPTH || real.is_ok_and(|real| !self.seen.insert(real)) {
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("cannot list {}: {error}; its last good files stay in force", folder.display());
                self.error.get_or_insert((folder.to_owned(), message));
                return;
            }
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|t| t.is_symlink()) {
                // The link's own change is seen here, its target's there.
                self.watch.extend(fs::canonicalize(&path).ok().as_deref().and_then(parent));
            }
            let Ok(target) = fs::metadata(&path) else { continue };
            if target.is_dir() {
                self.watch.insert(path.clone());
                watch(&path);
                self.folder(&path, depth + 1, watch);
            } else if target.is_file() && is_ours(&path) {
                self.paths.push(path);
            }
        }
    }
}

fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

/// The file's newest text, or the last good one and why. None if it is gone.
fn read_file(path: &Path, name: &Arc<str>, before: Option<&SourceText>) -> Option<SourceText> {
    let keep = |line: u32, message: String| {
        let (text, message) = match before {
            Some(f) if !f.text.is_empty() => {
                (f.text.clone(), format!("{message}; its last good content stays in force"))
            }
            _ => (Arc::from(""), message),
        };
        Some(SourceText { name: name.clone(), text, error: Some((line, message)) })
    };
    let size = fs::metadata(path).map_or(0, |m| m.len());
    if size > MAX_SIZE {
        return keep(0, format!("has {size} bytes; at most {MAX_SIZE} are accepted"));
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return keep(0, "is no UTF-8 text".to_owned()),
        Err(error) => return keep(0, format!("cannot be read: {error}")),
    };
    if before.is_some_and(|f| *f.text == *text && f.error.is_none()) {
        return before.cloned();
    }
    // Whoever uploads a file empties it first: nothing is deleted before the rest has come.
    if text.trim().is_empty() && before.is_some_and(|f| !f.text.trim().is_empty()) {
        return keep(0, "is empty; delete the file to remove its devices".to_owned());
    }
    match yaml::parse(&text, 0) {
        Ok(_) => Some(SourceText { name: name.clone(), text: text.into(), error: None }),
        Err(error) => keep(error.mark.line, error.message),
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
