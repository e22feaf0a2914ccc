//! Opens a line, and waits for one that was unplugged: the first time it is missing that is told at once, with what to do;
//! from then on an attempt lasts until the device is there again.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mapper_api::{BoxFuture, Error, ErrorKind, Result, SecretRef};
use mapper_tty::Target;
use tokio::time::{sleep, timeout};

use crate::{
    bind::Line,
    bus::SerialBus,
    language::{Key, Keys, Listener},
    report::{Counts, Report},
    wire::Wire,
};

/// How long a line may take to open.
const OPEN: Duration = Duration::from_secs(5);
/// A device file that has just come may not be opened yet: it is tried so often, with so much time in between.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(300);

/// The lines of which it was told that they are not there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missing(Arc<Mutex<BTreeSet<String>>>);

impl Missing {
    fn with<T>(&self, what: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What resolves when the line is there; an error where the system cannot tell.
pub(crate) type Appears = fn(&Target) -> BoxFuture<'_, io::Result<()>>;

pub(crate) fn appears(target: &Target) -> BoxFuture<'_, io::Result<()>> {
    Box::pin(mapper_tty::appears(target))
}

/// Reads the keys, opens the line, and waits for it if it is known to be missing.
///
/// # Errors
/// A key's file, with what it must hold; why the line does not open, and what to do.
pub(crate) async fn open(
    line: &Arc<Line>,
    secrets: Option<&Path>,
    missing: &Missing,
    counts: &Arc<Counts>,
    appears: Appears,
) -> Result<SerialBus> {
    let listener = listener(line, secrets)?;
    let resource = line.target.resource();
    let (mut blind, mut tries) = (None, 1);
    if missing.with(|missing| missing.contains(&resource)) {
        match appears(&line.target).await {
            Ok(()) => tries = TRIES,
            // It cannot be waited for, and may be there all the same.
            Err(error) => blind = Some(error),
        }
    }
    let port = loop {
        tries -= 1;
        match mapper_tty::open(&line.target, &line.settings, OPEN).await {
            Ok(port) => break port,
            Err(_) if tries > 0 => sleep(PAUSE).await,
            Err(error) => {
                // It is waited for only where that is possible.
                let absent = blind.is_none() && timeout(Duration::ZERO, appears(&line.target)).await.is_err();
                missing.with(|missing| if absent { missing.insert(resource) } else { missing.remove(&resource) });
                return Err(match blind {
                    Some(blind) => Error::new(error.kind, format!("{}; {blind}", error.message)),
                    None => error,
                });
            }
        }
    };
    missing.with(|missing| missing.remove(&resource));
    let report = Report::new(line.target.to_string(), counts.clone());
    let missing = missing.clone();
    let gone = move || {
        missing.with(|missing| missing.insert(resource.clone()));
    };
    Ok(SerialBus::new(line.clone(), Wire::new(port), listener, report, gone))
}

/// Who listens, with the keys of the line's language.
fn listener(line: &Line, secrets: Option<&Path>) -> Result<Option<Listener>> {
    let Some(language) = line.language else { return Ok(None) };
    let read = |what: &str, at: &Option<SecretRef>| at.as_ref().map(|at| key(secrets, at, what)).transpose();
    let keys = Keys {
        encryption: read("key", &line.key)?,
        authentication: read("authenticationKey", &line.authentication_key)?,
    };
    Ok(Some(Listener::new(language, keys)))
}

const DIGITS: &str = "32 hexadecimal digits";

fn key(secrets: Option<&Path>, at: &SecretRef, what: &str) -> Result<Key> {
    let (path, text) = at.read(secrets, what, DIGITS)?;
    Key::parse(&text).ok_or_else(|| {
        let message = format!("{what}: {} must hold {DIGITS} and nothing else", path.display());
        Error::new(ErrorKind::Unreachable, message)
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io, os::unix::fs::symlink, path::PathBuf, sync::Arc};

    use mapper_api::{Access, ByteOrder, DataType, Point, Protocol as _};
    use serde_json::json;

    use super::{Appears, Missing, open};
    use crate::{Serial, bind::Bound, report::Counts};

    /// A folder of the test's own, with a name for a line that is missing.
    struct Plug(PathBuf);

    impl Plug {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mapper-serial-open-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn bound(&self) -> Bound {
            let endpoint = json!({
                "path": self.0.join("tty"), "frame": { "end": "\\r" }, "messages": [{ "name": "line" }],
            });
            let point = Point {
                address: serde_json::from_value(json!({ "raw": true })).unwrap(),
                data_type: DataType::String,
                order: ByteOrder::Abcd,
                size: Some(8),
                access: Access::Read,
            };
            Serial::default().bind(serde_json::from_value(endpoint).unwrap(), vec![point]).unwrap()
        }

        /// The near end of a terminal that nobody else has.
        fn plug(&self) {
            symlink("/dev/ptmx", self.0.join("tty")).unwrap();
        }
    }

    impl Drop for Plug {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    async fn opens(bound: &Bound, missing: &Missing, appears: Appears) -> Result<(), String> {
        let opened = open(&bound.device.line, None, missing, &Arc::new(Counts::default()), appears).await;
        opened.map(drop).map_err(|error| error.to_string())
    }

    fn is_missing(bound: &Bound, missing: &Missing) -> bool {
        missing.with(|missing| missing.contains(&bound.device.line.target.resource()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_just_come_is_tried_again_soon() {
        let plug = Plug::new("soon");
        let (bound, missing) = (plug.bound(), Missing::default());
        opens(&bound, &missing, super::appears).await.unwrap_err();
        assert!(is_missing(&bound, &missing));
        let opening = opens(&bound, &missing, |_| Box::pin(async { Ok(()) }));
        let coming = async {
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            plug.plug();
        };
        let begun = tokio::time::Instant::now();
        let (opened, ()) = tokio::join!(opening, coming);
        assert_eq!(opened, Ok(()));
        assert!(begun.elapsed() < std::time::Duration::from_secs(2));
        assert!(!is_missing(&bound, &missing));
    }

    #[tokio::test]
    async fn a_line_that_cannot_be_waited_for_is_tried() {
        let plug = Plug::new("blind");
        let (bound, missing) = (plug.bound(), Missing::default());
        let blind: Appears = |_| Box::pin(async { Err(io::Error::other("no more inotify")) });
        for _ in 0..2 {
            opens(&bound, &missing, super::appears).await.unwrap_err();
            assert!(is_missing(&bound, &missing));
            let error = opens(&bound, &missing, blind).await.unwrap_err();
            assert!(error.contains("no such file") && error.contains("no more inotify"), "{error}");
        }
        opens(&bound, &missing, super::appears).await.unwrap_err();
        plug.plug();
        assert_eq!(opens(&bound, &missing, blind).await, Ok(()));
    }
}
