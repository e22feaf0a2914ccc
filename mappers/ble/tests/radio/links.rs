//! Links: what they carry, how they end, who goes first, pairing.

use hardware_tests::bluez::{Advert, Characteristic, Pairing as Pairs, Peripheral};
use mapper_ble::radio::{Connection, Limits, Pairing, Phase, RadioErrorKind, Who, WriteKind};

use super::*;

fn level(address: &str) -> Peripheral {
    let level = Characteristic::new("2a19", &[90]).read().notify().write();
    let other =
        [Characteristic::new("2a1a", &[1]).read().secure(), Characteristic::new("2a1b", &[7]).indicate().command()];
    Peripheral::new(address).random().service("180f", [level]).service("181a", other)
}

async fn notified(link: &mut Connection) -> Result<(Spot, Vec<u8>), RadioError> {
    let next = tokio::time::timeout(PATIENCE, link.next()).await.expect("nothing was notified");
    next.map(|next| (next.spot, next.value))
}

/// Connects while the device advertises.
async fn linked(radio: &Radio, blue: &Scripted, address: &str, how: Connect) -> Result<Connection, RadioError> {
    let (who, heard) = (Who::Mac(mac(address)), Advert::of(address).random());
    let _air = blue.every(Duration::from_millis(20), move |_| vec![heard.clone()]);
    radio.connect(&who, None, how).await
}

#[test]
fn reads_writes_notifies_and_tells_its_end() {
    alone("links::reads_writes_notifies_and_tells_its_end", &[FIRST], async |blue| {
        blue.put(level(A));
        let radio = radio();
        let mut link = linked(&radio, &blue, A, soon()).await.unwrap();
        assert_eq!((link.mac(), link.adapter(), link.mtu(), link.rssi()), (mac(A), mac(FIRST), 247, Some(-60)));
        let (level, silent) = (spot(0x180f, 0x2a19), spot(0x181a, 0x2a1b));
        let of = |spot| *link.characteristics().iter().find(|its| its.spot == spot).unwrap();
        assert_eq!(
            (of(level).read, of(level).notify, of(level).write, of(level).write_command),
            (true, true, true, false)
        );
        assert_eq!((of(silent).read, of(silent).indicate), (false, true));
        assert_eq!(link.read(&level).await.unwrap(), [90]);
        link.write(&level, &[50], WriteKind::Request).await.unwrap();
        link.write(&silent, &[1, 2], WriteKind::Command).await.unwrap();
        assert_eq!(blue.written(A, "2a19"), [(vec![50], "request".to_owned())]);
        assert_eq!(blue.written(A, "2a1b"), [(vec![1, 2], "command".to_owned())]);
        link.subscribe(&level).await.unwrap();
        link.subscribe(&silent).await.unwrap();
        blue.set(A, "2a19", &[49]);
        // What was read just before may come first.
        while notified(&mut link).await.unwrap() != (level, vec![49]) {}
        blue.set(A, "2a1b", &[8]);
        assert_eq!(notified(&mut link).await.unwrap(), (silent, vec![8]));
        // One characteristic is refused; the link is fine.
        for refused in [
            link.read(&silent).await.unwrap_err(),
            link.write(&level, &[1], WriteKind::Command).await.unwrap_err(),
            link.read(&spot(0x181a, 0x2a1a)).await.unwrap_err(),
        ] {
            assert_eq!((refused.kind, refused.is_refusal()), (RadioErrorKind::Refused, true), "{refused}");
        }
        assert_eq!(link.read(&spot(0x180f, 0x2a1b)).await.unwrap_err().kind, RadioErrorKind::NoCharacteristic);
        blue.drop_link(A);
        let lost = notified(&mut link).await.unwrap_err();
        assert_eq!(lost.kind, RadioErrorKind::Lost);
        assert_eq!(notified(&mut link).await.unwrap_err(), lost);
        assert_eq!(link.read(&level).await.unwrap_err().kind, RadioErrorKind::Lost);
        drop(link);
        let link = linked(&radio, &blue, A, soon()).await.unwrap();
        assert_eq!(link.read(&level).await.unwrap(), [49]);
        drop(link);
        until("the link to end", || blue.links() == 0).await;
        assert_eq!((radio.counts().connects, radio.counts().losses), (2, 1));
    });
}

