//! Which of the languages that are built in was heard, and which of its values a Device could read. Pure; by what the bytes
//! look like. Nothing is decoded here: `fieldgate check` and the mapper do that.

use serde_json::{Value as Json, json};

use crate::{config::Language, language::Obis};

/// So many properties are drafted.
const PROPERTIES: usize = 24;

/// The language, and whether it is proved by more than its looks.
pub(super) fn language(bytes: &[u8]) -> Option<Language> {
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    // SML's escape and version; a push of data by DLMS within HDLC (LLC bytes, then data-notification) or within MBus.
    if holds(b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01") {
        return Some(Language::Sml);
    }
    if bytes.contains(&0x7e) && holds(b"\xe6\xe7\x00\x0f") {
        return Some(Language::Dlms);
    }
    if sentences(bytes).count() >= 1 {
        return Some(Language::Nmea);
    }
    // Both begin with a slash and three letters of the maker; a P1 telegram ends with a line that begins with an exclamation
    // mark, a readout stands between STX and ETX.
    let begins = |at: usize| {
        bytes[at] == b'/' && bytes.get(at + 1..at + 4).is_some_and(|maker| maker.iter().all(u8::is_ascii_alphabetic))
    };
    if (0..bytes.len()).any(begins) {
        let sum = |line: &&[u8]| line.first() == Some(&b'!') && line.len() >= 5;
        let blank = holds(b"\r\n\r\n") || bytes.split(|b| *b == b'\n').any(|line| sum(&line));
        return Some(if blank && !bytes.contains(&2) { Language::P1 } else { Language::Iec62056 });
    }
    None
}

/// NMEA 0183 sentences whose check holds: their type without the talker, and their fields.
fn sentences(bytes: &[u8]) -> impl Iterator<Item = (&str, Vec<&str>)> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let from = line.iter().position(|byte| *byte == b'$')? + 1;
        let line = std::str::from_utf8(&line[from..]).ok()?.trim_end();
        let (content, sum) = line.rsplit_once('*')?;
        let counted = content.bytes().fold(0, |sum, byte| sum ^ byte);
        let mut fields = content.split(',');
        let kind = fields.next().filter(|kind| kind.len() == 5)?.get(2..)?;
        (u8::from_str_radix(sum, 16).ok()? == counted).then(|| (kind, fields.collect()))
    })
}

/// What a property may read of each sentence, in the words of the mapper.
const NMEA: [(&str, &[(&str, &str)]); 2] = [
    ("GGA", &[("latitude", "°"), ("longitude", "°"), ("altitude", "m"), ("satellites", "")]),
    ("RMC", &[("latitude", "°"), ("longitude", "°"), ("speed", "kn"), ("course", "°")]),
];

/// Properties for the values that were heard.
pub(super) fn properties(language: Language, bytes: &[u8]) -> Vec<Json> {
    let mut properties: Vec<Json> = match language {
        Language::Nmea => {
            let mut kinds: Vec<&str> = sentences(bytes).map(|(kind, _)| kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let known = NMEA.iter().filter(|(sentence, _)| kinds.contains(sentence));
            let mut properties: Vec<Json> = Vec::new();
            for (sentence, fields) in known {
                for (field, _) in *fields {
                    if properties.iter().all(|known| known["name"] != *field) {
                        let nmea = json!({ "sentence": sentence, "field": field });
                        properties.push(json!({ "name": field, "type": "float64", "serial": { "nmea": nmea } }));
                    }
                }
            }
            properties
        }
        Language::P1 | Language::Iec62056 => data_sets(bytes),
        Language::Sml => codes(bytes, b"\x77\x07"),
        Language::Dlms => codes(bytes, b"\x09\x06"),
    };
    if properties.is_empty() {
        let (name, serial) = match language {
            Language::Nmea => ("latitude", json!({ "nmea": { "sentence": "RMC", "field": "latitude" } })),
            _ => ("energy", json!({ "obis": "1.8.0" })),
        };
        properties.push(json!({ "name": name, "type": "float64", "serial": serial }));
    }
    properties.truncate(PROPERTIES);
    properties
}

/// `1-0:1.8.0(000123.456*kWh)`: those with a unit are measured values.
fn data_sets(bytes: &[u8]) -> Vec<Json> {
    let mut properties: Vec<Json> = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let line = line.trim_matches(|c: char| c.is_ascii_control());
        let Some((code, rest)) = line.split_once('(') else { continue };
        // The value is the last of the groups: before it may stand a time.
        let value = rest.rsplit('(').next().and_then(|last| last.split_once(')')).map(|(value, _)| value);
        let Some((_, unit)) = value.and_then(|value| value.split_once('*')) else { continue };
        let Some(parsed) = crate::language::obis::parse(code) else { continue };
        add(&mut properties, parsed, code, Some(unit));
    }
    properties
}

