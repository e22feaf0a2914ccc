use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::{Hearing, TELL_AGAIN};
use crate::{
    advert::{Advert, Mac, short},
    bind::bind,
    formats::{Key, Trouble},
    memory::Memory,
    presence::UNLEARNT,
    request::Said,
};

const KEY: &str = "231d39c1d7cc1ab1aee224cd096db932";
/// The example of the BTHome v2 specification that this key decrypts.
const ENCRYPTED: &str = "41a47266c95f730011223378237214";
const MAC: Mac = Mac([0x54, 0x48, 0xe6, 0x8f, 0x80, 0xa5]);

fn advert(mac: Mac, data: &str) -> Advert {
    let mut advert = Advert::new(mac);
    advert.rssi = Some(-60);
    advert.service_data.push((short(0xfcd2), crate::secrets::hexadecimal(data).unwrap()));
    advert
}

fn hearing(endpoint: serde_json::Value, key: Option<&str>, memory: &Arc<Memory>) -> Hearing {
    let bound = bind(&serde_json::from_value(endpoint).unwrap(), &[]).unwrap();
    Hearing::new(bound.device, key.map(|text| Key::from_hex(text).unwrap()), memory.clone())
}

fn by_mac(key: Option<&str>) -> Hearing {
    hearing(json!({ "address": MAC.to_string() }), key, &Arc::default())
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn troubles(said: Option<&Said>) -> Vec<Trouble> {
    said.into_iter().flat_map(Said::troubles).cloned().collect()
}

#[test]
fn a_wrong_key_is_told_at_once_and_then_once_a_minute() {
    for (key, trouble) in [(None, Trouble::KeyNeeded), (Some("00000000000000000000000000000000"), Trouble::WrongKey)] {
        let mut hearing = by_mac(key);
        let told: Vec<_> = (0..150)
            .filter(|second| {
                let said = hearing.advert(advert(MAC, ENCRYPTED), at(*second));
                let Some(Said::Advertised(whole, messages)) = &said else { panic!("{said:?}") };
                assert_eq!(*whole, advert(MAC, ENCRYPTED), "for rules, and its strength");
                assert!(messages.is_empty() || troubles(said.as_ref()) == [trouble.clone()], "{said:?}");
                let stands = hearing.trust(said.as_ref().unwrap());
                assert!(messages.is_empty() || stands >= 2 * TELL_AGAIN, "{stands:?}");
                !messages.is_empty()
            })
            .collect();
        assert_eq!(hearing.silence(), at(30), "its pace is learnt all the same");
        assert_eq!(told, [0, TELL_AGAIN.as_secs(), 2 * TELL_AGAIN.as_secs()]);
    }
}

#[test]
fn nonsense_between_good_messages_is_not_told_until_those_stay_away() {
    let mut hearing = by_mac(Some(KEY));
    assert!(matches!(hearing.advert(advert(MAC, ENCRYPTED), at(0)), Some(Said::Advertised(..))));
    let clear = "4002ca0903bf13";
    for second in [1, UNLEARNT.as_secs() - 1] {
        let said = hearing.advert(advert(MAC, clear), at(second));
        assert_eq!(said, Some(Said::Advertised(advert(MAC, clear), Vec::new())), "not encrypted, and so not believed");
    }
    let said = hearing.advert(advert(MAC, clear), at(UNLEARNT.as_secs()));
    assert_eq!(troubles(said.as_ref()), [Trouble::NotEncrypted]);
}

#[test]
fn a_sign_of_life_in_the_clear_proves_no_key() {
    // Both of xiaomi-ble's tests: a message without an object, and one sealed with the key of another device.
    let (life, sealed) = ("30585b0502483cd438c1a408", "58585b0502483cd438c1a40800000000000000000000");
    let mut hearing = hearing(json!({ "address": "A4:C1:38:D4:3C:48" }), Some(KEY), &Arc::default());
    let mut xiaomi = |data: &str, second| {
        let mut advert = Advert::new(Mac([0xa4, 0xc1, 0x38, 0xd4, 0x3c, 0x48]));
        advert.service_data.push((short(0xfe95), crate::secrets::hexadecimal(data).unwrap()));
        hearing.advert(advert, at(second))
    };
    assert!(matches!(xiaomi(life, 0), Some(Said::Advertised(..))));
    assert_eq!(troubles(xiaomi(sealed, 1).as_ref()), [Trouble::WrongKey]);
    assert!(matches!(xiaomi(life, 2), Some(Said::Advertised(..))));
    assert_eq!(troubles(xiaomi(sealed, 1 + TELL_AGAIN.as_secs()).as_ref()), [Trouble::WrongKey]);
}

#[test]
fn nobody_else_makes_a_device_sleepy_that_has_a_key() {
    let mut hearing = by_mac(Some(KEY));
    // A thermometer that sends when something changes (MMC-W505), in the clear, without an object.
    let mut clear = Advert::new(MAC);
    clear.service_data.push((short(0xfe95), crate::secrets::hexadecimal("0050910301").unwrap()));
    hearing.advert(clear, at(0));
    assert_eq!(hearing.silence(), UNLEARNT);
}

#[test]
fn what_is_no_news_gives_no_values_and_is_counted() {
    let memory = Arc::default();
    let endpoint = || json!({ "address": MAC.to_string() });
    let mut first = hearing(endpoint(), Some(KEY), &memory);
    assert!(matches!(first.advert(advert(MAC, ENCRYPTED), at(0)), Some(Said::Advertised(..))));
    assert!(matches!(first.advert(advert(MAC, ENCRYPTED), at(1)), Some(Said::Repeated(_))));
    // Another bus, or another process: the counter stands.
    let mut again = hearing(endpoint(), Some(KEY), &memory);
    assert!(matches!(again.advert(advert(MAC, ENCRYPTED), at(100)), Some(Said::Repeated(_))));
    let ahead = std::collections::BTreeMap::from([(crate::formats::Format::Bthome, 0x3322_1101)]);
    again.guard = crate::replay_guard::ReplayGuard::from(ahead);
    let said = again.advert(advert(MAC, ENCRYPTED), at(100) + UNLEARNT);
    assert_eq!(troubles(said.as_ref()), [Trouble::Replayed]);
    assert!(matches!(said, Some(Said::Advertised(advert, _)) if advert == Advert::new(MAC)), "nothing else of it");
    assert_eq!(again.advert(advert(MAC, ENCRYPTED), at(101) + UNLEARNT), None, "it is told once a minute");
    let counts = memory.counts();
    assert_eq!((counts.replayed, counts.repeated, counts.not_understood), (2, 2, 0));
    let saved: serde_json::Value = serde_json::from_slice(&memory.save().unwrap()).unwrap();
    assert_eq!(saved[MAC.to_string()]["guard"], json!({ "bthome": 0x3322_1100 }));
}

#[test]
fn another_key_makes_a_fresh_start_of_the_counters() {
    let memory = Arc::default();
    let endpoint = || json!({ "address": MAC.to_string() });
    let ahead = std::collections::BTreeMap::from([(crate::formats::Format::Bthome, u32::MAX / 2)]);
    let mut before = hearing(endpoint(), Some("00000000000000000000000000000000"), &memory);
    before.guard = crate::replay_guard::ReplayGuard::from(ahead.clone());
    before.keep(true);
    // The same key, after a restart: what is behind is refused.
    let saved = Memory::default();
    saved.restore(&memory.save().unwrap());
    let saved = Arc::new(saved);
    let after = hearing(endpoint(), Some("00000000000000000000000000000000"), &saved);
    assert_eq!(std::collections::BTreeMap::from(after.guard), ahead);
    // Another one: the device was set up again.
    let mut after = hearing(endpoint(), Some(KEY), &saved);
    let said = after.advert(advert(MAC, ENCRYPTED), at(0));
    assert!(said.is_some() && troubles(said.as_ref()).is_empty(), "{said:?}");
    let saved = String::from_utf8(saved.save().unwrap()).unwrap();
    assert!(saved.contains(r#""bthome":857870592"#) && !saved.contains(KEY), "{saved}");
}

#[test]
fn a_corrected_key_is_taken_when_the_old_one_is_told_to_be_wrong() {
    for wrong in [ENCRYPTED, "4002ca0903bf13"] {
        let mut hearing = by_mac(Some("00000000000000000000000000000000"));
        let key = |text: &str| Key::from_hex(text);
        let asked = std::cell::Cell::new(0);
        let mut heard = |data, second, file| {
            let again = || {
                asked.set(asked.get() + 1);
                key(file)
            };
            hearing.advert_asking(advert(MAC, data), at(second), again)
        };
        // Not there any more, and still the same.
        assert_eq!(heard(wrong, 0, "").iter().flat_map(Said::troubles).count(), 1);
        assert_eq!(heard(wrong, 60, "00000000000000000000000000000000").iter().flat_map(Said::troubles).count(), 1);
        heard(wrong, 61, KEY);
        assert_eq!(asked.get(), 2, "once a minute");
        heard(wrong, 120, KEY);
        let said = heard(ENCRYPTED, 121, KEY);
        assert!(said.is_some_and(|said| said.troubles().next().is_none()));
        assert_eq!(asked.get(), 3);
    }
}

#[test]
fn of_several_of_one_name_the_first_is_kept_to_until_it_is_silent() {
    let mut hearing = hearing(json!({ "name": "x" }), None, &Arc::default());
    let (a, b) = (Mac([0, 0, 0, 0, 0, 1]), Mac([0, 0, 0, 0, 0, 2]));
    for (mac, second, heard) in
        [(a, 0, true), (b, 1, false), (a, 100, true), (b, 294, false), (b, 295, true), (a, 296, false)]
    {
        let said = hearing.advert(advert(mac, "4002ca0903bf13"), at(second));
        assert_eq!(said.is_some(), heard, "{mac} after {second} s");
    }
}

#[test]
fn who_changes_its_address_is_heard_under_the_next_one_soon() {
    let private = |last: u8, data: &str| Advert { random: true, ..advert(Mac([0x51, 0, 0, 0, 0, last]), data) };
    let data = "4002ca0903bf13";
    for (pause, holds) in [(1, 10), (20, 60)] {
        let mut hearing = hearing(json!({ "name": "x" }), None, &Arc::default());
        for n in 0..=16 {
            assert!(hearing.advert(private(1, data), at(n * pause)).is_some());
        }
        let (last, silence) = (16 * pause, hearing.silence());
        assert_eq!(hearing.advert(private(2, data), at(last + holds - 1)), None, "another one of this name");
        assert!(hearing.advert(private(2, data), at(last + holds)).is_some());
        assert_eq!(hearing.advert(private(1, data), at(last + holds)), None);
        // The time between the two addresses is no pause.
        assert!(hearing.advert(private(2, data), at(last + holds + pause)).is_some());
        assert_eq!(hearing.silence(), silence);
    }
}

#[test]
fn nobody_gets_hold_of_a_name_without_the_key() {
    let mut hearing = hearing(json!({ "name": "x" }), Some(KEY), &Arc::default());
    hearing.advert(advert(Mac([0, 0, 0, 0, 0, 1]), "4002ca0903bf13"), at(0));
    let said = hearing.advert(advert(MAC, ENCRYPTED), at(1));
    assert!(said.is_some_and(|said| said.troubles().next().is_none()));
    assert_eq!(hearing.advert(advert(Mac([0, 0, 0, 0, 0, 1]), "4002ca0903bf13"), at(2)), None);
}

#[test]
fn records_of_no_known_format_have_their_own_paces() {
    let mut hearing = by_mac(None);
    // One company's record each second, another one's each minute.
    for second in 0..=1000 {
        let mut often = Advert::new(MAC);
        often.manufacturer.push((0xfff1, vec![1]));
        hearing.advert(often, at(second));
        if second % 60 == 0 {
            let mut rare = Advert::new(MAC);
            rare.manufacturer.push((0xfff2, vec![1]));
            hearing.advert(rare, at(second));
        }
    }
    assert_eq!(hearing.silence(), at(300));
}

#[test]
fn what_was_learnt_is_there_for_the_next_bus() {
    let memory = Arc::default();
    let endpoint = || json!({ "address": MAC.to_string() });
    let mut first = hearing(endpoint(), None, &memory);
    for second in 0..=16 {
        first.advert(Advert::new(MAC), at(second));
    }
    assert_eq!(first.silence(), at(30));
    assert_eq!(hearing(endpoint(), None, &memory).silence(), at(30));
    // A device that sends when something happens (bit 2 of BTHome's device information).
    first.advert(advert(MAC, "443a01"), at(17));
    assert_eq!(hearing(endpoint(), None, &memory).silence(), crate::presence::SLEEPY);
}

proptest! {
    #[test]
    fn no_advertisement_breaks_the_ear(
        records in prop::collection::vec((0_usize..6, prop::collection::vec(any::<u8>(), 0..40)), 1..20),
        encrypted in any::<bool>(),
    ) {
        let mut hearing = by_mac(encrypted.then_some(KEY));
        for (second, (which, data)) in (0..).zip(records) {
            let mut advert = Advert::new(MAC);
            match which {
                0 => advert.manufacturer.push((0x0499, data)),
                1 => advert.manufacturer.push((0x004c, data)),
                2 => advert.service_data.push((short(0xfcd2), data)),
                3 => advert.service_data.push((short(0xfe95), data)),
                4 => advert.service_data.push((short(0x181a), data)),
                _ => advert.service_data.push((short(0xfeaa), data)),
            }
            hearing.advert(advert, at(second));
            prop_assert!(hearing.silence() >= at(30) && hearing.silence() <= crate::presence::SLEEPY);
        }
    }
}