#[test]
fn the_loss_of_one_link_leaves_the_others_hearing() {
    alone("links::the_loss_of_one_link_leaves_the_others_hearing", &[FIRST], async |blue| {
        let radio = radio();
        let here = spot(0x180f, 0x2a19);
        for address in [A, B] {
            blue.put(level(address));
        }
        // The younger link's rule is what dbus-daemon would take away with the older link's.
        let mut older = linked(&radio, &blue, A, soon()).await.unwrap();
        let mut younger = linked(&radio, &blue, B, soon()).await.unwrap();
        older.subscribe(&here).await.unwrap();
        younger.subscribe(&here).await.unwrap();
        blue.drop_link(A);
        assert_eq!(notified(&mut older).await.unwrap_err().kind, RadioErrorKind::Lost);
        drop(older);
        let again = linked(&radio, &blue, A, soon()).await.unwrap();
        blue.set(B, "2a19", &[12]);
        assert_eq!(notified(&mut younger).await.unwrap(), (here, vec![12]));
        drop(again);
    });
}

#[test]
fn what_is_not_there_is_not_connected() {
    alone("links::what_is_not_there_is_not_connected", &[FIRST], async |blue| {
        blue.put(level(A));
        let radio = radio();
        let short = Connect { patience: Duration::from_millis(300), ..Connect::default() };
        let absent = radio.connect(&Who::Mac(mac(A)), None, short.clone()).await.unwrap_err();
        assert_eq!((absent.kind, absent.phase), (RadioErrorKind::NotSeen, Some(Phase::Heard)));
        assert_eq!(blue.calls("Device1.Connect"), 0);
        // Heard, and then away: the connect is pending, and taken back when it takes too long or is given up.
        blue.vanish(A);
        let late = linked(&radio, &blue, A, short).await.unwrap_err();
        assert_eq!((late.kind, late.phase), (RadioErrorKind::Timeout, Some(Phase::Link)), "{late}");
        until("the connect to be taken back", || blue.calls("Device1.Disconnect") == 1).await;
        let (mut pending, before) = (Box::pin(linked(&radio, &blue, A, soon())), blue.calls("Device1.Connect"));
        tokio::select! {
            ended = &mut pending => panic!("what is not there: {ended:?}"),
            () = until("a connect", || blue.calls("Device1.Connect") > before) => {}
        }
        drop(pending);
        until("the connect to be taken back", || blue.calls("Device1.Disconnect") == 2).await;
        // Long before its patience ends, another may have its turn.
        let brief = Radio::with(Settings { link: Duration::from_millis(300), ..quick() });
        let away = linked(&brief, &blue, A, Connect { patience: PATIENCE, ..Connect::default() }).await.unwrap_err();
        assert_eq!(away.kind, RadioErrorKind::NotSeen, "{away}");
        until("the connect to be taken back", || blue.calls("Device1.Disconnect") == 3).await;
        blue.come_back(A);
        assert_eq!(blue.links(), 0);
        blue.refuse("Device1.Connect", "org.bluez.Error.Failed", "le-connection-abort-by-local");
        let refused = linked(&radio, &blue, A, soon()).await.unwrap_err();
        assert!(refused.kind == RadioErrorKind::Lost && refused.message.contains("abort-by-local"), "{refused}");
        blue.heal("Device1.Connect");
        linked(&radio, &blue, A, soon()).await.unwrap();
    });
}

