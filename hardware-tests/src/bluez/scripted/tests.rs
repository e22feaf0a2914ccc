//! The mock answers a client of plain D-Bus messages as its head says.

use std::time::{Duration, Instant};

use dbus::{
    Message, Path,
    arg::{AppendAll, PropMap, RefArg, Variant},
    channel::Channel,
};

use super::*;

const A: &str = "C0:DE:00:00:00:01";
const DEVICE: &str = "/org/bluez/hci0/dev_C0_DE_00_00_00_01";
const LEVEL: &str = "/org/bluez/hci0/dev_C0_DE_00_00_00_01/service0001/char0002";
const PATIENCE: Duration = Duration::from_secs(30);

struct Client(Channel);

impl Client {
    fn new(blue: &Scripted) -> Self {
        Self(bus::connect(blue.address()).unwrap())
    }

    fn call<A: AppendAll>(&self, path: &str, method: &str, arguments: A) -> Result<Message, String> {
        let (interface, member) = method.rsplit_once('.').unwrap();
        let interface = if interface.contains('.') { interface.into() } else { format!("org.bluez.{interface}") };
        let call = Message::call_with_args("org.bluez", path, interface.as_str(), member, arguments);
        let answer = self.0.send_with_reply_and_block(call, PATIENCE);
        answer.map_err(|e| e.name().unwrap_or_default().rsplit('.').next().unwrap_or_default().to_owned())
    }

    fn listen(&self) {
        let rule = "type='signal',sender='org.bluez'";
        let path = "/org/freedesktop/DBus";
        let call = Message::call_with_args("org.freedesktop.DBus", path, "org.freedesktop.DBus", "AddMatch", (rule,));
        self.0.send_with_reply_and_block(call, PATIENCE).unwrap();
    }

    /// The next message.
    fn next(&self) -> Message {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(message) = self.0.pop_message() {
                return message;
            }
            assert!(Instant::now() < deadline, "nothing came");
            self.0.read_write(Some(Duration::from_millis(100))).unwrap();
        }
    }

    /// The next PropertiesChanged of this path that has this property.
    fn change(&self, path: &str, property: &str) -> Box<dyn RefArg> {
        loop {
            let message = self.next();
            let (_, changed): (Option<String>, Option<PropMap>) = message.get2();
            if message.path().is_some_and(|p| &*p == path)
                && let Some(Variant(value)) = changed.and_then(|mut all| all.remove(property))
            {
                return value;
            }
        }
    }
}

fn bytes(value: &dyn RefArg) -> Vec<u8> {
    value.as_iter().unwrap().map(|b| u8::try_from(b.as_u64().unwrap()).unwrap()).collect()
}

fn level() -> Peripheral {
    let level = Characteristic::new("2a19", &[90]).read().notify().write();
    Peripheral::new(A).random().service("180f", [level, Characteristic::new("2a1a", b"x").read().secure()])
}

fn duplicates() -> (PropMap,) {
    (objects::properties([("DuplicateData", objects::boxed(true))]),)
}

#[test]
fn an_advertisement_is_heard_while_discovering_and_each_time() {
    let blue = Scripted::start().unwrap();
    let client = Client::new(&blue);
    client.listen();
    let advert = Advert::of(A).manufacturer(0x0499, &[5, 1, 2]);
    blue.advert(&advert);
    assert_eq!(blue.told(), 0);
    client.call("/org/bluez/hci0", "Adapter1.SetDiscoveryFilter", duplicates()).unwrap();
    client.call("/org/bluez/hci0", "Adapter1.StartDiscovery", ()).unwrap();
    assert_eq!(client.call("/org/bluez/hci0", "Adapter1.StartDiscovery", ()).unwrap_err(), "InProgress");
    for _ in 0..3 {
        blue.advert(&advert);
        let data = client.change(DEVICE, "ManufacturerData");
        let parts: Vec<_> = data.as_iter().unwrap().collect();
        assert_eq!(parts[0].as_u64(), Some(0x0499));
        assert_eq!(bytes(parts[1].as_iter().unwrap().next().unwrap()), [5, 1, 2]);
    }
    assert_eq!((blue.told(), blue.calls("Adapter1.StartDiscovery")), (3, 2));
    // A client that leaves takes its session with it.
    assert_eq!(blue.match_rules().unwrap().len(), 1);
    drop(client);
    wait(|| !blue.discovering(0));
}

#[test]
fn connect_read_notify_write_and_pair() {
    let blue = Scripted::start().unwrap();
    blue.put(level());
    blue.know(A);
    let client = Client::new(&blue);
    client.listen();
    client.call(DEVICE, "Device1.Connect", ()).unwrap();
    client.change(DEVICE, "ServicesResolved");
    assert_eq!((blue.connected(A), blue.links()), (Some(0), 1));
    let read = |path: &str| client.call(path, "GattCharacteristic1.ReadValue", (PropMap::new(),));
    assert_eq!(read(LEVEL).unwrap().get1(), Some(vec![90_u8]));
    client.call(LEVEL, "GattCharacteristic1.StartNotify", ()).unwrap();
    assert_eq!(bytes(&client.change(LEVEL, "Value")), [90]);
    blue.set(A, "2a19", &[89]);
    assert_eq!(bytes(&client.change(LEVEL, "Value")), [89]);
    client.call(LEVEL, "GattCharacteristic1.WriteValue", (vec![1_u8], PropMap::new())).unwrap();
    assert_eq!((blue.value(A, "2a19"), blue.written(A, "2a19")), (vec![1], vec![(vec![1], String::new())]));
    let secret = LEVEL.replace("char0002", "char0005");
    assert_eq!(read(&secret).unwrap_err(), "NotPermitted");
    client.call(DEVICE, "Device1.Pair", ()).unwrap();
    assert_eq!(read(&secret).unwrap().get1(), Some(b"x".to_vec()));
    blue.drop_link(A);
    client.change(DEVICE, "Connected");
    assert_eq!(read(LEVEL).unwrap_err(), "Failed");
}

