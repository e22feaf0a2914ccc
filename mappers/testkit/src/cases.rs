//! The promises of the contract, each a case.

#![allow(clippy::unused_async)] // every case is called alike

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use mapper_api::{At, BoundDevice, Decoded, DynBus, DynLearnt, Error, ErrorKind, PointId, Refusal, Sequence, Value};
use serde_json::{Value as Json, json};

use crate::{
    Bench, Device, Expect,
    bench::{Property, mistaken},
    schema,
};

/// How far an exchange may be beyond the longest time that its mapper tells: the machine may be busy.
const MARGIN: Duration = Duration::from_secs(1);

/// Runs a case.
///
/// # Panics
/// When the case fails.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(case);
}

/// Runs a test as it is.
pub fn here(_path: &str, test: impl FnOnce()) {
    test();
}

fn not_applicable(bench: &Bench, why: &str) {
    eprintln!("not applicable to {}: {why}", bench.mapper.name());
}

/// The two schemas can be part of the resources, and `kubectl explain` has something to say of each field.
pub async fn schemas_are_structural_and_documented(bench: &Bench) {
    for (what, schema) in [("endpoint", bench.mapper.endpoint_schema()), ("address", bench.mapper.address_schema())] {
        let faults = schema::faults(&schema);
        assert!(faults.is_empty(), "{what}: {faults:#?}\n{schema:#}");
    }
}

/// Unknown keys are mistakes, at the place where they stand; a type that the capability does not have is refused.
pub async fn what_yaml_must_not_say_is_refused(bench: &Bench) {
    let live = &bench.setup.live;
    let points = || live.properties.iter().map(Property::point).collect::<Vec<_>>();
    let bind = |endpoint: &Json, points| bench.mapper.clone().bind(endpoint, points).err().unwrap_or_default();
    let errors = bind(&mistaken(&live.endpoint), points());
    assert!(errors.iter().any(|e| e.at == At::Endpoint && names_it(e)), "endpoint: {errors:?}");
    let bad = live.properties[0].mistaken();
    let mut changed = points();
    changed[0].address = &bad;
    let errors = bind(&live.endpoint, changed);
    assert!(errors.iter().any(|e| e.at == At::Address(0) && names_it(e)), "address: {errors:?}");
    for data_type in mapper_api::DataType::ALL {
        let mut changed = points();
        changed[0].data_type = data_type;
        let errors = bind(&live.endpoint, changed);
        let supported = bench.mapper.capability().types.contains(&data_type);
        assert!(supported || errors.iter().any(|e| e.kind == ErrorKind::Unsupported), "{data_type}: {errors:?}");
    }
}

fn names_it(error: &mapper_api::BindError) -> bool {
    error.kind == ErrorKind::Config && error.to_string().contains("noSuchKey")
}

/// One mistake never hides another.
pub async fn all_mistakes_are_reported_at_once(bench: &Bench) {
    let live = &bench.setup.live;
    let bad: Vec<_> = live.properties.iter().map(Property::mistaken).collect();
    let mut points: Vec<_> = live.properties.iter().map(Property::point).collect();
    points.iter_mut().zip(&bad).for_each(|(point, address)| point.address = address);
    let errors = bench.mapper.clone().bind(&mistaken(&live.endpoint), points).err().expect("it is full of mistakes");
    assert!(errors.iter().any(|error| error.at == At::Endpoint), "{errors:?}");
    for point in 0..PointId::try_from(bad.len()).expect("a bench is small") {
        assert!(errors.iter().any(|error| error.at == At::Address(point)), "point {point}: {errors:?}");
    }
}

/// Each wanted point that can be read is in exactly one request, whichever are wanted.
pub async fn plans_cover_each_point_once(bench: &Bench) {
    let live = &bench.setup.live;
    let bound = bench.bind(live);
    let all = readable(live);
    let unasked: Vec<_> = (0..).zip(&live.properties).filter(|(_, p)| p.unasked).map(|(point, _)| point).collect();
    assert_eq!(requests(&bound.plan(&unasked, &bound.learnt())).count(), 0, "what cannot be asked for is asked for");
    let odd: Vec<_> = all.iter().copied().skip(1).step_by(2).collect();
    for wanted in [&all[..], &all[..1.min(all.len())], &odd[..], &[]] {
        let mut planned: Vec<_> = requests(&bound.plan(wanted, &bound.learnt()))
            .flat_map(|request| bound.points(request).to_vec())
            .filter(|point| wanted.contains(point))
            .collect();
        planned.sort_unstable();
        assert_eq!(planned, wanted, "the points of the requests against those wanted");
    }
}

