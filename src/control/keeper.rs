//! Keeps one device at its desired values: watches what polls find, and asks the bus to write. It never reads by
//! itself, since one poll feeds every consumer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mapper_api::{Decoded, PointId, Value};

use super::desired::{Attempt, Keeping, Sync};
use crate::{
    bus::WriteOutcome,
    clock::Stamp,
    model::{Desired, Device, DeviceId, Property},
};

/// How a keeper writes: the device's bus, behind one method.
pub trait Writer: Send + std::marker::Sync + 'static {
    /// Writes raw values and reads them back.
    fn write(&self, device: &DeviceId, values: Vec<(PointId, Value)>) -> impl Future<Output = WriteOutcome> + Send;

    /// Whether another bridge of this node serves the device, so that nothing is written: the two would write over each
    /// other.
    fn stands_back(&self) -> bool;

    /// Waits until none does. Cancel-safe.
    fn alone(&self) -> impl Future<Output = ()> + Send;
}

/// Told which points with a desired value hold it.
type Changed = dyn Fn(&[(PointId, bool)]) + Send + std::marker::Sync;

/// The desired values of one device.
pub struct Keeper<W> {
    device: Arc<Device>,
    writer: Arc<W>,
    kept: Mutex<Vec<(PointId, Keeping)>>,
    changed: Box<Changed>,
}

fn carried<W>(device: &Device, property: &Property, before: Option<&Keeper<W>>) -> Option<Keeping> {
    let before = before.filter(|before| before.device.uid == device.uid)?;
    let old = device.same_point(property, &before.device).filter(|_| device.is_reached_as(&before.device))?;
    let kept = before.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, keeping) = kept.iter().find(|(point, _)| usize::from(*point) == old)?;
    Some(keeping.carried(Stamp::now().mono))
}

impl<W: Writer> Keeper<W> {
    /// A keeper of this device, or none if nothing is desired of it. `changed` is called when a property's [`Sync`]
    /// may have changed.
    ///
    /// What an earlier keeper of the same device knows of properties that did not change is taken over.
    pub fn new(
        device: &Arc<Device>,
        writer: Arc<W>,
        before: Option<&Self>,
        changed: impl Fn(&[(PointId, bool)]) + Send + std::marker::Sync + 'static,
    ) -> Option<Arc<Self>> {
        let kept: Vec<_> = (0..)
            .zip(&device.properties)
            .filter(|(_, property)| property.desired.is_some())
            .map(|(point, property)| (point, carried(device, property, before).unwrap_or_default()))
            .collect();
        (!kept.is_empty()).then(|| {
            let changed = Box::new(changed);
            Arc::new(Self { device: device.clone(), writer, kept: Mutex::new(kept), changed })
        })
    }

    /// What is known of each property with a desired value.
    pub fn state(&self) -> Vec<(PointId, Sync)> {
        self.kept().iter().map(|(point, keeping)| (*point, keeping.sync().clone())).collect()
    }

    /// Writes what cannot be read, and again until it was sent. To be called when the device has joined its bus.
    pub fn write_blind(self: &Arc<Self>) {
        let due = self.choose(|point, keeping| !self.device.property(point).access.can_read() && keeping.blind());
        self.start(due);
    }

    fn tell(&self) {
        let held: Vec<_> = {
            let kept = self.kept();
            let known = kept.iter().filter(|(_, keeping)| *keeping.sync() != Sync::Unknown);
            known.map(|(point, keeping)| (*point, keeping.sync().is_synced())).collect()
        };
        (self.changed)(&held);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(PointId, Keeping)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desired(&self, point: PointId) -> &Desired {
        self.device.property(point).desired.as_ref().expect("only points with a desired value are kept")
    }

    fn choose(&self, mut due: impl FnMut(PointId, &mut Keeping) -> bool) -> Vec<PointId> {
        self.kept().iter_mut().filter_map(|(point, keeping)| due(*point, keeping).then_some(*point)).collect()
    }

    /// A task for each write, so that one that is refused does not keep back the others.
    fn start(self: &Arc<Self>, due: Vec<PointId>) {
        for point in due {
            let keeper = Arc::downgrade(self);
            tokio::spawn(async move {
                // A keeper that is gone belongs to a device whose spec has changed or that was deleted.
                while let Some(writer) = keeper.upgrade().map(|keeper| keeper.writer.clone()) {
                    writer.alone().await;
                    let Some(keeper) = keeper.upgrade() else { return };
                    let again = keeper.write(point).await;
                    drop(keeper);
                    match again {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return,
                    }
                }
            });
        }
    }

    /// Writes one point. Returns how long to wait before it is tried again, if no read will cause that.
    async fn write(&self, point: PointId) -> Option<Duration> {
        let (property, desired) = (self.device.property(point), self.desired(point));
        let readable = property.access.can_read();
        let outcome = self.writer.write(&self.device.id, vec![(point, desired.raw.clone())]).await;
        let attempt = Attempt::of(&outcome, point, readable);
        tracing::info!(device = %self.device.id, property = %property.name, desired = %desired.value, outcome = ?attempt, "Wrote a desired value.");
        let now = Stamp::now().mono;
        let again = {
            let mut kept = self.kept();
            let (_, keeping) = kept.iter_mut().find(|(kept, _)| *kept == point)?;
            keeping.written(property, desired, attempt, now);
            (!readable && !keeping.sync().is_synced()).then(|| keeping.wait(now))
        };
        self.tell();
        again
    }

    /// A poll was answered. Called on the bus task: it only decides, and leaves the writing to a task of its own.
    pub fn answered(self: &Arc<Self>, at: Stamp, points: &[Decoded]) {
        let mut changed = false;
        let due = self.choose(|point, keeping| {
            let Some(Ok(raw)) = points.iter().find(|d| d.point == point).map(|d| &d.result) else {
                return false;
            };
            let before = keeping.sync().clone();
            let due = keeping.found(self.device.property(point), self.desired(point), raw, at.mono);
            changed |= before != *keeping.sync();
            if due && self.writer.stands_back() {
                keeping.postpone();
                return false;
            }
            due
        });
        self.start(due);
        if changed {
            self.tell();
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
