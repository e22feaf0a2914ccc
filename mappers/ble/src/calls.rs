//! Links in the making. A device may wake for a moment only, while its bus waits before it is opened again: so a call that
//! took longer than an opening may goes on while nobody waits for it, and the next opening takes it over. Nobody's call
//! ends after a while.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};

use crate::{
    advert::Mac,
    radio::{Pairing, RadioError, RadioErrorKind, Who},
};

/// How long one opening waits, below the core's own limit on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(28);
/// How long a call goes on when nobody comes for it: the core opens again after half a minute at the latest.
pub(crate) const KEPT: Duration = Duration::from_secs(120);

/// Whom a call is to, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub who: Who,
    pub adapter: Option<Mac>,
    pub pairing: Pairing,
}

/// The calls that nobody waits for at the moment, by the devices' marks: one for each device at most.
#[derive(Debug)]
pub(crate) struct Calls<L>(Arc<Mutex<Pending<L>>>);

type Pending<L> = HashMap<Arc<str>, (Call<L>, Expiry)>;

impl<L> Default for Calls<L> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// One that is under way, or done. Dropped, it is taken back.
#[derive(Debug)]
struct Call<L> {
    wanted: Wanted,
    task: JoinHandle<Result<L, RadioError>>,
    heard: Arc<AtomicBool>,
}

impl<L> Drop for Call<L> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What ends a call that nobody comes for.
#[derive(Debug)]
struct Expiry(AbortHandle);

