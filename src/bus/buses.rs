//! All buses of the process: a device is taken to the bus that its endpoint names. A bus lives as long as it has
//! devices.

use std::collections::{BTreeMap, HashMap};

use mapper_api::{BusKey, ErrorKind, PointId, Value};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{BusHandle, BusStats, Command, Failure, Member, Options, Write, WriteOutcome, spawn};
use crate::model::DeviceId;

/// The buses by key, and where each device is.
pub struct Buses {
    options: Options,
    running: BTreeMap<BusKey, Entry>,
    places: HashMap<DeviceId, BusKey>,
    /// Tasks that may still hold their resource.
    ending: Vec<(String, JoinHandle<()>)>,
}

struct Entry {
    handle: BusHandle,
    devices: usize,
}

impl Buses {
    /// None yet.
    pub fn new(options: Options) -> Self {
        Self { options, running: BTreeMap::new(), places: HashMap::new(), ending: Vec::new() }
    }

    /// Takes a device on, or replaces the one of the same name. One that moves leaves its old bus first; a bus of the
    /// same resource but other settings opens after the old one has closed.
    pub fn join(&mut self, member: Member) {
        let key = member.bound.bus_key().clone();
        if self.places.get(&member.id).is_some_and(|old| *old != key) {
            self.leave(&member.id);
        }
        if !self.running.contains_key(&key) {
            self.ending.retain(|(_, task)| !task.is_finished());
            let same = self.ending.extract_if(.., |(resource, _)| *resource == key.resource);
            let predecessors = same.map(|(_, task)| task).collect();
            let handle = spawn(member.bound.protocol(), &key, self.options, predecessors);
            self.running.insert(key.clone(), Entry { handle, devices: 0 });
        }
        let entry = self.running.get_mut(&key).expect("it was just made sure of");
        if self.places.insert(member.id.clone(), key).is_none() {
            entry.devices += 1;
        }
        entry.handle.send(Command::Join(Box::new(member)));
    }

    /// Lets a device go. The last one closes its bus.
    pub fn leave(&mut self, device: &DeviceId) {
        let Some(key) = self.places.remove(device) else { return };
        let Some(entry) = self.running.get_mut(&key) else { return };
        entry.devices -= 1;
        if entry.devices > 0 {
            entry.handle.send(Command::Leave(Box::new(device.clone())));
        } else if let Some(entry) = self.running.remove(&key) {
            self.ending.push((key.resource, entry.handle.stop()));
        }
    }

    /// Writes raw values to a device and reads them back, ahead of every poll. Access and range are already checked.
    pub fn write(
        &self,
        device: &DeviceId,
        values: Vec<(PointId, Value)>,
    ) -> impl Future<Output = WriteOutcome> + Send + 'static + use<> {
        let (reply, outcome) = oneshot::channel();
        let entry = self.places.get(device).and_then(|key| self.running.get(key));
        let known = entry.is_some();
        if let Some(entry) = entry {
            entry.handle.send(Command::Write(Box::new(Write { device: device.clone(), values, reply })));
        }
        let missing = format!("{device} is on no bus");
        async move {
            match outcome.await {
                Ok(outcome) => outcome,
                Err(_) if known => {
                    let message = "the bus broke down before it answered".to_owned();
                    WriteOutcome::Unknown(Failure { kind: ErrorKind::Bus, message })
                }
                Err(_) => WriteOutcome::NotSent(Failure { kind: ErrorKind::Unreachable, message: missing }),
            }
        }
    }

    /// What each bus counts.
    pub fn stats(&self) -> Vec<BusStats> {
        self.running.values().map(|entry| entry.handle.stats(entry.devices)).collect()
    }

    /// Ends all buses, each after the sequence in flight, and waits for that.
    pub async fn stop(self) {
        let running: Vec<_> = self.running.into_values().map(|entry| entry.handle.stop()).collect();
        for task in running.into_iter().chain(self.ending.into_iter().map(|(_, task)| task)) {
            // A task that was aborted with the runtime has nothing left to end.
            let _ = task.await;
        }
    }
}
