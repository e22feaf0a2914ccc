//! What has to be done so that what runs is what is wanted. Pure.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::{Device, DeviceId};

/// One thing to do.
pub enum Change {
    /// Take a device on.
    Start(Arc<Device>),
    /// The spec of a device has changed.
    Replace(Arc<Device>),
    /// A device is gone.
    Stop(DeviceId),
}

/// The changes that lead from what runs to what is wanted: first what goes (it may free a bus), then what comes, each
/// in the order of names. A device that is wanted but was not accepted (`None`) goes on with its last accepted spec.
pub fn diff(
    running: &BTreeMap<DeviceId, Arc<Device>>,
    wanted: &BTreeMap<DeviceId, Option<Arc<Device>>>,
) -> Vec<Change> {
    let gone = running.keys().filter(|id| !wanted.contains_key(*id)).cloned().map(Change::Stop);
    let here = wanted.iter().filter_map(|(id, device)| {
        let device = device.as_ref()?;
        match running.get(id) {
            None => Some(Change::Start(device.clone())),
            Some(old) if Arc::ptr_eq(old, device) || (old.uid == device.uid && old.spec == device.spec) => None,
            Some(_) => Some(Change::Replace(device.clone())),
        }
    });
    gone.chain(here).collect()
}
