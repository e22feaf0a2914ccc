use super::*;
use crate::{advert::short, formats::Key};

fn place(hci: u16, last: u8) -> Place {
    Place { hci: Hci(hci), mac: Mac([0xC0, 0xDE, 0, 0, 0, last]) }
}

fn heard(byte: u8) -> DeviceFacts {
    DeviceFacts {
        rssi: Some(-50),
        manufacturer: Some(vec![(0x0499, vec![byte]), (0x004c, vec![])]),
        service_data: Some(vec![(short(0xfcd2), vec![0x40])]),
        ..DeviceFacts::default()
    }
}

#[test]
fn only_what_was_received_just_now() {
    let mut seen = Seen::default();
    let now = Instant::now();
    let known = || DeviceFacts {
        name: Some("bt-0".into()),
        random: Some(true),
        tx_power: Some(4),
        services: Some(vec![short(0x181a)]),
        ..DeviceFacts::default()
    };
    // A device from BlueZ's store: with data, but not heard.
    let stored = DeviceFacts { rssi: None, ..heard(1) };
    assert_eq!(seen.take(place(0, 1), DeviceFacts { name: known().name, ..stored }, true, now), None);
    assert_eq!(seen.take(place(0, 1), known(), false, now), None);
    for facts in [
        DeviceFacts { connected: Some(true), ..DeviceFacts::default() },
        DeviceFacts { services: Some(vec![short(0x181a)]), resolved: Some(true), ..DeviceFacts::default() },
    ] {
        assert_eq!(seen.take(place(0, 1), facts, false, now), None);
    }
    let merged = seen.take(place(0, 1), heard(2), false, now).unwrap();
    let advert = Advert {
        mac: place(0, 1).mac,
        random: true,
        rssi: Some(-50),
        tx_power: Some(4),
        name: Some("bt-0".into()),
        services: vec![short(0x181a)],
        manufacturer: vec![(0x0499, vec![2]), (0x004c, vec![])],
        service_data: vec![(short(0xfcd2), vec![0x40])],
    };
    assert_eq!(merged, Merged { advert, echo: false });
    // The next one says less, and nothing of the one before.
    let facts = DeviceFacts { service_data: Some(vec![(short(0xfcd2), vec![1])]), ..DeviceFacts::default() };
    let advert = seen.take(place(0, 1), facts, false, now).unwrap().advert;
    assert_eq!((advert.rssi, advert.manufacturer, advert.service_data.len()), (None, vec![], 1));
    // A new device, heard now.
    assert!(seen.take(place(0, 2), heard(3), true, now).is_some());
}

#[test]
fn echoes_of_another_adapter() {
    let mut seen = Seen::default();
    let t0 = Instant::now();
    for (hci, byte, millis, echo) in [
        (0, 1, 0, false),
        (1, 1, 20, true),
        (0, 1, 200, false), // what was an echo has no echo
        (1, 1, 220, true),
        (1, 2, 300, false),
        (0, 2, 310, true),
        (1, 2, 900, false),
    ] {
        let at = t0 + Duration::from_millis(millis);
        assert_eq!(seen.take(place(hci, 1), heard(byte), false, at).unwrap().echo, echo, "{hci} {byte} {millis}");
    }
}

#[test]
fn who_can_be_connected_to() {
    let mut seen = Seen::default();
    let t0 = Instant::now();
    let named = |name: &str| DeviceFacts { name: Some(name.into()), ..heard(1) };
    seen.take(place(0, 1), named("bt-1"), false, t0);
    seen.take(place(1, 1), DeviceFacts { rssi: Some(-40), ..named("bt-1") }, false, t0 + IN_THE_AIR);
    seen.take(place(0, 2), DeviceFacts { paired: Some(true), ..named("bt-2") }, false, t0);
    let private = Place { hci: Hci(0), mac: Mac([0x70, 0x81, 0x94, 0x0d, 0xfb, 0xaa]) };
    seen.take(private, DeviceFacts { random: Some(true), ..heard(1) }, false, t0);
    let irk = Key([0xec, 0x02, 0x34, 0xa3, 0x57, 0xc8, 0xad, 0x05, 0x34, 0x10, 0x10, 0xa6, 0x0a, 0x39, 0x7d, 0x9b]);
    let mac = place(0, 1).mac;
    for (who, later, expected) in [
        (Who::Mac(mac), 0, vec![(0, Some(-50)), (1, Some(-40))]),
        (Who::Mac(mac), 31, vec![(1, Some(-40))]),
        (Who::Name("bt-1".into()), 0, vec![(0, Some(-50)), (1, Some(-40))]),
        (Who::Name("bt-2".into()), 90, vec![(0, None)]),
        (Who::Name("bt".into()), 0, vec![]),
        (Who::Irk(irk), 0, vec![(0, Some(-50))]),
        (Who::Irk(Key([0; 16])), 0, vec![]),
        (Who::Everyone, 0, vec![]),
    ] {
        let now = t0 + Duration::from_secs(later);
        let mut found: Vec<_> = seen.candidates(&who, now).iter().map(|c| (c.place.hci.0, c.rssi)).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{who:?} {later}");
    }
    seen.remove(place(0, 1));
    seen.remove_adapter(Hci(1));
    assert_eq!(seen.candidates(&Who::Mac(mac), t0).len(), 0);
}

