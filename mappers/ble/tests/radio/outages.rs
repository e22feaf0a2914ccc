//! BlueZ, the bus or an adapter goes away and comes back.

use hardware_tests::bluez::{Advert, Characteristic, Peripheral, scripted::Stream};
use mapper_ble::radio::{Connection, RadioErrorKind, Who};

use super::*;

fn air(blue: &Scripted) -> Stream {
    blue.put(Peripheral::new(A).service("180f", [Characteristic::new("2a19", &[90]).read().notify()]));
    blue.every(Duration::from_millis(20), |_| vec![Advert::of(A), Advert::of(A).on(1)])
}

async fn linked(radio: &Radio) -> Connection {
    loop {
        match radio.connect(&Who::Mac(mac(A)), None, soon()).await {
            Ok(link) => return link,
            Err(error) => assert_ne!(error.kind, RadioErrorKind::NotPaired, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn lost(link: &mut Connection) {
    let lost = tokio::time::timeout(PATIENCE, link.next()).await.expect("the loss was not told").unwrap_err();
    assert_eq!(lost.kind, RadioErrorKind::Lost);
}

#[test]
fn bluetoothd_is_not_there_comes_dies_and_comes_back() {
    alone("outages::bluetoothd_is_not_there_comes_dies_and_comes_back", &[FIRST], async |mut blue| {
        blue.kill().unwrap();
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        let none = trouble(&mut all).await;
        assert_eq!(none.kind, RadioErrorKind::NoRadio);
        assert!(none.message.contains("bluez"), "{none}");
        // Who comes later is told as well.
        assert_eq!(trouble(&mut radio.listen(Who::Everyone, None)).await.kind, RadioErrorKind::NoRadio);
        blue.revive().unwrap();
        let _air = air(&blue);
        heard(&mut all).await;
        for round in 2..4 {
            let mut link = linked(&radio).await;
            blue.kill().unwrap();
            lost(&mut link).await;
            assert_eq!(trouble(&mut all).await.kind, RadioErrorKind::NoRadio);
            blue.revive().unwrap();
            heard(&mut all).await;
            drop(link);
            assert_eq!(radio.counts().bluetoothd_starts, round);
        }
        linked(&radio).await;
        assert_eq!(radio.counts().buses, 1);
    });
}

#[test]
fn the_bus_dies_and_comes_back() {
    alone("outages::the_bus_dies_and_comes_back", &[FIRST], async |mut blue| {
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        let running = air(&blue);
        let mut link = linked(&radio).await;
        blue.stop_bus();
        lost(&mut link).await;
        assert!(trouble(&mut all).await.message.contains("D-Bus"));
        drop((link, running));
        blue.start_bus().unwrap();
        let _air = air(&blue);
        heard(&mut all).await;
        linked(&radio).await;
        assert_eq!(radio.counts().buses, 2);
    });
}

#[test]
fn bluetoothd_hangs() {
    alone("outages::bluetoothd_hangs", &[FIRST], async |blue| {
        let radio = Radio::with(Settings { call: Duration::from_millis(300), ..quick() });
        let mut all = radio.listen(Who::Everyone, None);
        let _air = air(&blue);
        heard(&mut all).await;
        let link = linked(&radio).await;
        for method in ["GattCharacteristic1.ReadValue", "org.freedesktop.DBus.Peer.Ping"] {
            blue.hang(method);
        }
        assert_eq!(link.read(&spot(0x180f, 0x2a19)).await.unwrap_err().kind, RadioErrorKind::Timeout);
        let hung = trouble(&mut all).await;
        assert!(hung.message.contains("does not answer"), "{hung}");
        for method in ["GattCharacteristic1.ReadValue", "org.freedesktop.DBus.Peer.Ping"] {
            blue.heal(method);
        }
        heard(&mut all).await;
        drop(link);
        assert_eq!(linked(&radio).await.read(&spot(0x180f, 0x2a19)).await.unwrap(), [90]);
        assert!(radio.counts().buses >= 2);
    });
}

#[test]
fn an_adapter_is_pulled_out_and_put_back() {
    alone("outages::an_adapter_is_pulled_out_and_put_back", &[FIRST], async |blue| {
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        let mut its = radio.listen(Who::Everyone, Some(mac(FIRST)));
        let _air = air(&blue);
        heard(&mut its).await;
        let mut link = linked(&radio).await;
        blue.unplug(0);
        lost(&mut link).await;
        assert_eq!(trouble(&mut its).await.kind, RadioErrorKind::NoRadio);
        assert!(trouble(&mut all).await.message.contains("no Bluetooth adapter"));
        drop(link);
        // Another one takes its place; who wanted the first waits for it.
        blue.plug(1, SECOND);
        assert_eq!(heard(&mut all).await.adapter, mac(SECOND));
        assert_eq!(linked(&radio).await.adapter(), mac(SECOND));
        blue.plug(0, FIRST);
        assert_eq!(heard(&mut its).await.adapter, mac(FIRST));
    });
}

#[test]
fn an_adapter_is_switched_off() {
    alone("outages::an_adapter_is_switched_off", &[FIRST], async |blue| {
        blue.power(0, false);
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        let _air = air(&blue);
        heard(&mut all).await;
        let mut link = linked(&radio).await;
        blue.power(0, false);
        lost(&mut link).await;
        drop(link);
        linked(&radio).await;
    });
}

/// What was lost is read again: a link whose end was not told would stand for ever, and so would an adapter.
#[test]
fn this_process_does_not_keep_up_with_the_bus() {
    alone("outages::this_process_does_not_keep_up_with_the_bus", &[FIRST, SECOND], async |blue| {
        let radio = radio();
        let mut its = radio.listen(Who::Everyone, Some(mac(SECOND)));
        let running = air(&blue);
        let mut link = linked(&radio).await;
        heard(&mut its).await;
        drop(running);
        // This thread is the radio's: it does not run meanwhile.
        (0..6000).for_each(|_| blue.advert(&Advert::of(B)));
        blue.vanish(A);
        blue.unplug(1);
        lost(&mut link).await;
        assert_eq!(trouble(&mut its).await.kind, RadioErrorKind::NoRadio);
        assert!(radio.counts().overrun > 0);
    });
}

/// libdbus connects while it blocks: each try is a thread, which ends when the bus answers.
#[test]
fn a_bus_that_does_not_answer_collects_no_threads() {
    alone("outages::a_bus_that_does_not_answer_collects_no_threads", &[FIRST], async |mut blue| {
        blue.stop_bus();
        let path = blue.address().strip_prefix("unix:path=").unwrap().to_owned();
        std::fs::remove_file(&path).unwrap();
        let mute = tokio::net::UnixListener::bind(&path).unwrap();
        let brief = Duration::from_millis(100);
        let radio = Radio::with(Settings { call: brief, retry: (brief, brief), ..quick() });
        let mut all = radio.listen(Who::Everyone, None);
        let first = mute.accept().await.unwrap();
        assert!(trouble(&mut all).await.message.contains("no answer"));
        // Many tries later there is still one.
        tokio::time::sleep(15 * brief).await;
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("comm"));
        assert_eq!(tasks.filter(|name| std::fs::read_to_string(name).is_ok_and(|name| name == "D-Bus\n")).count(), 1);
        drop((first, mute));
        blue.start_bus().unwrap();
        let _air = air(&blue);
        heard(&mut all).await;
    });
}
