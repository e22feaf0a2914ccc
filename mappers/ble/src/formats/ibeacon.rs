//! Apple's iBeacon: manufacturer data of company 0x004C that starts with 02 15. Other data of that company is not ours.
//!
//! Source: Apple, Proximity Beacon Specification, release R1 (2015), table 1.

use uuid::Uuid;

use super::{
    Format, Heard, Key,
    measures::Measures,
    names,
    record::{Record, wrong_length},
};
use crate::advert::Advert;

/// Apple's company identifier.
const COMPANY: u16 = 0x004c;
/// Type of the data (proximity beacon) and length of what follows.
const START: [u8; 2] = [0x02, 0x15];

/// The identity that an iBeacon proclaims, and its strength at one metre.
pub fn decode(advert: &Advert, _key: Option<&Key>) -> Heard {
    let ours = |(company, data): &(u16, Vec<u8>)| *company == COMPANY && data.starts_with(&START);
    let data = &advert.manufacturer.iter().find(|record| ours(record))?.1;
    let rest = <[u8; 21]>::try_from(&data[START.len()..]);
    Some(
        rest.map(|rest| beacon(Record(&rest)).message(Format::IBeacon))
            .map_err(|_| wrong_length("iBeacon data", data, "23")),
    )
}

fn beacon(mut data: Record) -> Measures {
    let mut out = Measures::default();
    if let (Some(uuid), Some(major), Some(minor), Some(power)) = (data.next(), data.next(), data.next(), data.next()) {
        out.add(names::UUID, Uuid::from_bytes(uuid).to_string());
        out.add(names::MAJOR, u16::from_be_bytes(major));
        out.add(names::MINOR, u16::from_be_bytes(minor));
        out.add(names::MEASURED_POWER, i8::from_be_bytes(power));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{bytes, manufacturer, told, truncation_invents_nothing};
    use super::{COMPANY, decode};

    /// A case of ble_monitor (test/test_ibeacon_parser.py).
    const BEACON: &str = "0215E2C56DB5DFFB48D2B060D0F5A71096E000640000C5";

    #[test]
    fn a_beacon_tells_its_identity() {
        let advert = manufacturer(COMPANY, BEACON);
        assert_eq!(
            told(decode(&advert, None)),
            "uuid e2c56db5-dffb-48d2-b060-d0f5a71096e0, major 100, minor 0, measuredPower -59 dBm"
        );
        truncation_invents_nothing(&advert);
    }

    #[test]
    fn it_is_found_beside_other_data_of_the_same_company() {
        let mut advert = manufacturer(COMPANY, "0F06A033BD08C5001002440C");
        assert_eq!(told(decode(&advert, None)), "nothing");
        advert.manufacturer.push((COMPANY, bytes(BEACON)));
        assert!(told(decode(&advert, None)).contains("major 100"));
    }

    #[test]
    fn another_length_is_refused() {
        for hex in [&BEACON[..44], &format!("{BEACON}00")] {
            assert!(told(decode(&manufacturer(COMPANY, hex), None)).contains("23 would be accepted"), "{hex}");
        }
    }
}
