//! What the scripted BlueZ answers to calls. Errors carry the names and texts of BlueZ 5.66 (src/error.c, src/adapter.c,
//! src/device.c, src/gatt-client.c of its sources).

use std::{collections::HashMap, ffi::CString};

use dbus::{
    Message, Path,
    arg::{AppendAll, PropMap, RefArg, Variant},
    nonblock::{NonblockReply, SyncConnection},
};

use super::{
    air::{Characteristic, Manner, Pairing},
    objects::{self, ADAPTER, AGENTS, CHARACTERISTIC, DEVICE, Interfaces, adapter_path, boxed, device_path},
    world::{Fault, World, lock},
};

type Key = (usize, String);

/// Why a call fails: the error's name, without `org.bluez.Error.` if it is one of BlueZ's own, and its text.
struct Refused(&'static str, &'static str);

const NOT_CONNECTED: Refused = Refused("Failed", "Not connected");
const NOT_READY: Refused = Refused("NotReady", "Resource Not Ready");
const IN_PROGRESS: Refused = Refused("InProgress", "Operation already in progress");
const NOT_PAIRED: Refused = Refused("NotPermitted", "Not paired");
const NO_AUTHENTICATION: Refused = Refused("AuthenticationFailed", "Authentication Failed");
const NO_SUCH: Refused = Refused("DoesNotExist", "Does Not Exist");
const NO_OBJECT: Refused =
    Refused("org.freedesktop.DBus.Error.UnknownObject", "Method with this signature on an object that does not exist");

/// What is sent back. `None`: an answer follows later, or never.
type Answer = Result<Option<Message>, Refused>;

impl World {
    /// Answers a call, or does what its fault says.
    pub fn call(&mut self, call: &Message) {
        let (Some(interface), Some(member), Some(path)) = (call.interface(), call.member(), call.path()) else {
            return;
        };
        let name = format!("{}.{}", interface.strip_prefix("org.bluez.").unwrap_or(&interface), &*member);
        *self.calls.entry(name.clone()).or_default() += 1;
        match self.faults.get(&name) {
            Some(Fault::Hang) => return,
            Some(Fault::Refuse(name, text)) => return self.send(error(call, name, text)),
            None => {}
        }
        let answer = match (&*interface, objects::parse(&path)) {
            ("org.freedesktop.DBus.ObjectManager", _) if &*path == "/" => reply(call, (objects::all(self),)),
            ("org.freedesktop.DBus.Introspectable", _) => self.introspect(call, &path),
            ("org.freedesktop.DBus.Properties", _) => self.property(call, &path, &member),
            (AGENTS, _) => self.agent(call, &member),
            (ADAPTER, Some((number, None))) => self.adapter(call, number, &member),
            (DEVICE, Some((number, Some(address)))) => self.device(call, &(number, address), &member),
            (CHARACTERISTIC, Some((number, Some(address)))) => {
                self.characteristic(call, &(number, address), &path, &member)
            }
            _ => return dbus::channel::default_reply(call).into_iter().for_each(|answer| self.send(answer)),
        };
        match answer {
            Ok(Some(answer)) => self.send(answer),
            Ok(None) => {}
            Err(refused) => self.refuse(call, &refused),
        }
    }

    fn refuse(&self, call: &Message, Refused(name, text): &Refused) {
        let name = if name.contains('.') { (*name).to_owned() } else { format!("org.bluez.Error.{name}") };
        self.send(error(call, &name, text));
    }

    fn object(&self, path: &str) -> Option<Interfaces> {
        let (number, address) = objects::parse(path)?;
        let Some(address) = address else {
            let adapter = self.adapters.get(&number)?;
            return Some(HashMap::from([(ADAPTER.to_owned(), adapter.properties())]));
        };
        let device = self.devices.get(&(number, address.clone()))?;
        let of = device_path(number, &address);
        if path == of {
            return Some(HashMap::from([(DEVICE.to_owned(), device.properties(number))]));
        }
        objects::below(self, &of, device).into_iter().find(|(p, _)| p == path).map(|(_, of)| of)
    }

