//! Which session of btleplug the next link gets: the one that there is, or a fresh one. One is opened at a time, and
//! nobody who only puts one away waits for that.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

use super::{bus::CallError, counts::Counters, recycle, session::Session};

/// The sessions of one radio.
#[derive(Debug)]
pub struct Sessions {
    kept: Mutex<Kept>,
    opening: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The session for the next link, and how many it served.
    current: Option<(Arc<Session>, u32)>,
    /// How often all that there was was put away. What was opened before that is not kept.
    era: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { kept: Mutex::default(), opening: Arc::new(Semaphore::new(1)) }
    }
}

impl Sessions {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session for one more link.
    pub async fn get(&self, limit: Duration, counters: &Counters) -> Result<Arc<Session>, CallError> {
        if let Some(session) = self.current(counters) {
            return Ok(session);
        }
        let late = |_| CallError { name: String::new(), message: "it has not been able to for a while".to_owned() };
        let permit = timeout(limit, Arc::clone(&self.opening).acquire_owned()).await.map_err(late)?;
        let permit = permit.expect("the semaphore is never closed");
        if let Some(session) = self.current(counters) {
            return Ok(session);
        }
        let era = self.kept().era;
        let (session, _permit) = Session::open(limit, permit).await?;
        counters.sessions.add(1);
        let mut kept = self.kept();
        if kept.era == era {
            kept.current = Some((Arc::clone(&session), 1));
        }
        Ok(session)
    }

    fn current(&self, counters: &Counters) -> Option<Arc<Session>> {
        let mut kept = self.kept();
        if kept.current.as_ref().is_some_and(|(_, links)| recycle::is_worn(*links)) {
            counters.recycled.add(1);
            kept.current = None;
        }
        let (session, links) = kept.current.as_mut()?;
        *links += 1;
        Some(Arc::clone(session))
    }

    /// BlueZ or the bus is gone: the next link gets a fresh one.
    pub fn clear(&self) {
        let mut kept = self.kept();
        kept.era += 1;
        kept.current = None;
    }

    /// The same if this is the one.
    pub fn discard(&self, session: &Arc<Session>) {
        self.kept().current.take_if(|(other, _)| Arc::ptr_eq(other, session));
    }
}
