//! Properties that many devices have alike, as those of one DeviceModel do, are held once. Nothing here decides what a
//! device is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::model::{Device, Property};

/// So many that have a name in common but differ are looked at; of more the first are forgotten.
const MOST: usize = 8;

/// The properties that are in use, by name.
#[derive(Default)]
pub struct Shared(Mutex<HashMap<Arc<str>, Vec<Weak<Property>>>>);

impl Shared {
    /// The same device, with the properties that are there already.
    pub fn with(&self, mut device: Device) -> Device {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for property in &mut device.properties {
            let alike = known.entry(property.name.clone()).or_default();
            alike.retain(|other| other.strong_count() > 0);
            if let Some(other) = alike.iter().filter_map(Weak::upgrade).find(|other| other == property) {
                *property = other;
                continue;
            }
            if alike.len() == MOST {
                alike.remove(0);
            }
            alike.push(Arc::downgrade(property));
        }
        // Names that nobody uses any more go now and then.
        if known.len().is_power_of_two() {
            known.retain(|_, alike| alike.iter().any(|other| other.strong_count() > 0));
        }
        device
    }
}
