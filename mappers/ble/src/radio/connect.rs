//! How a link comes about: heard, one at a time to a device, a slot, paired if asked, connected. Dropped at any point,
//! what was begun is taken back.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Connect, Connection, Limits, Listener, Pairing, Phase, RadioError, RadioErrorKind, Who,
    bus::{CallError, Calls},
    core::{Core, LinkState, Slot, User},
    facts::{DEVICE, Place},
    refusal,
};
use crate::advert::Mac;

/// A link that is begun. Dropped, it is ended: also one that is pending.
#[derive(Debug)]
pub struct Claim {
    pub core: Arc<Core>,
    pub place: Place,
    /// The device's address now.
    pub mac: Mac,
    pub adapter: Mac,
    pub follow: watch::Receiver<LinkState>,
    calls: Calls,
    held: Option<(Slot, User)>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let (core, place, calls) = (Arc::clone(&self.core), self.place, self.calls.clone());
        let held = self.held.take();
        let mut follow = self.follow.clone();
        let LinkState { up, lost, .. } = follow.borrow().clone();
        let end = async move {
            if lost.is_none() {
                // BlueZ ends what is pending by the same call. It may have forgotten the device.
                let _ = calls.call::<()>(&place.path(), DEVICE, "Disconnect", ()).await;
                if up {
                    // The answer comes before the word that the link is gone, which the next link must not take for its own.
                    let _ = timeout(core.settings.settle, follow.wait_for(|link| link.lost.is_some())).await;
                }
            }
            core.end_link(place);
            drop(held);
        };
        // Without a runtime the process is ending, and BlueZ keeps the link: see the radio's head.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(end);
        }
    }
}

/// Connects.
pub async fn connect(
    core: &Arc<Core>,
    who: &Who,
    adapter: Option<Mac>,
    how: Connect,
) -> Result<Connection, RadioError> {
    if *who == Who::Everyone {
        return Err(RadioError::new(RadioErrorKind::NotSeen, "a link is to one device, not to everyone"));
    }
    // Discovery goes on until the link stands: BlueZ forgets soon what it does not hear.
    let mut listener = Listener::new(core, who.clone(), adapter);
    let mut clock = Clock::new(&how);
    let place = clock.run(Phase::Heard, None, in_the_air(core, who, adapter, &mut listener)).await?;
    listener.ear.deafen();
    let claim = clock.run(Phase::Slot, None, claim(core, place, how.priority)).await?;
    if how.pairing != Pairing::None {
        let begun = Instant::now();
        pair(&claim, how.pairing).await.map_err(|error| error.at(Phase::Pairing))?;
        clock.end += begun.elapsed();
    }
    let mac = claim.mac;
    clock.run(Phase::Link, Some(mac), link(core, claim, how.limits.link)).await.inspect_err(|error| {
        if error.kind == RadioErrorKind::Timeout {
            core.suspect.notify_one();
        }
    })
}

/// How much time a connect has: each phase its own limit, and all of them the whole.
struct Clock {
    limits: Limits,
    whole: Duration,
    end: Instant,
}

impl Clock {
    fn new(how: &Connect) -> Self {
        Self { limits: how.limits, whole: how.patience, end: Instant::now() + how.patience }
    }

    /// Runs a phase. Whatever it ends with is told to be its own.
    async fn run<T>(
        &self,
        phase: Phase,
        mac: Option<Mac>,
        work: impl Future<Output = Result<T, RadioError>>,
    ) -> Result<T, RadioError> {
        let (limit, what) = match phase {
            Phase::Heard => (self.limits.heard, "was not heard"),
            Phase::Slot => (self.limits.slot, "was heard, but no slot for a link was free"),
            Phase::Pairing | Phase::Link => (self.limits.link, "did not connect"),
        };
        let at = (Instant::now() + limit).min(self.end);
        let result = timeout_at(at, work).await.unwrap_or_else(|_| {
            let kind = if phase == Phase::Heard { RadioErrorKind::NotSeen } else { RadioErrorKind::Timeout };
            let who = mac.map_or_else(|| "the device".to_owned(), |mac| mac.to_string());
            let within = if at < self.end { format!("{limit:?}") } else { format!("the {:?} for all", self.whole) };
            Err(RadioError::new(kind, format!("{who} {what} within {within}")))
        });
        result.map_err(|error| error.at(phase))
    }
}

