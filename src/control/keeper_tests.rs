use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use mapper_api::{Decoded, ErrorKind, PointId, Value};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Keeper, Sync, Writer};
use crate::{
    bus::{Failure, WriteOutcome},
    clock::Stamp,
    control::{
        catalog::{Catalog, Judge, Serve},
        source::{Objects, SourceText},
        testing,
    },
    model::{Device, DeviceId},
};

/// A device of two registers that takes what is written, and the bus that writes to it.
struct Line {
    held: Mutex<Vec<Value>>,
    writes: Mutex<Vec<(PointId, Value)>>,
    /// Writes that get no answer before one does, although the device does them.
    silent: Mutex<u32>,
    /// Another bridge serves the device.
    rival: watch::Sender<bool>,
}

impl Line {
    fn new(held: Vec<Value>, silent: u32) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(held),
            writes: Mutex::default(),
            silent: Mutex::new(silent),
            rival: watch::Sender::default(),
        })
    }

    fn points(&self) -> Vec<Decoded> {
        let held = self.held.lock().unwrap();
        (0..).zip(held.iter()).map(|(point, value)| Decoded { point, result: Ok(value.clone()) }).collect()
    }

    fn writes(&self) -> Vec<(PointId, Value)> {
        self.writes.lock().unwrap().clone()
    }
}

impl Writer for Line {
    async fn write(&self, _: &DeviceId, values: Vec<(PointId, Value)>) -> WriteOutcome {
        // As long as a slow line takes: polls go on meanwhile.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        self.writes.lock().unwrap().extend(values.clone());
        let (point, value) = values[0].clone();
        self.held.lock().unwrap()[usize::from(point)] = value.clone();
        let mut silent = self.silent.lock().unwrap();
        if *silent > 0 {
            *silent -= 1;
            return WriteOutcome::Unknown(Failure { kind: ErrorKind::Timeout, message: "no answer".into() });
        }
        WriteOutcome::Written(vec![Decoded { point, result: Ok(value) }])
    }

    fn stands_back(&self) -> bool {
        *self.rival.borrow()
    }

    async fn alone(&self) {
        let _ = self.rival.subscribe().wait_for(|rival| !rival).await;
    }
}

/// 21.3 is wanted of a float32 and of an int16 in tenths.
fn device() -> Arc<Device> {
    polled("1s", 21.3)
}

fn polled(every: &str, scaled: f64) -> Arc<Device> {
    let properties = format!(
        "    - {{ name: exact, type: float32, access: readWrite, desired: 21.3, wire: {{ register: 0 }} }}\n    - {{ name: \
         scaled, type: int16, scale: 0.1, access: readWrite, desired: {scaled}, wire: {{ register: 2 }} }}\n"
    );
    made(&properties, every)
}

fn made(properties: &str, every: &str) -> Arc<Device> {
    let text = format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{ name: boiler }}\nspec:\n  protocol: {{ wire: {{ \
         tcp: h, unit: 1 }} }}\n  pollEvery: {every}\n  properties:\n{properties}"
    );
    let file = SourceText { name: "boiler.yaml".into(), text: text.into(), error: None };
    let objects = Objects { texts: vec![file], ..Objects::default() };
    let catalog = Catalog::build(&objects, &Judge::new(testing::mappers(), Serve::All), &Catalog::default());
    let made = catalog.devices.into_values().next().expect("one device");
    made.unwrap_or_else(|issues| panic!("{issues:?}"))
}

/// Polls once a second for this long, as the bus does, and gives what was told last.
async fn poll(line: &Arc<Line>, seconds: u64) -> (Vec<(PointId, Sync)>, Vec<(PointId, bool)>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let keeper = Keeper::new(&device(), line.clone(), None, move |kept| *tell.lock().unwrap() = kept.to_vec());
    let keeper = keeper.expect("two values are desired");
    let start = Instant::now();
    for second in 0..seconds {
        sleep_until(start + Duration::from_secs(second)).await;
        keeper.answered(Stamp::now(), &line.points());
    }
    let told = told.lock().unwrap().clone();
    (keeper.state(), told)
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_take_one_write_of_each_type() {
    let line = Line::new(vec![Value::Float32(20.0), Value::Int(200)], 0);
    let (state, told) = poll(&line, 600).await;
    assert_eq!(line.writes(), [(0, Value::Float32(21.3)), (1, Value::Int(213))]);
    assert_eq!(state, [(0, Sync::Synced), (1, Sync::Synced)]);
    assert_eq!(told, [(0, true), (1, true)]);
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_take_no_write_of_what_is_there() {
    let line = Line::new(vec![Value::Float32(21.3), Value::Int(213)], 0);
    let (_, told) = poll(&line, 600).await;
    assert_eq!(line.writes(), []);
    assert_eq!(told, [(0, true), (1, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_is_not_repeated_if_the_device_did_it() {
    let line = Line::new(vec![Value::Float32(21.3), Value::Int(200)], 1);
    let (state, told) = poll(&line, 600).await;
    assert_eq!(line.writes(), [(1, Value::Int(213))]);
    assert_eq!(state[1], (1, Sync::Synced));
    assert_eq!(told, [(0, true), (1, true)]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_forgets_only_what_it_changes() {
    let line = Line::new(vec![Value::Float32(20.0), Value::Int(200)], 0);
    let first = Keeper::new(&device(), line.clone(), None, |_| {}).unwrap();
    first.answered(Stamp::now(), &line.points());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(line.writes().len(), 2);
    // Both drift; within a minute of its write neither is repaired, but a new desired value is written at once.
    *line.held.lock().unwrap() = vec![Value::Float32(19.0), Value::Int(190)];
    let edited = polled("2s", 22.5);
    let second = Keeper::new(&edited, line.clone(), Some(&first), |_| {}).unwrap();
    drop(first);
    second.answered(Stamp::now(), &line.points());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(line.writes()[2..], [(1, Value::Int(225))]);
}

#[tokio::test(start_paused = true)]
async fn who_stands_back_writes_nothing_and_looks_anew_when_it_is_alone_again() {
    let line = Line::new(vec![Value::Float32(20.0), Value::Int(200)], 0);
    line.rival.send_replace(true);
    let keeper = Keeper::new(&device(), line.clone(), None, |_| {}).unwrap();
    let poll = async |times: u32| {
        for _ in 0..times {
            keeper.answered(Stamp::now(), &line.points());
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    poll(10).await;
    assert_eq!(line.writes(), []);
    assert_eq!(keeper.state()[0], (0, Sync::Pending));
    // The other bridge has written one of them meanwhile.
    line.held.lock().unwrap()[0] = Value::Float32(21.3);
    line.rival.send_replace(false);
    poll(10).await;
    assert_eq!(line.writes(), [(1, Value::Int(213))]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_waits_until_the_bridge_is_alone() {
    let line = Line::new(vec![Value::Bool(false)], 0);
    line.rival.send_replace(true);
    let device = made("    - { name: pump, type: bool, access: write, desired: true, wire: { register: 0 } }\n", "1s");
    let keeper = Keeper::new(&device, line.clone(), None, |_| {}).unwrap();
    keeper.write_blind();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(line.writes(), []);
    line.rival.send_replace(false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(line.writes(), [(0, Value::Bool(true))]);
}
