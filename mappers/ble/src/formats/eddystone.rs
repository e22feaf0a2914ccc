//! Google's Eddystone: service data of 0xFEAA. UID, URL, EID and TLM in clear; encrypted TLM needs the beacon's identity
//! key and clock, and is said to be encrypted. Other frames of that service (Google's Find My Device network) are not ours.
//!
//! Source: <https://github.com/google/eddystone>, the page of each frame.

use super::{
    Format, Heard, Key, Message, Trouble,
    measures::Measures,
    names,
    record::{Record, hex, malformed, wrong_length},
};
use crate::advert::{Advert, short};

/// The service of Google's beacons.
const SERVICE: u16 = 0xfeaa;
/// What the first byte of a URL stands for.
const SCHEMES: [&str; 4] = ["http://www.", "https://www.", "http://", "https://"];
/// What the bytes 0 to 13 stand for in the rest of a URL.
const ENDINGS: [&str; 14] = [
    ".com/", ".org/", ".edu/", ".net/", ".info/", ".biz/", ".gov/", ".com", ".org", ".edu", ".net", ".info", ".biz",
    ".gov",
];
/// A temperature that the beacon does not measure, in 1/256 °C.
const NO_TEMPERATURE: i16 = i16::MIN;

/// What a frame of an Eddystone beacon says.
pub fn decode(advert: &Advert, _key: Option<&Key>) -> Heard {
    let data = advert.service_data(short(SERVICE))?;
    let rest = Record(data.get(1..)?);
    let (frame, length) = match data[0] {
        0x00 => (uid(rest).map(Ok), "18 or 20"),
        0x10 => (url(rest), "3 to 20"),
        0x20 => (telemetry(rest), "14"),
        0x30 => (ephemeral(rest).map(Ok), "10"),
        _ => return None,
    };
    Some(frame.unwrap_or_else(|| Err(wrong_length("an Eddystone frame", data, length))))
}

/// Some beacons leave out the two reserved bytes.
fn uid(mut data: Record) -> Option<Message> {
    let mut out = Measures::default();
    let power = i8::from_be_bytes(data.next()?);
    out.add(names::NAMESPACE, hex(&data.next::<10>()?));
    out.add(names::INSTANCE, hex(&data.next::<6>()?));
    out.add(names::TX_POWER, power);
    matches!(data.0.len(), 0 | 2).then(|| out.message(Format::Eddystone))
}

fn url(mut data: Record) -> Option<Result<Message, Trouble>> {
    let meaningless = |byte: u8| Some(Err(malformed(format!("byte {byte:#04x} has no meaning in an Eddystone URL"))));
    let power = i8::from_be_bytes(data.next()?);
    let scheme = data.byte()?;
    let Some(start) = SCHEMES.get(usize::from(scheme)) else { return meaningless(scheme) };
    if data.0.len() > 17 {
        return None;
    }
    let mut text = (*start).to_owned();
    for byte in data.0 {
        match (ENDINGS.get(usize::from(*byte)), byte) {
            (Some(ending), _) => text.push_str(ending),
            (None, 0x21..=0x7e) => text.push(char::from(*byte)),
            (None, _) => return meaningless(*byte),
        }
    }
    let mut out = Measures::default();
    out.add(names::URL, text);
    out.add(names::TX_POWER, power);
    Some(Ok(out.message(Format::Eddystone)))
}