    /// What lies right below a device's object or one of its own; the interfaces are left out.
    fn introspect(&self, call: &Message, path: &str) -> Answer {
        let (number, address) = objects::parse(path).ok_or(NO_OBJECT)?;
        let key = (number, address.ok_or(NO_OBJECT)?);
        let device = self.devices.get(&key).ok_or(NO_OBJECT)?;
        let below = objects::below(self, &device_path(key.0, &key.1), device);
        let children = below.iter().filter_map(|(child, _)| child.strip_prefix(path)?.strip_prefix('/'));
        let nodes: Vec<_> = children.filter(|n| !n.contains('/')).map(|n| format!("<node name=\"{n}\"/>")).collect();
        reply(call, (format!("<node>{}</node>", nodes.concat()),))
    }

    fn property(&mut self, call: &Message, path: &str, member: &str) -> Answer {
        let mut object = self.object(path).ok_or(NO_OBJECT)?;
        let (interface, name): (Option<&str>, Option<&str>) = call.get2();
        let all = object.remove(interface.unwrap_or_default()).ok_or(NO_OBJECT)?;
        let name = name.unwrap_or_default();
        match member {
            "GetAll" => reply(call, (all,)),
            "Get" => reply(call, (all.get(name).ok_or(NO_OBJECT)?,)),
            "Set" => {
                let (_, _, value) = call.read3::<&str, &str, Variant<Box<dyn RefArg>>>().map_err(|_| NO_OBJECT)?;
                self.set_property(path, name, value.0.as_i64() == Some(1));
                reply(call, ())
            }
            _ => Err(NO_OBJECT),
        }
    }

    /// The two that a client may want to set; others are taken and forgotten.
    fn set_property(&mut self, path: &str, name: &str, value: bool) {
        match (objects::parse(path), name) {
            (Some((number, None)), "Powered") => self.power(number, value),
            (Some((number, Some(address))), "Trusted") => {
                if let Some(device) = self.devices.get_mut(&(number, address)) {
                    device.trusted = value;
                    self.changes(path, DEVICE, [("Trusted", boxed(value))]);
                }
            }
            _ => {}
        }
    }

    pub fn power(&mut self, number: usize, on: bool) {
        let Some(adapter) = self.adapters.get_mut(&number).filter(|a| a.powered != on) else { return };
        adapter.powered = on;
        adapter.deaf.take_if(|heals| on && *heals != super::air::Heals::Never);
        if !on {
            adapter.sessions.clear();
            let linked: Vec<Key> = self.devices.keys().filter(|(n, _)| *n == number).cloned().collect();
            for key in &linked {
                self.unlink(key);
            }
            self.discover(number);
        }
        if !self.faults.contains_key("Adapter1.Powered") {
            self.changes(&adapter_path(number), ADAPTER, [("Powered", boxed(on))]);
        }
    }

    fn agent(&mut self, call: &Message, member: &str) -> Answer {
        let sender = sender(call);
        let path: Path = call.get1().ok_or(Refused("InvalidArguments", "Invalid arguments in method call"))?;
        match member {
            "RegisterAgent" if self.agents.contains_key(&sender) => {
                return Err(Refused("AlreadyExists", "Already Exists"));
            }
            "RegisterAgent" => _ = self.agents.insert(sender.clone(), (sender, path.to_string())),
            "UnregisterAgent" => {
                self.agents.remove(&sender).ok_or(NO_SUCH)?;
                self.default_agent.take_if(|(who, _)| *who == sender);
            }
            _ => self.default_agent = Some(self.agents.get(&sender).ok_or(NO_SUCH)?.clone()),
        }
        reply(call, ())
    }

    fn adapter(&mut self, call: &Message, number: usize, member: &str) -> Answer {
        let sender = sender(call);
        let adapter = self.adapters.get_mut(&number).ok_or(NO_OBJECT)?;
        match member {
            "SetDiscoveryFilter" => {
                let filter: PropMap = call.get1().unwrap_or_default();
                let duplicates = filter.get("DuplicateData").and_then(|v| v.0.as_i64()) == Some(1);
                adapter.filters.insert(sender.clone(), duplicates);
                if let Some(session) = adapter.sessions.get_mut(&sender) {
                    *session = duplicates;
                }
            }
            "StartDiscovery" if !adapter.powered => return Err(NOT_READY),
            "StartDiscovery" if adapter.sessions.contains_key(&sender) => return Err(IN_PROGRESS),
            "StartDiscovery" => {
                let duplicates = adapter.filters.get(&sender).copied().unwrap_or(false);
                adapter.deaf.take_if(|heals| *heals == super::air::Heals::Restart);
                adapter.sessions.insert(sender, duplicates);
                self.discover(number);
            }
            "StopDiscovery" => {
                adapter.sessions.remove(&sender).ok_or(Refused("Failed", "No discovery started"))?;
                self.discover(number);
            }
            "RemoveDevice" => {
                let path: Path = call.get1().ok_or(NO_SUCH)?;
                let key = objects::parse(&path).and_then(|(n, a)| Some((n, a?))).ok_or(NO_SUCH)?;
                self.devices.contains_key(&key).then_some(()).ok_or(NO_SUCH)?;
                self.remove_device(&key);
            }
            _ => return Ok(dbus::channel::default_reply(call)),
        }
        reply(call, ())
    }

