//! Which devices' status may have changed: a list without repeats, and one wake-up. What a status is, it does not know.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use crate::model::DeviceId;

/// The devices that were touched since somebody last asked. As long as nobody asks, nothing is kept.
#[derive(Default)]
pub struct Touched {
    asked: AtomicBool,
    marks: Mutex<Vec<Arc<Mark>>>,
    wake: Notify,
}

/// One device's place in the list.
pub struct Mark {
    id: DeviceId,
    listed: AtomicBool,
    list: Arc<Touched>,
}

impl Mark {
    /// A mark for this device.
    pub fn new(id: DeviceId, list: &Arc<Touched>) -> Arc<Self> {
        Arc::new(Self { id, listed: AtomicBool::new(false), list: list.clone() })
    }

    /// Its status may have changed. Of several calls before the list is taken, only the first locks.
    pub fn touch(self: &Arc<Self>) {
        if self.list.asked.load(Ordering::Relaxed) && !self.listed.swap(true, Ordering::AcqRel) {
            self.list.marks.lock().unwrap_or_else(PoisonError::into_inner).push(self.clone());
            self.list.wake.notify_one();
        }
    }
}

impl Touched {
    /// From now on marks are kept; true the first time.
    pub fn ask(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }

    /// Those touched since the last call, once there is one. Cancel-safe.
    pub async fn next(&self) -> Vec<DeviceId> {
        loop {
            let marks = std::mem::take(&mut *self.marks.lock().unwrap_or_else(PoisonError::into_inner));
            if !marks.is_empty() {
                // Cleared before anybody looks at the device: what changes from here on marks it again.
                marks.iter().for_each(|mark| mark.listed.store(false, Ordering::Release));
                return marks.iter().map(|mark| mark.id.clone()).collect();
            }
            self.wake.notified().await;
        }
    }
}
