use std::sync::Arc;

use mapper_api::{ByteOrder, Mapper, Point};
use serde_json::{Value as Json, json};

use super::{Device, MOST, Seen, begin};
use crate::{
    Ble,
    advert::{Advert, Mac, short},
    radio::Radio,
};

/// Temperature 25.06 °C and humidity 50.55 %, an example of the BTHome v2 specification.
const BTHOME: [u8; 7] = [0x40, 0x02, 0xca, 0x09, 0x03, 0xbf, 0x13];

fn advert(last: u8) -> Advert {
    Advert::new(Mac([0xa4, 0xc1, 0x38, 0, 0, last]))
}

fn heard(adverts: impl IntoIterator<Item = Advert>) -> Seen {
    let mut seen = Seen::default();
    adverts.into_iter().for_each(|advert| seen.take(advert));
    seen
}

fn only(seen: &Seen) -> &Device {
    assert_eq!(seen.devices.len(), 1);
    seen.devices.values().next().unwrap()
}

/// The draft is a spec that the mapper takes.
fn bind(draft: &Json) {
    let properties = draft["properties"].as_array().unwrap();
    let points = properties.iter().map(|property| Point {
        address: &property["ble"],
        data_type: serde_json::from_value(property["type"].clone()).unwrap(),
        order: ByteOrder::Abcd,
        size: property.get("size").map(|size| size.as_u64().unwrap().try_into().unwrap()),
        access: mapper_api::Access::Read,
    });
    let bound = Arc::new(Ble::default()).bind(&draft["protocol"]["ble"], points.collect());
    assert!(bound.is_ok(), "{draft:#}: {:?}", bound.err());
}

#[test]
fn a_known_device_is_shown_with_its_values_and_a_draft_of_its_readings() {
    let mut one = advert(1);
    (one.rssi, one.name) = (Some(-60), Some("ATC\u{1b}[2J_1".into()));
    one.service_data.push((short(0xfcd2), BTHOME.into()));
    let mut again = advert(1);
    again.rssi = Some(-70);
    let seen = heard([one, again]);
    let found = &seen.found()[0];
    let about: Vec<_> = found.about.iter().map(|(title, text)| format!("{title}={text}")).collect();
    assert_eq!(
        about,
        [
            "address=A4:C1:38:00:00:01",
            "rssi=-70",
            "name=ATC\u{1b}[2J_1",
            "format=bthome",
            "values=temperature 25.06 °C, humidity 50.55 %"
        ]
    );
    let draft = found.draft.as_ref().unwrap();
    bind(draft);
    assert_eq!(
        draft["properties"][0],
        json!({ "name": "temperature", "type": "float32", "unit": "°C", "ble": { "reading": "temperature" } })
    );
    assert_eq!(draft["properties"][2]["ble"], json!({ "radio": "rssi" }));
}

#[test]
fn an_encrypted_device_gets_a_draft_with_the_place_of_its_key() {
    let mut one = advert(2);
    one.service_data.push((short(0xfcd2), vec![0x41, 0xa4, 0x72, 0x66, 0xc9, 0x5f, 0x73, 0, 0x11, 0x22, 0x33, 0x78]));
    let seen = heard([one]);
    let draft = only(&seen).draft().unwrap();
    assert_eq!(
        draft["protocol"]["ble"]["bindKey"],
        json!({ "secretRef": { "name": "bluetooth", "key": "a4c138000002" } })
    );
    assert!(only(&seen).values().contains("no bindKey"), "{}", only(&seen).values());
    bind(&draft);
}

#[test]
fn a_sign_of_life_takes_back_no_trouble() {
    let xiaomi = |data: &str| {
        let mut one = Advert::new(Mac([0xa4, 0xc1, 0x38, 0xd4, 0x3c, 0x48]));
        one.service_data.push((short(0xfe95), crate::secrets::hexadecimal(data).unwrap()));
        one
    };
    // A message that is encrypted, and one without an object, which the same device sends in the clear.
    let seen = heard([xiaomi("58585b0502483cd438c1a40800000000000000000000"), xiaomi("30585b0502483cd438c1a408")]);
    assert!(only(&seen).values().contains("no bindKey"), "{}", only(&seen).values());
    assert!(only(&seen).draft().unwrap()["protocol"]["ble"]["bindKey"].is_object());
}

#[test]
fn an_unknown_device_is_shown_with_what_is_known() {
    let mut one = advert(3);
    one.services = vec![short(0x180f)];
    one.manufacturer.push((0x1234, vec![1, 2]));
    let seen = heard([one]);
    assert_eq!(only(&seen).values(), "company 0x1234, service 180f");
    let draft = only(&seen).draft().unwrap();
    assert_eq!(draft["properties"][1]["ble"]["characteristic"], json!({ "service": "180f", "uuid": "2a19" }));
    bind(&draft);
}

#[test]
fn who_changes_its_address_is_drafted_by_its_name_or_not_at_all() {
    for (first, random, name, expected) in [
        (0x51, true, None, Err("its address changes, and it has no name".to_owned())),
        (0x51, true, Some("watch"), Ok(json!({ "name": "watch" }))),
        (0xd1, true, Some("tag"), Ok(json!({ "address": "D1:00:00:00:00:00" }))),
        (0x50, false, Some("plug"), Ok(json!({ "address": "50:00:00:00:00:00" }))),
    ] {
        let mut one = Advert::new(Mac([first, 0, 0, 0, 0, 0]));
        (one.random, one.name) = (random, name.map(str::to_owned));
        let seen = heard([one]);
        assert_eq!(only(&seen).draft().map(|draft| draft["protocol"]["ble"].clone()), expected, "{first:x} {random}");
    }
}

#[test]
fn the_table_is_bounded_and_forgets_who_was_silent_for_longest() {
    let mac = |i: usize| Mac(u64::try_from(i).unwrap().to_be_bytes()[2..].try_into().unwrap());
    let seen = heard((0..3 * MOST).map(|i| Advert::new(mac(i))));
    assert_eq!(seen.devices.len(), MOST);
    assert!(seen.devices.contains_key(&mac(3 * MOST - 1)) && !seen.devices.contains_key(&mac(0)));
}

#[test]
fn wrong_arguments_are_refused_with_what_is_accepted() {
    for (args, part) in [
        (json!({ "adapter": "hci0" }), "adapter: \"hci0\" is no address"),
        (json!({ "adaptor": "" }), "unknown field `adaptor`, expected `adapter`"),
    ] {
        let error = begin(&Radio::system(), &args).unwrap_err();
        assert!(error.message.contains(part), "{error}");
    }
}
