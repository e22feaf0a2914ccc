//! Asks the API server itself about objects that may be gone, one after the other, until it has said so or said that
//! they are there. While it is away, every object in doubt waits behind one request at a time; one that it gives no
//! answer about holds up nobody else.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    backoff::Backoff,
    client::{Ask, Link},
    failure::Failure,
    list::path,
    object::{self, Key},
    reflect::Told,
    trust::{Doubt, Own, Verdict, judge, proves_presence},
};

/// For so long the API server counts as there once it has proved it. (What lies in front of it takes seconds to notice
/// that it is away, and answers with errors until then.)
const PRESENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// An object in doubt.
struct Open {
    doubt: Doubt,
    due: Instant,
    backoff: Backoff,
}

/// The doubts of a node, at most one a name.
struct Doubts {
    open: BTreeMap<Key, Open>,
    /// Nobody is asked before this.
    away_until: Instant,
    away: Backoff,
    proved: Option<Instant>,
    dice: fastrand::Rng,
}

/// Answers doubts until nobody has any.
pub async fn confirm(
    link: Arc<Link>,
    own: Own,
    mut doubts: mpsc::UnboundedReceiver<Doubt>,
    mut dice: fastrand::Rng,
    out: mpsc::Sender<Told>,
) {
    let away = Backoff::new(dice.fork());
    let mut all = Doubts { open: BTreeMap::new(), away_until: Instant::now(), away, proved: None, dice };
    loop {
        let due = all.next();
        tokio::select! {
            biased;
            doubt = doubts.recv() => match doubt {
                Some(doubt) => all.add(doubt),
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some(told) = all.ask(&link, &own).await
                    && out.send(told).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

impl Doubts {
    /// The newest doubt about a name is the one that counts, but it is not asked about any sooner.
    fn add(&mut self, doubt: Doubt) {
        if let Some(open) = self.open.get_mut(&doubt.key) {
            open.doubt = doubt;
        } else {
            let open = Open { due: Instant::now(), backoff: Backoff::new(self.dice.fork()), doubt };
            self.open.insert(open.doubt.key.clone(), open);
        }
    }

    /// When somebody is to be asked.
    fn next(&self) -> Option<Instant> {
        Some(self.open.values().map(|open| open.due).min()?.max(self.away_until))
    }

    /// Asks about the one whose turn it is. Returns what became of it, if anything.
    async fn ask(&mut self, link: &Link, own: &Own) -> Option<Told> {
        let open = self.open.values().min_by_key(|open| open.due)?;
        let doubt = open.doubt.clone();
        match verdict(link, own, &doubt, &mut self.proved).await {
            Ok(Verdict::Unknown(failure)) => {
                let open = self.open.get_mut(&doubt.key)?;
                let wait = open.backoff.failed(failure.wait);
                open.due = Instant::now() + wait;
                tracing::debug!(object = %doubt.key.name(), %failure, ?wait, "In doubt, and served on.");
                None
            }
            Ok(verdict) => {
                self.away.worked();
                self.open.remove(&doubt.key);
                Some(Told::Judged(doubt, verdict))
            }
            Err(failure) => {
                let wait = self.away.failed(failure.wait);
                self.away_until = Instant::now() + wait;
                tracing::debug!(objects = self.open.len(), %failure, ?wait, "Objects in doubt are served on.");
                None
            }
        }
    }
}

/// What the API server says of an object in doubt.
///
/// # Errors
/// It did not prove that it is there.
async fn verdict(link: &Link, own: &Own, doubt: &Doubt, proved: &mut Option<Instant>) -> Result<Verdict, Failure> {
    if proved.is_none_or(|at| at.elapsed() > PRESENCE) {
        *proved = prove(link).await?;
    }
    let answer = link.ask(&Ask::get("get", path(&doubt.key))).await.and_then(|body| {
        let text = String::from_utf8_lossy(&body);
        object::read(doubt.key.kind, &text).map_err(|error| Failure::away(format!("the answer is {error}")))
    });
    let verdict = judge(answer, doubt, own);
    match verdict {
        // Who does not answer may have left.
        Verdict::Unknown(_) => *proved = None,
        // It may be older than what is known: a cache would say so as well, if the server left meanwhile.
        Verdict::Here(_) => *proved = prove(link).await?,
        Verdict::Deleted | Verdict::Moved(_) | Verdict::Unlabelled(_) => {}
    }
    Ok(verdict)
}

/// Asks whether the API server itself is there; when it was.
async fn prove(link: &Link) -> Result<Option<Instant>, Failure> {
    let version = link.ask(&Ask::get("get", "/version")).await;
    if proves_presence(&version) {
        return Ok(Some(Instant::now()));
    }
    Err(version.err().unwrap_or_else(|| Failure::away("somebody else answers for the API server")))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            object::tests::device,
            testing::{Liar, Reply, not_found, version},
        },
        *,
    };
    use crate::{control::document::Kind, settings::Select};

    #[tokio::test]
    async fn one_without_an_answer_holds_up_nobody_else() {
        let liar = Liar::start(|asked| match asked {
            asked if asked.what.contains("/version") => version(),
            asked if asked.what.ends_with("/poisoned") => Reply::Text(500, "no"),
            _ => not_found(),
        })
        .await;
        let doubt = |name: &str| {
            let found = object::read(Kind::Device, &device(name, "gw-1", name, 1).to_string()).unwrap();
            Doubt { key: found.key, uid: found.uid, version: found.version }
        };
        let (doubts, asked) = mpsc::unbounded_channel();
        let (out, mut told) = mpsc::channel(1);
        let own = Own { node: "gw-1".into(), select: Select::Field };
        let task = confirm(liar.link().await, own, asked, fastrand::Rng::with_seed(1), out);
        let task = tokio::spawn(task);
        doubts.send(doubt("poisoned")).unwrap();
        // The next time is at least three seconds away.
        liar.until("of the poisoned one", 3, |asked| asked.what.ends_with("/poisoned")).await;
        doubts.send(doubt("poisoned")).unwrap();
        doubts.send(doubt("z")).unwrap();
        let Some(Told::Judged(judged, Verdict::Deleted)) = told.recv().await else { panic!("it is deleted") };
        assert_eq!(&*judged.uid, "z");
        let asked = liar.asked().iter().filter(|asked| asked.what.ends_with("/poisoned")).count();
        assert_eq!(asked, 3, "others wait for their own time");
        task.abort();
    }
}