async fn link(core: &Arc<Core>, claim: Claim, limit: Duration) -> Result<Connection, RadioError> {
    let session = core.sessions.get(core.settings.call, &core.counters).await.map_err(|error| {
        core.suspect.notify_one();
        RadioError::new(RadioErrorKind::NoRadio, format!("btleplug cannot reach BlueZ: {}", text(&error)))
    })?;
    match Connection::open(&claim, &session, limit).await {
        Ok(parts) => {
            core.link_is_up(claim.place);
            core.counters.connects.add(1);
            Ok(Connection::new(claim, session, parts))
        }
        Err(error) => {
            if refusal::is_full(&error.message) {
                core.learn_slots(claim.place.hci);
            }
            // btleplug says of any failure that it found no device.
            let hidden = refusal::is_unknown(&error.name) && core.known(claim.place).is_some();
            if hidden || refusal::is_of_the_bus(&error.name) {
                core.sessions.discard(&session);
            }
            Err(failed(&claim, &error))
        }
    }
}

async fn in_the_air(
    core: &Arc<Core>,
    who: &Who,
    adapter: Option<Mac>,
    listener: &mut Listener,
) -> Result<Place, RadioError> {
    loop {
        // A bonded device need not be heard: what BlueZ knew before is enough.
        let loaded = core.loaded.notified();
        tokio::pin!(loaded);
        loaded.as_mut().enable();
        if let Some(place) = core.choose(who, adapter) {
            return Ok(place);
        }
        tokio::select! {
            heard = listener.next() => drop(heard?),
            () = loaded => {}
        }
    }
}

async fn claim(core: &Arc<Core>, place: Place, priority: u8) -> Result<Claim, RadioError> {
    let slot = core.slot(place.hci, priority).await?;
    let user = core.user();
    // The link that there may be to the device has to end first.
    let follow = loop {
        let freed = core.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        match core.begin_link(place) {
            Some(follow) => break follow,
            None => freed.await,
        }
    };
    let forgotten = || RadioError::new(RadioErrorKind::NotSeen, "BlueZ forgot the device before it was called");
    let ready = core.calls().and_then(|calls| Ok((calls, core.known(place).ok_or_else(forgotten)?)));
    match ready {
        Ok((calls, (adapter, known))) => {
            let (core, held) = (Arc::clone(core), Some((slot, user)));
            Ok(Claim { core, place, mac: known.mac, adapter, follow, calls, held })
        }
        Err(error) => {
            core.end_link(place);
            Err(error)
        }
    }
}

async fn pair(claim: &Claim, pairing: Pairing) -> Result<(), RadioError> {
    let core = &claim.core;
    let is_paired = || core.known(claim.place).is_some_and(|(_, known)| known.paired);
    if is_paired() {
        return Ok(());
    }
    let limit = core.settings.pairing;
    let _one = core.pairing.lock().await;
    match core.agent.pair(&claim.calls, claim.place, pairing, limit).await {
        Ok(()) => {
            core.counters.pairings.add(1);
            Ok(())
        }
        Err(error) => {
            if refusal::is_full(&error.message) {
                core.learn_slots(claim.place.hci);
            }
            let hint = refusal::pairing_hint(&error.name, pairing);
            let message = format!("{} cannot be paired: {}{hint}", claim.mac, text(&error));
            Err(RadioError::new(refusal::of_pairing(&error.name), message))
        }
    }
}

fn failed(claim: &Claim, error: &CallError) -> RadioError {
    let kind = refusal::of_connect(&error.name);
    RadioError::new(kind, format!("{} cannot be connected to: {}", claim.mac, text(error)))
}

fn text(error: &CallError) -> &str {
    if error.message.is_empty() { &error.name } else { &error.message }
}