#[test]
fn faults() {
    let mut blue = Scripted::start().unwrap();
    blue.put(level());
    blue.know(A);
    let client = Client::new(&blue);
    blue.refuse("Device1.Connect", "org.bluez.Error.Failed", "le-connection-abort-by-local");
    assert_eq!(client.call(DEVICE, "Device1.Connect", ()).unwrap_err(), "Failed");
    blue.heal("Device1.Connect");
    blue.kill().unwrap();
    assert_eq!(client.call(DEVICE, "Device1.Connect", ()).unwrap_err(), "ServiceUnknown");
    blue.revive().unwrap();
    assert_eq!(client.call(DEVICE, "Device1.Connect", ()).unwrap_err(), "UnknownObject");
    blue.know(A);
    client.call(DEVICE, "Device1.Connect", ()).unwrap();
    blue.unplug(0);
    assert_eq!(client.call("/org/bluez/hci0", "Adapter1.StartDiscovery", ()).unwrap_err(), "UnknownObject");
    blue.plug(0, "00:AA:01:00:00:42");
    client.call("/org/bluez/hci0", "Adapter1.StartDiscovery", ()).unwrap();
    blue.stop_bus();
    assert!(client.call("/org/bluez/hci0", "Adapter1.StopDiscovery", ()).is_err());
    blue.start_bus().unwrap();
    let client = Client::new(&blue);
    let objects = client.call("/", "org.freedesktop.DBus.ObjectManager.GetManagedObjects", ()).unwrap();
    let objects: std::collections::HashMap<Path, objects::Interfaces> = objects.get1().unwrap();
    assert!(objects.contains_key(&Path::from("/org/bluez/hci0")));
}

#[test]
fn a_connect_to_who_is_away_is_done_when_it_comes_back() {
    let blue = Scripted::start().unwrap();
    blue.put(level());
    blue.know(A);
    blue.vanish(A);
    let client = Client::new(&blue);
    client.0.send(Message::call_with_args("org.bluez", DEVICE, "org.bluez.Device1", "Connect", ())).unwrap();
    client.0.flush();
    wait(|| blue.calls("Device1.Connect") == 1);
    assert_eq!(blue.connected(A), None);
    blue.come_back(A);
    assert_eq!(blue.connected(A), Some(0));
    while client.next().get_reply_serial().is_none() {}
}

#[test]
fn a_peripheral_that_hangs_up_is_connected_and_at_once_no_more() {
    let blue = Scripted::start().unwrap();
    blue.put(level());
    blue.know(A);
    let client = Client::new(&blue);
    client.listen();
    for (hangs_up, links) in [(true, 0), (false, 1)] {
        blue.hang_up(A, hangs_up);
        client.call(DEVICE, "Device1.Connect", ()).unwrap();
        assert_eq!(blue.links(), links);
    }
    let seen: Vec<_> = (0..3).map(|_| client.change(DEVICE, "Connected").as_i64()).collect();
    assert_eq!(seen, [Some(1), Some(0), Some(1)]);
    client.change(DEVICE, "ServicesResolved");
}

/// The agent's answers, given by hand on the client's own connection.
#[test]
fn pairing_asks_the_agent() {
    for (pairing, asked, entered, result) in [
        (Pairing::Passkey(123_456), "RequestPasskey", Some(123_456_u32), Ok(())),
        (Pairing::Passkey(123_456), "RequestPasskey", Some(1), Err("AuthenticationFailed")),
        (Pairing::Numeric(42), "RequestConfirmation", None, Ok(())),
    ] {
        let blue = Scripted::start().unwrap();
        blue.put(level().pairing(pairing));
        blue.know(A);
        let client = Client::new(&blue);
        let agent = Path::from("/agent");
        client.call("/org/bluez", "AgentManager1.RegisterAgent", (agent, "KeyboardDisplay")).unwrap();
        let call = Message::call_with_args("org.bluez", DEVICE, "org.bluez.Device1", "Pair", ());
        let serial = client.0.send(call).unwrap();
        let answer = loop {
            let mut message = client.next();
            if message.get_reply_serial() == Some(serial) {
                break message.as_result().map(|_| ()).map_err(|e| e.name().unwrap().to_owned());
            }
            if message.member().is_some_and(|m| &*m == asked) {
                let answer = message.method_return();
                let _ = client.0.send(match entered {
                    Some(number) => answer.append1(number),
                    None => answer,
                });
            }
        };
        assert_eq!(answer.as_ref().map_err(|e| e.rsplit('.').next().unwrap()).copied(), result);
        assert_eq!(blue.paired(A).is_some(), result.is_ok());
    }
}

fn wait(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(5));
    }
}
