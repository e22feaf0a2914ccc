//! Rules between devices: what one bus can be only once. Pure.

use std::collections::BTreeMap;

use mapper_api::BusKey;

use crate::model::DeviceId;

/// A device that wants a bus.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The device.
    pub id: &'a DeviceId,
    /// Whether it is on the bus already, with these settings: a newcomer must not take a whole line down.
    pub holds: bool,
    /// When its resource was created, RFC 3339; files have no such time.
    pub created: Option<&'a str>,
    /// Its protocol.
    pub protocol: &'a str,
    /// The bus.
    pub key: &'a BusKey,
}

/// The devices that cannot have their bus, each with the reason. Of two that disagree the one that is on it keeps it, then
/// the older, then the one whose namespace and name come first.
pub fn refused<'a>(claims: &[Claim<'a>]) -> Vec<(&'a DeviceId, String)> {
    let mut ordered: Vec<&Claim<'a>> = claims.iter().collect();
    ordered.sort_by_key(|c| (!c.holds, c.created.is_none(), c.created, c.id));
    let mut holders: BTreeMap<&str, &Claim<'a>> = BTreeMap::new();
    let mut losers = Vec::new();
    for claim in ordered {
        let holder = *holders.entry(&claim.key.resource).or_insert(claim);
        let resource = &claim.key.resource;
        if holder.protocol != claim.protocol {
            losers.push((
                claim.id,
                format!(
                    "{resource} is already used by {} of {}; one bus speaks one protocol, and this device is {}",
                    holder.protocol, holder.id, claim.protocol
                ),
            ));
        } else if holder.key.settings != claim.key.settings {
            losers.push((
                claim.id,
                format!(
                    "{resource} is already used by {} with the settings {}; this device says {}; \
                     all devices of one bus must agree",
                    holder.id, holder.key.settings, claim.key.settings
                ),
            ));
        }
    }
    losers
}

#[cfg(test)]
mod tests {
    use mapper_api::BusKey;

    use super::{Claim, refused};
    use crate::model::DeviceId;

    #[test]
    fn the_first_keeps_the_bus_and_the_others_hear_who() {
        let key = |resource: &str, settings: &str| BusKey { resource: resource.into(), settings: settings.into() };
        let ids: Vec<DeviceId> = ["a", "b", "c", "d"].iter().map(|n| DeviceId::new("x", n)).collect();
        let (slow, fast, other) =
            (key("serial:/dev/x", "9600 8E1"), key("serial:/dev/x", "19200 8E1"), key("tcp:y", ""));
        let claim = |n: usize, created, protocol, key| Claim { id: &ids[n], holds: false, created, protocol, key };
        let losers = refused(&[
            claim(0, None, "modbus", &fast),
            claim(1, Some("2026-01-02T00:00:00Z"), "modbus", &slow),
            claim(2, Some("2026-01-03T00:00:00Z"), "serial", &slow),
            claim(3, None, "modbus", &other),
        ]);
        assert_eq!(losers.iter().map(|l| l.0.name.to_string()).collect::<Vec<_>>(), ["c", "a"]);
        assert!(losers[0].1.contains("modbus of x/b") && losers[0].1.contains("this device is serial"));
        assert!(losers[1].1.contains("x/b with the settings 9600 8E1; this device says 19200 8E1"), "{}", losers[1].1);

        let newcomer = claim(0, None, "modbus", &fast);
        let holder = Claim { holds: true, ..claim(1, None, "modbus", &slow) };
        let losers = refused(&[newcomer, holder]);
        assert_eq!(losers.iter().map(|l| l.0.name.to_string()).collect::<Vec<_>>(), ["a"], "who has the line keeps it");
    }
}
