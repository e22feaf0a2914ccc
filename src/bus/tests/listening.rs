//! Frames that nobody asked for, and their absence.

use super::*;

#[tokio::test(start_paused = true)]
async fn frames_are_not_lost_by_polling_and_go_to_their_device() {
    let mut bench = Bench::new();
    let (frames, receiver) = tokio::sync::mpsc::unbounded_channel();
    bench.fake.world(|w| w.frames = Some(receiver));
    let busy = bench.join(1, 10, Duration::from_millis(300), &json!({}));
    let beacon = bench.join(99, 0, SECOND, &json!({}));
    sleep(SECOND).await;
    for _ in 0..500 {
        frames.send("beacon 7").unwrap();
        frames.send("stranger 8").unwrap();
        sleep(Duration::from_millis(37)).await;
    }
    sleep(SECOND).await;
    let heard = beacon.reads().len();
    assert_eq!(heard, 500);
    assert!(busy.reads().len() > 20);
    assert!(bench.stats().periods_missed > 0, "it was always busy");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_only_heard_is_gone_when_it_is_silent_for_too_long() {
    let mut bench = Bench::new();
    let (frames, receiver) = tokio::sync::mpsc::unbounded_channel();
    bench.fake.world(|w| (w.frames, w.fresh) = (Some(receiver), Some(10 * SECOND)));
    let beacon = bench.join(99, 1, SECOND, &json!({}));
    sleep(100 * SECOND).await;
    assert_eq!(beacon.failures(), [], "nobody knows its pace yet");
    for _ in 0..5 {
        frames.send("beacon 7").unwrap();
        sleep(9 * SECOND).await;
    }
    assert_eq!((beacon.reads().len(), beacon.failures()), (5, vec![]));
    let silent = |n: u64| (Duration::from_secs(n), Event::Failed(vec![0], ErrorKind::Timeout, u32::MAX));
    sleep(100 * SECOND).await;
    assert_eq!(beacon.failures(), [silent(146)], "once");
    frames.send("beacon 8").unwrap();
    sleep(100 * SECOND).await;
    assert_eq!(beacon.failures(), [silent(146), silent(255)]);
    // Where silence says nothing it is no failure.
    bench.fake.world(|w| w.fresh = None);
    frames.send("beacon 9").unwrap();
    sleep(1000 * SECOND).await;
    assert_eq!(beacon.failures().len(), 2);
    assert_eq!(bench.asked(), ["open"]);
    assert_eq!(bench.fake.world(|w| w.plans), 1, "what is never asked is not planned again and again");
}

#[tokio::test(start_paused = true)]
async fn one_that_fell_silent_is_prepared_again_until_it_speaks() {
    let mut bench = Bench::new();
    let (frames, receiver) = tokio::sync::mpsc::unbounded_channel();
    bench.fake.world(|w| (w.frames, w.fresh) = (Some(receiver), Some(10 * SECOND)));
    let beacon = bench.join(99, 1, SECOND, &json!({ "prepare": true }));
    frames.send("beacon 7").unwrap();
    sleep(100 * SECOND).await;
    let prepared: Vec<_> =
        bench.fake.log().iter().filter(|(_, what)| what != "open").map(|(at, _)| at.as_secs()).collect();
    assert_eq!(prepared, [0, 10, 30, 70], "after ever longer times");
    assert_eq!(beacon.failures().len(), 1, "told once");
    frames.send("beacon 8").unwrap();
    sleep(9 * SECOND).await;
    assert_eq!(bench.asked().len(), prepared.len() + 1, "it speaks: left alone");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_gone_is_prepared_again_when_it_answers() {
    let mut bench = Bench::new();
    let _neighbour = bench.join(1, 1, SECOND, &json!({}));
    let unit = bench.join(2, 1, SECOND, &json!({ "prepare": true }));
    sleep(5 * SECOND).await;
    bench.fake.set(2, Mode::Silent);
    sleep(60 * SECOND).await;
    let prepared = |bench: &Bench| bench.asked().iter().filter(|what| what.contains("prepare")).count();
    assert_eq!(prepared(&bench), 1);
    bench.fake.set(2, Mode::Live);
    sleep(60 * SECOND).await;
    assert_eq!(prepared(&bench), 2);
    assert!(unit.reads().last().unwrap() > &(120 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_says_nothing_of_a_device_is_not_its_own() {
    let mut bench = Bench::new();
    let (frames, receiver) = tokio::sync::mpsc::unbounded_channel();
    bench.fake.world(|w| (w.frames, w.fresh) = (Some(receiver), Some(10 * SECOND)));
    let beacon = bench.join(99, 1, SECOND, &json!({}));
    frames.send("beacon 7").unwrap();
    for _ in 0..5 {
        sleep(4 * SECOND).await;
        frames.send("beacon").unwrap();
    }
    assert_eq!(beacon.reads(), [Duration::ZERO], "it was there when the bus was opened");
    assert_eq!(beacon.failures(), [(10 * SECOND, Event::Failed(vec![0], ErrorKind::Timeout, u32::MAX))]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_only_heard_is_told_when_its_bus_is_gone() {
    let mut bench = Bench::new();
    bench.fake.world(|w| w.can_open = false);
    let beacon = bench.join(99, 1, SECOND, &json!({}));
    sleep(10 * SECOND).await;
    assert!(matches!(beacon.failures()[0].1, Event::Failed(_, ErrorKind::Unreachable, 0)));
    let (frames, receiver) = tokio::sync::mpsc::unbounded_channel();
    bench.fake.world(|w| (w.frames, w.can_open) = (Some(receiver), true));
    sleep(100 * SECOND).await;
    let failures = beacon.failures().len();
    frames.send("beacon 7").unwrap();
    sleep(10 * SECOND).await;
    assert_eq!((beacon.reads().len(), beacon.failures().len()), (1, failures));
}

#[tokio::test(start_paused = true)]
async fn a_mapper_that_misses_a_device_while_it_listens_is_told_of_at_once() {
    let mut bench = Bench::new();
    let (frames, receiver) = tokio::sync::mpsc::unbounded_channel();
    bench.fake.world(|w| w.frames = Some(receiver));
    let beacon = bench.join(99, 1, SECOND, &json!({}));
    sleep(10 * SECOND).await;
    frames.send("beacon 7").unwrap();
    frames.send("absent").unwrap();
    sleep(10 * SECOND).await;
    assert_eq!(beacon.failures(), [(10 * SECOND, Event::Failed(vec![0], ErrorKind::Unreachable, 0))]);
    frames.send("beacon 8").unwrap();
    sleep(SECOND).await;
    assert_eq!((beacon.reads().len(), bench.stats().up), (2, true));
    // One that is prepared well and missed at once does not open its bus without a pause.
    bench.buses.leave(&DeviceId::new("default", "d99"));
    bench.join(99, 1, SECOND, &json!({"prepare": true}));
    sleep(SECOND).await;
    let opens = bench.fake.world(|w| w.opens);
    for _ in 0..100 {
        frames.send("absent").unwrap();
    }
    sleep(60 * SECOND).await;
    assert!(bench.fake.world(|w| w.opens) - opens < 10);
}
