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
    formats::{self, Format, Key, Message, Trouble, seal},
    memory::{Kept, Memory},
    presence::Presence,
    radio::Spot,
    replay_guard::{ReplayGuard, Verdict},
    request::Said,
};

/// How often a message that gives nothing is told again, so that the refusal stands while the device is there.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// A refusal stands for so long, whatever the device's pace: until it was told again, or could have been.
const TOLD: Duration = Duration::from_secs(2 * 60);
/// One that was understood within this (or within its own silence, if that is shorter) is well.
const WELL: Duration = Duration::from_secs(4 * 60 * 60);
/// A device that has the name is kept to for this at most, after it was heard last.
const HOLD: Duration = Duration::from_secs(24 * 60 * 60);
/// So many of its usual pauses one is kept to whose address changes: it may be back already, under another one.
const PAUSES: u32 = 3;
/// But at least this.
const HOLD_PRIVATE: Duration = Duration::from_secs(10);

/// The ear for one device.
#[derive(Debug)]
pub(crate) struct Hearing {
    device: Arc<Device>,
    key: Option<Key>,
    /// Of the key that the counters are of.
    mark: Option<u32>,
    memory: Arc<Memory>,
    presence: Presence,
    guard: ReplayGuard,
    kept_to: Option<KeptTo>,
    /// When a message was understood last, and when one that was not was told.
    well: Option<Duration>,
    told: Option<Duration>,
}

/// The one that has the name.
#[derive(Debug)]
struct KeptTo {
    mac: Mac,
    /// Its address changes every few minutes.
    private: bool,
    last: Duration,
}

impl Hearing {
    pub fn new(device: Arc<Device>, key: Option<Key>, memory: Arc<Memory>) -> Self {
        let Kept { known, guard, key: mark } = memory.of(&device.id);
        let presence = Presence::new(known);
        let mut hearing =
            Self { device, key: None, mark, memory, presence, guard, kept_to: None, well: None, told: None };
        if let Some(key) = key {
            hearing.set_key(key);
        }
        hearing
    }

    /// From now on it has this key. A device that was set up again has another one and counts from anew: its counters
    /// are worth nothing with another key.
    fn set_key(&mut self, key: Key) {
        let mark = Some(seal::mark(&key));
        if self.mark != mark {
            (self.mark, self.guard) = (mark, ReplayGuard::default());
        }
        self.key = Some(key);
    }

    /// As [`Self::advert`]. If it does not fit the key, and that is told, the key is asked for once more: whoever made a
    /// mistake in it has corrected it, or the device was set up again.
    pub fn advert_asking(&mut self, advert: Advert, at: Duration, key: impl FnOnce() -> Option<Key>) -> Option<Said> {
        let said = self.advert(advert, at)?;
        if !said.troubles().any(Trouble::is_amiss) {
            return Some(said);
        }
        match (key().filter(|key| self.key.as_ref() != Some(key)), said) {
            (Some(key), Said::Advertised(advert, _)) => {
                tracing::info!(device = %self.device.id, "the bindKey has changed");
                self.set_key(key);
                self.told = None;
                self.advert(advert, at)
            }
            (_, said) => Some(said),
        }
    }

