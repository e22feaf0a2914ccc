//! How a link comes about: heard, one at a time to a device, a slot, paired if asked, connected. Dropped at any point,
//! what was begun is taken back.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::{
    Connect, Connection, Listener, Pairing, RadioError, RadioErrorKind, Who,
    bus::{CallError, Calls},
    core::{Core, LinkState, Slot, User},
    facts::{DEVICE, Place},
    recycle, refusal,
    session::Session,
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
        let lost = self.follow.borrow().lost.is_some();
        let end = async move {
            if !lost {
                // BlueZ ends what is pending by the same call. It may have forgotten the device.
                let _ = calls.call::<()>(&place.path(), DEVICE, "Disconnect", ()).await;
            }
            core.end_link(place);
            drop(held);
        };
        // Without a runtime the process is ending, and D-Bus tells BlueZ.
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
    let seen = timeout(how.patience, in_the_air(core, who, adapter, &mut listener)).await;
    let place = seen.map_err(|_| not_seen(how.patience))??;
    listener.ear.deafen();
    let claim = claim(core, place, &how).await?;
    if how.pairing != Pairing::None {
        pair(&claim, how.pairing).await?;
    }
    let session = session(core).await?;
    match timeout(how.patience, Connection::open(&claim, &session, how.patience)).await {
        Ok(Ok(parts)) => {
            core.link_is_up(place);
            core.counters.connects.add(1);
            Ok(Connection::new(claim, session, parts))
        }
        Ok(Err(error)) => {
            if refusal::is_full(&error.message) {
                core.learn_slots(place.hci);
            }
            if refusal::is_of_the_bus(&error.name) {
                discard(core, &session).await;
            }
            Err(failed(core, &claim, &error))
        }
        Err(_) => {
            core.suspect.notify_one();
            let message = format!("{} did not connect within {:?}", claim.mac, how.patience);
            Err(RadioError::new(RadioErrorKind::Timeout, message))
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

fn not_seen(patience: Duration) -> RadioError {
    RadioError::new(RadioErrorKind::NotSeen, format!("the device was not heard for {patience:?}"))
}

async fn claim(core: &Arc<Core>, place: Place, how: &Connect) -> Result<Claim, RadioError> {
    let busy = |what: &str| RadioError::new(RadioErrorKind::Timeout, format!("{what} within {:?}", how.patience));
    let slot = timeout(how.patience, core.slot(place.hci, how.priority)).await;
    let slot = slot.map_err(|_| busy("no slot for a link was free"))??;
    let user = core.user();
    let alone = async {
        loop {
            let freed = core.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match core.begin_link(place) {
                Some(follow) => return follow,
                None => freed.await,
            }
        }
    };
    let begun = timeout(how.patience, alone).await;
    let follow = begun.map_err(|_| busy("the link that there is to the device did not end"))?;
    let ready = core.calls().and_then(|calls| Ok((calls, core.known(place).ok_or_else(|| not_seen(how.patience))?)));
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
            let message = format!("{} cannot be paired: {}", claim.mac, text(&error));
            Err(RadioError::new(refusal::of_pairing(&error.name), message))
        }
    }
}

/// The session for one more link: the one that there is, or a fresh one.
async fn session(core: &Arc<Core>) -> Result<Arc<Session>, RadioError> {
    let mut current = core.session.lock().await;
    if current.as_ref().is_some_and(|(_, links)| recycle::is_worn(*links)) {
        core.counters.recycled.add(1);
        *current = None;
    }
    if let Some((session, links)) = &mut *current {
        *links += 1;
        return Ok(Arc::clone(session));
    }
    let opened = Session::open(core.settings.call).await;
    let session = opened.map_err(|error| {
        core.suspect.notify_one();
        RadioError::new(RadioErrorKind::NoRadio, format!("btleplug cannot reach BlueZ: {}", text(&error)))
    })?;
    core.counters.sessions.add(1);
    *current = Some((Arc::clone(&session), 1));
    Ok(session)
}

async fn discard(core: &Arc<Core>, session: &Arc<Session>) {
    let mut current = core.session.lock().await;
    if current.as_ref().is_some_and(|(other, _)| Arc::ptr_eq(other, session)) {
        *current = None;
    }
}

fn failed(core: &Core, claim: &Claim, error: &CallError) -> RadioError {
    let kind = refusal::of_connect(&error.name);
    if kind == RadioErrorKind::Timeout {
        core.suspect.notify_one();
    }
    RadioError::new(kind, format!("{} cannot be connected to: {}", claim.mac, text(error)))
}

fn text(error: &CallError) -> &str {
    if error.message.is_empty() { &error.name } else { &error.message }
}
