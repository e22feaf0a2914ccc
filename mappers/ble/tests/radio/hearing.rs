//! Advertisements.

use hardware_tests::bluez::Advert;
use mapper_ble::{
    advert::short,
    formats::Key,
    radio::{RadioErrorKind, Who},
};

use super::*;

#[test]
fn all_records_of_what_was_received_just_now() {
    alone("hearing::all_records_of_what_was_received_just_now", &[FIRST], async |blue| {
        blue.know(B);
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        until("discovery", || blue.discovering(0)).await;
        let full = Advert::of(A).random().rssi(-61).tx_power(4).named("bt-1").offers("181a");
        blue.advert(&full.manufacturer(0x0499, &[5, 1]).manufacturer(0x004c, &[]).service("fcd2", &[0x40]));
        let first = next(&mut all).await.unwrap();
        assert_eq!((first.adapter, first.advert.mac, first.advert.random), (mac(FIRST), mac(A), true));
        assert_eq!((first.advert.rssi, first.advert.tx_power), (Some(-61), Some(4)));
        assert_eq!((first.advert.name.as_deref(), &first.advert.services[..]), (Some("bt-1"), &[short(0x181a)][..]));
        let mut manufacturer = first.advert.manufacturer.clone();
        manufacturer.sort();
        assert_eq!(manufacturer, [(0x004c, vec![]), (0x0499, vec![5, 1])]);
        assert_eq!(first.advert.service_data, [(short(0xfcd2), vec![0x40])]);
        // The same again is heard again; one with less carries nothing of the one before.
        blue.advert(&Advert::of(A).random().rssi(-61).service("fcd2", &[0x40]));
        blue.advert(&Advert::of(A).random().rssi(-62));
        let second = next(&mut all).await.unwrap().advert;
        assert_eq!((second.manufacturer, second.service_data.len()), (vec![], 1));
        let third = next(&mut all).await.unwrap().advert;
        assert_eq!((third.rssi, third.service_data), (Some(-62), vec![]));
        assert_eq!(third.name.as_deref(), Some("bt-1"));
        // No call for an event.
        assert_eq!((radio.counts().adverts, radio.counts().match_rules, blue.match_rules().unwrap().len()), (3, 2, 2));
        drop(all);
        until("no discovery", || !blue.discovering(0)).await;
        until("no connection", || blue.match_rules().unwrap().is_empty()).await;
    });
}

/// Readings of any age would be published as new, after each start of this program or of its connection to D-Bus.
#[test]
fn what_bluez_still_remembers_was_not_heard_just_now() {
    alone("hearing::what_bluez_still_remembers_was_not_heard_just_now", &[FIRST], async |blue| {
        blue.discover_for_another(0);
        let old = |address| Advert::of(address).manufacturer(1, &[1]).service("fcd2", &[0x40]);
        blue.advert(&old(A));
        assert_eq!(blue.told(), 1);
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        until("discovery", || blue.calls("Adapter1.StartDiscovery") == 1).await;
        blue.advert(&old(B));
        assert_eq!(next(&mut all).await.unwrap().advert.mac, mac(B));
        // It does not count as in the air either.
        let brief = Connect { patience: Duration::from_millis(300), ..Connect::default() };
        let absent = radio.connect(&Who::Mac(mac(A)), None, brief).await.unwrap_err();
        assert_eq!((absent.kind, blue.calls("Device1.Connect")), (RadioErrorKind::NotSeen, 0), "{absent}");
    });
}

#[test]
fn each_listener_hears_its_own() {
    alone("hearing::each_listener_hears_its_own", &[FIRST, SECOND], async |blue| {
        let radio = radio();
        let irk = Key([0xec, 0x02, 0x34, 0xa3, 0x57, 0xc8, 0xad, 0x05, 0x34, 0x10, 0x10, 0xa6, 0x0a, 0x39, 0x7d, 0x9b]);
        let private = "70:81:94:0D:FB:AA";
        let mut by_mac = radio.listen(Who::Mac(mac(A)), None);
        let mut by_name = radio.listen(Who::Name("bt-2".into()), None);
        let mut by_irk = radio.listen(Who::Irk(irk), None);
        let mut by_second = radio.listen(Who::Everyone, Some(mac(SECOND)));
        until("discovery", || blue.discovering(0) && blue.discovering(1)).await;
        for adapter in [0, 1] {
            blue.advert(&Advert::of(private).random().on(adapter));
            blue.advert(&Advert::of(A).random().on(adapter).manufacturer(1, &[1]));
            blue.advert(&Advert::of(B).random().named("bt-2").on(adapter));
        }
        blue.advert(&Advert::of(A).random().manufacturer(1, &[2]));
        assert_eq!(next(&mut by_mac).await.unwrap().adapter, mac(FIRST));
        // The echo by the second adapter was not told; what comes next is the next one.
        assert_eq!(next(&mut by_mac).await.unwrap().advert.manufacturer, [(1, vec![2])]);
        assert_eq!(next(&mut by_name).await.unwrap().advert.mac, mac(B));
        assert_eq!(next(&mut by_irk).await.unwrap().advert.mac, mac(private));
        for address in [private, A, B] {
            let heard = next(&mut by_second).await.unwrap();
            assert_eq!((heard.advert.mac, heard.adapter), (mac(address), mac(SECOND)));
        }
        assert_eq!(radio.counts().echoes, 3);
        let missing = trouble(&mut radio.listen(Who::Everyone, Some(mac(A)))).await;
        assert_eq!(missing.kind, RadioErrorKind::NoRadio);
        assert!(missing.message.contains(FIRST) && missing.message.contains(SECOND), "{missing}");
    });
}
