//! When a session of btleplug is replaced by a fresh one. Pure.
//!
//! bluez-async 0.9.0 adds a match rule for each connect and one for each stream of notifications, and forgets up to
//! both on the bus when a signal comes between the drop of a stream and its removal. A bus refuses a client's 513th
//! rule (`max_match_rules_per_connection` of dbus-daemon's system bus), and checks each message against all of them.

/// How many rules a link may leave behind.
const RULES: u32 = 2;

/// How many rules a session may leave behind.
const LEFT_BEHIND: u32 = 128;

/// How many links a session serves.
pub const LINKS: u32 = LEFT_BEHIND / RULES;

/// The session has served this many: the next link gets a fresh one. Links that it holds go on undisturbed.
pub fn is_worn(links: u32) -> bool {
    links >= LINKS
}

#[cfg(test)]
mod tests {
    #[test]
    fn worn() {
        for (links, worn) in [(0, false), (63, false), (64, true), (65, true)] {
            assert_eq!(super::is_worn(links), worn, "{links}");
        }
    }
}