#[test]
fn slots_go_by_priority_and_the_controllers_limit_is_learnt() {
    alone("links::slots_go_by_priority_and_the_controllers_limit_is_learnt", &[FIRST], async |blue| {
        let address = |n: u8| format!("C0:DE:00:00:00:{n:02X}");
        (1..5).for_each(|n| blue.put(level(&address(n))));
        let radio = Radio::with(Settings { slots: 1, ..quick() });
        let first = linked(&radio, &blue, &address(1), soon()).await.unwrap();
        let want = |n: u8, priority| {
            let (radio, address) = (radio.clone(), address(n));
            let how = Connect { priority, patience: PATIENCE, ..Connect::default() };
            tokio::spawn(async move { radio.connect(&Who::Mac(mac(&address)), None, how).await })
        };
        let _air =
            blue.every(Duration::from_millis(20), move |_| (2..5).map(|n| Advert::of(&address(n)).random()).collect());
        let (low, high) = (want(2, 1), want(3, 9));
        // A device that is heard and waits for a slot has not been called.
        let adverts = radio.counts().adverts;
        until("adverts", || radio.counts().adverts > adverts + 9).await;
        assert_eq!(blue.calls("Device1.Connect"), 1);
        drop(first);
        let second = high.await.unwrap().unwrap();
        assert!(!low.is_finished());
        drop(second);
        low.await.unwrap().unwrap();
        drop(radio);

        let radio = Radio::with(quick());
        let held = radio.connect(&Who::Mac(mac(&address(2))), None, soon()).await.unwrap();
        blue.refuse("Device1.Connect", "org.bluez.Error.Failed", "le-connection-concurrent-connection-limit");
        radio.connect(&Who::Mac(mac(&address(3))), None, soon()).await.unwrap_err();
        blue.heal("Device1.Connect");
        let brief = Connect { patience: Duration::from_millis(300), ..Connect::default() };
        let full = radio.connect(&Who::Mac(mac(&address(4))), None, brief).await.unwrap_err();
        assert!(full.kind == RadioErrorKind::Timeout && full.message.contains("slot"), "{full}");
        assert_eq!(full.phase, Some(Phase::Slot));
        // Each phase has its own limit.
        let limits = Limits { slot: Duration::from_millis(300), ..soon().limits };
        let brief = Connect { limits, patience: PATIENCE, ..Connect::default() };
        let full = radio.connect(&Who::Mac(mac(&address(4))), None, brief).await.unwrap_err();
        assert!(full.phase == Some(Phase::Slot) && full.message.ends_with("300ms"), "{full}");
        drop(held);
        radio.connect(&Who::Mac(mac(&address(4))), None, soon()).await.unwrap();
    });
}

const FULL: &str = "le-connection-concurrent-connection-limit";

#[test]
fn links_of_others_take_room_and_pairing_learns_the_limit_too() {
    alone("links::links_of_others_take_room_and_pairing_learns_the_limit_too", &[FIRST], async |blue| {
        let (c, d) = ("C0:DE:00:00:00:03", "C0:DE:00:00:00:04");
        for address in [A, B, c, d] {
            blue.put(level(address));
        }
        let radio = radio();
        let _ear = radio.listen(Who::Everyone, None);
        until("discovery", || blue.discovering(0)).await;
        blue.advert(&Advert::of(A).random());
        blue.connect_for_another(A);
        let _own = linked(&radio, &blue, B, soon()).await.unwrap();
        // The controller holds two links: one of them is ours.
        blue.refuse("Device1.Pair", "org.bluez.Error.Failed", FULL);
        let pairing = Connect { pairing: Pairing::JustWorks, ..soon() };
        linked(&radio, &blue, c, pairing).await.unwrap_err();
        blue.heal("Device1.Pair");
        let brief = Connect { patience: Duration::from_millis(300), ..Connect::default() };
        let full = linked(&radio, &blue, c, brief.clone()).await.unwrap_err();
        assert_eq!(full.phase, Some(Phase::Slot), "{full}");
        // The other one ends, while somebody waits.
        let ends = async {
            let adverts = radio.counts().adverts;
            until("adverts", || radio.counts().adverts > adverts + 9).await;
            blue.drop_link(A);
        };
        let ((), second) = tokio::join!(ends, linked(&radio, &blue, c, soon()));
        let _second = second.unwrap();
        let full = linked(&radio, &blue, d, brief).await.unwrap_err();
        assert_eq!(full.phase, Some(Phase::Slot), "{full}");
    });
}

#[test]
fn a_slot_of_an_adapter_that_was_pulled_out_frees_none_of_the_next() {
    alone("links::a_slot_of_an_adapter_that_was_pulled_out_frees_none_of_the_next", &[FIRST], async |blue| {
        let c = "C0:DE:00:00:00:03";
        for address in [A, B, c] {
            blue.put(level(address));
        }
        let radio = Radio::with(Settings { slots: 1, linger: PATIENCE, ..quick() });
        let mut old = linked(&radio, &blue, A, soon()).await.unwrap();
        blue.unplug(0);
        blue.plug(0, FIRST);
        assert_eq!(notified(&mut old).await.unwrap_err().kind, RadioErrorKind::Lost);
        let _new = linked(&radio, &blue, B, soon()).await.unwrap();
        drop(old);
        let brief = Connect { patience: Duration::from_millis(300), ..Connect::default() };
        let full = linked(&radio, &blue, c, brief).await.unwrap_err();
        assert_eq!(full.phase, Some(Phase::Slot), "{full}");
    });
}

