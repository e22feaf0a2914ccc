//! What is asked when, and what a write waits for.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_first_poll_is_immediate_and_the_rest_on_one_grid() {
    let mut bench = Bench::new();
    let first = bench.join(1, 1, SECOND, &json!({}));
    sleep(Duration::from_millis(330)).await;
    let second = bench.join(2, 1, SECOND, &json!({}));
    sleep(10 * SECOND).await;
    let (first, second) = (first.reads(), second.reads());
    assert_eq!(first[0], WIRE);
    assert!(second[0] <= Duration::from_millis(330) + 2 * WIRE);
    assert!((10..=12).contains(&first.len()), "{first:?}");
    assert_eq!(widest(&first[1..]), SECOND, "{first:?}");
    assert_eq!(*second.last().unwrap() - *first.last().unwrap(), WIRE, "both in one wake-up");
    assert_eq!(bench.fake.world(|w| w.plans), 2, "planned once a device");
    let stats = bench.stats();
    assert_eq!((stats.bus.as_str(), stats.devices, stats.up, stats.opens), ("fake:line", 2, true, 1));
    assert_eq!(stats.exchanges_ok, (first.len() + second.len()) as u64);
    assert_eq!(stats.busy, WIRE * u32::try_from(stats.exchanges_ok).unwrap());
    assert_eq!(stats.periods_missed, 0);
}

#[tokio::test(start_paused = true)]
async fn many_buses_share_their_wake_ups() {
    let mut parks = Vec::new();
    for buses in [1, 50] {
        let mut bench = Bench::new();
        for bus in 0..buses {
            bench.join(bus, 1, SECOND, &json!({ "settings": bus.to_string() }));
        }
        sleep(5 * SECOND).await;
        let before = tokio::runtime::Handle::current().metrics().worker_park_count(0);
        sleep(100 * SECOND).await;
        parks.push(tokio::runtime::Handle::current().metrics().worker_park_count(0) - before);
        assert!(bench.buses.stats().iter().all(|stats| stats.exchanges_ok > 100));
    }
    // A deadline, its answers, and what the runtime's timer wheel needs on the way: for one bus as for fifty.
    assert!(parks[0] < 1_000 && parks[1] < parks[0] + parks[0] / 10, "{parks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_one_exchange_and_is_read_back_in_one_go() {
    let mut bench = Bench::new();
    bench.join(1, 10, SECOND, &json!({}));
    sleep(WIRE * 2 + WIRE / 2).await;
    let outcome = bench.write(1, vec![(7, Value::Uint(42))]).await;
    let WriteOutcome::Written(read) = outcome else { panic!("{outcome:?}") };
    assert_eq!((read[0].point, read[0].result.clone()), (7, Ok(Value::Uint(42))));
    assert_eq!(
        bench.asked()[1..7],
        ["read 1 [0]", "read 1 [1]", "read 1 [2]", "write 1 [7]", "read 1 [7]", "read 1 [3]"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_sequence_is_not_interrupted() {
    let mut bench = Bench::new();
    bench.join(1, 4, SECOND, &json!({ "sequence": 3 }));
    sleep(WIRE / 2).await;
    bench.write(1, vec![(0, Value::Uint(1))]).await;
    sleep(WIRE * 2).await;
    assert_eq!(
        bench.asked()[1..7],
        ["read 1 [0]", "read 1 [1]", "read 1 [2]", "write 1 [0]", "read 1 [0]", "read 1 [3]"]
    );
}

#[tokio::test(start_paused = true)]
async fn writes_come_to_what_they_come_to() {
    let mut bench = Bench::new();
    bench.join(1, 2, SECOND, &json!({}));
    assert!(
        matches!(bench.write(1, vec![(1, Value::Uint(666))]).await, WriteOutcome::Refused(1, r) if r.detail == "illegalDataValue")
    );
    assert!(
        matches!(bench.write(1, vec![(0, "x".into())]).await, WriteOutcome::Refused(0, r) if r.detail == "no number")
    );
    assert!(matches!(bench.write(2, vec![(0, Value::Uint(1))]).await, WriteOutcome::NotSent(_)));
    bench.fake.set(1, Mode::Silent);
    for _ in 0..2 {
        // The second goes to a suspect device, and is tried all the same.
        let outcome = bench.write(1, vec![(0, Value::Uint(1))]).await;
        assert!(matches!(&outcome, WriteOutcome::Unknown(f) if f.kind == ErrorKind::Timeout), "{outcome:?}");
    }
    bench.fake.set(1, Mode::Live);
    assert!(matches!(bench.write(1, vec![(0, Value::Uint(5))]).await, WriteOutcome::Written(_)));
    bench.fake.set(1, Mode::Breaks);
    assert!(
        matches!(bench.write(1, vec![(0, Value::Uint(1))]).await, WriteOutcome::Unknown(f) if f.kind == ErrorKind::Bus)
    );
    bench.fake.world(|w| w.can_open = false);
    sleep(SECOND).await;
    assert!(
        matches!(bench.write(1, vec![(0, Value::Uint(1))]).await, WriteOutcome::NotSent(f) if f.kind == ErrorKind::Unreachable)
    );
}

#[tokio::test(start_paused = true)]
async fn late_polls_are_skipped_and_counted() {
    let mut bench = Bench::new();
    let recorder = bench.join(1, 10, Duration::from_millis(300), &json!({}));
    sleep(70 * SECOND).await;
    let polls = recorder.reads().len();
    assert!((95..=101).contains(&polls), "700 ms a poll: {polls}");
    let skipped: u64 = recorder.events().iter().map(|(_, e)| if let Event::Skipped(n) = e { *n } else { 0 }).sum();
    assert_eq!(bench.stats().periods_missed, skipped);
    let passed = u64::try_from(polls).unwrap() + skipped;
    assert!((231..=235).contains(&passed), "{polls} + {skipped} are the 233 periods that passed");
}
