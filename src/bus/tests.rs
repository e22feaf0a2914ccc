//! The bus in paused time, with a line whose units do as they are told.

#![allow(clippy::unchecked_time_subtraction)] // the moments are in order

mod fake;
mod listening;
mod members;
mod opening;
mod polls;
mod silence;
mod trouble;

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
