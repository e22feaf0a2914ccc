//! The contract, and that faults made on purpose come out as they should.

use std::{sync::Arc, time::Duration};

use mapper_api::{BoundDevice, DataType, DynRequest, ErrorKind, Mapper, Point, Sequence};
use mapper_testkit::{Bench, Chaos, Device, Expect, Fault, Script};
use mapper_virtual::Virtual;
use serde_json::{Value as Json, json};

mapper_testkit::contract!(bench());

fn bench() -> Bench {
    let live = Device::new(json!({ "bus": "kit", "device": "live", "latency": "1ms" }))
        .property(json!({ "constant": 21.5 }), DataType::Float32, Expect::value(21.5))
        .property(json!({ "refused": "illegalDataAddress" }), DataType::Uint16, Expect::Refused)
        .property(json!({ "constant": "V-0001" }), DataType::String, Expect::value("V-0001"))
        .property(json!({ "sine": { "min": -5, "max": 5, "period": "1m" } }), DataType::Int8, Expect::Any)
        .property(json!({ "square": { "min": 0, "max": 1, "period": "1m" } }), DataType::Bool, Expect::Any)
        .property(json!({ "counter": { "step": 1 }, "pushEvery": "2ms" }), DataType::Uint64, Expect::Counts)
        .writable(json!({ "memory": 0 }), DataType::Float64, 237.73)
        .writable(json!({ "memory": "00" }), DataType::Bytes, "00ff")
        .writable(json!({ "memory": false }), DataType::Bool, true);
    let silent = Device::new(json!({ "bus": "kit", "device": "silent", "silent": true })).property(
        json!({ "constant": 1 }),
        DataType::Uint8,
        Expect::Any,
    );
    Bench::new(Arc::new(Virtual), live).silent(silent)
}

fn bind(mapper: Arc<dyn Mapper>, address: &Json, data_type: DataType) -> Result<Arc<dyn BoundDevice>, String> {
    let point =
        Point { address, data_type, order: mapper_api::ByteOrder::Abcd, size: None, access: mapper_api::Access::Read };
    mapper.bind(&json!({}), vec![point]).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        lines.join("; ")
    })
}

#[test]
fn mistakes_are_told_with_what_would_be_accepted() {
    for (address, data_type, message) in [
        (json!({}), DataType::Int8, "give one of constant, sine, square, counter, memory, refused; none is given"),
        (json!({ "constant": 1, "memory": 2 }), DataType::Int8, "constant and memory are given"),
        (json!({ "constant": 300 }), DataType::Uint8, "0 to 255"),
        (json!({ "sine": { "min": 1, "max": 1, "period": "1s" } }), DataType::Float32, "less than max"),
        (json!({ "sine": { "min": 0, "max": 1, "period": "0s" } }), DataType::Float32, "longer than nothing"),
        (json!({ "sine": { "min": 0, "max": 1, "period": "soon" } }), DataType::Float32, "500ms"),
        (json!({ "counter": { "step": 1 } }), DataType::String, "type is string"),
        (json!({ "constant": 1, "pushEvery": "0s" }), DataType::Int8, "pushEvery"),
    ] {
        let error = bind(Arc::new(Virtual), &address, data_type).err().unwrap();
        assert!(error.contains(message), "{address}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_come_in_the_order_of_the_script() {
    let delay = Duration::from_secs(5);
    let script = Script::of([Fault::Timeout, Fault::BadData, Fault::Delay(delay), Fault::Bus]);
    let chaos = Arc::new(Chaos::new(Arc::new(Virtual), script.clone()));
    let device = bind(chaos, &json!({ "constant": 1 }), DataType::Int8).unwrap();
    let plan: Vec<Sequence<DynRequest>> = device.plan(&[0], &device.learnt());
    let request = &plan[0].0[0];
    let mut bus = device.open().await.unwrap();
    for kind in [Some(ErrorKind::Timeout), Some(ErrorKind::BadData), None, Some(ErrorKind::Bus), None] {
        let error = bus.exchange(request).await.err();
        assert_eq!(error.as_ref().map(|error| error.kind), kind);
        assert!(error.is_none_or(|error| error.message.starts_with("synthetic fault")));
    }
    script.push(Fault::Hang);
    assert!(tokio::time::timeout(delay, bus.exchange(request)).await.is_err());
    script.set_opens(false);
    assert_eq!(device.open().await.err().unwrap().kind, ErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn the_dice_fall_the_same_for_the_same_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let script = Script::dice(7, [(Fault::Bus, 0.1), (Fault::BadData, 0.2)]);
        let device =
            bind(Arc::new(Chaos::new(Arc::new(Virtual), script)), &json!({ "constant": 1 }), DataType::Int8).unwrap();
        let plan = device.plan(&[0], &device.learnt());
        let mut bus = device.open().await.unwrap();
        let mut kinds = Vec::new();
        for _ in 0..1_000 {
            kinds.push(bus.exchange(&plan[0].0[0]).await.err().map(|error| error.kind));
        }
        runs.push(kinds);
    }
    assert_eq!(runs[0], runs[1]);
    let count = |kind| runs[0].iter().filter(|other| **other == Some(kind)).count();
    assert!((60..140).contains(&count(ErrorKind::Bus)) && (150..250).contains(&count(ErrorKind::BadData)));
}
