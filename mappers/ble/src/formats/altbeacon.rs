//! AltBeacon: manufacturer data of any company, 24 bytes that start with BE AC.
//!
//! Source: AltBeacon Protocol Specification v1.0, <https://github.com/AltBeacon/spec>. How its identifier of 20 bytes is
//! divided is the advertiser's affair, so it is not divided here.

use super::{
    Format, Heard, Key, Message,
    measures::Measures,
    names,
    record::{Record, hex, wrong_length},
};
use crate::advert::Advert;

/// The beacon code.
const START: [u8; 2] = [0xbe, 0xac];

/// The identity that an AltBeacon proclaims, and its strength at one metre.
pub fn decode(advert: &Advert, _key: Option<&Key>) -> Heard {
    let data = &advert.manufacturer.iter().find(|(_, data)| data.starts_with(&START))?.1;
    Some(beacon(Record(&data[START.len()..])).ok_or_else(|| wrong_length("AltBeacon data", data, "24")))
}

fn beacon(mut data: Record) -> Option<Message> {
    let mut out = Measures::default();
    out.add(names::BEACON_ID, hex(&data.next::<20>()?));
    out.add(names::MEASURED_POWER, i8::from_be_bytes(data.next()?));
    out.add(names::MANUFACTURER_RESERVED, data.byte()?);
    data.0.is_empty().then(|| out.message(Format::AltBeacon))
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{manufacturer, told, truncation_invents_nothing};
    use super::decode;

    /// A case of ble_monitor (test/test_altbeacon_parser.py), company 0xFFFF (none).
    const BEACON: &str = "beacd3162f5af3ee494799db09756062d0fc005a0005c400";

    #[test]
    fn a_beacon_tells_its_identity() {
        let advert = manufacturer(0xffff, BEACON);
        assert_eq!(
            told(decode(&advert, None)),
            "beaconId d3162f5af3ee494799db09756062d0fc005a0005, measuredPower -60 dBm, manufacturerReserved 0"
        );
        truncation_invents_nothing(&advert);
    }

    #[test]
    fn another_length_is_refused() {
        for hex in [&BEACON[..46], &format!("{BEACON}00")] {
            assert!(told(decode(&manufacturer(0xffff, hex), None)).contains("24 would be accepted"), "{hex}");
        }
        assert_eq!(told(decode(&manufacturer(0xffff, "beca"), None)), "nothing");
    }
}
