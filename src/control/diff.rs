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
/// in the order of names. Another resource under the same name is another device.
pub fn diff(running: &BTreeMap<DeviceId, Arc<Device>>, wanted: &BTreeMap<DeviceId, Arc<Device>>) -> Vec<Change> {
    let stays = |old: &Device| wanted.get(&old.id).is_some_and(|device| device.uid == old.uid);
    let gone = running.iter().filter(|(_, old)| !stays(old)).map(|(id, _)| Change::Stop(id.clone()));
    let here = wanted.iter().filter_map(|(id, device)| match running.get(id) {
        Some(old) if stays(old) => (old.print != device.print).then(|| Change::Replace(device.clone())),
        _ => Some(Change::Start(device.clone())),
    });
    gone.chain(here).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::{Change, diff};
    use crate::{
        control::{
            catalog::{Catalog, Judge, Serve},
            source::Objects,
            testing,
        },
        model::{Device, DeviceId},
    };

    fn device(name: &str, poll: &str) -> (DeviceId, Arc<Device>) {
        let text = format!(
            "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{name: {name}}}\nspec: {{protocol: {{wire: {{tcp: h, \
             unit: 1}}}}, pollEvery: {poll}, properties: [{{name: p, type: int16, wire: {{register: 1}}}}]}}\n"
        );
        let objects: Objects = [("a.yaml".to_owned(), text)].into_iter().collect();
        let catalog = Catalog::build(&objects, &Judge::new(testing::mappers(), Serve::All), &Catalog::default());
        let (id, device) = catalog.devices.into_iter().next().unwrap();
        (id, device.unwrap())
    }

    fn said(running: &[(DeviceId, Arc<Device>)], wanted: &[(DeviceId, Arc<Device>)]) -> Vec<String> {
        let running: BTreeMap<_, _> = running.iter().cloned().collect();
        let wanted: BTreeMap<_, _> = wanted.iter().cloned().collect();
        let word = |change: &Change| match change {
            Change::Start(device) => format!("start {}", device.id.name),
            Change::Replace(device) => format!("replace {}", device.id.name),
            Change::Stop(id) => format!("stop {}", id.name),
        };
        diff(&running, &wanted).iter().map(word).collect()
    }

    #[test]
    fn only_what_changed_is_touched() {
        let (a, b) = (device("a", "1s"), device("b", "1s"));
        let mut anew = device("a", "1s");
        Arc::get_mut(&mut anew.1).unwrap().uid = "another".into();
        let want = Clone::clone;
        let table = [
            (vec![], vec![want(&a), want(&b)], vec!["start a", "start b"]),
            (vec![a.clone(), b.clone()], vec![want(&b)], vec!["stop a"]),
            (vec![a.clone()], vec![want(&a)], vec![]),
            (vec![a.clone()], vec![want(&device("a", "1s"))], vec![]),
            (vec![a.clone(), b.clone()], vec![want(&device("a", "2s")), want(&b)], vec!["replace a"]),
            (vec![a.clone()], vec![want(&anew)], vec!["stop a", "start a"]),
            (vec![b], vec![want(&a)], vec!["stop b", "start a"]),
        ];
        for (running, wanted, changes) in table {
            assert_eq!(said(&running, &wanted), changes);
        }
    }
}
