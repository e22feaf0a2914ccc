//! The radio's own connection to D-Bus: BlueZ's signals come in by two match rules, calls go out with a time-out.
//!
//! btleplug's connection is another one (see [`super::session`]); both are libdbus.

use std::{sync::Arc, time::Duration};

use dbus::{
    Message,
    arg::{AppendAll, IterAppend, ReadAll},
    channel::{BusType, Channel, MatchingReceiver},
    message::MatchRule,
    nonblock::{NonblockReply, SyncConnection},
};
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{
    RadioError, RadioErrorKind,
    counts::Counters,
    facts::{BLUEZ, BUS, OBJECTS, PROPERTIES},
};

/// How many signals wait for the radio's task.
pub const SIGNALS: usize = 4096;

/// Everything that BlueZ says, whoever it is at the moment; and that it came or went.
const RULES: [&str; 2] = [
    "type='signal',sender='org.bluez'",
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.bluez'",
];

/// A call's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The error's name on D-Bus, such as `org.bluez.Error.Failed`; empty for a time-out.
    pub name: String,
    /// What BlueZ said.
    pub message: String,
}

impl CallError {
    /// No answer came in time.
    pub fn is_timeout(&self) -> bool {
        self.name.is_empty()
    }

    fn timeout() -> Self {
        Self { name: String::new(), message: "no answer in time".to_owned() }
    }
}

impl From<dbus::Error> for CallError {
    fn from(error: dbus::Error) -> Self {
        Self {
            name: error.name().unwrap_or("org.freedesktop.DBus.Error.Failed").to_owned(),
            message: error.message().unwrap_or_default().to_owned(),
        }
    }
}

/// Calls over one connection. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    connection: Arc<SyncConnection>,
    limit: Duration,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calls")
    }
}

impl Calls {
    /// Calls a method of BlueZ.
    pub async fn call<R: ReadAll + 'static>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        args: impl AppendAll,
    ) -> Result<R, CallError> {
        self.call_for(self.limit, BLUEZ, path, interface, method, args).await
    }

    /// Calls a method of anyone, for as long as that.
    pub async fn call_for<R: ReadAll + 'static>(
        &self,
        limit: Duration,
        name: &str,
        path: &str,
        interface: &str,
        method: &str,
        args: impl AppendAll,
    ) -> Result<R, CallError> {
        let reply = self.send(limit, message(name, path, interface, method, &args)?).await?;
        reply.read_all().map_err(CallError::from)
    }

    /// Sets a property of BlueZ.
    pub async fn set(&self, path: &str, interface: &str, property: &str, on: bool) -> Result<(), CallError> {
        self.call(path, PROPERTIES, "Set", (interface, property, dbus::arg::Variant(on))).await
    }

    /// All objects of BlueZ.
    pub async fn objects(&self) -> Result<Message, CallError> {
        self.send(self.limit, message(BLUEZ, "/", OBJECTS, "GetManagedObjects", &())?).await
    }

    /// The bus answers, and BlueZ does.
    pub async fn ping(&self) -> Result<(), CallError> {
        self.call_for::<(String,)>(self.limit, BUS, "/", BUS, "GetId", ()).await?;
        self.call::<()>("/", "org.freedesktop.DBus.Peer", "Ping", ()).await
    }

    /// BlueZ's unique name, if it is there.
    pub async fn owner(&self) -> Result<Option<String>, CallError> {
        match self.call_for::<(String,)>(self.limit, BUS, "/", BUS, "GetNameOwner", (BLUEZ,)).await {
            Ok((name,)) => Ok(Some(name)),
            Err(error) if error.name == "org.freedesktop.DBus.Error.NameHasNoOwner" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a call and gives the answer as it came.
    async fn send(&self, limit: Duration, message: Message) -> Result<Message, CallError> {
        let (answer, answered) = oneshot::channel();
        // Whoever asked may have given up.
        let take = SyncConnection::make_f(move |message: Message, _: &SyncConnection| drop(answer.send(message)));
        let gone = || CallError {
            name: "org.freedesktop.DBus.Error.Disconnected".to_owned(),
            message: "the connection to D-Bus is closed".to_owned(),
        };
        let token = self.connection.send_with_reply(message, take).map_err(|()| gone())?;
        let _pending = Pending(&self.connection, token);
        let mut reply = timeout(limit, answered).await.map_err(|_| CallError::timeout())?.map_err(|_| gone())?;
        reply.as_result().map_err(CallError::from)?;
        Ok(reply)
    }

    /// Answers method calls to this process.
    pub fn serve(&self, mut crossroads: dbus_crossroads::Crossroads) {
        let rule = MatchRule::new_method_call();
        self.connection.start_receive(
            rule,
            Box::new(move |message, connection| {
                // An error means only that the answer could not be queued: the connection is being closed.
                let _ = crossroads.handle_message(message, connection);
                true
            }),
        );
    }
}

fn message(name: &str, path: &str, interface: &str, method: &str, args: &impl AppendAll) -> Result<Message, CallError> {
    let wrong = |message| CallError { name: "org.freedesktop.DBus.Error.InvalidArgs".to_owned(), message };
    let mut message = Message::new_method_call(name, path, interface, method).map_err(wrong)?;
    message.set_auto_start(false);
    args.append(&mut IterAppend::new(&mut message));
    Ok(message)
}

/// A call whose answer is waited for. Dropped before that, it is forgotten, which the library's own calls are not.
struct Pending<'a>(&'a SyncConnection, dbus::channel::Token);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.cancel_reply(self.1);
    }
}

