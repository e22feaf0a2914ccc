//! The safe state of a device that was deleted or moves to another node: its safe values are written before it is let
//! go, if it answers within a few seconds. Nobody waits for that: it takes one write and at most one more, each ahead of
//! the polls of its bus. It is not done when the bridge stops.

use std::time::Duration;

use mapper_api::{Decoded, PointId, Value};
use tokio::time::{Instant, sleep, timeout_at};

use super::keeper::Writer;
use crate::{
    bus::{Failure, Observer, WriteOutcome},
    clock::Stamp,
    model::{Device, DeviceId},
};

/// How long after an attempt that nobody answered the second one follows.
const AGAIN: Duration = Duration::from_secs(2);
/// How long it may take altogether.
const LONGEST: Duration = Duration::from_secs(10);

/// Listens to a device that is no longer anybody's.
pub struct Nobody;

impl Observer for Nobody {
    fn answered(&self, _: Stamp, _: &[Decoded]) {}
    fn heard(&self, _: Stamp, _: &[Decoded], _: Option<Duration>) -> Option<Duration> {
        None
    }
    fn failed(&self, _: Stamp, _: &[PointId], _: &Failure, _: u32) {}
    fn silent(&self, _: Stamp, _: &[PointId], _: &Failure, _: bool) {}
    fn skipped(&self, _: u64) {}
}

/// What the device is to be left with, raw.
pub fn safe_values(device: &Device) -> Vec<(PointId, Value)> {
    let safe = (0..).zip(&device.properties).filter_map(|(point, property)| Some((point, property.safe.as_ref()?)));
    safe.map(|(point, safe)| (point, safe.raw.clone())).collect()
}

/// Waits for the `first` write of the [`safe_values`], which is under way to the device `at` its place, and goes on: what
/// the device refuses is left out, and silence is followed by a second attempt, unless the device was `replaced`
/// meanwhile. Says what came of each value.
pub async fn write_safe<W: Writer>(
    device: &Device,
    at: &DeviceId,
    first: impl Future<Output = WriteOutcome> + Send,
    writer: &W,
    replaced: impl Fn() -> bool,
) {
    let until = Instant::now() + LONGEST;
    let mut values = safe_values(device);
    let mut outcome = timeout_at(until, first).await;
    let mut again = true;
    let why = loop {
        match outcome {
            Ok(WriteOutcome::Written(_)) => break None,
            Ok(WriteOutcome::Refused(point, refusal)) => {
                tell(device, point, Some(&format!("the device refused it: {}", refusal.detail)));
                values.retain(|(other, _)| *other != point);
                if values.is_empty() {
                    return;
                }
            }
            Ok(WriteOutcome::Unknown(failure) | WriteOutcome::NotSent(failure)) => {
                if !again {
                    break Some(failure.message);
                }
                again = false;
                sleep(AGAIN).await;
                if replaced() {
                    break Some(format!("{}; the device is served again", failure.message));
                }
            }
            Err(_) => break Some(format!("no outcome within {LONGEST:?}")),
        }
        outcome = timeout_at(until, writer.write(at, values.clone())).await;
    };
    for (point, _) in values {
        tell(device, point, why.as_deref());
    }
}

fn tell(device: &Device, point: PointId, failure: Option<&str>) {
    let property = device.property(point);
    let (id, name, safe) = (&device.id, &property.name, property.safe.as_ref().map(|safe| safe.value.to_string()));
    match failure {
        None => tracing::info!(device = %id, property = %name, safe, "Wrote a safe value."),
        Some(why) => tracing::warn!(device = %id, property = %name, safe, "Safe value not written: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use mapper_api::{ErrorKind, PointId, Refusal, Value};
    use tokio::time::Instant;

    use super::{safe_values, write_safe};
    use crate::{
        bus::{Failure, WriteOutcome},
        control::{
            catalog::{Catalog, Judge, Serve},
            keeper::Writer,
            source::Objects,
            testing,
        },
        model::{Device, DeviceId},
    };

    /// Answers each write with the next of these, and never once they are used up.
    struct Line {
        outcomes: Mutex<VecDeque<WriteOutcome>>,
        writes: Mutex<Vec<Vec<(PointId, Value)>>>,
    }

    impl Writer for Line {
        async fn write(&self, _: &DeviceId, values: Vec<(PointId, Value)>) -> WriteOutcome {
            self.writes.lock().unwrap().push(values);
            let next = self.outcomes.lock().unwrap().pop_front();
            match next {
                Some(outcome) => outcome,
                None => std::future::pending().await,
            }
        }

        fn stands_back(&self) -> bool {
            false
        }

        async fn alone(&self) {}
    }

    fn device() -> Arc<Device> {
        let text = "\
apiVersion: fieldgate.dev/v1alpha1
kind: Device
metadata: { name: boiler }
spec:
  protocol: { wire: { tcp: h, unit: 1 } }
  properties:
    - { name: read, type: int16, wire: { register: 0 } }
    - { name: valve, type: int16, scale: 0.1, access: readWrite, desired: 70, safe: 0.5, wire: { register: 1 } }
    - { name: pump, type: bool, access: write, safe: false, wire: { register: 2 } }
";
        let objects: Objects = [("boiler.yaml".to_owned(), text.to_owned())].into_iter().collect();
        let catalog = Catalog::build(&objects, &Judge::new(testing::mappers(), Serve::All), &Catalog::default());
        catalog.devices.into_values().next().unwrap().unwrap_or_else(|issues| panic!("{issues:?}"))
    }

    /// The points of each write, and how many seconds it took.
    async fn leave(outcomes: Vec<WriteOutcome>, replaced: bool) -> (Vec<Vec<PointId>>, u64) {
        let line = Line { outcomes: Mutex::new(outcomes.into()), writes: Mutex::default() };
        let (device, start, asked) = (device(), Instant::now(), Cell::new(0));
        let first = line.write(&device.id, safe_values(&device));
        let again = || {
            asked.set(asked.get() + 1);
            replaced
        };
        write_safe(&device, &device.id, first, &line, again).await;
        let writes = line.writes.lock().unwrap();
        let points = writes.iter().map(|values| values.iter().map(|(point, _)| *point).collect()).collect();
        (points, start.elapsed().as_secs())
    }

    #[test]
    fn safe_values_are_raw() {
        assert_eq!(safe_values(&device()), [(1, Value::Int(5)), (2, Value::Bool(false))]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_attempt_and_one_more() {
        let silent =
            || WriteOutcome::Unknown(Failure { kind: ErrorKind::Timeout, message: "no answer within 1s".into() });
        let refused = |point| WriteOutcome::Refused(point, Refusal::rejected("illegal data value"));
        let written = || WriteOutcome::Written(Vec::new());
        let both = || vec![1, 2];
        let table = [
            (vec![written()], false, vec![both()], 0),
            (vec![silent(), written()], false, vec![both(), both()], 2),
            (vec![silent(), silent(), written()], false, vec![both(), both()], 2),
            (vec![refused(1), written()], false, vec![both(), vec![2]], 0),
            (vec![refused(1), refused(2)], false, vec![both(), vec![2]], 0),
            (vec![silent(), written()], true, vec![both()], 2),
            (vec![], false, vec![both()], 10),
        ];
        for (outcomes, replaced, writes, seconds) in table {
            assert_eq!(leave(outcomes.clone(), replaced).await, (writes, seconds), "{outcomes:?}");
        }
    }
}
