//! Whom to hear or to connect to, and how. Words only.

use std::{fmt, str::FromStr, time::Duration};

use uuid::Uuid;

use crate::{advert::Mac, formats::Key};

/// Whose advertisements are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The device of this address.
    Mac(Mac),
    /// Whoever has this name.
    Name(String),
    /// Whoever has an address made with this identity resolving key; its bytes as people write them, most significant
    /// first. A device that is bonded goes by its identity address, and after the next start of bluetoothd by that alone:
    /// name it by that.
    Irk(Key),
    /// All of them.
    Everyone,
}

/// How to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Whether and how to pair before anything is read.
    pub pairing: Pairing,
    /// Who goes first when slots are few: the higher number; of equals, who came first.
    pub priority: u8,
    /// The longest that all phases may take together; pairing is not counted. Keep it below the limit of whoever waits,
    /// or the one who waits learns nothing of why.
    pub patience: Duration,
    /// The longest that each may take.
    pub limits: Limits,
}

/// The longest that the phases of a connect may take, each. One that is too long ends with an error that names it
/// ([`super::RadioError::phase`]). Pairing has its own limit ([`super::Settings::pairing`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until the device is heard. Less than the whole, or a device that is heard late has no time to be linked.
    pub heard: Duration,
    /// Until the adapter has a slot, and an earlier link to the same device is gone.
    pub slot: Duration,
    /// Until the device is linked and what it has is known.
    pub link: Duration,
}

/// What a connect is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The device is waited for: it was not heard lately.
    Heard,
    /// The device is there. A slot of the adapter is waited for, or the end of an earlier link to the device.
    Slot,
    /// It is being paired.
    Pairing,
    /// It is called, or what it has is being read.
    Link,
}

impl Default for Connect {
    fn default() -> Self {
        let whole = Duration::from_secs(30);
        let limits = Limits { heard: Duration::from_secs(18), slot: whole, link: whole };
        Self { pairing: Pairing::None, priority: 0, patience: whole, limits }
    }
}

/// How to pair. A bond is `BlueZ`'s and stays; a bonded device is not paired again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pairing {
    /// Not at all.
    #[default]
    None,
    /// Without a proof of who is there.
    JustWorks,
    /// With the number that the device shows or that is printed on it.
    Passkey(Passkey),
    /// Both sides show a number. It is logged for a person to compare, who confirms or refuses at the device; this side
    /// confirms.
    Numeric,
}

/// Six decimal digits. They are never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Passkey(u32);

impl Passkey {
    /// The number, 0 to 999999.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl FromStr for Passkey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = Some(text.trim()).filter(|text| text.len() == 6 && text.bytes().all(|c| c.is_ascii_digit()));
        let number = digits.and_then(|text| text.parse().ok());
        number.map(Self).ok_or_else(|| "a passkey has six decimal digits".to_owned())
    }
}

impl fmt::Debug for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passkey(..)")
    }
}

/// A characteristic by its service's UUID and its own; of several alike, the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spot {
    /// The service.
    pub service: Uuid,
    /// The characteristic.
    pub characteristic: Uuid,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "characteristic {} of service {}", self.characteristic, self.service)
    }
}

/// A characteristic that a device has, and what it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // the properties of the Core Specification, vol. 3, part G, 3.3.1.1
pub struct Characteristic {
    /// Where it is.
    pub spot: Spot,
    /// It can be read.
    pub read: bool,
    /// It can be written with an answer.
    pub write: bool,
    /// It can be written without an answer.
    pub write_command: bool,
    /// It notifies.
    pub notify: bool,
    /// It indicates: notifies and is told that it was heard.
    pub indicate: bool,
}

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// With an answer.
    Request,
    /// Without one.
    Command,
}

#[cfg(test)]
mod tests {
    use super::Passkey;

    #[test]
    fn passkeys() {
        assert_eq!("000042".parse::<Passkey>().unwrap().number(), 42);
        assert_eq!("999999\n".parse::<Passkey>().unwrap().number(), 999_999);
        for wrong in ["", "42", "1234567", "+12345", "12345a"] {
            assert!(!wrong.parse::<Passkey>().unwrap_err().contains('1'), "{wrong}");
        }
        assert_eq!(format!("{:?}", "123456".parse::<Passkey>().unwrap()), "Passkey(..)");
    }
}