fn telemetry(mut data: Record) -> Option<Result<Message, Trouble>> {
    match data.byte()? {
        0 => {}
        1 => {
            return Some(Err(malformed(
                "Eddystone telemetry is encrypted (version 1) with the beacon's identity key and clock, which is not \
                 supported; telemetry in clear (version 0) is",
            )));
        }
        other => return Some(Err(malformed(format!("Eddystone telemetry of version {other}; 0 would be accepted")))),
    }
    let mut out = Measures::default();
    let millivolts = u16::from_be_bytes(data.next()?);
    out.add_some(names::BATTERY_VOLTAGE, (millivolts != 0).then(|| f64::from(millivolts) / 1000.0));
    let temperature = i16::from_be_bytes(data.next()?);
    out.add_some(names::TEMPERATURE, (temperature != NO_TEMPERATURE).then(|| f64::from(temperature) / 256.0));
    out.add(names::ADVERTISING_COUNT, u32::from_be_bytes(data.next()?));
    out.add(names::UPTIME, f64::from(u32::from_be_bytes(data.next()?)) / 10.0);
    data.0.is_empty().then(|| Ok(out.message(Format::Eddystone)))
}

fn ephemeral(mut data: Record) -> Option<Message> {
    let mut out = Measures::default();
    let power = i8::from_be_bytes(data.next()?);
    out.add(names::EPHEMERAL_ID, hex(&data.next::<8>()?));
    out.add(names::TX_POWER, power);
    data.0.is_empty().then(|| out.message(Format::Eddystone))
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{service, told, truncation_invents_nothing};
    use super::{SERVICE, decode};

    #[test]
    fn frames_of_others_tests() {
        for (hex, expected) in [
            // beacontools (tests/test_parser.py): UID, URL, TLM, EID.
            (
                "00e31234567890123467890100000000000100 00",
                "namespace 12345678901234678901, instance 000000000001, txPower -29 dBm",
            ),
            ("10f803 676974687562 00 636974727a75", "url https://github.com/citrzu, txPower -8 dBm"),
            (
                "20000b181300 00001467 00002ac4",
                "batteryVoltage 2.84 V, temperature 19 °C, advertisingCount 5223, uptime 1094.8 s",
            ),
            ("30e34549445f74657374", "ephemeralId 4549445f74657374, txPower -29 dBm"),
            // ble_monitor (test/test_eddystone_tlm_parser.py): TLM, and one of a beacon that measures nothing.
            (
                "20000C6F1E000002006D41DB9AB6",
                "batteryVoltage 3.183 V, temperature 30 °C, advertisingCount 131181, uptime 110491103 s",
            ),
            ("2000000080000002006D41DB9AB6", "advertisingCount 131181, uptime 110491103 s"),
            // ruuvitag-sensor (tests/test_data_formats.py): the URL of a Ruuvi tag, without the path of its data.
            ("10F6037275752E76692F232342", "url https://ruu.vi/##B, txPower -10 dBm"),
            // The specification's own values: +18 dBm, and every ending.
            ("10120001", "url http://www..org/, txPower 18 dBm"),
            ("10EE020D", "url http://.gov, txPower -18 dBm"),
        ] {
            let advert = service(SERVICE, hex);
            assert_eq!(told(decode(&advert, None)), expected, "{hex}");
        }
    }

    #[test]
    fn a_frame_that_ends_early_gives_nothing_else() {
        // A URL has no length of its own: any beginning of it is one.
        for hex in ["00e312345678901234678901000000000001", "20000b181300 00001467 00002ac4", "30e34549445f74657374"] {
            truncation_invents_nothing(&service(SERVICE, hex));
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        for (hex, part) in [
            ("2001414141414141414141414141deadbeff", "is encrypted (version 1)"),
            ("2002", "version 2; 0 would be accepted"),
            ("20000b18", "an Eddystone frame of 4 bytes; 14 would be accepted"),
            ("10f804", "0x04 has no meaning"),
            ("10f8036120", "0x20 has no meaning"),
            ("10f80361616161616161616161616161616161616161", "3 to 20 would be accepted"),
        ] {
            let told = told(decode(&service(SERVICE, hex), None));
            assert!(told.contains(part), "{hex}: {told}");
        }
        for hex in ["", "40ffff", "0f"] {
            assert_eq!(told(decode(&service(SERVICE, hex), None)), "nothing", "{hex}");
        }
    }
}
