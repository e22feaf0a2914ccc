//! The last good objects on disk, so that a restart with no network serves them. It is told whole sets and writes the
//! differences off the runtime's thread: the first change at once, and those that follow it closely together. It judges no object, and the disk may fail for as long as
//! it likes.

mod codec;
mod store;

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use self::store::Store;
use crate::control::document::Kind;

/// What changes within this time of a write, and then of each other, is written together.
const QUIET: Duration = Duration::from_secs(1);
/// A change is written after this time even while others keep coming.
const LONGEST: Duration = Duration::from_secs(5);
/// The pause after a write that failed; it doubles up to [`PAUSE_MOST`].
const PAUSE_LEAST: Duration = Duration::from_secs(5);
const PAUSE_MOST: Duration = Duration::from_secs(300);

/// One object as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptObject {
    /// What it is.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its text, as the source yields it.
    pub text: Arc<str>,
}

/// What names an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: Kind,
    namespace: Arc<str>,
    name: Arc<str>,
}

/// Every object and its text.
type Set = BTreeMap<Key, Arc<str>>;

/// The objects on disk. Dropped, it still writes what it was told, if the runtime lives on; [`Kept::flush`] waits for that.
#[derive(Debug)]
pub struct Kept {
    wanted: watch::Sender<Arc<Set>>,
    flush: Flush,
}

/// Has what is wanted written at once, as at an orderly stop.
#[derive(Debug, Clone)]
pub struct Flush(mpsc::Sender<oneshot::Sender<()>>);

impl Kept {
    /// Opens what is kept in this folder, which is created (for this user only) if it is not there. Returns it with the
    /// objects, ordered by kind, namespace and name, and with what was damaged and left out, one line each. To be called
    /// within a runtime.
    ///
    /// # Errors
    /// The folder cannot be created, or the file in it cannot be opened.
    pub fn open(folder: &Path) -> io::Result<(Self, Vec<KeptObject>, Vec<String>)> {
        let (store, damage) = Store::open(folder)?;
        let objects = store.set().iter().map(|(key, text)| KeptObject {
            kind: key.kind,
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            text: text.clone(),
        });
        let objects = objects.collect();
        let (wanted, seen) = watch::channel(Arc::new(store.set().clone()));
        let (asking, asks) = mpsc::channel(1);
        tokio::spawn(Writer::new(store, seen).run(asks));
        Ok((Self { wanted, flush: Flush(asking) }, objects, damage))
    }

    /// Every object that is to be kept. Returns at once; what differs from the disk is written soon.
    pub fn set(&mut self, objects: Vec<KeptObject>) {
        let objects = objects.into_iter();
        let set: Set = objects.map(|o| (Key { kind: o.kind, namespace: o.namespace, name: o.name }, o.text)).collect();
        self.wanted.send_if_modified(|wanted| {
            // Equal texts in other memory are taken too, so that the older ones need not stay in memory.
            let same = wanted.len() == set.len()
                && wanted.iter().zip(&set).all(|(old, new)| old.0 == new.0 && Arc::ptr_eq(old.1, new.1));
            if !same {
                *wanted = Arc::new(set);
            }
            !same
        });
    }

    /// Writes what was set and is not on disk yet. A failure is in the log.
    pub async fn flush(&self) {
        self.flush.flush().await;
    }

    /// The same for whoever does not own this.
    pub fn flusher(&self) -> Flush {
        self.flush.clone()
    }
}

impl Flush {
    /// Writes what was set and is not on disk yet. A failure is in the log.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        // No writer, nothing to write.
        if self.0.send(done).await.is_ok() {
            let _ = written.await;
        }
    }
}

/// When what is written. The writing itself is the store's.
struct Writer {
    /// None if a write broke down; nothing is written then.
    store: Option<Store>,
    wanted: watch::Receiver<Arc<Set>>,
    /// The first change that is not on disk.
    first: Option<Instant>,
    /// When the last write ended.
    written: Option<Instant>,
    due: Option<Instant>,
    /// The end of the pause after a failure.
    pause_ends: Instant,
    pause: Duration,
    failed: bool,
}

impl Writer {
    fn new(store: Store, wanted: watch::Receiver<Arc<Set>>) -> Self {
        let now = Instant::now();
        let due = store.must_repair().then(|| now + QUIET);
        Self {
            store: Some(store),
            wanted,
            first: due,
            written: None,
            due,
            pause_ends: now,
            pause: PAUSE_LEAST,
            failed: false,
        }
    }

    async fn run(mut self, mut asks: mpsc::Receiver<oneshot::Sender<()>>) {
        let (mut open, far) = (true, Instant::now());
        loop {
            select! {
                changed = self.wanted.changed(), if open => {
                    open = changed.is_ok();
                    if open { self.changed(Instant::now()) } else { self.write().await }
                }
                ask = asks.recv() => {
                    self.write().await;
                    let Some(done) = ask else { return };
                    let _ = done.send(());
                }
                () = sleep_until(self.due.unwrap_or(far)), if self.due.is_some() => self.write().await,
            }
        }
    }

    fn changed(&mut self, now: Instant) {
        let quiet = self.first.is_none() && self.written.is_none_or(|at| now >= at + QUIET);
        let first = *self.first.get_or_insert(now);
        let due = if quiet { now } else { (now + QUIET).min(first + LONGEST) };
        self.due = Some(due.max(self.pause_ends));
    }

    async fn write(&mut self) {
        (self.first, self.due) = (None, None);
        let wanted = self.wanted.borrow_and_update().clone();
        let Some(mut store) = self.store.take() else { return };
        let path = store.path();
        let written = spawn_blocking(move || {
            let result = store.write(&wanted);
            (store, result)
        });
        let result = match written.await {
            Ok((store, result)) => {
                self.store = Some(store);
                result
            }
            Err(error) => {
                tracing::error!(%error, "Writing the kept objects broke down; nothing more is kept until a restart.");
                return;
            }
        };
        let now = Instant::now();
        self.written = Some(now);
        match result {
            Ok(bytes) => {
                if std::mem::take(&mut self.failed) {
                    tracing::info!(path = %path.display(), "The objects are kept on disk again.");
                }
                self.pause = PAUSE_LEAST;
                tracing::debug!(path = %path.display(), bytes, "kept");
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(
                        path = %path.display(), %error,
                        "Cannot keep the objects on disk: everything runs on, but a restart with no network would serve \
                         older ones. Tried again until it works."
                    );
                }
                self.pause_ends = now + self.pause;
                self.pause = (self.pause * 2).min(PAUSE_MOST);
                self.due = Some(self.pause_ends);
            }
        }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
