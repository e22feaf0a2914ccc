//! Opens a line, and waits for one that was unplugged: the first time it is missing that is told at once, with what to do;
//! from then on an attempt lasts until the device is there again.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mapper_api::{Error, ErrorKind, Result, SecretRef};
use tokio::time::timeout;

use crate::{
    bind::Line,
    bus::SerialBus,
    language::{Key, Keys, Listener},
    report::{Counts, Report},
    wire::Wire,
};

/// How long a line may take to open.
const OPEN: Duration = Duration::from_secs(5);
/// How long one attempt waits for a device that is unplugged: the core's own limit is two minutes.
const PATIENCE: Duration = Duration::from_secs(110);

/// The lines of which it was told that they are not there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missing(Arc<Mutex<BTreeSet<String>>>);

impl Missing {
    fn with<T>(&self, what: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
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
) -> Result<SerialBus> {
    let listener = listener(line, secrets)?;
    let resource = line.target.resource();
    if missing.with(|missing| missing.contains(&resource)) {
        // If it is still missing then, the words that say so follow.
        if let Ok(Err(error)) = timeout(PATIENCE, mapper_tty::appears(&line.target)).await {
            return Err(Error::new(ErrorKind::Unreachable, format!("{}: {error}", line.target)));
        }
    }
    let port = match mapper_tty::open(&line.target, &line.settings, OPEN).await {
        Ok(port) => port,
        Err(error) => {
            let there = timeout(Duration::ZERO, mapper_tty::appears(&line.target)).await.is_ok();
            missing.with(|missing| if there { missing.remove(&resource) } else { missing.insert(resource) });
            return Err(error);
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
