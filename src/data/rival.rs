//! Another bridge of the same node at the broker: how it is noticed, and how the older of the two stands back.
//!
//! An MQTT 5 broker may say that it gives our session to somebody else. Others (of 3.1.1, and mosquitto 2.0.11) just hang
//! up, as they do for many reasons; so what counts is the bridge's own retained `state`: once ours stood in it, the
//! identity of a later start was written by a bridge that runs beside us. Whoever stands back looks from time to time,
//! under a name of its own that disturbs nobody, whether the other one is still there.

use std::{pin::pin, time::Duration};

use serde_json::Value as Json;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    link::{self, Ending, Event, LinkError, LinkOptions},
    retained::HEALTH_EVERY,
};

/// The first look comes soon: the other one may only have looked in, or be gone again.
const FIRST: Duration = Duration::from_secs(4);
/// Then it doubles from here up to [`MOST`].
const LEAST: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(900);
/// How long a look waits for the broker,
const PATIENCE: Duration = Duration::from_secs(10);
/// for what is retained,
const RETAINED: Duration = Duration::from_secs(2);
/// and for a sign of life of whoever is said to be online.
const LIVES: Duration = HEALTH_EVERY.saturating_add(Duration::from_secs(10));

/// What is known of other bridges of this node.
#[derive(Debug, Default)]
pub struct Rival {
    /// Our own `state` stood at the broker: what replaces it was written later.
    ours_stood: bool,
    looks: u32,
}

/// What a `state` of this node tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing new.
    Nothing,
    /// A bridge that started later runs beside us.
    Newer,
    /// One that started before us wrote over what we said.
    Older,
}

/// What a look found.
#[derive(Debug)]
pub enum Look {
    /// Another bridge is online, and gave a sign of life.
    Held,
    /// None is.
    Free,
    /// The broker did not let us look, or is away.
    Unknown(LinkError),
}

impl Rival {
    /// A `state` of this node came.
    pub fn hear(&mut self, payload: &[u8], own: &str) -> Told {
        let Some((boot, _)) = read(payload) else { return Told::Nothing };
        // A boot's identity begins with its time.
        match boot.as_str().cmp(own) {
            std::cmp::Ordering::Equal => {
                self.ours_stood = true;
                Told::Nothing
            }
            _ if !self.ours_stood => Told::Nothing,
            std::cmp::Ordering::Greater => Told::Newer,
            std::cmp::Ordering::Less => Told::Older,
        }
    }

    /// A connection begins after a look that found nobody: whatever stands there is of one that is gone.
    pub fn begins_anew(&mut self) {
        self.ours_stood = false;
    }

    /// How long to wait before the next look.
    pub fn pause(&mut self, dice: f64) -> Duration {
        let nominal = match self.looks {
            0 => FIRST,
            looks => LEAST.saturating_mul(1_u32.checked_shl(looks - 1).unwrap_or(u32::MAX)).min(MOST),
        };
        self.looks = self.looks.saturating_add(1);
        nominal.mul_f64(0.75 + dice / 2.0)
    }

    /// A connection ended that lived this long.
    pub fn lived(&mut self, lived: Duration) {
        if lived >= MOST {
            self.looks = 0;
        }
    }
}

/// Whose `state` it is, and whether that bridge is online.
fn read(payload: &[u8]) -> Option<(String, bool)> {
    let json: Json = serde_json::from_slice(payload).ok()?;
    Some((json["boot"].as_str()?.into(), json["state"] == "online"))
}

/// Looks whether another bridge is online by this node's `state`, and lives by its `health`. Takes nobody's session over.
pub async fn look(link: LinkOptions, state: String, health: String, own: String) -> Look {
    let link = LinkOptions { client_id: format!("{}-{own}", link.client_id), will: None, ..link };
    match is_held(&link, &state, &health, &own).await {
        Ok(true) => Look::Held,
        Ok(false) => Look::Free,
        Err(error) => Look::Unknown(error),
    }
}

/// What is retained may be of a bridge that died together with the broker, and so without its last will: only a `health`
/// that comes after what was retained is a sign of life.
async fn is_held(link: &LinkOptions, state: &str, health: &str, own: &str) -> Result<bool, LinkError> {
    let (client, mut eventloop) = link::open(link);
    let mut connected: Option<Instant> = None;
    let mut until = Instant::now() + PATIENCE;
    let held = loop {
        let Ok(event) = timeout_at(until, pin!(eventloop.poll())).await else {
            if connected.is_some() {
                break false;
            }
            return Err(LinkError { message: format!("no answer within {PATIENCE:?}"), ending: Ending::Other });
        };
        match event? {
            Event::Connected { .. } => {
                client.subscribe(state);
                client.subscribe(health);
                let now = Instant::now();
                (connected, until) = (Some(now), now + RETAINED);
            }
            Event::Message { topic, payload } if topic == state => match read(&payload) {
                Some((boot, true)) if boot != own => until = connected.map_or(until, |at| at + LIVES),
                _ => break false,
            },
            Event::Message { topic, .. } if topic == health && connected.is_some_and(|at| at.elapsed() >= RETAINED) => {
                break true;
            }
            _ => {}
        }
    };
    client.disconnect();
    // The end may fail; what was found stands.
    while let Ok(Ok(event)) = timeout(PATIENCE, eventloop.poll()).await {
        if matches!(event, Event::Closed) {
            break;
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::payload::{bridge_online, bridge_stopped, bridge_will};

    const OWN: &str = "0000000005";

    #[test]
    fn only_what_comes_after_our_own_state_tells_of_another_bridge() {
        let online = |boot| bridge_online(boot, Duration::ZERO);
        for (heard, told) in [
            // Left by earlier runs, also by one whose clock was wrong.
            (vec![online("0000000003")], Told::Nothing),
            (vec![online("0000000009")], Told::Nothing),
            (vec![bridge_will("0000000009"), online(OWN)], Told::Nothing),
            (vec![online(OWN), online(OWN)], Told::Nothing),
            (vec![online(OWN), bridge_will(OWN)], Told::Nothing),
            (vec![online(OWN), online("0000000009")], Told::Newer),
            (vec![online(OWN), bridge_will("0000000009")], Told::Newer),
            (vec![online(OWN), bridge_stopped("0000000009")], Told::Newer),
            (vec![online(OWN), online("0000000003")], Told::Older),
            (vec![online(OWN), bridge_will("0000000003")], Told::Older),
            (vec![online(OWN), Vec::new()], Told::Nothing),
            (vec![online(OWN), b"{}".to_vec()], Told::Nothing),
        ] {
            let mut rival = Rival::default();
            let all: Vec<_> = heard.iter().map(|payload| rival.hear(payload, OWN)).collect();
            let shown: Vec<_> = heard.iter().map(|payload| String::from_utf8_lossy(payload)).collect();
            assert_eq!(all.last(), Some(&told), "{shown:?}");
            rival.begins_anew();
            assert_eq!(rival.hear(&online("0000000009"), OWN), Told::Nothing);
        }
    }

    #[test]
    fn looks_become_rare() {
        let mut rival = Rival::default();
        let mut nominal =
            || [4.0, 60.0, 120.0, 240.0, 480.0, 900.0, 900.0].map(|s| (rival.pause(0.5).as_secs_f64(), s));
        assert!(nominal().iter().all(|(got, expected)| (got - expected).abs() < 1e-6));
        rival.lived(Duration::from_secs(60));
        assert_eq!(rival.pause(0.0), MOST.mul_f64(0.75));
        rival.lived(MOST);
        assert_eq!(rival.pause(1.0), FIRST.mul_f64(1.25));
    }
}