/// Codes of six bytes behind the mark of a text of that length.
fn codes(bytes: &[u8], mark: &[u8]) -> Vec<Json> {
    let mut properties = Vec::new();
    for window in bytes.windows(8).filter(|window| window.starts_with(mark)) {
        let Ok(code) = <[u8; 6]>::try_from(&window[2..]) else { continue };
        let parsed = Obis::from_bytes(code);
        // From 96 on it is about the meter itself; media above 9 are none.
        if (1..96).contains(&parsed.c) && (1..=9).contains(&code[0]) {
            add(&mut properties, parsed, &parsed.to_string(), None);
        }
    }
    properties
}

fn add(properties: &mut Vec<Json>, code: Obis, text: &str, unit: Option<&str>) {
    if properties.iter().any(|known| known["serial"]["obis"] == text) {
        return;
    }
    let channel = code.b.filter(|b| *b > 0).map(|b| format!("-channel{b}")).unwrap_or_default();
    let tariff = code.e.filter(|e| *e > 0).map(|e| format!("-{e}")).unwrap_or_default();
    let period = code.f.filter(|f| *f < 255).map(|f| format!("-period{f}")).unwrap_or_default();
    let name = format!("obis-{}-{}{tariff}{channel}{period}", code.c, code.d);
    let mut property = json!({ "name": name, "type": "float64", "serial": { "obis": text } });
    if let Some(unit) = unit {
        property["unit"] = json!(unit);
    }
    properties.push(property);
}

#[cfg(test)]
mod tests {
    use super::{language, properties};
    use crate::config::Language;

    #[test]
    fn languages_by_their_looks() {
        let p1: &[u8] = b"/KFM5KAIFA-METER\r\n\r\n1-0:1.8.1(000671.578*kWh)\r\n0-1:24.2.1(161129200000W)(00981.443*m3)\r\n0-0:96.1.1(42)\r\n!C0D3\r\n";
        let readout: &[u8] = b"/LGZ4ZMF100AC.M26\r\n\x02F.F(00)\r\n1.8.0(000123.4*kWh)\r\n!\r\n\x03\x0b";
        let gps: &[u8] = b"$GPGGA,123519,4807.038,N,01131.324,E,1,08,0.9,545.4,M,46.9,M, , *42\r\n";
        let sml: &[u8] =
            b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x76\x77\x07\x01\x00\x01\x08\x00\xff\x65\x77\x07\x81\x81\xc7\x82\x03\xff";
        for (bytes, expected, names) in [
            (p1, Some(Language::P1), &["obis-1-8-1", "obis-24-2-1-channel1"][..]),
            (readout, Some(Language::Iec62056), &["obis-1-8"]),
            (b"/LGZ4ZMF100AC.M26\r\n", Some(Language::Iec62056), &["energy"]),
            (gps, Some(Language::Nmea), &["latitude", "longitude", "altitude", "satellites"]),
            (sml, Some(Language::Sml), &["obis-1-8"]),
            (b"\x7e\xa0\x8b\xce\xff\x03\x13\xee\xe1\xe6\xe7\x00\x0f\x40", Some(Language::Dlms), &["energy"]),
            (b"$GPGGA,123519*43\r\n", None, &[]),
            (b"a/b /1/ S S 12.3 kg\r\n", None, &[]),
        ] {
            assert_eq!(language(bytes), expected, "{bytes:?}");
            let Some(language) = expected else { continue };
            let got = properties(language, bytes);
            assert_eq!(got.iter().map(|p| p["name"].as_str().unwrap()).collect::<Vec<_>>(), names);
        }
        assert_eq!(properties(Language::P1, p1)[1]["unit"], "m3");
    }
}