    fn device(&mut self, call: &Message, key: &Key, member: &str) -> Answer {
        if !self.adapters.get(&key.0).is_some_and(|a| a.powered) {
            return Err(NOT_READY);
        }
        let device = self.devices.get(key).ok_or(NO_OBJECT)?;
        let peripheral = self.peripherals.get(&key.1).filter(|p| p.in_range);
        match (member, peripheral) {
            ("Connect", _) if device.connected => reply(call, ()),
            ("Pair", None) => Err(Refused("ConnectionAttemptFailed", "Page Timeout")),
            ("Connect", None) => {
                self.pending.push((key.clone(), kept(call)?));
                Ok(None)
            }
            ("Connect", Some(_)) => {
                self.connect(call, key);
                Ok(None)
            }
            ("Disconnect", _) => {
                // A connect that is under way ends with it.
                let (ours, rest) = std::mem::take(&mut self.pending).into_iter().partition(|(k, _)| k == key);
                self.pending = rest;
                for (_, call) in ours {
                    self.refuse(&call, &Refused("Failed", "le-connection-abort-by-local"));
                }
                self.unlink(key);
                reply(call, ())
            }
            ("Pair", _) if device.paired => Err(Refused("AlreadyExists", "Already Exists")),
            ("Pair", Some(peripheral)) => {
                let pairing = peripheral.pairing;
                self.pair(call, key, pairing)
            }
            ("CancelPairing", _) => Err(NO_SUCH),
            _ => Ok(dbus::channel::default_reply(call)),
        }
    }

    /// The link comes up; the answer goes out before the services are known, as BlueZ does it. A peripheral that hangs up
    /// does so in between.
    pub fn connect(&mut self, call: &Message, key: &Key) {
        self.link(key);
        self.send(call.method_return());
        if self.peripherals.get(&key.1).is_some_and(|p| p.manner == Manner::HangsUp) {
            self.unlink(key);
        } else {
            self.resolve(key);
        }
    }

    fn pair(&mut self, call: &Message, key: &Key, pairing: Pairing) -> Answer {
        let fresh = self.devices.get(key).is_some_and(|d| !d.connected);
        if fresh {
            self.link(key);
        }
        let (question, number) = match pairing {
            Pairing::Never => return Err(NO_AUTHENTICATION),
            Pairing::JustWorks => {
                self.paired(key, fresh);
                return reply(call, ());
            }
            Pairing::Passkey(number) => ("RequestPasskey", number),
            Pairing::Numeric(number) => ("RequestConfirmation", number),
        };
        // The caller's own agent, else the default one.
        let agent = self.agents.get(&sender(call)).or(self.default_agent.as_ref()).cloned();
        let (Some((name, path)), Some(connection)) = (agent, self.connection.clone()) else {
            return Err(NO_AUTHENTICATION);
        };
        let device = Path::from(device_path(key.0, &key.1));
        let question = match pairing {
            Pairing::Passkey(_) => Message::call_with_args(name, path, "org.bluez.Agent1", question, (device,)),
            _ => Message::call_with_args(name, path, "org.bluez.Agent1", question, (device, number)),
        };
        let (world, key, call) = (self.me.clone(), key.clone(), kept(call)?);
        let then = move |mut answer: Message, _: &SyncConnection| {
            let Some(world) = world.upgrade() else { return };
            let mut world = lock(&world);
            let fits = match answer.as_result() {
                Ok(answer) if matches!(pairing, Pairing::Passkey(_)) => answer.get1() == Some(number),
                given => given.is_ok(),
            };
            if fits {
                world.paired(&key, fresh);
                world.send(call.method_return());
            } else {
                world.refuse(&call, &NO_AUTHENTICATION);
            }
        };
        let _ = connection.send_with_reply(question, SyncConnection::make_f(then));
        Ok(None)
    }