#[test]
fn the_table_is_bounded_and_the_oldest_go_first() {
    let mut seen = Seen::default();
    let t0 = Instant::now();
    let nth = |i: u32| {
        let [a, b, c, d] = i.to_be_bytes();
        Place { hci: Hci(0), mac: Mac([2, 0, a, b, c, d]) }
    };
    for i in 0..100_000 {
        let facts = if i == 0 { DeviceFacts { connected: Some(true), ..heard(0) } } else { heard(0) };
        seen.take(nth(i), facts, true, t0 + Duration::from_millis(u64::from(i)));
        assert!(seen.devices.len() <= SEEN);
    }
    assert!(seen.known(nth(99_999)).is_some() && seen.known(nth(97_000)).is_some() && seen.known(nth(1)).is_none());
    assert!(seen.known(nth(0)).is_some(), "a connected device is not forgotten");
    assert_eq!(usize::try_from(seen.forgotten()).unwrap() + seen.devices.len(), 100_000);
}

#[test]
fn a_bonded_device_is_called_unheard_once_in_a_while() {
    let mut seen = Seen::default();
    let t0 = Instant::now();
    let at = |seconds| t0 + Duration::from_secs(seconds);
    let who = Who::Mac(place(0, 1).mac);
    let bonded = DeviceFacts { paired: Some(true), ..DeviceFacts::default() };
    let connected = |connected| DeviceFacts { connected: Some(connected), ..DeviceFacts::default() };
    seen.take(place(0, 1), bonded, true, t0);
    let there = |seen: &Seen, seconds| seen.candidates(&who, at(seconds)).len() == 1;
    assert!(there(&seen, 0));
    seen.call(place(0, 1), at(0));
    for (seconds, expected) in [(1, false), (599, false), (600, true)] {
        assert_eq!(there(&seen, seconds), expected, "{seconds}");
    }
    // Heard, it is in the air; afterwards it is called once more, and after a link as well.
    seen.call(place(0, 1), at(600));
    seen.take(place(0, 1), heard(1), false, at(610));
    assert!(there(&seen, 620) && there(&seen, 700));
    seen.call(place(0, 1), at(700));
    assert!(!there(&seen, 710));
    seen.take(place(0, 1), connected(true), false, at(720));
    seen.take(place(0, 1), connected(false), false, at(730));
    assert!(there(&seen, 740));
}

#[test]
fn of_several_places_on_one_adapter_the_one_heard_last() {
    let mut seen = Seen::default();
    let t0 = Instant::now();
    let named = |rssi| DeviceFacts { name: Some("bt".into()), rssi: Some(rssi), ..heard(1) };
    let who = Who::Name("bt".into());
    let found = |seen: &Seen| seen.candidates(&who, t0 + IN_THE_AIR).iter().map(|one| one.place).collect::<Vec<_>>();
    // The old address was heard better.
    seen.take(place(0, 2), named(-40), false, t0);
    seen.take(place(0, 1), named(-70), false, t0 + Duration::from_secs(1));
    assert_eq!(found(&seen), [place(0, 1)]);
    seen.take(place(0, 3), named(-70), false, t0 + Duration::from_secs(2));
    assert_eq!(found(&seen), [place(0, 3)]);
    // One that is connected is silent.
    seen.take(place(0, 1), DeviceFacts { connected: Some(true), ..DeviceFacts::default() }, false, t0);
    assert_eq!(found(&seen), [place(0, 1)]);
}
