//! Objects of doors and locks: 0x0006 to 0x0008, 0x000B, 0x100E. As xiaomi-ble 1.21 (parser.py, locks.py) and
//! ble_monitor read them.

use mapper_api::Value;

use crate::formats::{
    measures::{Measures, text, unsigned},
    names,
};

/// Key ids from here on are errors that a lock reports in the place of a key.
const ERRORS: u64 = 0xc0de_0000;
const LAST_ERROR: u64 = 0xc0de_ffff;

/// Reads one; none as in [`super::objects::read`].
pub fn read(kind: u16, content: &[u8], to: &mut Measures) -> Option<()> {
    match (kind, content) {
        (0x0006, [key @ .., result]) if key.len() == 4 => {
            to.add(names::FINGERPRINT, text(fingerprint(*result)?));
            to.add(names::KEY_ID, Value::Uint(unsigned(key)));
        }
        (0x0007, [event, ..]) => door(*event, to)?,
        // 0 arms; a time may follow.
        (0x0008, [state @ (0 | 1), ..]) => to.add(names::ARMED, Value::Bool(*state == 0)),
        // What happened and how, the key, the time.
        (0x000b, [what, key @ .., _, _, _, _]) if key.len() == 4 => {
            lock(what & 0xf, method(what >> 4)?, unsigned(key), to)?;
        }
        // The bolts: 1 the lock's, 2 the one against opening from outside, 4 the latch; 8 the lock against children.
        (0x100e, [bolts]) => {
            to.add(names::UNLOCKED, Value::Bool(bolts & 1 == 0));
            to.add(names::ANTI_LOCK, Value::Bool(bolts & 2 != 0));
            to.add(names::CHILD_LOCK, Value::Bool(bolts & 8 != 0));
        }
        _ => return None,
    }
    Some(())
}

fn door(event: u8, to: &mut Measures) -> Option<()> {
    let (event, open) = match event {
        0 => ("opened", Some(true)),
        1 => ("closed", Some(false)),
        2 => ("leftOpen", Some(true)),
        3 => ("knock", None),
        4 => ("pried", None),
        5 => ("stuck", None),
        _ => return None,
    };
    if let Some(open) = open {
        to.add(names::DOOR, Value::Bool(open));
    }
    to.add(names::DOOR_EVENT, text(event));
    Some(())
}

fn lock(action: u8, method: &'static str, key: u64, to: &mut Measures) -> Option<()> {
    let (event, state) = match action {
        0 => ("unlockedOutside", Some((names::UNLOCKED, true))),
        1 => ("locked", Some((names::UNLOCKED, false))),
        2 => ("antiLockOn", Some((names::ANTI_LOCK, true))),
        3 => ("antiLockOff", Some((names::ANTI_LOCK, false))),
        4 => ("unlockedInside", Some((names::UNLOCKED, true))),
        5 => ("lockedInside", Some((names::UNLOCKED, false))),
        6 => ("childLockOn", Some((names::CHILD_LOCK, true))),
        7 => ("childLockOff", Some((names::CHILD_LOCK, false))),
        8 => ("lockedOutside", Some((names::UNLOCKED, false))),
        15 => ("abnormal", None),
        _ => return None,
    };
    let failed = (ERRORS..=LAST_ERROR).contains(&key);
    // What a lock says of its state while it reports an error is not its state.
    if let Some((name, value)) = state.filter(|_| !failed) {
        to.add(name, Value::Bool(value));
    }
    to.add(names::LOCK_EVENT, text(event));
    to.add(names::LOCK_METHOD, text(method));
    to.add(names::KEY_ID, Value::Uint(key));
    to.add(names::PROBLEM, Value::Bool(failed));
    Some(())
}

fn method(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "bluetooth",
        1 => "password",
        2 => "biometrics",
        3 => "key",
        4 => "turntable",
        5 => "nfc",
        6 => "oneTimePassword",
        7 => "twoSteps",
        8 => "coercion",
        9 => "homekit",
        10 => "manual",
        11 => "automatic",
        15 => "abnormal",
        _ => return None,
    })
}

fn fingerprint(result: u8) -> Option<&'static str> {
    Some(match result {
        0 => "matched",
        1 => "failed",
        2 => "timeout",
        3 => "lowQuality",
        4 => "insufficientArea",
        5 => "tooDry",
        6 => "tooWet",
        _ => return None,
    })
}
