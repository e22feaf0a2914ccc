//! The bus in paused time, with a line whose units do as they are told.

#![allow(clippy::unchecked_time_subtraction)] // the moments are in order

mod fake;

use std::{sync::Arc, time::Duration};

use fake::{Event, Fake, Mode, Recorder, TIMEOUT, WIRE};
use mapper_api::{ErrorKind, PointId, Value};
use serde_json::{Value as Json, json};
use tokio::time::{sleep, timeout};

use super::{Buses, Options, WriteOutcome};
use crate::model::DeviceId;

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    fake: Fake,
    buses: Buses,
}

impl Bench {
    fn new() -> Self {
        Self { fake: Fake::new(), buses: Buses::new(Options::of_node("gw-1")) }
    }

    fn join(&mut self, unit: u8, points: PointId, period: Duration, extra: &Json) -> Arc<Recorder> {
        let (member, recorder) = self.fake.member(unit, points, period, extra);
        self.buses.join(member);
        recorder
    }

    fn units(&mut self, units: std::ops::RangeInclusive<u8>) -> Vec<Arc<Recorder>> {
        units.map(|unit| self.join(unit, 1, SECOND, &json!({}))).collect()
    }

    async fn write(&self, unit: u8, values: Vec<(PointId, Value)>) -> WriteOutcome {
        let id = DeviceId::new("default", &format!("d{unit}"));
        timeout(100 * SECOND, self.buses.write(&id, values)).await.expect("a write is answered")
    }

    fn asked(&self) -> Vec<String> {
        self.fake.log().into_iter().map(|(_, text)| text).collect()
    }

    fn stats(&self) -> super::BusStats {
        self.buses.stats().remove(0)
    }
}

fn widest(reads: &[Duration]) -> Duration {
    reads.windows(2).map(|pair| pair[1] - pair[0]).max().expect("at least two reads")
}

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

#[tokio::test(start_paused = true)]
async fn dead_units_do_not_starve_their_neighbours() {
    let mut bench = Bench::new();
    let units = bench.units(1..=10);
    sleep(30 * SECOND).await;
    // Both fall silent in the same round: it is the only one that pays two time-outs.
    bench.fake.set(3, Mode::Silent);
    bench.fake.set(7, Mode::Silent);
    let dead = bench.fake.world(|w| w.begun.elapsed());
    sleep(300 * SECOND).await;
    let back = bench.fake.world(|w| w.begun.elapsed());
    for (index, unit) in units.iter().enumerate().filter(|(index, _)| ![2, 6].contains(index)) {
        let reads: Vec<_> = unit.reads().into_iter().filter(|at| *at > dead - SECOND).collect();
        assert!(reads.len() >= 285, "unit {}: {} of 300", index + 1, reads.len());
        assert!(widest(&reads) <= SECOND + 2 * TIMEOUT - 2 * WIRE, "unit {}: {:?}", index + 1, widest(&reads));
        assert!(widest(&reads[3..]) <= SECOND + TIMEOUT, "unit {}: {:?}", index + 1, widest(&reads[3..]));
    }
    let (_, Event::Failed(_, ErrorKind::Timeout, misses)) = units[2].failures().pop().unwrap() else { panic!() };
    assert!((8..=20).contains(&misses), "backed off: {misses}");
    bench.fake.set(3, Mode::Live);
    sleep(60 * SECOND).await;
    let reads: Vec<_> = units[2].reads().into_iter().filter(|at| *at > back).collect();
    assert!(reads[0] - back <= 60 * SECOND && widest(&reads) <= SECOND + TIMEOUT, "{reads:?}");
    assert_eq!(bench.stats().opens, 1);
}

