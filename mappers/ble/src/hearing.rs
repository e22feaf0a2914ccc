//! What becomes of an advertisement: news, a repetition, a refusal, or nothing. One device's; it remembers, but does no
//! I/O, and time is handed in.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use crate::{
    advert::{Advert, Mac},
    bind::{Device, Whom},
    formats::{self, Format, Key, Message, Trouble},
    memory::{Kept, Memory},
    presence::Presence,
    radio::Spot,
    replay_guard::{ReplayGuard, Verdict},
    request::Said,
};

/// How often a message that gives nothing is told again, so that the refusal stands while the device is there.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The ear for one device.
#[derive(Debug)]
pub(crate) struct Hearing {
    device: Arc<Device>,
    key: Option<Key>,
    memory: Arc<Memory>,
    presence: Presence,
    guard: ReplayGuard,
    /// The one that has the name, and when it was heard last.
    kept_to: Option<(Mac, Duration)>,
    /// When a message was understood last, and when one that was not was told.
    well: Option<Duration>,
    told: Option<Duration>,
}

impl Hearing {
    pub fn new(device: Arc<Device>, key: Option<Key>, memory: Arc<Memory>) -> Self {
        let Kept { known, guard } = memory.of(&device.id);
        let presence = Presence::new(known);
        Self { device, key, memory, presence, guard, kept_to: None, well: None, told: None }
    }

    /// An advertisement was received at this time, counted from any fixed moment. None if nothing is to be told of it.
    pub fn advert(&mut self, advert: Advert, at: Duration) -> Option<Said> {
        if !self.is_it(advert.mac, at) {
            return None;
        }
        let mut messages = formats::decode(&advert, self.key.as_ref());
        if let Some(trouble) = messages.iter().find_map(|(_, message)| message.as_ref().err())
            && messages.iter().all(|(_, message)| message.is_err())
        {
            self.memory.counted.not_understood.fetch_add(1, Relaxed);
            return self.may_tell(trouble, at).then_some(Said::Advertised(advert, messages));
        }
        let (mut replayed, mut repeated, mut counted) = (false, false, false);
        messages.retain(|(_, message)| {
            let Ok(message) = message else { return true };
            let verdict = self.guard.judge(message, at);
            counted |= verdict == Verdict::New && message.encrypted && message.counter.is_some();
            replayed |= verdict == Verdict::Replay;
            repeated |= verdict == Verdict::Repetition;
            verdict == Verdict::New
        });
        if replayed {
            self.memory.counted.replayed.fetch_add(1, Relaxed);
            return None;
        }
        if repeated && messages.is_empty() {
            self.memory.counted.repeated.fetch_add(1, Relaxed);
            return Some(Said::Repeated(advert));
        }
        let mut good = messages.iter().filter_map(|(_, message)| message.as_ref().ok());
        self.well = good.clone().any(Message::tells).then_some(at).or(self.well);
        // What is said in the clear beside a key may be anybody's word.
        let sleepy = good.find(|message| self.key.is_none() || message.is_opened()).map(|message| message.sleepy);
        self.presence.heard(kind(&messages), at, sleepy);
        self.keep(counted);
        Some(Said::Advertised(advert, messages))
    }

    /// A characteristic was sent by the device.
    pub fn notified(&mut self, spot: Spot, at: Duration) {
        let mut hasher = DefaultHasher::new();
        spot.hash(&mut hasher);
        self.presence.heard(hasher.finish(), at, None);
        self.keep(false);
    }

    /// How long it may be silent from now on.
    pub fn silence(&self) -> Duration {
        self.presence.silence()
    }

    fn keep(&self, counted: bool) {
        self.memory.keep(&self.device.id, self.presence.known(), &self.guard, counted);
    }

    /// Of several devices of one name, the one that was heard first and did not fall silent since.
    fn is_it(&mut self, mac: Mac, at: Duration) -> bool {
        if !matches!(self.device.whom, Whom::Name(_)) {
            return true;
        }
        match &mut self.kept_to {
            Some((kept, last)) if *kept != mac && at.saturating_sub(*last) < self.presence.silence() => false,
            kept_to => {
                *kept_to = Some((mac, at));
                true
            }
        }
    }

    /// Whether a message that gives nothing is told. One that comes between good ones is not the device's, or is cut off:
    /// the device's own messages still come.
    fn may_tell(&mut self, trouble: &Trouble, at: Duration) -> bool {
        if self.well.is_some_and(|well| at.saturating_sub(well) < self.presence.silence())
            || self.told.is_some_and(|told| at.saturating_sub(told) < TELL_AGAIN)
        {
            return false;
        }
        self.told = Some(at);
        tracing::debug!(device = %self.device.id, "advertised, but {trouble}");
        true
    }
}

/// What a message is about: which formats, and which measures.
fn kind(messages: &[(Format, Result<Message, Trouble>)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (format, message) in messages {
        format.hash(&mut hasher);
        for measure in message.iter().flat_map(|message| &message.measures) {
            (measure.name, measure.index).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
#[path = "hearing_tests.rs"]
mod tests;