    fn paired(&mut self, key: &Key, fresh: bool) {
        if let Some(device) = self.devices.get_mut(key) {
            device.paired = true;
            let path = device_path(key.0, &key.1);
            self.changes(&path, DEVICE, [("Paired", boxed(true)), ("Bonded", boxed(true))]);
        }
        if fresh {
            self.resolve(key);
        }
    }

    fn characteristic(&mut self, call: &Message, key: &Key, path: &str, member: &str) -> Answer {
        let device = self.devices.get(key).ok_or(NO_OBJECT)?;
        let (connected, paired) = (device.connected, device.paired);
        let peripheral = self.peripherals.get_mut(&key.1).ok_or(NO_OBJECT)?;
        let (mute, of) = (peripheral.manner == Manner::Mute || !peripheral.in_range, device_path(key.0, &key.1));
        let uuid = objects::uuid_at(&of, peripheral, path).ok_or(NO_OBJECT)?;
        let one = peripheral.find(&uuid).ok_or(NO_OBJECT)?;
        if !connected {
            // Seen with 5.66: a session that outlived its link is taken for one that is being set up.
            let waits = member == "StartNotify" && one.sessions.contains(&sender(call));
            return Err(if waits { IN_PROGRESS } else { NOT_CONNECTED });
        }
        if one.secure && !paired {
            return Err(NOT_PAIRED);
        }
        if mute && member != "StopNotify" {
            return Ok(None);
        }
        match member {
            "ReadValue" if !one.may(&["read"]) => Err(Refused("NotPermitted", "Read not permitted")),
            "ReadValue" => {
                let value = one.value.clone();
                // BlueZ shows what was read as the property's new value, so subscribers hear it, too.
                self.tell_value(&key.1, &uuid, &value);
                reply(call, (value,))
            }
            "WriteValue" => {
                write(one, call)?;
                reply(call, ())
            }
            "StartNotify" if !one.may(&["notify", "indicate"]) => {
                Err(Refused("NotSupported", "Operation is not supported"))
            }
            "StartNotify" | "StopNotify" => {
                if member == "StartNotify" {
                    one.sessions.insert(sender(call));
                } else {
                    one.sessions
                        .remove(&sender(call))
                        .then_some(())
                        .ok_or(Refused("Failed", "No notify session started"))?;
                }
                let notifying = !one.sessions.is_empty();
                self.changes(path, CHARACTERISTIC, [("Notifying", boxed(notifying))]);
                reply(call, ())
            }
            _ => Err(Refused("NotSupported", "Operation is not supported")),
        }
    }
}

fn write(one: &mut Characteristic, call: &Message) -> Result<(), Refused> {
    let (value, options): (Option<Vec<u8>>, Option<PropMap>) = call.get2();
    let options = options.unwrap_or_default();
    let kind = options.get("type").and_then(|v| v.0.as_str()).unwrap_or_default().to_owned();
    let allowed = match kind.as_str() {
        "request" => one.may(&["write"]),
        "command" => one.may(&["write-without-response"]),
        _ => one.may(&["write", "write-without-response"]),
    };
    if !allowed {
        return Err(Refused("NotSupported", "Operation is not supported"));
    }
    one.value = value.unwrap_or_default();
    one.written.push((one.value.clone(), kind));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // so that it stands where an answer stands
fn reply<A: AppendAll>(call: &Message, arguments: A) -> Answer {
    Ok(Some(call.return_with_args(arguments)))
}

fn error(call: &Message, name: &str, text: &str) -> Message {
    call.error(&name.to_owned().into(), &CString::new(text).unwrap_or_default())
}

/// A copy that can be answered later: a mere duplicate has no serial number.
fn kept(call: &Message) -> Result<Message, Refused> {
    let mut copy = call.duplicate().map_err(|_| Refused("Failed", "no memory"))?;
    copy.set_serial(call.get_serial().unwrap_or_default());
    Ok(copy)
}

fn sender(call: &Message) -> String {
    call.sender().map(|name| name.to_string()).unwrap_or_default()
}
