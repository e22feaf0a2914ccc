//! Recorded advertisements and characteristics, decoded as live ones are. Pure.

use std::collections::BTreeMap;

use mapper_api::{Decoded, Json, PointId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    advert::Advert,
    bind::{self, Bound, Source},
    decode, formats,
    formats::Key,
    secrets::hexadecimal,
};

/// What was received of a device. If several advertisements speak of a property, the last one counts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Sample {
    /// What it advertised.
    #[schemars(length(max = 16))]
    advertisements: Vec<Advertisement>,
    /// Values of its characteristics as hexadecimal digits, by the characteristic's UUID: `{"2a19": "64"}`.
    characteristics: BTreeMap<String, String>,
    /// The key that the advertisements are encrypted with, as 32 hexadecimal digits (24 for old Xiaomi devices): a published one, never a key in use.
    #[schemars(length(min = 24, max = 32))]
    bind_key: Option<String>,
}

/// One advertisement.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Advertisement {
    /// Who sent it, such as `A4:C1:38:12:34:56`; encrypted ones need it.
    address: Option<String>,
    /// The name that it gives.
    #[schemars(length(max = 248))]
    name: Option<String>,
    /// Strength of its reception in dBm.
    #[schemars(range(min = -128, max = 127))]
    rssi: Option<i16>,
    /// The transmission power that it states, in dBm.
    #[schemars(range(min = -128, max = 127))]
    tx_power: Option<i16>,
    /// The services that it states, by their UUIDs.
    #[schemars(length(max = 16))]
    services: Vec<String>,
    /// Manufacturer data as hexadecimal digits, by the company's number: `{"0x0499": "0512fc5394"}`.
    manufacturer: BTreeMap<String, String>,
    /// Service data as hexadecimal digits, by the service's UUID: `{"fcd2": "4002c409"}`.
    service_data: BTreeMap<String, String>,
}

/// Endpoints for a model that leaves its own to its devices.
pub(crate) fn stand_ins() -> Vec<Json> {
    let one = |key: &str, value: &str| [(key.to_owned(), Json::from(value))].into_iter().collect();
    vec![one("address", "A4:C1:38:00:00:00"), one("name", "stand-in"), Json::Object(serde_json::Map::new())]
}

/// What a recorded answer says of the points that it reaches.
///
/// # Errors
/// It is none, with the key and what would be accepted.
pub(crate) fn replay(bound: &Bound, sample: &Json) -> Result<Vec<Decoded>, String> {
    let sample = Sample::deserialize(sample).map_err(|error| error.to_string())?;
    let key = match &sample.bind_key {
        Some(text) => Some(
            Key::from_hex(text)
                .ok_or("bindKey: 32 hexadecimal digits (24 for old Xiaomi devices) would be accepted")?,
        ),
        None => None,
    };
    let mut out = Vec::new();
    for (index, given) in sample.advertisements.iter().enumerate() {
        let advert = advert(given).map_err(|error| format!("advertisements[{index}].{error}"))?;
        decode::advertised(bound, &advert, &formats::decode(&advert, key.as_ref()), &mut out);
    }
    for (text, value) in &sample.characteristics {
        let refuse = |why: &str| format!("characteristics.{text}: {why}");
        let uuid = bind::uuid(text).ok_or_else(|| refuse("is no UUID; four hexadecimal digits would be accepted"))?;
        let bytes = bytes(value).ok_or_else(|| refuse(DIGITS))?;
        let mut spots: Vec<_> = bound
            .points
            .iter()
            .filter_map(|datum| match &datum.source {
                Source::Characteristic { spot, .. } if spot.characteristic == uuid => Some(*spot),
                _ => None,
            })
            .collect();
        spots.sort_unstable();
        spots.dedup();
        for spot in spots {
            decode::notified(bound, spot, &bytes, &mut out);
        }
    }
    let last: BTreeMap<PointId, Decoded> = out.into_iter().map(|decoded| (decoded.point, decoded)).collect();
    Ok(last.into_values().collect())
}

const DIGITS: &str = "an even number of hexadecimal digits would be accepted, of at most 512 bytes";

