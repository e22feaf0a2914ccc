//! The pairing agent: what BlueZ asks this process while it pairs with a device (`org.bluez.Agent1`,
//! `doc/agent-api.txt` of BlueZ 5.66). btleplug has none.
//!
//! It answers BlueZ alone, and for the one device that is being paired alone; it is never the default agent, so pairings
//! begun by others or by devices do not come here.
//!
//! A device that says it can neither show nor type anything is paired by BlueZ without a question, whatever this side
//! asked for. So a bond counts only if the question that was to be asked was asked; otherwise it is removed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dbus::{MethodErr, Path};
use dbus_crossroads::{Context, Crossroads};

use super::{
    Pairing,
    bus::{CallError, Calls},
    facts::Place,
};

const PATH: &str = "/dev/fieldgate/agent";
const MANAGER: &str = "org.bluez.AgentManager1";

/// What the agent knows. Shared with the task that pairs.
#[derive(Debug, Clone, Default)]
pub struct Agent(Arc<Mutex<Knows>>);

#[derive(Debug, Default)]
struct Knows {
    bluez: Option<String>,
    pairing: Option<(String, Pairing)>,
    /// The proof that the pairing is to have was asked for, and given.
    proved: bool,
}

/// The name of the error of a device that was paired without the proof that was to be had.
pub const UNPROVED: &str = "dev.fieldgate.Error.Unproved";

/// What BlueZ asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// The number that the device shows.
    Passkey,
    /// The number is the same on both sides.
    Confirm(u32),
    /// Pair without a proof.
    Authorize,
}

/// The answer; none is a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    Passkey(u32),
}

/// Pure: what is answered to a question about the device that is being paired.
fn answer(pairing: Pairing, question: Question) -> Option<Answer> {
    match (pairing, question) {
        (Pairing::Passkey(passkey), Question::Passkey) => Some(Answer::Passkey(passkey.number())),
        (Pairing::Numeric, Question::Confirm(_)) | (Pairing::JustWorks, Question::Authorize) => Some(Answer::Yes),
        _ => None,
    }
}

/// Pure: whether the pairing is to prove who is there.
fn wants_proof(pairing: Pairing) -> bool {
    matches!(pairing, Pairing::Passkey(_) | Pairing::Numeric)
}

/// What this side can show and type decides which way of pairing the two sides choose (Core Specification, vol. 3,
/// part H, 2.3.5.1).
fn capability(pairing: Pairing) -> &'static str {
    match pairing {
        Pairing::None | Pairing::JustWorks => "NoInputNoOutput",
        Pairing::Passkey(_) => "KeyboardOnly",
        Pairing::Numeric => "DisplayYesNo",
    }
}

impl Agent {
    /// Who BlueZ is at the moment.
    pub fn set_bluez(&self, name: Option<String>) {
        self.knows().bluez = name;
    }

    /// Serves the agent on this connection.
    pub fn serve(&self, calls: &Calls) {
        let mut crossroads = Crossroads::new();
        let agent = crossroads.register("org.bluez.Agent1", |b| {
            b.method("Release", (), (), |_: &mut Context, _: &mut Self, (): ()| Ok(()));
            b.method("Cancel", (), (), |_: &mut Context, _: &mut Self, (): ()| Ok(()));
            b.method("RequestPasskey", ("device",), ("passkey",), |context, agent: &mut Self, (device,): (Path,)| {
                match agent.ask(context, &device, Question::Passkey)? {
                    Answer::Passkey(number) => Ok((number,)),
                    Answer::Yes => Err(refused()),
                }
            });
            b.method(
                "RequestConfirmation",
                ("device", "passkey"),
                (),
                |context, agent: &mut Self, (device, number): (Path, u32)| {
                    agent.ask(context, &device, Question::Confirm(number))?;
                    tracing::info!(device = &*device, "the device must show {number:06}: confirm it there");
                    Ok(())
                },
            );
            b.method("RequestAuthorization", ("device",), (), |context, agent: &mut Self, (device,): (Path,)| {
                agent.ask(context, &device, Question::Authorize).map(|_| ())
            });
        });
        crossroads.insert(PATH, &[agent], self.clone());
        calls.serve(crossroads);
    }

    fn ask(&self, context: &Context, device: &str, question: Question) -> Result<Answer, MethodErr> {
        let mut knows = self.knows();
        let from_bluez = context.message().sender().is_some_and(|sender| knows.bluez.as_deref() == Some(&*sender));
        let pairing = knows.pairing.as_ref().filter(|(path, _)| from_bluez && path == device);
        let (pairing, answer) =
            pairing.and_then(|(_, pairing)| Some((*pairing, answer(*pairing, question)?))).ok_or_else(refused)?;
        knows.proved |= wants_proof(pairing);
        Ok(answer)
    }

    fn knows(&self) -> MutexGuard<'_, Knows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pairs with the device; connects first if it has to. One pairing at a time: the caller sees to that.
    pub async fn pair(
        &self,
        calls: &Calls,
        place: Place,
        pairing: Pairing,
        limit: std::time::Duration,
    ) -> Result<(), CallError> {
        let path = place.path();
        let _forget = Forget(self);
        {
            let mut knows = self.knows();
            (knows.pairing, knows.proved) = (Some((path.clone(), pairing)), false);
        }
        let agent = Path::from(PATH);
        // One that was left over from a pairing that was given up.
        let _ = calls.call::<()>("/org/bluez", MANAGER, "UnregisterAgent", (agent.clone(),)).await;
        calls.call::<()>("/org/bluez", MANAGER, "RegisterAgent", (agent, capability(pairing))).await?;
        match calls.call_for::<()>(limit, super::facts::BLUEZ, &path, super::facts::DEVICE, "Pair", ()).await {
            Err(error) if error.name == "org.bluez.Error.AlreadyExists" => Ok(()),
            Ok(()) if wants_proof(pairing) && !self.knows().proved => {
                let (adapter, device) = (place.hci.path(), Path::from(path));
                calls.call::<()>(&adapter, super::facts::ADAPTER, "RemoveDevice", (device,)).await?;
                let message = "it gave no proof of who it is, and its bond is removed again".to_owned();
                Err(CallError { name: UNPROVED.to_owned(), message })
            }
            result => result,
        }
    }
}

/// Forgets the passkey when pairing ended, one way or another.
struct Forget<'a>(&'a Agent);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.knows().pairing = None;
    }
}

fn refused() -> MethodErr {
    ("org.bluez.Error.Rejected", "this is not what the device's configuration says").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let passkey = Pairing::Passkey("123456".parse().unwrap());
        let questions = [Question::Passkey, Question::Confirm(7), Question::Authorize];
        for (pairing, capability_, expected) in [
            (Pairing::None, "NoInputNoOutput", [None; 3]),
            (Pairing::JustWorks, "NoInputNoOutput", [None, None, Some(Answer::Yes)]),
            (passkey, "KeyboardOnly", [Some(Answer::Passkey(123_456)), None, None]),
            (Pairing::Numeric, "DisplayYesNo", [None, Some(Answer::Yes), None]),
        ] {
            assert_eq!(capability(pairing), capability_, "{pairing:?}");
            assert_eq!(questions.map(|question| answer(pairing, question)), expected, "{pairing:?}");
            assert_eq!(wants_proof(pairing), matches!(capability_, "KeyboardOnly" | "DisplayYesNo"), "{pairing:?}");
        }
    }
}