/// A request is one line in a log; the time it takes on the wire is no longer than its longest.
pub async fn requests_are_one_line_of_sane_cost(bench: &Bench) {
    let live = &bench.setup.live;
    let bound = bench.bind(live);
    let mut sequences = bound.prepare();
    sequences.extend(bound.plan(&readable(live), &bound.learnt()));
    sequences.extend(bound.plan_write(&writes(live)).expect("the bench's values can be written"));
    for request in requests(&sequences) {
        let text = request.to_string();
        assert!(!text.trim().is_empty() && !text.contains('\n') && text.len() <= 200, "{text:?}");
        let cost = bound.cost(request);
        assert!(cost.wire <= cost.longest && cost.longest > Duration::ZERO, "{text}: {cost:?}");
        assert!(cost.longest <= Duration::from_secs(120), "{text}: nobody waits for {:?}", cost.longest);
    }
}

/// Every point has the value that the bench says, of its type's variant, or the refusal.
pub async fn a_device_is_read(bench: &Bench) {
    let mut session = Session::open(bench, &bench.setup.live).await;
    for _ in 0..2 {
        session.read_and_check(bench).await;
    }
}

/// What the device sends by itself arrives, with the values that the bench says, and says how long it may be trusted only
/// with a time that is longer than none.
pub async fn what_is_sent_unasked_is_heard(bench: &Bench) {
    let live = &bench.setup.live;
    let mut missing: Vec<PointId> =
        (0..).zip(&live.properties).filter(|(_, property)| property.unasked).map(|(point, _)| point).collect();
    if missing.is_empty() {
        return not_applicable(bench, "the bench has no property that is only sent unasked");
    }
    let mut session = Session::open(bench, live).await;
    let source = session.bound.frame_source().expect("a device that sends has a mark");
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    while !missing.is_empty() {
        let frame = tokio::time::timeout_at(limit, session.bus.idle()).await;
        let frame = frame.unwrap_or_else(|_| panic!("nothing came of points {missing:?}")).expect("the bus is fine");
        if session.bound.source_of(&frame) != source {
            continue;
        }
        assert!(session.bound.freshness(&frame).is_none_or(|fresh| !fresh.is_zero()));
        let mut out = Vec::new();
        session.bound.decode_frame(&frame, &mut out);
        for decoded in out {
            let property = &live.properties[usize::from(decoded.point)];
            if let Expect::Value(_) = property.expect {
                assert_eq!(decoded.result, Ok(property.value().expect("it is one")), "{}", property.address);
            }
            missing.retain(|point| *point != decoded.point);
        }
    }
}

/// Writes reach the device; what is read afterwards is what was written.
pub async fn what_is_written_reads_back(bench: &Bench) {
    let values = writes(&bench.setup.live);
    if !bench.mapper.capability().write || values.is_empty() {
        return not_applicable(bench, "nothing can be written");
    }
    let mut session = Session::open(bench, &bench.setup.live).await;
    let sequences = session.bound.plan_write(&values).expect("the bench's values can be written");
    let said = session.run(&sequences).await.expect("a write is answered");
    assert!(said.iter().all(|decoded| decoded.result.is_ok()), "the write was refused: {said:?}");
    let read = session.read(&values.iter().map(|(point, _)| *point).collect::<Vec<_>>()).await;
    for (point, value) in values {
        assert_eq!(read.get(&point), Some(&Ok(value)), "point {point}");
    }
}

/// A refused point does not take others with it. A merged request may refuse them all once; what was learnt by it then
/// keeps them apart.
pub async fn a_refusal_leaves_its_neighbours_alone(bench: &Bench) {
    let live = &bench.setup.live;
    if !live.properties.iter().any(|property| property.expect == Expect::Refused) {
        return not_applicable(bench, "the bench has no property that is refused");
    }
    let mut session = Session::open(bench, live).await;
    for _ in 0..8 {
        session.read(&readable(live)).await;
    }
    session.read_and_check(bench).await;
}

/// Silence is a time-out, within the longest time, and the bus then gives right answers again.
pub async fn a_silent_device_times_out_and_the_bus_goes_on(bench: &Bench) {
    let Some(silent) = &bench.setup.silent else {
        return not_applicable(bench, "the bench has no silent device");
    };
    let bound = bench.bind(silent);
    let shared = bound.bus_key() == bench.bind(&bench.setup.live).bus_key();
    let mut session = Session::open(bench, if shared { &bench.setup.live } else { silent }).await;
    for _ in 0..2 {
        let plans = bound.plan(&readable(silent), &bound.learnt());
        let request = requests(&plans).next().expect("the silent device has something to read");
        let begun = Instant::now();
        let error = session.bus.exchange(request).await.err().expect("a silent device does not answer");
        let took = begun.elapsed();
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        assert!(took <= bound.cost(request).longest + MARGIN, "{took:?} against {:?}", bound.cost(request));
        session.bus.resynchronise().await.expect("silence does not break a bus");
        if shared {
            session.read_and_check(bench).await;
        }
    }
}

/// Dropping a bus closes it: it can be opened again at once.
pub async fn a_bus_can_be_opened_again(bench: &Bench) {
    for _ in 0..3 {
        Session::open(bench, &bench.setup.live).await.read_and_check(bench).await;
    }
}

