//! One scope, listed and then watched for ever, and everything that is seen told to the source. It judges nothing that
//! it sees, and it never asks faster than its back-off lets it, whatever the answers are.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    backoff::{Backoff, PROVEN},
    client::{Ask, Link, encode},
    failure::{Failure, Kind as Why},
    list::{Event, List, Query, Scope, Watch, path},
    object::{Found, Key},
    store::Seen,
    trust::{Doubt, Verdict},
};

/// The server is asked to end a watch after this time, and up to [`SPREAD`] later.
const LASTS: Duration = Duration::from_secs(270);
const SPREAD: Duration = Duration::from_secs(40);
/// A watch that the server has not ended so long after it should have is dead.
const GRACE: Duration = Duration::from_secs(15);
/// The API server sends a bookmark every minute or so: where one has come, a watch is deaf after such a silence. Its
/// connection may be dead, or it goes on from a version that the server has yet to reach.
const SILENCE: Duration = Duration::from_secs(150);
/// After so many watches in a row that came to nothing the scope is listed again: where they were to go on from may be a
/// version that only a cache, or a server before it was restored, ever had.
const FUTILE: u32 = 3;

/// What the source is told.
#[derive(Debug)]
pub enum Told {
    /// Objects were seen.
    Seen(Seen, Vec<Found>),
    /// A list of this scope is whole: these are all.
    Listed(Scope, BTreeSet<Key>),
    /// A watch says that an object no longer belongs to its scope.
    Vanished(Key),
    /// The scope cannot be listed or watched; this was the reason.
    Trouble(Scope, Failure),
    /// The scope is watched, and the watch has proved itself.
    Watched(Scope),
    /// What became of a doubt.
    Judged(Doubt, Verdict),
}

/// Lists and watches a scope until the source is gone.
pub async fn reflect(link: Arc<Link>, scope: Scope, query: Query, mut dice: fastrand::Rng, out: mpsc::Sender<Told>) {
    let mut backoff = Backoff::new(dice.fork());
    let mut bookmarks = false;
    loop {
        let mut place = match list(&link, &scope, &query, &out).await {
            Ok(Some((version, sample))) => Place { version, sample, bookmarks, suspect: false },
            Ok(None) => return,
            Err(failure) => {
                let wait = backoff.failed(failure.wait);
                tracing::debug!(?scope, %failure, ?wait, "Listing failed.");
                if out.send(Told::Trouble(scope.clone(), failure)).await.is_err() {
                    return;
                }
                sleep(wait).await;
                continue;
            }
        };
        let mut futile = 0;
        loop {
            let lasts = LASTS + SPREAD.mul_f64(dice.f64());
            // The time that it takes to fail is not a time that a watch lasted.
            let mut opened = None;
            let end = watch(&link, &scope, &query, &mut place, lasts, &mut opened, &out).await;
            bookmarks = place.bookmarks;
            let lasted = opened.map_or(Duration::ZERO, |at: Instant| at.elapsed());
            futile = if lasted < PROVEN { futile + 1 } else { 0 };
            let (asked, expired) = match &end {
                End::Closed(None) => (None, false),
                End::Closed(Some(failure)) => (failure.wait, failure.kind == Why::Expired),
                End::Deaf => (None, true),
                End::Unwanted => return,
            };
            let wait = backoff.ended(lasted, asked);
            tracing::debug!(?scope, ?end, ?lasted, ?wait, "A watch ended.");
            let failure = match end {
                End::Closed(Some(failure)) if !expired => Some(failure),
                End::Closed(None) if lasted < PROVEN => {
                    Some(Failure::away("it ends every watch at once, as a cache does whose cloud is away"))
                }
                _ => None,
            };
            if let Some(failure) = failure {
                place.suspect = true;
                if out.send(Told::Trouble(scope.clone(), failure)).await.is_err() {
                    return;
                }
            }
            sleep(wait).await;
            if expired || futile == FUTILE {
                break;
            }
        }
    }
}

