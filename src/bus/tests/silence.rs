//! Units that do not answer, or answer nonsense: their neighbours go on.

use super::*;

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