    /// An advertisement was received at this time, counted from any fixed moment. None if nothing is to be told of it.
    pub fn advert(&mut self, advert: Advert, at: Duration) -> Option<Said> {
        if self.is_another(advert.mac, at) {
            return None;
        }
        let mut messages = formats::decode(&advert, self.key.as_ref());
        if let Some(trouble) = messages.iter().find_map(|(_, message)| message.as_ref().err())
            && messages.iter().all(|(_, message)| message.is_err())
        {
            self.memory.counted.not_understood.fetch_add(1, Relaxed);
            let told = self.may_tell(trouble, at);
            // With a wrong key it may be anybody who has the name.
            if !messages.iter().any(|(_, message)| message.as_ref().is_err_and(Trouble::is_amiss)) {
                self.keep_to(&advert, at);
            }
            self.presence.heard(kind(&advert, &messages), at, None);
            self.keep(false);
            // What is cut out of it by rule, and how strong it came in, is told in any case.
            if !told {
                messages.clear();
            }
            return Some(Said::Advertised(advert, messages));
        }
        let (mut replayed, mut repeated, mut counted) = (None, false, false);
        messages.retain(|(_, message)| {
            let Ok(message) = message else { return true };
            let verdict = self.guard.judge(message, at);
            counted |= verdict == Verdict::New && message.encrypted && message.counter.is_some();
            replayed = replayed.or((verdict == Verdict::Replay).then_some(message.format));
            repeated |= verdict == Verdict::Repetition;
            verdict == Verdict::New
        });
        if let Some(format) = replayed {
            self.memory.counted.replayed.fetch_add(1, Relaxed);
            // Nothing else of it is told: neither is what it says of now, nor how strong it came in of the device.
            let told = Said::Advertised(Advert::new(advert.mac), vec![(format, Err(Trouble::Replayed))]);
            return self.may_tell(&Trouble::Replayed, at).then_some(told);
        }
        self.keep_to(&advert, at);
        if repeated && messages.is_empty() {
            self.memory.counted.repeated.fetch_add(1, Relaxed);
            return Some(Said::Repeated(advert));
        }
        let mut good = messages.iter().filter_map(|(_, message)| message.as_ref().ok());
        self.well = good.clone().any(Message::tells).then_some(at).or(self.well);
        // What is said in the clear beside a key may be anybody's word.
        let sleepy = good.find(|message| self.key.is_none() || message.is_opened()).map(|message| message.sleepy);
        self.presence.heard(kind(&advert, &messages), at, sleepy);
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

    /// How long what is said now may be trusted.
    pub fn trust(&self, said: &Said) -> Duration {
        let refused = said.troubles().next().is_some();
        if refused { self.silence().max(TOLD) } else { self.silence() }
    }

    fn keep(&self, counted: bool) {
        self.memory.keep(&self.device.id, self.presence.known(), &self.guard, self.mark, counted);
    }

    /// Of several devices of one name, another one than the one that is kept to: the one that was understood first and
    /// did not fall silent since.
    fn is_another(&self, mac: Mac, at: Duration) -> bool {
        let Some(kept) = &self.kept_to else { return false };
        let silence = self.presence.silence().min(HOLD);
        let hold = match self.presence.pause() {
            _ if !kept.private => silence,
            Some(pause) => silence.min(HOLD_PRIVATE.max(pause.saturating_mul(PAUSES))),
            None => HOLD_PRIVATE,
        };
        kept.mac != mac && at.saturating_sub(kept.last) < hold
    }

    fn keep_to(&mut self, advert: &Advert, at: Duration) {
        if !matches!(self.device.whom, Whom::Name(_)) {
            return;
        }
        if self.kept_to.as_ref().is_some_and(|kept| kept.mac != advert.mac) {
            self.presence.moved();
        }
        self.kept_to = Some(KeptTo { mac: advert.mac, private: advert.is_private(), last: at });
    }

    /// Whether a message that gives nothing is told. One that comes between good ones is not the device's, or is cut off:
    /// the device's own messages still come.
    fn may_tell(&mut self, trouble: &Trouble, at: Duration) -> bool {
        if self.well.is_some_and(|well| at.saturating_sub(well) < self.presence.silence().min(WELL))
            || self.told.is_some_and(|told| at.saturating_sub(told) < TELL_AGAIN)
        {
            return false;
        }
        self.told = Some(at);
        tracing::debug!(device = %self.device.id, "advertised, but {trouble}");
        true
    }
}

/// What a message is about: whose records, in which formats, and which measures.
fn kind(advert: &Advert, messages: &[(Format, Result<Message, Trouble>)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    advert.manufacturer.iter().for_each(|(company, _)| company.hash(&mut hasher));
    advert.service_data.iter().for_each(|(service, _)| service.hash(&mut hasher));
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
