//! Which adapter a device is connected by. Pure.

use super::facts::Place;

/// A device as one adapter knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub place: Place,
    /// How well it is heard, in dBm; none if it was not heard lately.
    pub rssi: Option<i16>,
    /// That adapter holds a bond with it. A bond is no other adapter's.
    pub bonded: bool,
    /// That adapter has a free slot.
    pub free: bool,
}

/// A bond first, then one that has a slot, then the one that hears it best.
pub fn best(candidates: impl IntoIterator<Item = Candidate>) -> Option<Place> {
    let best = candidates.into_iter().max_by_key(|candidate| {
        let Candidate { place, rssi, bonded, free } = *candidate;
        (bonded, free, rssi, std::cmp::Reverse(place))
    });
    best.map(|candidate| candidate.place)
}

#[cfg(test)]
mod tests {
    use super::{super::facts::Hci, *};
    use crate::advert::Mac;

    #[test]
    fn choice() {
        let candidate = |hci, rssi, bonded, free| Candidate {
            place: Place { hci: Hci(hci), mac: Mac([1; 6]) },
            rssi,
            bonded,
            free,
        };
        for (candidates, expected) in [
            (vec![], None),
            (vec![candidate(0, None, false, true)], Some(0)),
            (vec![candidate(0, Some(-80), false, true), candidate(1, Some(-60), false, true)], Some(1)),
            (vec![candidate(0, Some(-60), false, true), candidate(1, Some(-60), false, true)], Some(0)),
            (vec![candidate(0, Some(-80), false, true), candidate(1, Some(-60), false, false)], Some(0)),
            (vec![candidate(0, None, true, true), candidate(1, Some(-60), false, true)], Some(0)),
            (vec![candidate(0, None, false, true), candidate(1, Some(-90), false, true)], Some(1)),
            (vec![candidate(0, Some(-80), false, false), candidate(1, Some(-60), false, false)], Some(1)),
        ] {
            assert_eq!(best(candidates.clone()).map(|place| place.hci.0), expected, "{candidates:?}");
        }
    }
}
