use std::{sync::Arc, time::Duration};

use fieldgate_crds::OnDrift;
use mapper_api::{Access, DataType, ErrorKind, Value};
use mapper_values::Shape;
use tokio::time::Instant;

use super::{Attempt, Keeping, Sync};
use crate::{
    bus::Failure,
    model::{Desired, Property, Publish},
};

fn failure(message: &str) -> Failure {
    Failure { kind: ErrorKind::Timeout, message: message.into() }
}

fn property(data_type: DataType, shape: Shape, wanted: f64, tolerance: Option<f64>, on_drift: OnDrift) -> Property {
    let value = Value::Float64(wanted);
    let raw = shape.raw(&value, data_type).unwrap();
    Property {
        name: Arc::from("setpoint"),
        data_type,
        size: None,
        unit: None,
        access: Access::ReadWrite,
        shape,
        min: None,
        max: None,
        poll_every: Duration::from_secs(1),
        max_age: Duration::from_secs(3),
        learns_age: false,
        desired: Some(Desired { value, raw, tolerance, on_drift }),
        safe: None,
        report_every: None,
        publish: Publish::default(),
    }
}

/// A device that takes what is written as it is encoded, polled once a second for this long.
fn poll(property: &Property, mut device: Value, seconds: u64, keeping: &mut Keeping, start: Instant) -> (u64, Value) {
    let desired = property.desired.as_ref().unwrap();
    let before = keeping.writes;
    for second in 0..seconds {
        let now = start + Duration::from_secs(second);
        if keeping.found(property, desired, &device, now) {
            device = desired.raw.clone();
            keeping.written(property, desired, Attempt::Found(device.clone()), now);
        }
    }
    (keeping.writes - before, device)
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_take_one_write_on_a_float_and_on_a_scaled_integer() {
    let tenth = Shape::new(0.1, 0.0, &std::collections::BTreeMap::new()).unwrap();
    for (data_type, shape, at_first, at_last) in [
        (DataType::Float32, Shape::default(), Value::Float32(20.0), Value::Float32(21.3)),
        (DataType::Int16, tenth, Value::Int(200), Value::Int(213)),
    ] {
        let property = property(data_type, shape, 21.3, None, OnDrift::Repair);
        let mut keeping = Keeping::default();
        assert_eq!(poll(&property, at_first, 600, &mut keeping, Instant::now()), (1, at_last));
        assert_eq!(*keeping.sync(), Sync::Synced);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_already_there_is_never_written() {
    let property = property(DataType::Float32, Shape::default(), 21.3, None, OnDrift::Repair);
    let mut keeping = Keeping::default();
    assert_eq!(poll(&property, Value::Float32(21.3), 600, &mut keeping, Instant::now()).0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_will_not_hold_the_value_is_written_ever_more_rarely() {
    let property = property(DataType::Float32, Shape::default(), 21.3, None, OnDrift::Repair);
    let desired = property.desired.as_ref().unwrap();
    let (mut keeping, start) = (Keeping::default(), Instant::now());
    let mut at = Vec::new();
    for second in 0..900 {
        let now = start + Duration::from_secs(second);
        if keeping.found(&property, desired, &Value::Float32(20.0), now) {
            at.push(second);
            keeping.written(&property, desired, Attempt::Found(Value::Float32(20.0)), now);
        }
    }
    assert_eq!(at, [0, 60, 180, 420]);
    assert_eq!(*keeping.sync(), Sync::Mismatch(Value::Float32(20.0)));
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_at_most_once_a_minute() {
    let property = property(DataType::Float32, Shape::default(), 21.3, None, OnDrift::Repair);
    let (mut keeping, start) = (Keeping::default(), Instant::now());
    let (writes, _) = poll(&property, Value::Float32(20.0), 30, &mut keeping, start);
    assert_eq!(writes, 1);
    let drifted = Value::Float32(19.0);
    assert_eq!(poll(&property, drifted.clone(), 30, &mut keeping, start + Duration::from_secs(30)).0, 0);
    assert_eq!(*keeping.sync(), Sync::Pending);
    assert_eq!(poll(&property, drifted, 30, &mut keeping, start + Duration::from_secs(60)).0, 1);
}

#[tokio::test(start_paused = true)]
async fn drift_is_only_told_when_the_spec_says_so() {
    let property = property(DataType::Float32, Shape::default(), 21.3, None, OnDrift::Report);
    let (mut keeping, start) = (Keeping::default(), Instant::now());
    assert_eq!(poll(&property, Value::Float32(20.0), 10, &mut keeping, start).0, 1, "first it is brought there");
    let drifted = Value::Float32(19.0);
    assert_eq!(poll(&property, drifted.clone(), 600, &mut keeping, start + Duration::from_secs(100)).0, 0);
    assert_eq!(*keeping.sync(), Sync::Drifted(drifted));
}

#[tokio::test(start_paused = true)]
async fn a_tolerance_spares_the_write() {
    let now = Instant::now();
    for (found, writes) in [(21.4, false), (21.2, false), (21.45, true), (21.1, true)] {
        let property = property(DataType::Float64, Shape::default(), 21.3, Some(0.1), OnDrift::Repair);
        let desired = property.desired.as_ref().unwrap();
        assert_eq!(Keeping::default().found(&property, desired, &Value::Float64(found), now), writes, "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_and_silence_are_told_apart_and_tried_again() {
    let property = property(DataType::Float32, Shape::default(), 21.3, None, OnDrift::Repair);
    let desired = property.desired.as_ref().unwrap();
    let other = Value::Float32(20.0);
    let now = Instant::now();
    for (attempt, reason, again_after) in [
        (Attempt::Refused("illegalDataValue".into()), "Refused", 60),
        (Attempt::Unknown(failure("no answer within 500 ms")), "WriteFailed", 5),
        (Attempt::NotSent(failure("the bus is closed")), "WriteFailed", 0),
    ] {
        let mut keeping = Keeping::default();
        assert!(keeping.found(&property, desired, &other, now));
        assert!(!keeping.found(&property, desired, &other, now), "one write at a time");
        keeping.written(&property, desired, attempt.clone(), now);
        assert_eq!(keeping.sync().reason("setpoint").0, reason);
        for second in 0..again_after {
            assert!(!keeping.found(&property, desired, &other, now + Duration::from_secs(second)), "{attempt:?}");
        }
        assert!(keeping.found(&property, desired, &other, now + Duration::from_secs(again_after)), "{attempt:?}");
    }
}
