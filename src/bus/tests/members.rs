//! Devices that come, change, move and go, and what was learnt of them.

use super::*;

#[tokio::test(start_paused = true)]
async fn replacing_or_removing_a_device_leaves_its_neighbours_alone() {
    let mut bench = Bench::new();
    let neighbour = bench.units(1..=1).remove(0);
    bench.join(2, 5, SECOND, &json!({}));
    sleep(3 * SECOND).await;
    for _ in 0..10 {
        bench.join(2, 3, SECOND, &json!({}));
        sleep(Duration::from_millis(450)).await;
    }
    let last = bench.join(2, 3, SECOND, &json!({}));
    sleep(3 * SECOND).await;
    assert!(last.reads().len() >= 3);
    bench.buses.leave(&DeviceId::new("default", "d2"));
    let asked = last.reads().len();
    sleep(10 * SECOND).await;
    assert!(last.reads().len() <= asked + 1);
    // What is due at the moment that another joins waits for that one's first poll, and no longer.
    let reads = neighbour.reads();
    assert!(widest(&reads) <= SECOND + 3 * WIRE, "{reads:?}");
    assert_eq!(bench.stats().opens, 1);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_moves_leaves_its_old_bus_first() {
    let mut bench = Bench::new();
    bench.join(1, 1, SECOND, &json!({ "settings": "9600 8E1" }));
    sleep(WIRE / 2).await;
    let moved = bench.join(1, 1, SECOND, &json!({ "settings": "19200 8N1" }));
    sleep(2 * SECOND).await;
    let log = bench.fake.log();
    assert_eq!((log[0].1.as_str(), log[1].1.as_str(), log[2].1.as_str()), ("open", "read 1 [0]", "open"));
    assert_eq!(log[2].0, WIRE, "not before the exchange in flight has ended");
    assert!(!moved.reads().is_empty() && bench.buses.stats().len() == 1);
    bench.buses.stop().await;
    let asked = bench.fake.log().len();
    sleep(5 * SECOND).await;
    assert_eq!(bench.fake.log().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_was_learnt_is_planned_anew() {
    let mut bench = Bench::new();
    bench.join(1, 2, 600 * SECOND, &json!({}));
    bench.fake.world(|w| w.replan_once = true);
    sleep(3 * SECOND).await;
    assert_eq!(bench.fake.world(|w| w.plans), 2);
    assert_eq!(bench.asked().len(), 5, "and asked soon, not in ten minutes");
}