/// A connection with BlueZ's signals.
pub struct Bus {
    pub calls: Calls,
    pub signals: mpsc::Receiver<Message>,
    /// Signals were lost since: this process did not keep up.
    pub overrun: Arc<Notify>,
    /// Ends when the connection is lost, with the reason.
    pub lost: JoinHandle<String>,
}

impl Drop for Bus {
    fn drop(&mut self) {
        // The task holds the connection; without this it would stay open.
        self.lost.abort();
    }
}

impl Bus {
    /// Connects to the system bus (`DBUS_SYSTEM_BUS_ADDRESS`) and asks for BlueZ's signals.
    /// One is opened at a time.
    pub async fn open(limit: Duration, counters: &Arc<Counters>, opening: &Arc<Semaphore>) -> Result<Self, RadioError> {
        let no = |reason: String| {
            let message = format!(
                "D-Bus cannot be reached ({reason}): Bluetooth needs bluetoothd (package bluez) on the system bus; in a \
                 container mount the folder /run/dbus"
            );
            RadioError::new(RadioErrorKind::NoRadio, message)
        };
        // libdbus connects and greets while it blocks. The thread is no one's to wait for: not the runtime's end either.
        // One that does not come back is not joined by others.
        let silent = |_| no("no answer in time".to_owned());
        let permit = timeout(limit, Arc::clone(opening).acquire_owned()).await.map_err(silent)?;
        let (opened, opening) = oneshot::channel();
        let open = move || {
            let _permit = permit;
            drop(opened.send(Channel::get_private(BusType::System)));
        };
        let thread = std::thread::Builder::new().name("D-Bus".to_owned()).spawn(open);
        thread.map_err(|error| no(error.to_string()))?;
        let opened = timeout(limit, opening).await.map_err(silent)?;
        let channel = opened.map_err(|error| no(error.to_string()))?.map_err(|error| no(error.to_string()))?;
        let (io, connection) =
            dbus_tokio::connection::from_channel::<SyncConnection>(channel).map_err(|error| no(error.to_string()))?;
        let lost = tokio::spawn(async move { io.await.to_string() });
        let (heard, signals) = mpsc::channel(SIGNALS);
        let mut rule = MatchRule::new();
        rule.msg_type = Some(dbus::MessageType::Signal);
        let (counted, overrun) = (Arc::clone(counters), Arc::new(Notify::new()));
        let full = Arc::clone(&overrun);
        connection.start_receive(
            rule,
            Box::new(move |message, _| {
                if matches!(heard.try_send(message), Err(mpsc::error::TrySendError::Full(_))) {
                    counted.overrun.add(1);
                    full.notify_one();
                }
                true
            }),
        );
        let bus = Self { calls: Calls { connection, limit }, signals, overrun, lost };
        for rule in RULES {
            let added = bus.calls.call_for::<()>(limit, BUS, "/org/freedesktop/DBus", BUS, "AddMatch", (rule,)).await;
            added.map_err(|error| no(error.message))?;
            counters.match_rules.add(1);
        }
        counters.buses.add(1);
        Ok(bus)
    }
}

#[cfg(test)]
mod tests {
    use super::{BLUEZ, message};

    /// On Debian systemd would start bluetoothd for it, and does not where there is no controller: no answer for 25 s.
    #[test]
    fn no_call_starts_a_service() {
        assert!(!message(BLUEZ, "/", "a.b", "C", &()).unwrap().get_auto_start());
    }
}
