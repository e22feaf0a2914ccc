//! What BlueZ's errors mean. Pure: the error's name on D-Bus and its text go in.
//!
//! Sources: BlueZ's `doc/gatt-api.txt`, `doc/device-api.txt`, `src/error.h` (the texts of failed connections) and the
//! Core Specification, vol. 3, part F, 3.4.1.1 (ATT errors).

use super::{Pairing, RadioErrorKind, agent::UNPROVED};

const UNKNOWN: &str = "org.freedesktop.DBus.Error.UnknownObject";

/// The device does not answer the call.
pub const NO_ANSWER: &str = "org.bluez.Error.ConnectionAttemptFailed";

/// A read, a write or a subscription failed.
pub fn of_exchange(name: &str, text: &str) -> RadioErrorKind {
    match name.strip_prefix("org.bluez.Error.") {
        Some("Failed") if text.starts_with("Operation failed with ATT error") => RadioErrorKind::Refused,
        Some(
            "NotPermitted" | "NotAuthorized" | "NotSupported" | "InvalidValueLength" | "InvalidArguments"
            | "InvalidOffset" | "InProgress" | "NotAcquired",
        ) => RadioErrorKind::Refused,
        _ if is_silence(name) => RadioErrorKind::Timeout,
        _ => RadioErrorKind::Lost,
    }
}

/// What helps against that refusal, if anything is known to.
pub fn hint(name: &str, text: &str) -> &'static str {
    // Insufficient authentication, authorization, encryption key size, encryption.
    let secret = ["0x05", "0x08", "0x0c", "0x0f"].iter().any(|code| text.ends_with(code));
    if secret || name == "org.bluez.Error.NotAuthorized" { "; it may want to be paired: set `pair`" } else { "" }
}

/// A connect failed.
pub fn of_connect(name: &str) -> RadioErrorKind {
    match name {
        // BlueZ forgot the device since it was heard, or it is away.
        UNKNOWN | "org.bluez.Error.DoesNotExist" | NO_ANSWER => RadioErrorKind::NotSeen,
        "org.bluez.Error.NotReady" | "org.freedesktop.DBus.Error.ServiceUnknown" => RadioErrorKind::NoRadio,
        _ if is_silence(name) => RadioErrorKind::Timeout,
        _ => RadioErrorKind::Lost,
    }
}

/// Pairing failed.
pub fn of_pairing(name: &str) -> RadioErrorKind {
    match name.strip_prefix("org.bluez.Error.") {
        Some(_) if name != NO_ANSWER => RadioErrorKind::NotPaired,
        _ if name == UNPROVED => RadioErrorKind::NotPaired,
        _ => of_connect(name),
    }
}

/// What helps when pairing this way failed, if anything is known to.
pub fn pairing_hint(name: &str, pairing: Pairing) -> &'static str {
    match pairing {
        _ if name == UNPROVED => "; if it can neither show nor take a number, only `pair: justWorks` will do",
        _ if !name.starts_with("org.bluez.Error.Authentication") => "",
        Pairing::None => "",
        Pairing::JustWorks => "; it may want a proof: set `pair` to passkey or numeric",
        Pairing::Passkey(_) => "; the file of `passkey` must hold the number that it shows or that is printed on it",
        Pairing::Numeric => "; confirm at the device the number that the bridge writes to its log",
    }
}

/// The controller holds no more links.
pub fn is_full(text: &str) -> bool {
    text.contains("concurrent-connection-limit")
}

/// The failure is the connection's to D-Bus, not the device's.
pub fn is_of_the_bus(name: &str) -> bool {
    !name.starts_with("org.bluez.") && !is_unknown(name)
}

/// BlueZ does not know the device.
pub fn is_unknown(name: &str) -> bool {
    name == UNKNOWN
}

fn is_silence(name: &str) -> bool {
    matches!(
        name,
        "" | "org.freedesktop.DBus.Error.Timeout"
            | "org.freedesktop.DBus.Error.TimedOut"
            | "org.freedesktop.DBus.Error.NoReply"
    )
}

#[cfg(test)]
mod tests {
    use super::{RadioErrorKind::*, *};

    #[test]
    fn exchanges() {
        for (name, text, expected, hinted) in [
            ("org.bluez.Error.NotPermitted", "Read not permitted", Refused, false),
            ("org.bluez.Error.NotAuthorized", "Read not authorized", Refused, true),
            ("org.bluez.Error.Failed", "Operation failed with ATT error: 0x0e", Refused, false),
            ("org.bluez.Error.Failed", "Operation failed with ATT error: 0x0f", Refused, true),
            ("org.bluez.Error.Failed", "Not connected", Lost, false),
            ("org.bluez.Error.InProgress", "In Progress", Refused, false),
            ("org.freedesktop.DBus.Error.UnknownObject", "Method ... doesn't exist", Lost, false),
            ("org.freedesktop.DBus.Error.NoReply", "", Timeout, false),
            ("", "no answer in time", Timeout, false),
        ] {
            assert_eq!(of_exchange(name, text), expected, "{name} {text}");
            assert_eq!(!hint(name, text).is_empty(), hinted, "{name} {text}");
        }
    }

    #[test]
    fn connects_and_pairings() {
        for (name, connect, pairing, bus) in [
            ("org.bluez.Error.Failed", Lost, NotPaired, false),
            ("org.bluez.Error.ConnectionAttemptFailed", NotSeen, NotSeen, false),
            ("org.bluez.Error.AuthenticationFailed", Lost, NotPaired, false),
            ("org.bluez.Error.NotReady", NoRadio, NotPaired, false),
            ("org.freedesktop.DBus.Error.UnknownObject", NotSeen, NotSeen, false),
            ("org.freedesktop.DBus.Error.Disconnected", Lost, Lost, true),
            ("org.freedesktop.DBus.Error.LimitsExceeded", Lost, Lost, true),
            ("", Timeout, Timeout, true),
        ] {
            assert_eq!((of_connect(name), of_pairing(name)), (connect, pairing), "{name}");
            assert_eq!(is_of_the_bus(name), bus, "{name}");
        }
        let passkey = Pairing::Passkey("123456".parse().unwrap());
        for (name, pairing, part) in [
            ("org.bluez.Error.AuthenticationFailed", passkey, "passkey"),
            ("org.bluez.Error.AuthenticationFailed", Pairing::Numeric, "log"),
            ("org.bluez.Error.AuthenticationRejected", Pairing::JustWorks, "passkey or numeric"),
            (UNPROVED, passkey, "justWorks"),
        ] {
            let hint = pairing_hint(name, pairing);
            assert!(hint.contains(part) && !hint.contains("123456"), "{name} {pairing:?}: {hint}");
        }
        assert_eq!((pairing_hint(NO_ANSWER, passkey), of_pairing(UNPROVED)), ("", NotPaired));
        assert!(is_full("le-connection-concurrent-connection-limit") && !is_full("le-connection-abort-by-local"));
    }
}