/// Lists, and tells all of it. Returns the version to watch from and an object; none if nobody listens any more.
async fn list(
    link: &Link,
    scope: &Scope,
    query: &Query,
    out: &mpsc::Sender<Told>,
) -> Result<Option<(String, Option<Key>)>, Failure> {
    let mut list = List::new(link, query, scope.kind);
    while let Some(found) = list.next().await? {
        if out.send(Told::Seen(Seen::Listed, found)).await.is_err() {
            return Ok(None);
        }
    }
    if list.version.is_empty() || list.version == "0" {
        return Err(Failure::away("the list has no resourceVersion: it comes from a cache that knows nothing"));
    }
    let sample = list.keys.first().cloned();
    let told = Told::Listed(scope.clone(), list.keys);
    Ok(out.send(told).await.is_ok().then_some((list.version, sample)))
}

/// Where a watch goes on from.
struct Place {
    version: String,
    /// An object of the scope.
    sample: Option<Key>,
    /// This server sends bookmarks.
    bookmarks: bool,
    /// The server was away, and may be another since then.
    suspect: bool,
}

impl Place {
    /// Whether the server has yet to reach this version: it was restored, and the watch hears nothing until then. (For a
    /// GET from a version on, the API server waits three seconds for it, and then says so.)
    async fn is_ahead(&mut self, link: &Link) -> Option<Failure> {
        let key = self.sample.as_ref().filter(|_| self.suspect)?;
        let path = format!("{}?resourceVersion={}", path(key), encode(&self.version));
        match link.ask(&Ask::get("get", path)).await {
            Err(failure) if failure.kind == Why::Expired => Some(failure),
            answer => {
                self.suspect = answer.is_err_and(|failure| failure.kind == Why::Away);
                None
            }
        }
    }
}

/// How a watch ended.
#[derive(Debug)]
enum End {
    /// It is over, perhaps for a reason.
    Closed(Option<Failure>),
    /// It told nothing any more.
    Deaf,
    /// Nobody listens any more.
    Unwanted,
}

async fn watch(
    link: &Link,
    scope: &Scope,
    query: &Query,
    place: &mut Place,
    lasts: Duration,
    since: &mut Option<Instant>,
    out: &mpsc::Sender<Told>,
) -> End {
    let mut watch = match Watch::open(link, query, scope.kind, place.version.clone(), lasts).await {
        Ok(watch) => watch,
        Err(failure) => return End::Closed(Some(failure)),
    };
    let opened = Instant::now();
    *since = Some(opened);
    let mut proven = false;
    loop {
        let dead = opened + lasts + GRACE;
        let silent = if place.bookmarks { Instant::now() + SILENCE } else { dead };
        let until = if proven { dead.min(silent) } else { opened + PROVEN };
        let event = match watch.next(until).await {
            Ok(None) => return End::Closed(None),
            Err(_) if !proven && Instant::now() >= until => {
                proven = true;
                if out.send(Told::Watched(scope.clone())).await.is_err() {
                    return End::Unwanted;
                }
                if let Some(failure) = place.is_ahead(link).await {
                    return End::Closed(Some(failure));
                }
                continue;
            }
            Err(_) if Instant::now() >= until => return End::Deaf,
            Err(failure) => return End::Closed(Some(failure)),
            Ok(Some(event)) => event,
        };
        let told = match event {
            Event::Seen(found) => Told::Seen(Seen::Watched, vec![*found]),
            Event::Deleted(key) => Told::Vanished(key),
            Event::Bookmark => {
                place.bookmarks = true;
                place.version.clone_from(&watch.version);
                continue;
            }
            Event::Error(failure) => return End::Closed(Some(failure)),
        };
        if out.send(told).await.is_err() {
            return End::Unwanted;
        }
        place.version.clone_from(&watch.version);
    }
}
