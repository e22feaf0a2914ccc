//! Keys and numbers that stand in mounted files, `<secrets folder>/<name>/<key>`. Read when a device's bus is opened, so
//! that a file that comes late is found. What is in them appears in no message.

use std::path::Path;

use mapper_api::{Error, ErrorKind, Result, SecretRef};

use crate::{formats::Key, radio::Passkey};

/// A key of a device's advertisements or of its private addresses.
///
/// # Errors
/// Unreachable, with the file and what is expected of it.
pub(crate) fn key(folder: Option<&Path>, at: &SecretRef, what: &str) -> Result<Key> {
    // The short keys of old Xiaomi devices are for their advertisements alone.
    let advertised = what != "irk";
    let expected =
        if advertised { "32 hexadecimal digits (24 for old Xiaomi devices)" } else { "32 hexadecimal digits" };
    let (path, text) = at.read(folder, what, expected)?;
    let short = !advertised && text.len() < 32;
    Key::from_hex(&text)
        .filter(|_| !short)
        .ok_or_else(|| unreachable(format!("{what}: {} must hold {expected} and nothing else", path.display())))
}

/// The number that a device is paired with.
///
/// # Errors
/// Unreachable, with the file and what is expected of it.
pub(crate) fn passkey(folder: Option<&Path>, at: &SecretRef) -> Result<Passkey> {
    let (path, text) = at.read(folder, "passkey", "six digits")?;
    text.parse().map_err(|_| unreachable(format!("passkey: {} must hold six digits and nothing else", path.display())))
}

fn unreachable(message: String) -> Error {
    Error::new(ErrorKind::Unreachable, message)
}

/// The bytes of an even number of hexadecimal digits.
pub(crate) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{key, passkey};
    use mapper_api::SecretRef;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("fieldgate-ble-secrets-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("sensors")).unwrap();
        folder
    }

    fn at(key: &str) -> SecretRef {
        SecretRef { name: "sensors".into(), key: key.into() }
    }

    #[test]
    fn a_file_holds_a_key_or_a_number() {
        let folder = folder("good");
        fs::write(folder.join("sensors/kitchen"), "231d39C1D7CC1AB1AEE224CD096DB932\n").unwrap();
        fs::write(folder.join("sensors/door"), "000042\n").unwrap();
        assert_eq!(key(Some(&folder), &at("kitchen"), "bindKey").unwrap().0[..3], [0x23, 0x1d, 0x39]);
        assert_eq!(passkey(Some(&folder), &at("door")).unwrap().number(), 42);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_wrong_or_missing_file_is_named_and_its_content_is_not() {
        let folder = folder("wrong");
        fs::write(folder.join("sensors/short"), "5ec7e7").unwrap();
        fs::write(folder.join("sensors/old"), "5ec7e75ec7e75ec7e75ec7e7").unwrap();
        fs::write(folder.join("sensors/binary"), [0xff; 32]).unwrap();
        fs::write(folder.join("sensors/long"), "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e7").unwrap();
        for (error, parts) in [
            (key(Some(&folder), &at("gone"), "bindKey").unwrap_err(), ["bindKey", "sensors/gone", "32 hexadecimal"]),
            (key(Some(&folder), &at("short"), "irk").unwrap_err(), ["irk", "sensors/short", "32 hexadecimal"]),
            (key(Some(&folder), &at("old"), "irk").unwrap_err(), ["irk", "sensors/old", "32 hexadecimal"]),
            (key(Some(&folder), &at("long"), "irk").unwrap_err(), ["irk", "sensors/long", "32 hexadecimal"]),
            (key(Some(&folder), &at("binary"), "irk").unwrap_err(), ["irk", "sensors/binary", "32 hexadecimal"]),
            (passkey(Some(&folder), &at("short")).unwrap_err(), ["passkey", "sensors/short", "six digits"]),
            (key(Some(&folder), &at("long"), "bindKey").unwrap_err(), ["bindKey", "sensors/long", "digits (24 for"]),
            (key(None, &at("kitchen"), "bindKey").unwrap_err(), ["bindKey", "sensors/kitchen", "secrets folder"]),
        ] {
            assert_eq!(error.kind, mapper_api::ErrorKind::Unreachable);
            assert!(parts.iter().all(|part| error.message.contains(part)), "{error}");
            assert!(!error.message.contains("5ec7e7"), "{error}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
