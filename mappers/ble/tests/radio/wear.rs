//! Many links: sessions of btleplug are replaced, and nothing stays behind.

use hardware_tests::bluez::{Advert, Characteristic, Peripheral};
use mapper_ble::radio::{LINKS, Who};

use super::*;

#[test]
fn sessions_are_replaced_and_disturb_no_link() {
    alone("wear::sessions_are_replaced_and_disturb_no_link", &[FIRST], async |blue| {
        let level = || Characteristic::new("2a19", &[90]).read().notify();
        for address in [A, B] {
            blue.put(Peripheral::new(address).service("180f", [level()]));
        }
        let radio = radio();
        // Signals of the devices come all the time, as they do in life: that is when btleplug leaves rules behind.
        let _air = blue.every(Duration::from_millis(2), |_| vec![Advert::of(A), Advert::of(B)]);
        let mut kept = radio.connect(&Who::Mac(mac(A)), None, soon()).await.unwrap();
        kept.subscribe(&spot(0x180f, 0x2a19)).await.unwrap();
        let mut most = 0;
        for _ in 0..2 * LINKS {
            let link = radio.connect(&Who::Mac(mac(B)), None, soon()).await.unwrap();
            link.subscribe(&spot(0x180f, 0x2a19)).await.unwrap();
            most = most.max(blue.match_rules().unwrap().len());
        }
        let counts = radio.counts();
        assert_eq!((counts.sessions, counts.recycled, counts.connects), (3, 2, u64::from(2 * LINKS + 1)));
        println!("{counts:?}, at most {most} match rules");
        // Two of the radio's, and what the two sessions in use may leave behind.
        assert!(most <= 2 + 2 * 2 * usize::try_from(LINKS).unwrap(), "{most} match rules");
        blue.set(A, "2a19", &[1]);
        assert_eq!(tokio::time::timeout(PATIENCE, kept.next()).await.unwrap().unwrap().value, [1]);
        drop(kept);
        until("the worn sessions to end", || blue.match_rules().unwrap().len() < 8).await;
    });
}