#[test]
fn the_adapter_that_hears_it_best() {
    alone("links::the_adapter_that_hears_it_best", &[FIRST, SECOND], async |blue| {
        blue.put(level(A));
        let radio = radio();
        let _air = blue.every(Duration::from_millis(20), |_| {
            vec![Advert::of(A).random().rssi(-80), Advert::of(A).random().rssi(-50).on(1)]
        });
        let mut all = [FIRST, SECOND].map(|adapter| radio.listen(Who::Mac(mac(A)), Some(mac(adapter))));
        for listener in &mut all {
            heard(listener).await;
        }
        let link = radio.connect(&Who::Mac(mac(A)), None, soon()).await.unwrap();
        assert_eq!((link.adapter(), blue.connected(A)), (mac(SECOND), Some(1)));
        drop(link);
        let link = radio.connect(&Who::Mac(mac(A)), Some(mac(FIRST)), soon()).await.unwrap();
        assert_eq!(link.adapter(), mac(FIRST));
    });
}

#[test]
fn pairs_as_configured_and_not_otherwise() {
    alone("links::pairs_as_configured_and_not_otherwise", &[FIRST], async |mut blue| {
        let passkey = |text: &str| Pairing::Passkey(text.parse().unwrap());
        let radio = radio();
        let secret = spot(0x181a, 0x2a1a);
        for (n, pairs, pairing, works) in [
            (1, Pairs::JustWorks, Pairing::JustWorks, true),
            (2, Pairs::Passkey(42), passkey("000042"), true),
            (3, Pairs::Passkey(42), passkey("000043"), false),
            (4, Pairs::Passkey(42), Pairing::JustWorks, false),
            (5, Pairs::Numeric(123), Pairing::Numeric, true),
            (6, Pairs::Numeric(123), Pairing::JustWorks, false),
            (7, Pairs::Never, Pairing::JustWorks, false),
            // It asks for no proof, as somebody else in its place would.
            (8, Pairs::JustWorks, passkey("000042"), false),
            (9, Pairs::JustWorks, Pairing::Numeric, false),
        ] {
            let address = format!("C0:DE:00:00:00:{n:02X}");
            blue.put(level(&address).pairing(pairs));
            let result = linked(&radio, &blue, &address, Connect { pairing, ..soon() }).await;
            assert_eq!(result.is_ok(), works, "{n}: {:?}", result.err());
            assert_eq!(blue.paired(&address).is_some(), works, "{n}");
            match result {
                Ok(link) => assert_eq!(link.read(&secret).await.unwrap(), [1]),
                Err(error) => assert_eq!(error.kind, RadioErrorKind::NotPaired, "{n}: {error}"),
            }
        }
        // A bonded device is not paired again, and is called without being heard.
        let paired = blue.calls("Device1.Pair");
        until("the links to end", || blue.links() == 0).await;
        let how = Connect { pairing: Pairing::JustWorks, ..soon() };
        let link = radio.connect(&Who::Mac(mac(A)), None, how).await.unwrap();
        assert_eq!(link.read(&secret).await.unwrap(), [1]);
        assert_eq!((blue.calls("Device1.Pair"), radio.counts().pairings), (paired, 3));
        drop(link);
        until("the link to end", || blue.links() == 0).await;
        // Away, it is called once: meanwhile the adapter hears nobody.
        blue.vanish(A);
        blue.kill().unwrap();
        blue.revive().unwrap();
        let _ear = radio.listen(Who::Mac(mac(A)), None);
        until("discovery", || blue.discovering(0)).await;
        let brief = Connect { patience: Duration::from_millis(300), ..Connect::default() };
        let called = blue.calls("Device1.Connect");
        for phase in [Phase::Link, Phase::Heard, Phase::Heard] {
            let away = radio.connect(&Who::Mac(mac(A)), None, brief.clone()).await.unwrap_err();
            assert_eq!(away.phase, Some(phase), "{away}");
        }
        assert_eq!(blue.calls("Device1.Connect"), called + 1);
    });
}