fn advert(given: &Advertisement) -> Result<Advert, String> {
    let mac = given.address.as_deref().unwrap_or("00:00:00:00:00:00");
    let mut advert = Advert::new(mac.parse().map_err(|error| format!("address: {error}"))?);
    (advert.name, advert.rssi, advert.tx_power) = (given.name.clone(), given.rssi, given.tx_power);
    for text in &given.services {
        let uuid = bind::uuid(text).ok_or_else(|| format!("services: {text:?} is no UUID"))?;
        advert.services.push(uuid);
    }
    for (text, data) in &given.manufacturer {
        let refuse = |why: &str| format!("manufacturer.{text}: {why}");
        let number = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u16::from_str_radix(digits, 16));
        let company = number.map_err(|_| refuse("is no company; a number such as \"0x0499\" would be accepted"))?;
        advert.manufacturer.push((company, bytes(data).ok_or_else(|| refuse(DIGITS))?));
    }
    for (text, data) in &given.service_data {
        let refuse = |why: &str| format!("serviceData.{text}: {why}");
        let service = bind::uuid(text).ok_or_else(|| refuse("is no UUID; \"fcd2\" would be accepted"))?;
        advert.service_data.push((service, bytes(data).ok_or_else(|| refuse(DIGITS))?));
    }
    Ok(advert)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    hexadecimal(text).filter(|bytes| bytes.len() <= 512)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mapper_api::{BoundDevice, DataType, Mapper, Value};
    use serde_json::json;

    use crate::{Ble, bind::tests::point};

    fn bound() -> Arc<dyn BoundDevice> {
        let addresses = [
            (json!({ "reading": "temperature" }), DataType::Float32),
            (json!({ "manufacturer": { "company": 0x0499, "offset": 1, "prefix": "05" } }), DataType::Int16),
            (json!({ "characteristic": { "service": "180f", "uuid": "2a19", "offset": 0 } }), DataType::Uint8),
            (json!({ "radio": "rssi" }), DataType::Int8),
            (json!({ "reading": "humidity" }), DataType::Float32),
        ];
        let points = addresses.iter().map(|(address, data_type)| point(address, *data_type)).collect();
        Arc::new(Ble::default())
            .bind(&json!({ "address": "54:48:E6:8F:80:A5" }), points)
            .unwrap_or_else(|e| panic!("{e:?}"))
    }

    #[test]
    fn what_was_recorded_decodes_as_what_is_heard() {
        // The encrypted example of the BTHome v2 specification; data format 5 of Ruuvi begins with 05 and the temperature.
        let sample = json!({
            "advertisements": [
                { "manufacturer": { "0x0499": "0512fc" }, "rssi": -71 },
                {
                    "address": "54:48:E6:8F:80:A5",
                    "serviceData": { "fcd2": "41a47266c95f730011223378237214" },
                    "rssi": -60,
                },
            ],
            "characteristics": { "2a19": "64" },
            "bindKey": "231d39c1d7cc1ab1aee224cd096db932",
        });
        let found: Vec<_> =
            bound().replay(&sample).unwrap().into_iter().map(|d| (d.point, d.result.unwrap())).collect();
        assert_eq!(
            found,
            [
                (0, Value::Float32(25.06)),
                (1, Value::Int(0x12fc)),
                (2, Value::Uint(100)),
                (3, Value::Int(-60)),
                (4, Value::Float32(50.55)),
            ]
        );
    }

    #[test]
    fn what_is_no_recorded_answer_is_refused() {
        for (sample, part) in [
            (json!({ "adverts": [] }), "unknown field `adverts`"),
            (json!({ "bindKey": "23" }), "bindKey: 32"),
            (json!({ "characteristics": { "xyz": "64" } }), "characteristics.xyz: is no UUID"),
            (json!({ "characteristics": { "2a19": "6" } }), "characteristics.2a19: an even number"),
            (json!({ "advertisements": [{}, { "address": "x" }] }), "advertisements[1].address"),
            (json!({ "advertisements": [{ "manufacturer": { "acme": "00" } }] }), "manufacturer.acme: is no company"),
            (json!({ "advertisements": [{ "manufacturer": { "0x1": "0g" } }] }), "manufacturer.0x1: an even number"),
            (json!({ "advertisements": [{ "serviceData": { "fcd": "00" } }] }), "serviceData.fcd: is no UUID"),
            (json!({ "advertisements": [{ "services": ["x"] }] }), "services: \"x\" is no UUID"),
        ] {
            let error = bound().replay(&sample).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
