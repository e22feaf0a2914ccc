//! Where the values go that devices send by themselves: from BlueZ's own signals to the link that they came over.
//!
//! Not by btleplug's streams. Each of them adds a match rule to the bus and takes it away again, and dbus-daemon (seen
//! with 1.14.10) tells rules apart by everything but `path_namespace`: what it takes away may be the rule of another
//! device, which is then connected, subscribed to, and deaf. The radio's connection has one rule, for all.

use std::collections::{BTreeMap, HashMap};

use dbus::{
    Message,
    arg::{ArgType, Iter},
};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{
    Notified, Spot,
    facts::{CHARACTERISTIC, Place, for_each_entry, for_each_property},
};

const SERVICE: &str = "org.bluez.GattService1";

/// The characteristics of a device, by object path.
pub type Spots = BTreeMap<String, Spot>;

/// The links that want values.
#[derive(Debug, Default)]
pub struct Taps(HashMap<Place, (Spots, mpsc::Sender<Notified>)>);

impl Taps {
    /// From now on a device's values go there.
    pub fn add(&mut self, place: Place, spots: Spots, send: mpsc::Sender<Notified>) {
        self.0.insert(place, (spots, send));
    }

    /// Its link is over.
    pub fn remove(&mut self, place: Place) {
        self.0.remove(&place);
    }

    /// A characteristic has another value. Returns whether there was no room for it.
    pub fn give(&self, place: Place, path: &str, value: Vec<u8>) -> bool {
        let Some((spots, send)) = self.0.get(&place) else { return false };
        let Some(spot) = spots.get(path) else { return false };
        let notified = Notified { spot: *spot, value, at: Instant::now() };
        matches!(send.try_send(notified), Err(mpsc::error::TrySendError::Full(_)))
    }
}

/// Reads from the answer to `GetManagedObjects` what characteristics a device has (BlueZ's `doc/gatt-api.txt`).
pub fn read_spots(message: &Message, place: Place) -> Spots {
    let below = format!("{}/", place.path());
    let mut services: HashMap<String, Uuid> = HashMap::new();
    let mut characteristics = Vec::new();
    for_each_entry(&mut message.iter_init(), |entry| {
        let path = entry.get::<dbus::Path>()?;
        entry.next();
        if !path.starts_with(&*below) {
            return None;
        }
        for_each_entry(entry, |interface| {
            let name = interface.get::<&str>()?;
            interface.next();
            match name {
                SERVICE => {
                    let uuid = uuid(interface)?;
                    services.insert(path.to_string(), uuid);
                }
                CHARACTERISTIC => characteristics.push((path.to_string(), uuid(interface)?)),
                _ => {}
            }
            Some(())
        });
        Some(())
    });
    let spot = |(path, characteristic): (String, Uuid)| {
        let service = *services.get(path.rsplit_once('/')?.0)?;
        Some((path, Spot { service, characteristic }))
    };
    characteristics.into_iter().filter_map(spot).collect()
}

fn uuid(properties: &mut Iter) -> Option<Uuid> {
    let mut found = None;
    for_each_property(properties, |name, value| {
        if name == "UUID" {
            found = value.get::<&str>().and_then(|text| text.parse().ok());
        }
    });
    found
}

/// Reads the value of a characteristic whose properties changed; none if another property did.
pub fn read_value(properties: &mut Iter) -> Option<Vec<u8>> {
    let mut found = None;
    for_each_property(properties, |name, value| {
        if name == "Value" && value.arg_type() == ArgType::Array {
            found = value.get::<&[u8]>().map(<[u8]>::to_vec);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::{super::facts::Hci, *};
    use crate::advert::{Mac, short};

    #[test]
    fn values_go_to_the_link_of_their_device_as_long_as_there_is_room() {
        let (here, other) = (Mac([1; 6]), Mac([2; 6]));
        let place = |mac| Place { hci: Hci(0), mac };
        let spot = Spot { service: short(0x180f), characteristic: short(0x2a19) };
        let (send, mut taken) = mpsc::channel(1);
        let mut taps = Taps::default();
        taps.add(place(here), Spots::from([("/a".to_owned(), spot)]), send);
        for (mac, path, dropped) in [(other, "/a", false), (here, "/b", false), (here, "/a", false), (here, "/a", true)]
        {
            assert_eq!(taps.give(place(mac), path, vec![7]), dropped, "{mac} {path}");
        }
        let Notified { spot: at, value, .. } = taken.try_recv().unwrap();
        assert_eq!((at, value), (spot, vec![7]));
        taps.remove(place(here));
        assert!(taken.try_recv().is_err() && !taps.give(place(here), "/a", vec![8]));
    }
}
