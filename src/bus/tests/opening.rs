//! Buses that do not open, break, hang or are closed by the other side.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_bus_that_does_not_open_is_tried_with_growing_jittered_waits() {
    let mut bench = Bench::new();
    bench.fake.world(|w| w.can_open = false);
    let recorder = bench.join(1, 3, SECOND, &json!({}));
    sleep(300 * SECOND).await;
    let opens: Vec<_> = bench.fake.log().into_iter().map(|(at, _)| at).collect();
    let waits: Vec<_> = opens.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] < Duration::from_millis(181) && waits[3] > Duration::from_millis(800), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(31)) && waits.len() < 25, "{waits:?}");
    let failures = recorder.failures();
    assert!((299..=303).contains(&failures.len()), "once a deadline: {}", failures.len());
    assert!(failures.iter().all(|(_, e)| *e == Event::Failed(vec![0, 1, 2], ErrorKind::Unreachable, 0)));
    bench.fake.world(|w| w.can_open = true);
    sleep(31 * SECOND).await;
    assert!(!recorder.reads().is_empty() && bench.stats().up);
}

#[tokio::test(start_paused = true)]
async fn a_broken_bus_and_a_failed_resynchronisation_reopen() {
    let mut bench = Bench::new();
    let neighbour = bench.units(1..=1).remove(0);
    let recorder = bench.join(2, 1, SECOND, &json!({ "prepare": true }));
    sleep(5 * SECOND).await;
    bench.fake.set(2, Mode::Breaks);
    sleep(SECOND).await;
    assert_eq!(recorder.failures()[0].1, Event::Failed(vec![0], ErrorKind::Bus, 0));
    sleep(99 * SECOND).await;
    // One unit that breaks the connection whenever it is asked is backed off like a silent one.
    assert!(bench.stats().opens < 15, "{}", bench.stats().opens);
    assert!(widest(&neighbour.reads()) < 2 * SECOND, "{:?}", widest(&neighbour.reads()));
    bench.fake.set(2, Mode::Live);
    sleep(60 * SECOND).await;
    assert!(recorder.reads().last().unwrap() > &(160 * SECOND));

    let opens = bench.stats().opens;
    bench.fake.world(|w| w.can_resynchronise = false);
    bench.fake.set(2, Mode::Silent);
    sleep(2 * SECOND).await;
    assert!(bench.stats().opens > opens);
    let log = bench.asked();
    let place = log.iter().rposition(|text| text == "open").unwrap();
    assert_eq!(log[place - 1], "resynchronise");
}

#[tokio::test(start_paused = true)]
async fn preparations_run_once_after_each_opening() {
    let mut bench = Bench::new();
    bench.join(1, 1, SECOND, &json!({ "prepare": true }));
    bench.join(2, 0, SECOND, &json!({ "prepare": true }));
    sleep(5 * SECOND).await;
    assert_eq!(bench.asked()[1..4], ["prepare 1 []", "read 1 [0]", "prepare 2 []"]);
    assert_eq!(bench.asked().iter().filter(|text| text.starts_with("prepare")).count(), 2);
    bench.fake.set(1, Mode::Breaks);
    sleep(2 * SECOND).await;
    assert!(bench.asked().iter().filter(|text| text.starts_with("prepare 1")).count() >= 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_all_are_silent_is_opened_anew() {
    let mut bench = Bench::new();
    let recorder = bench.units(1..=1).remove(0);
    bench.fake.set(1, Mode::Silent);
    sleep(10 * SECOND).await;
    assert_eq!(
        bench.asked()[..7],
        ["open", "read 1 [0]", "resynchronise", "read 1 [0]", "resynchronise", "read 1 [0]", "resynchronise"]
    );
    assert_eq!(bench.asked()[7], "open");
    let misses: Vec<_> = recorder.failures().into_iter().map(|(_, event)| event).collect();
    assert_eq!(misses[2], Event::Failed(vec![0], ErrorKind::Timeout, 3));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_after_each_answer_is_connected_to_when_something_is_due() {
    let hour = 3_600 * SECOND;
    for points in [1, 3] {
        let mut bench = Bench::new();
        bench.fake.world(|w| w.one_answer = true);
        let recorder = bench.join(1, points, hour, &json!({}));
        sleep(3 * hour + 10 * SECOND).await;
        for point in 0..points {
            assert_eq!(recorder.reads_of(point).len(), 4, "{point} of {points}");
        }
        assert_eq!(bench.stats().opens, 4 * u64::from(points), "one connection an answer");
        assert_eq!(recorder.failures(), []);
        // What is asked for in between opens it as well.
        let outcome = bench.write(1, vec![(0, Value::Uint(7))]).await;
        assert!(matches!(&outcome, WriteOutcome::Unknown(f) if f.message.starts_with("written")), "{outcome:?}");
        assert_eq!(bench.fake.world(|w| w.values[&(1, 0)].clone()), Value::Uint(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_while_idle_fails_nothing() {
    let mut bench = Bench::new();
    bench.fake.world(|w| w.one_answer = true);
    let recorder = bench.join(1, 1, SECOND, &json!({}));
    sleep(100 * SECOND).await;
    assert_eq!(recorder.failures(), []);
    assert!(widest(&recorder.reads()[1..]) <= SECOND + WIRE, "{:?}", recorder.reads());
    bench.fake.world(|w| w.can_open = false);
    sleep(10 * SECOND).await;
    assert!(recorder.failures().len() >= 8, "{:?}", recorder.failures());
}

#[tokio::test(start_paused = true)]
async fn a_hung_bus_meets_the_dead_mans_limit() {
    let mut bench = Bench::new();
    let recorder = bench.units(1..=1).remove(0);
    bench.fake.set(1, Mode::Hangs);
    sleep(TIMEOUT + SECOND + Duration::from_millis(1)).await;
    assert_eq!(recorder.failures()[0].1, Event::Failed(vec![0], ErrorKind::Bus, 0));
    bench.fake.set(1, Mode::Live);
    sleep(2 * SECOND).await;
    assert!(!recorder.reads().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_contained() {
    let mut bench = Bench::new();
    let units = bench.units(1..=3);
    sleep(3 * SECOND).await;
    bench.fake.set(2, Mode::Panics);
    sleep(100 * SECOND).await;
    assert!(matches!(units[0].failures()[0].1, Event::Failed(_, ErrorKind::Bus, 0)), "all members are told");
    assert!(units[2].reads().len() > 95 && widest(&units[2].reads()) < 2 * SECOND, "{:?}", units[2].reads());
    assert!(bench.stats().opens < 15);
    bench.fake.set(2, Mode::Live);
    sleep(60 * SECOND).await;
    assert!(units[1].reads().last().unwrap() > &(150 * SECOND));
}
