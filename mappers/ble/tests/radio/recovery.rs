//! The watchdog: an adapter that says that it discovers, and hears nothing.

use hardware_tests::bluez::{Advert, Heals};
use mapper_ble::radio::{RadioErrorKind, Who};

use super::*;

fn impatient() -> Radio {
    Radio::with(Settings {
        silence: Duration::from_millis(400),
        longest_silence: Duration::from_millis(800),
        ..quick()
    })
}

#[test]
fn discovery_is_restarted_then_the_adapter_is_switched_then_it_is_told() {
    alone("recovery::discovery_is_restarted_then_the_adapter_is_switched_then_it_is_told", &[FIRST], async |blue| {
        let radio = impatient();
        let mut all = radio.listen(Who::Everyone, None);
        let _air = blue.every(Duration::from_millis(20), |_| vec![Advert::of(A)]);
        heard(&mut all).await;
        for (heals, restarts, cycles) in [(Heals::Restart, 1, 0), (Heals::PowerCycle, 1, 1)] {
            let before = radio.counts();
            blue.deafen(0, heals);
            let told = blue.told();
            until("adverts again", || blue.told() > told + 5).await;
            let counts = radio.counts();
            // A machine that is late may see more steps; which come when is the watchdog's table.
            assert!(counts.discovery_restarts - before.discovery_restarts >= restarts, "{heals:?}");
            assert!(counts.power_cycles - before.power_cycles >= cycles, "{heals:?}");
            heard(&mut all).await;
        }
        blue.deafen(0, Heals::Never);
        let deaf = trouble(&mut all).await;
        assert!(deaf.kind == RadioErrorKind::NoRadio && deaf.message.contains(FIRST), "{deaf}");
        blue.hear(0);
        heard(&mut all).await;
    });
}

#[test]
fn two_deaf_adapters_are_told_when_both_are() {
    alone("recovery::two_deaf_adapters_are_told_when_both_are", &[FIRST, SECOND], async |blue| {
        let radio = impatient();
        let (mut all, mut first) = (radio.listen(Who::Everyone, None), radio.listen(Who::Everyone, Some(mac(FIRST))));
        let _air = blue.every(Duration::from_millis(20), |_| vec![Advert::of(A), Advert::of(B).on(1)]);
        while heard(&mut all).await.adapter != mac(SECOND) {}
        blue.deafen(0, Heals::Never);
        assert!(trouble(&mut first).await.message.contains(FIRST));
        let (before, said) = (radio.counts().adverts, all.trouble());
        assert_eq!(said, None);
        until("the other adapter to hear", || radio.counts().adverts > before + 5).await;
        blue.deafen(1, Heals::Never);
        assert_eq!(trouble(&mut all).await.kind, RadioErrorKind::NoRadio);
    });
}

#[test]
fn an_adapter_that_cannot_be_used_is_told_and_tried_again() {
    alone("recovery::an_adapter_that_cannot_be_used_is_told_and_tried_again", &[FIRST], async |blue| {
        blue.refuse("Adapter1.StartDiscovery", "org.bluez.Error.Failed", "Blocked by its maker");
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        let told = trouble(&mut all).await;
        assert!(told.message.contains(FIRST) && told.message.contains("its maker"), "{told}");
        assert!(blue.calls("Adapter1.StartDiscovery") >= 2);
        blue.heal("Adapter1.StartDiscovery");
        let _air = blue.every(Duration::from_millis(20), |_| vec![Advert::of(A)]);
        heard(&mut all).await;
    });
}

#[test]
fn discovery_that_ended_by_itself_is_started_again() {
    alone("recovery::discovery_that_ended_by_itself_is_started_again", &[FIRST], async |blue| {
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        let _air = blue.every(Duration::from_millis(20), |_| vec![Advert::of(A)]);
        heard(&mut all).await;
        blue.end_discovery(0);
        until("discovery again", || blue.discovering(0)).await;
        heard(&mut all).await;
        assert_eq!(radio.counts().power_cycles, 0);
    });
}

