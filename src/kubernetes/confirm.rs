//! Asks the API server itself about objects that may be gone, one after the other, until it has said so or said that
//! they are there. While it is away, every object in doubt waits behind one request at a time.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    backoff::Backoff,
    client::{Ask, Link},
    failure::Failure,
    list::path,
    object::{self, Key},
    reflect::Told,
    trust::{Doubt, Verdict, judge, proves_presence},
};

/// For so long the API server counts as there once it has proved it. (What lies in front of it takes seconds to notice
/// that it is away, and answers with errors until then.)
const PRESENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Answers doubts until nobody has any.
pub async fn confirm(
    link: Arc<Link>,
    node: String,
    mut doubts: mpsc::UnboundedReceiver<Doubt>,
    mut backoff: Backoff,
    out: mpsc::Sender<Told>,
) {
    // The newest doubt about a name is the one that counts.
    let mut open: BTreeMap<Key, Doubt> = BTreeMap::new();
    loop {
        if open.is_empty() {
            let Some(doubt) = doubts.recv().await else { return };
            open.insert(doubt.key.clone(), doubt);
        }
        while let Ok(doubt) = doubts.try_recv() {
            open.insert(doubt.key.clone(), doubt);
        }
        match round(&link, &node, &mut open, &out).await {
            Ok(true) => backoff.worked(),
            Ok(false) => return,
            Err(failure) => {
                let wait = backoff.failed(failure.wait);
                tracing::debug!(objects = open.len(), %failure, ?wait, "Objects in doubt are served on.");
                sleep(wait).await;
            }
        }
    }
}

/// Asks for each once. False if nobody listens any more.
async fn round(
    link: &Link,
    node: &str,
    open: &mut BTreeMap<Key, Doubt>,
    out: &mpsc::Sender<Told>,
) -> Result<bool, Failure> {
    let mut proved: Option<Instant> = None;
    let mut left = None;
    let doubts: Vec<Doubt> = open.values().cloned().collect();
    for doubt in doubts {
        if proved.is_none_or(|at| at.elapsed() > PRESENCE) {
            prove(link).await?;
            proved = Some(Instant::now());
        }
        let answer = link.ask(&Ask::get("get", path(&doubt.key))).await.and_then(|body| {
            let text = String::from_utf8_lossy(&body);
            object::read(doubt.key.kind, &text).map_err(|error| Failure::away(format!("the answer is {error}")))
        });
        match judge(answer, &doubt, node) {
            Verdict::Unknown(failure) => left = Some(failure),
            verdict => {
                // What it holds may be older than what is known: a cache would say so as well, if the server left meanwhile.
                if matches!(verdict, Verdict::Here(_)) {
                    prove(link).await?;
                    proved = Some(Instant::now());
                }
                open.remove(&doubt.key);
                if out.send(Told::Judged(doubt, verdict)).await.is_err() {
                    return Ok(false);
                }
            }
        }
    }
    left.map_or(Ok(true), Err)
}

/// Asks whether the API server itself is there.
async fn prove(link: &Link) -> Result<(), Failure> {
    let version = link.ask(&Ask::get("get", "/version")).await;
    if proves_presence(&version) {
        return Ok(());
    }
    Err(version.err().unwrap_or_else(|| Failure::away("somebody else answers for the API server")))
}