/// The core drops the future of `idle` whenever it has something to ask; no frame may be lost by that.
pub async fn no_frame_is_lost_by_cancelling(bench: &Bench) {
    let live = &bench.setup.live;
    let counting = (0..).zip(&live.properties).find(|(_, property)| property.expect == Expect::Counts);
    let Some((point, _)) = counting.filter(|_| bench.mapper.capability().unsolicited) else {
        return not_applicable(bench, "no property counts what is sent unasked");
    };
    let mut session = Session::open(bench, live).await;
    let source = session.bound.frame_source().expect("a device that sends has a mark");
    let mut dice = fastrand::Rng::with_seed(1);
    let mut counted: Vec<i128> = Vec::new();
    let limit = Instant::now() + Duration::from_secs(60);
    while counted.len() < 100 {
        assert!(Instant::now() < limit, "100 frames within a minute, got {}", counted.len());
        let patience = Duration::from_micros(dice.u64(0..3_000));
        let Ok(frame) = tokio::time::timeout(patience, session.bus.idle()).await else { continue };
        let frame = frame.expect("the bus is fine");
        if session.bound.source_of(&frame) == source {
            let mut out = Vec::new();
            session.bound.decode_frame(&frame, &mut out);
            counted.extend(out.iter().filter(|d| d.point == point).map(|d| match &d.result {
                Ok(Value::Uint(v)) => i128::from(*v),
                Ok(Value::Int(v)) => i128::from(*v),
                other => panic!("a counter is a whole number, not {other:?}"),
            }));
        }
    }
    assert!(counted.windows(2).all(|pair| pair[1] == pair[0] + 1), "frames were lost or doubled: {counted:?}");
}

fn requests(sequences: &[Sequence<mapper_api::DynRequest>]) -> impl Iterator<Item = &mapper_api::DynRequest> {
    sequences.iter().flat_map(|sequence| &sequence.0)
}

fn readable(device: &Device) -> Vec<PointId> {
    let asked = |property: &Property| property.access.can_read() && !property.unasked;
    (0..).zip(&device.properties).filter(|(_, property)| asked(property)).map(|(point, _)| point).collect()
}

fn writes(device: &Device) -> Vec<(PointId, Value)> {
    let writable = (0..).zip(&device.properties).filter(|(_, property)| property.access.can_write());
    writable.filter_map(|(point, property)| Some((point, property.value()?))).collect()
}

/// A device on its open bus, used as the core uses it.
struct Session {
    bound: std::sync::Arc<dyn BoundDevice>,
    learnt: DynLearnt,
    bus: Box<dyn DynBus>,
}

impl Session {
    async fn open(bench: &Bench, device: &Device) -> Self {
        let bound = bench.bind(device);
        let bus = bound.open().await.unwrap_or_else(|error| panic!("the bench's bus does not open: {error}"));
        let mut session = Self { learnt: bound.learnt(), bound, bus };
        let prepare = session.bound.prepare();
        session.run(&prepare).await.expect("preparations are answered");
        session
    }

    async fn run(&mut self, sequences: &[Sequence<mapper_api::DynRequest>]) -> Result<Vec<Decoded>, Error> {
        let mut out = Vec::new();
        for request in requests(sequences) {
            let answer = self.bus.exchange(request).await;
            self.bound.learn(request, answer.as_ref(), &mut self.learnt);
            self.bound.decode(request, &answer?, &mut out);
        }
        Ok(out)
    }

    async fn read(&mut self, points: &[PointId]) -> BTreeMap<PointId, Result<Value, Refusal>> {
        let plan = self.bound.plan(points, &self.learnt);
        let decoded = self.run(&plan).await.unwrap_or_else(|error| panic!("a live device answers: {error}"));
        decoded.into_iter().map(|decoded| (decoded.point, decoded.result)).collect()
    }

    /// Reads everything, and compares. The values of what can be written depend on what was.
    async fn read_and_check(&mut self, bench: &Bench) {
        let live = &bench.setup.live;
        // What a first, merged request refuses as a whole is asked apart as soon as that was learnt.
        let mut read = self.read(&readable(live)).await;
        for _ in 0..8 {
            if read.values().all(Result::is_ok) {
                break;
            }
            read = self.read(&readable(live)).await;
        }
        let asked = readable(live);
        for (point, property) in (0..).zip(&live.properties).filter(|(point, _)| asked.contains(point)) {
            let result = read.get(&point).unwrap_or_else(|| panic!("nothing was said of point {point}"));
            let address = json!(property.address);
            match (&property.expect, result) {
                (Expect::Refused, result) => assert!(result.is_err(), "{address}: {result:?} is no refusal"),
                (Expect::Value(_), result) if !property.access.can_write() => {
                    assert_eq!(*result, Ok(property.value().expect("it is one")), "{address}");
                }
                (_, result) => {
                    let value = result.as_ref().unwrap_or_else(|refusal| panic!("{address}: {refusal}"));
                    let fits = mapper_values::Shape::default().raw(value, property.data_type);
                    let same = |raw: &Value| std::mem::discriminant(raw) == std::mem::discriminant(value);
                    assert!(fits.as_ref().is_ok_and(same), "{address}: {value:?} is no {}", property.data_type);
                }
            }
        }
    }
}