#[tokio::test(start_paused = true)]
async fn one_of_many_dead_units_is_read_within_a_minute_of_its_return() {
    let mut bench = Bench::new();
    let units = bench.units(1..=10);
    (1..=8).for_each(|unit| bench.fake.set(unit, Mode::Silent));
    sleep(200 * SECOND).await;
    for unit in 1..=8_u8 {
        let back = bench.fake.world(|w| w.begun.elapsed());
        bench.fake.set(unit, Mode::Live);
        sleep(60 * SECOND).await;
        let read = units[usize::from(unit) - 1].reads().into_iter().find(|at| *at > back);
        assert!(read.is_some(), "unit {unit}");
        bench.fake.set(unit, Mode::Silent);
        sleep(60 * SECOND).await;
    }
    assert!(widest(&units[9].reads()[12..]) <= SECOND + TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_ends_the_poll_and_resynchronises() {
    let mut bench = Bench::new();
    let recorder = bench.join(1, 4, SECOND, &json!({}));
    bench.units(2..=2);
    bench.fake.set(1, Mode::Silent);
    sleep(TIMEOUT + WIRE).await;
    assert_eq!(bench.asked()[1..4], ["read 1 [0]", "resynchronise", "read 2 [0]"]);
    assert_eq!(recorder.failures()[0].1, Event::Failed(vec![0, 1, 2, 3], ErrorKind::Timeout, 1));
    assert_eq!(bench.stats().opens, 1);
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_always_silent_hides_no_other() {
    for silent in 0..4 {
        let mut bench = Bench::new();
        let recorder = bench.join(1, 4, SECOND, &json!({}));
        let neighbour = bench.units(2..=2).remove(0);
        bench.fake.world(|w| w.points.insert((1, silent), Mode::Silent));
        sleep(100 * SECOND).await;
        for point in (0..4).filter(|point| *point != silent) {
            let reads = recorder.reads_of(point);
            assert!(reads.len() > 40 && widest(&reads) < 3 * SECOND, "{point} beside {silent}: {reads:?}");
        }
        let asked = |text: &str| bench.asked().iter().filter(|asked| *asked == text).count();
        let (lost, round) = (asked(&format!("read 1 [{silent}]")), asked(&format!("read 1 [{}]", (silent + 1) % 4)));
        assert!(lost <= round + 1, "one time-out a round: {lost} in {round}");
        assert!(widest(&neighbour.reads()[1..]) <= SECOND + TIMEOUT, "{:?}", widest(&neighbour.reads()[1..]));
        bench.fake.world(|w| w.points.clear());
        sleep(60 * SECOND).await;
        assert!(recorder.reads_of(silent).len() > 55, "it is polled as before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_block_hides_no_other_period() {
    let hour = 3_600 * SECOND;
    for (groups, silent) in [
        (vec![(SECOND, vec![0]), (10 * SECOND, vec![1])], 0),
        (vec![(SECOND, vec![0, 1]), (10 * SECOND, vec![2])], 1),
        (vec![(SECOND, vec![0, 1]), (10 * SECOND, vec![2])], 2),
        (vec![(SECOND, vec![0]), (hour, vec![1, 2])], 0),
        (vec![(SECOND, vec![0, 1]), (hour, vec![2]), (10 * SECOND, vec![3])], 0),
    ] {
        let mut bench = Bench::new();
        let (mut member, recorder) = bench.fake.member(1, 4, SECOND, &json!({}));
        member.groups = groups.clone();
        bench.fake.world(|w| w.points.insert((1, silent), Mode::Silent));
        bench.buses.join(member);
        sleep(200 * SECOND).await;
        for (period, points) in &groups {
            for point in points.iter().filter(|point| **point != silent) {
                let reads = recorder.reads_of(*point);
                assert!(!reads.is_empty(), "{point} beside {silent} of {groups:?}");
                if *period < hour {
                    assert!(widest(&reads) <= *period + 5 * SECOND, "{point} beside {silent} of {groups:?}: {reads:?}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_of_many_blocks_that_comes_back_is_read_whole_at_once() {
    let mut bench = Bench::new();
    let recorder = bench.join(1, 3, 3_600 * SECOND, &json!({}));
    bench.fake.set(1, Mode::Silent);
    sleep(200 * SECOND).await;
    bench.fake.set(1, Mode::Live);
    sleep(32 * SECOND).await;
    for point in 0..3 {
        assert_eq!(recorder.reads_of(point).len(), 1, "{point}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_answered_by_a_misfit_found_the_device_alive() {
    for (unfit, other) in [(0, 1), (1, 0)] {
        let mut bench = Bench::new();
        let recorder = bench.join(1, 2, SECOND, &json!({}));
        bench.fake.set(1, Mode::Silent);
        sleep(100 * SECOND).await;
        bench.fake.set(1, Mode::Live);
        bench.fake.world(|w| w.points.insert((1, unfit), Mode::Misfit));
        sleep(60 * SECOND).await;
        let of_it = |(at, event)| (event == Event::Failed(vec![unfit], ErrorKind::BadData, 0)).then_some(at);
        let first = recorder.failures().into_iter().find_map(of_it).expect("only the point itself fails");
        let reads = recorder.reads_of(other);
        assert!(reads.iter().any(|at| first - SECOND < *at && *at <= first + SECOND), "{first:?}: {reads:?}");
        assert!(reads.len() > 25, "{reads:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_device_that_is_only_written_does_not_close_its_bus() {
    let mut bench = Bench::new();
    let (mut member, _) = bench.fake.member(1, 1, SECOND, &json!({}));
    member.groups.clear();
    bench.buses.join(member);
    bench.fake.set(1, Mode::Silent);
    for _ in 0..5 {
        assert!(matches!(bench.write(1, vec![(0, Value::Uint(1))]).await, WriteOutcome::Unknown(_)));
        sleep(SECOND).await;
    }
    assert_eq!(bench.stats().opens, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_no_silence_but_is_not_hammered() {
    let mut bench = Bench::new();
    let recorder = bench.join(1, 2, SECOND, &json!({}));
    let neighbour = bench.units(2..=2).remove(0);
    bench.fake.set(1, Mode::Misfit);
    sleep(100 * SECOND).await;
    assert_eq!(recorder.failures()[0].1, Event::Failed(vec![0], ErrorKind::BadData, 0));
    assert_eq!(recorder.failures()[1].1, Event::Failed(vec![1], ErrorKind::BadData, 0), "its other request is asked");
    assert!(bench.asked().iter().filter(|text| text.starts_with("read 1")).count() < 15);
    assert!(widest(&neighbour.reads()) <= SECOND + WIRE);
    assert_eq!(bench.stats().opens, 1);
}

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

/// While there is one subscriber only, tracing asks that of the thread that logs first, and remembers the answer for all
/// threads: another test that logs the same line would silence this one.
static ANOTHER: std::sync::LazyLock<tracing::Dispatch> =
    std::sync::LazyLock::new(|| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));

/// What is logged from now on, on this thread.
fn logged() -> (tracing::subscriber::DefaultGuard, impl Fn(&str) -> usize) {
    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    std::sync::LazyLock::force(&ANOTHER);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let count = move |text: &str| {
        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        lines.lines().filter(|line| text.split(' ').all(|word| line.contains(word))).count()
    };
    (tracing::subscriber::set_default(subscriber), count)
}

#[tokio::test(start_paused = true)]
async fn a_trouble_is_said_once_and_its_end_when_a_whole_poll_succeeds() {
    let (_guard, logged) = logged();
    let mut bench = Bench::new();
    bench.join(1, 3, SECOND, &json!({}));
    sleep(3 * SECOND).await;
    bench.fake.world(|w| w.points.insert((1, 1), Mode::Silent));
    sleep(60 * SECOND).await;
    assert_eq!((logged("WARN"), logged("WARN timeout"), logged("recovered")), (1, 1, 0), "two of three are answered");
    bench.fake.world(|w| w.points.insert((1, 1), Mode::Misfit));
    sleep(60 * SECOND).await;
    assert_eq!((logged("WARN"), logged("WARN badData"), logged("recovered")), (2, 1, 0), "another kind");
    bench.fake.world(|w| w.points.clear());
    sleep(60 * SECOND).await;
    assert_eq!((logged("WARN"), logged("recovered")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_one_unit_breaks_does_not_recover_with_every_answer_of_another() {
    let (_guard, logged) = logged();
    let mut bench = Bench::new();
    bench.units(1..=2);
    bench.units(3..=3);
    bench.fake.set(3, Mode::Silent);
    sleep(30 * SECOND).await;
    bench.fake.set(2, Mode::Breaks);
    sleep(200 * SECOND).await;
    assert_eq!((logged("WARN bus="), logged("WARN reason=\"bus\""), logged("recovered")), (2, 1, 0));
    bench.fake.world(|w| w.can_open = false);
    sleep(60 * SECOND).await;
    assert_eq!(logged("WARN reason=\"unreachable\""), 1);
    bench.fake.world(|w| w.can_open = true);
    bench.fake.set(2, Mode::Live);
    sleep(100 * SECOND).await;
    assert_eq!((logged("WARN"), logged("recovered")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_learnt_is_forgotten_when_the_device_was_away() {
    let mut bench = Bench::new();
    bench.join(1, 1, SECOND, &json!({}));
    let teach = async |bench: &Bench| {
        bench.fake.world(|w| w.replan_once = true);
        sleep(3 * SECOND).await;
        assert!(bench.fake.world(|w| w.knew));
    };
    teach(&bench).await;
    bench.fake.set(1, Mode::Silent);
    sleep(2 * SECOND).await;
    bench.fake.set(1, Mode::Live);
    sleep(10 * SECOND).await;
    assert!(bench.fake.world(|w| w.knew), "a hiccup");
    bench.fake.set(1, Mode::Silent);
    sleep(10 * SECOND).await;
    bench.fake.set(1, Mode::Live);
    sleep(10 * SECOND).await;
    assert!(!bench.fake.world(|w| w.knew), "a device that was silent");
    teach(&bench).await;
    bench.fake.world(|w| w.one_answer = true);
    sleep(10 * SECOND).await;
    assert!(bench.fake.world(|w| w.knew), "closed by a server that answers");
    bench.fake.world(|w| w.can_open = false);
    sleep(10 * SECOND).await;
    bench.fake.world(|w| w.can_open = true);
    sleep(30 * SECOND).await;
    assert!(!bench.fake.world(|w| w.knew), "a bus that could not be opened");
}

#[cfg(feature = "virtual")]
mod with_signals {
    use mapper_api::{Access, ByteOrder, DataType, Mapper, Point};
    use mapper_testkit::{Chaos, Fault, Script};
    use mapper_virtual::Virtual;

    use super::*;
    use crate::bus::Member;

    fn member(fake: &Fake, name: &str, mapper: Arc<dyn Mapper>, address: &Json) -> (Member, Arc<Recorder>) {
        let access = if address["memory"].is_null() { Access::Read } else { Access::ReadWrite };
        let point = Point { address, data_type: DataType::Uint64, order: ByteOrder::Abcd, size: None, access };
        let endpoint = json!({ "device": name, "latency": "5ms" });
        let bound = mapper.bind(&endpoint, vec![point]).unwrap();
        let observer = fake.recorder();
        let groups = vec![(SECOND, vec![0])];
        (Member { id: DeviceId::new("default", name), bound, groups, observer: observer.clone() }, observer)
    }

    #[tokio::test(start_paused = true)]
    async fn values_that_are_sent_unasked_arrive_between_polls() {
        let mut bench = Bench::new();
        let (sender, recorder) =
            member(&bench.fake, "a", Arc::new(Virtual), &json!({ "counter": { "step": 1 }, "pushEvery": "70ms" }));
        bench.buses.join(sender);
        sleep(60 * SECOND).await;
        let values: Vec<_> = recorder.events().into_iter().map(|(_, event)| event).collect();
        let expected: Vec<_> = (0..values.len()).map(|n| Event::Answered(0, Value::Uint(n as u64))).collect();
        assert_eq!(values, expected, "each reading once, in order");
        assert!((915..925).contains(&values.len()), "60 polls and 857 frames: {}", values.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_all_faults_passes() {
        let faults = [Fault::Timeout, Fault::Bus, Fault::BadData, Fault::Delay(SECOND), Fault::Hang, Fault::Panic];
        for seed in 0..4 {
            let script = Script::dice(seed, faults.map(|fault| (fault, 0.02)));
            let mapper = Arc::new(Chaos::new(Arc::new(Virtual), script));
            let mut bench = Bench::new();
            let recorders: Vec<_> = ["a", "b", "c"]
                .map(|name| {
                    let (member, recorder) = member(&bench.fake, name, mapper.clone(), &json!({ "memory": 7 }));
                    bench.buses.join(member);
                    recorder
                })
                .into();
            for minute in 0..60 {
                sleep(60 * SECOND).await;
                let id = DeviceId::new("default", "b");
                let written = bench.buses.write(&id, vec![(0, Value::Uint(minute))]);
                timeout(100 * SECOND, written).await.expect("every write is answered");
            }
            for recorder in recorders {
                let reads = recorder.reads();
                assert!(reads.len() > 1_800, "seed {seed}: {}", reads.len());
                assert!(widest(&reads) < 60 * SECOND, "seed {seed}: {:?}", widest(&reads));
            }
        }
    }
}
