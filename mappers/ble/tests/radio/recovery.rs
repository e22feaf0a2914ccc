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
            assert_eq!(counts.discovery_restarts - before.discovery_restarts, restarts, "{heals:?}");
            assert_eq!(counts.power_cycles - before.power_cycles, cycles, "{heals:?}");
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