impl Drop for Expiry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<L: Send + 'static> Calls<L> {
    /// The link, by the call that is under way or by a new one; `call` says by its flag that the device was heard.
    ///
    /// # Errors
    /// Those of the call; that it takes longer than an opening may, and at what it is. Then it goes on.
    pub async fn link<F>(
        &self,
        id: &Arc<str>,
        wanted: Wanted,
        call: impl FnOnce(Arc<AtomicBool>) -> F,
    ) -> Result<L, RadioError>
    where
        F: Future<Output = Result<L, RadioError>> + Send + 'static,
    {
        let earlier = lock(&self.0).remove(id).map(|(call, _)| call).filter(|call| call.wanted == wanted);
        if let Some(mut call) = earlier {
            if !call.task.is_finished() {
                return self.wait(id, call).await;
            }
            // What failed while nobody waited is tried anew.
            if let Ok(Ok(link)) = (&mut call.task).await {
                return Ok(link);
            }
        }
        let heard = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(call(heard.clone()));
        self.wait(id, Call { wanted, task, heard }).await
    }

    async fn wait(&self, id: &Arc<str>, mut call: Call<L>) -> Result<L, RadioError> {
        match timeout(PATIENCE, &mut call.task).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(RadioError::new(RadioErrorKind::Lost, format!("the call broke down: {error}"))),
            Err(_) => {
                let error = if call.heard.load(Relaxed) {
                    let message = format!("{id} was heard, but is not connected yet after {PATIENCE:?}; it goes on");
                    RadioError::new(RadioErrorKind::Timeout, message)
                } else {
                    RadioError::new(RadioErrorKind::NotSeen, format!("{id} was not heard within {PATIENCE:?}"))
                };
                self.keep(id, call);
                Err(error)
            }
        }
    }

    fn keep(&self, id: &Arc<str>, call: Call<L>) {
        let (pending, mark): (Weak<_>, _) = (Arc::downgrade(&self.0), id.clone());
        let expiry = tokio::spawn(async move {
            sleep(KEPT).await;
            let ended = pending.upgrade().and_then(|pending| lock(&pending).remove(&mark));
            drop(ended);
        });
        let earlier = lock(&self.0).insert(id.clone(), (call, Expiry(expiry.abort_handle())));
        drop(earlier);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::{Arc, atomic::Ordering::Relaxed},
        time::Duration,
    };

    use tokio::time::{Instant, sleep};

    use super::{Calls, KEPT, Wanted, lock};
    use crate::radio::{Pairing, RadioError, RadioErrorKind, Who};

    fn wanted(pairing: Pairing) -> Wanted {
        Wanted { who: Who::Name("valve".into()), adapter: None, pairing }
    }

    /// Opens, with a call that is heard and done after so many seconds. How many were made is counted.
    async fn open(
        calls: &Calls<Arc<str>>,
        pairing: Pairing,
        (heard_after, after, result): (u64, u64, Result<&'static str, RadioErrorKind>),
        made: &Cell<u32>,
    ) -> Result<Arc<str>, RadioError> {
        let call = |heard: Arc<std::sync::atomic::AtomicBool>| {
            made.set(made.get() + 1);
            async move {
                sleep(Duration::from_secs(heard_after)).await;
                heard.store(true, Relaxed);
                sleep(Duration::from_secs(after - heard_after)).await;
                result.map(Into::into).map_err(|kind| RadioError::new(kind, "it failed"))
            }
        };
        calls.link(&"name:valve".into(), wanted(pairing), call).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_wakes_while_nobody_waits_is_linked_all_the_same() {
        let (calls, made) = (Calls::default(), Cell::new(0));
        let call = (40, 45, Ok("link"));
        let error = open(&calls, Pairing::None, call, &made).await.unwrap_err();
        assert_eq!(error.kind, RadioErrorKind::NotSeen);
        assert!(error.message.contains("name:valve was not heard"), "{error}");
        // The pause of the core; the device wakes in it.
        sleep(Duration::from_secs(25)).await;
        let begun = Instant::now();
        assert_eq!(&*open(&calls, Pairing::None, call, &made).await.unwrap(), "link");
        assert_eq!((begun.elapsed(), made.get()), (Duration::ZERO, 1));
        assert!(lock(&calls.0).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_taken_over_and_told_what_it_is_at() {
        let (calls, made) = (Calls::default(), Cell::new(0));
        // Somebody has to press a button.
        let call = (1, 50, Ok("link"));
        let error = open(&calls, Pairing::JustWorks, call, &made).await.unwrap_err();
        assert_eq!(error.kind, RadioErrorKind::Timeout);
        assert!(error.message.contains("was heard, but is not connected"), "{error}");
        assert_eq!(&*open(&calls, Pairing::JustWorks, call, &made).await.unwrap(), "link");
        assert_eq!(made.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_to_be_made_otherwise_or_that_failed_is_made_anew() {
        let (calls, made) = (Calls::default(), Cell::new(0));
        open(&calls, Pairing::None, (1, 100, Ok("old")), &made).await.unwrap_err();
        assert_eq!(&*open(&calls, Pairing::Numeric, (0, 1, Ok("new")), &made).await.unwrap(), "new");
        open(&calls, Pairing::None, (1, 30, Err(RadioErrorKind::Lost)), &made).await.unwrap_err();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(&*open(&calls, Pairing::None, (0, 1, Ok("again")), &made).await.unwrap(), "again");
        let error = open(&calls, Pairing::None, (0, 1, Err(RadioErrorKind::NotPaired)), &made).await.unwrap_err();
        assert_eq!((error.kind, made.get()), (RadioErrorKind::NotPaired, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_or_a_link_that_nobody_comes_for_ends() {
        for after in [30, 10_000] {
            let (calls, link) = (Calls::default(), Arc::<str>::from("link"));
            let held = link.clone();
            let call = |_| async move {
                sleep(Duration::from_secs(after)).await;
                Ok(held)
            };
            calls.link(&"name:valve".into(), wanted(Pairing::None), call).await.unwrap_err();
            sleep(Duration::from_secs(60)).await;
            assert_eq!(Arc::strong_count(&link), 2);
            sleep(KEPT).await;
            assert_eq!((Arc::strong_count(&link), lock(&calls.0).len()), (1, 0));
        }
    }
}