/// What the core does with a device: opens it, closes it when trouble is told, and tries again after a while.
async fn comes_and_goes(radio: Radio) {
    loop {
        let mut listener = radio.listen(Who::Everyone, None);
        while listener.next().await.is_ok() {}
        drop(listener);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_quiet_site_is_helped_less_and_less_whoever_comes_and_goes() {
    alone("recovery::a_quiet_site_is_helped_less_and_less_whoever_comes_and_goes", &[FIRST], async |blue| {
        let times = Settings { silence: Duration::from_millis(100), longest_silence: PATIENCE, ..quick() };
        let radio = Radio::with(Settings { linger: Duration::from_secs(5), ..times });
        let visitor = tokio::spawn(comes_and_goes(radio.clone()));
        blue.deafen(0, Heals::Never);
        until("the first cycle", || radio.counts().power_cycles == 1).await;
        let begun = std::time::Instant::now();
        until("three more", || radio.counts().power_cycles == 4).await;
        // A silence before each step: twice as long after each round of three.
        assert!(begun.elapsed() > Duration::from_millis(100 + 3 * 200 + 3 * 400 + 2 * 800), "{:?}", begun.elapsed());
        // Whoever comes now is told at once, and discovery goes on for whoever comes later.
        assert!(radio.listen(Who::Everyone, None).trouble().is_some());
        assert!(radio.listen(Who::Everyone, Some(mac(FIRST))).trouble().is_some());
        let _air = blue.every(Duration::from_millis(20), |_| vec![Advert::of(A)]);
        blue.hear(0);
        until("adverts", || radio.counts().adverts > 0).await;
        assert_eq!(radio.listen(Who::Everyone, None).trouble(), None);
        visitor.abort();
        until("no discovery", || !blue.discovering(0)).await;
    });
}

#[test]
fn a_blocked_adapter_is_tried_less_and_less_whoever_comes_and_goes() {
    alone("recovery::a_blocked_adapter_is_tried_less_and_less_whoever_comes_and_goes", &[FIRST], async |blue| {
        blue.refuse("Adapter1.StartDiscovery", "org.bluez.Error.Blocked", "Blocked through rfkill");
        let radio = Radio::with(Settings { linger: Duration::from_secs(5), ..quick() });
        let visitor = tokio::spawn(comes_and_goes(radio.clone()));
        until("a try", || blue.calls("Adapter1.StartDiscovery") == 1).await;
        let begun = std::time::Instant::now();
        until("five more", || blue.calls("Adapter1.StartDiscovery") == 6).await;
        // 50 ms and twice as long each time, up to 500.
        assert!(begun.elapsed() > Duration::from_millis(50 + 100 + 200 + 400 + 490), "{:?}", begun.elapsed());
        assert!(radio.listen(Who::Everyone, None).trouble().unwrap().message.contains("rfkill"));
        visitor.abort();
        blue.heal("Adapter1.StartDiscovery");
        until("no trouble", || radio.listen(Who::Everyone, None).trouble().is_none()).await;
    });
}

/// The signal may have been lost.
#[test]
fn an_adapter_that_does_not_say_that_it_is_on_is_not_hurried() {
    alone("recovery::an_adapter_that_does_not_say_that_it_is_on_is_not_hurried", &[FIRST], async |blue| {
        blue.power(0, false);
        blue.hang("Adapter1.Powered");
        let radio = radio();
        let mut all = radio.listen(Who::Everyone, None);
        until("a start", || blue.calls("Adapter1.StartDiscovery") == 1).await;
        let begun = std::time::Instant::now();
        until("two more", || blue.calls("Adapter1.StartDiscovery") == 3).await;
        assert!(begun.elapsed() > quick().pause, "{:?}", begun.elapsed());
        let _air = blue.every(Duration::from_millis(20), |_| vec![Advert::of(A)]);
        heard(&mut all).await;
    });
}

#[test]
fn an_adapter_that_holds_another_programs_link_is_not_switched() {
    alone("recovery::an_adapter_that_holds_another_programs_link_is_not_switched", &[FIRST], async |blue| {
        let radio = impatient();
        let mut all = radio.listen(Who::Everyone, None);
        until("discovery", || blue.discovering(0)).await;
        blue.advert(&Advert::of(A));
        blue.connect_for_another(A);
        blue.deafen(0, Heals::Never);
        assert!(trouble(&mut all).await.message.contains("starting discovery again"));
        assert_eq!((radio.counts().power_cycles, blue.links()), (0, 1));
    });
}
