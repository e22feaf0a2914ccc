//! What mappers must know after a restart (counters, intervals, never values): a file for each of them in the state
//! directory, if there is one. When something is worth saving is decided here; what it means is the mapper's affair.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mapper_api::{Host, Mapper};
use tokio::{task::spawn_blocking, time::sleep};

use crate::state;

/// What was learnt within this is lost when the process is killed. More often would wear out flash.
const EVERY: Duration = Duration::from_secs(15 * 60);
/// No mapper needs more; a larger file is not ours.
const MOST: usize = 1 << 20;

/// The folder and whose files stand in it.
pub struct Keepsakes {
    folder: Option<PathBuf>,
    mappers: Vec<Arc<dyn Mapper>>,
}

impl Keepsakes {
    /// Tells each mapper what was saved and where secrets are mounted. Without a state directory nothing is kept.
    pub fn hand_out(mappers: &[Arc<dyn Mapper>], state: Option<&Path>, secrets: Option<&Path>) -> Self {
        let folder = state.map(|state| state.join("mappers"));
        for mapper in mappers {
            let saved = folder.as_deref().and_then(|folder| read(&folder.join(mapper.name())));
            mapper.host(Host { secrets: secrets.map(Into::into), saved });
        }
        Self { folder, mappers: mappers.into() }
    }

    /// Saves now and then, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        if self.folder.is_none() {
            return std::future::pending().await;
        }
        loop {
            sleep(EVERY).await;
            self.save().await;
        }
    }

    /// Saves what has changed.
    pub async fn save(&self) {
        let Some(folder) = self.folder.clone() else { return };
        let changed: Vec<_> = self.mappers.iter().filter_map(|m| Some((m.name(), m.save()?))).collect();
        if changed.is_empty() {
            return;
        }
        let write = move || changed.iter().try_for_each(|(name, bytes)| write(&folder, name, bytes));
        // A disk may take long, and must not hold up the devices.
        match spawn_blocking(write).await {
            Ok(Err(error)) => tracing::warn!("What the mappers learnt could not be saved: {error}."),
            Err(error) => tracing::error!(%error, "Saving broke down."),
            Ok(Ok(())) => {}
        }
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    state::create(folder)?;
    state::replace(folder, name, |file| file.write_all(bytes)).map(drop)
}

fn read(path: &Path) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.len() <= MOST => Some(bytes),
        Ok(_) => {
            tracing::warn!("{}: longer than anything that a mapper saves; not used.", path.display());
            None
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!("{}: cannot be read ({error}); what was learnt before is lost.", path.display());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn what_is_written_is_read_and_what_is_not_there_is_nothing() {
        let folder = std::env::temp_dir().join(format!("fieldgate-keepsakes-{}", std::process::id()));
        assert_eq!(read(&folder.join("ble")), None);
        for bytes in [&b"first"[..], b"second"] {
            write(&folder, "ble", bytes).unwrap();
            assert_eq!(read(&folder.join("ble")).as_deref(), Some(bytes));
        }
        let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["ble"], "nothing is left over");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
