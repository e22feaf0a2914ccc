//! A dbus-daemon of the test's own on a unix socket, with the limits of a system bus (512 match rules for a connection),
//! and what it counts: Debian builds it with `org.freedesktop.DBus.Debug.Stats`.

use std::{
    collections::HashMap,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use dbus::{
    Message,
    arg::{AppendAll, ReadAll},
    channel::Channel,
};

use crate::child::{Running, Scratch};

/// How long the daemon may take to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running dbus-daemon; it ends with this value.
pub struct Bus {
    address: String,
    scratch: Scratch,
    running: Option<Running>,
}

impl Bus {
    /// Starts it, and waits until it accepts connections.
    pub fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        let address = format!("unix:path={}", scratch.path().join("bus").display());
        let settings = format!(
            "<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy>\
             <limit name=\"max_connections_per_user\">4096</limit></busconfig>"
        );
        std::fs::write(scratch.path().join("bus.conf"), settings)?;
        let mut bus = Self { address, scratch, running: None };
        bus.up()?;
        Ok(bus)
    }

    /// Its address, for `DBUS_SYSTEM_BUS_ADDRESS`. It stays the same when the daemon is started again.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Kills it: every connection breaks.
    pub fn down(&mut self) {
        self.running = None;
    }

    /// Starts it (again) at the same address.
    pub fn up(&mut self) -> Result<()> {
        let folder = self.scratch.path();
        let _ = std::fs::remove_file(folder.join("bus"));
        let mut running = Running::spawn(
            Command::new("dbus-daemon")
                .arg(format!("--config-file={}", folder.join("bus.conf").display()))
                .args(["--nofork", "--nopidfile"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                // It says only that it may not lift its own limit of open files.
                .stderr(Stdio::null()),
        )
        .context("dbus-daemon is missing: run hardware-tests/install")?;
        let deadline = Instant::now() + PATIENCE;
        while self.connect().is_err() {
            running.check()?;
            if Instant::now() > deadline {
                bail!("dbus-daemon does not listen at {} after {PATIENCE:?}", self.address);
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.running = Some(running);
        Ok(())
    }

    /// A connection of its own.
    pub fn connect(&self) -> Result<Channel, dbus::Error> {
        connect(&self.address)
    }

    /// Whether somebody owns this name.
    pub fn owned(&self, name: &str) -> Result<bool> {
        self.ask::<_, (bool,)>("org.freedesktop.DBus", "NameHasOwner", (name,)).map(|(owned,)| owned)
    }

    /// The match rules of each connection, by its unique name.
    pub fn match_rules(&self) -> Result<HashMap<String, Vec<String>>> {
        self.ask::<_, (_,)>("org.freedesktop.DBus.Debug.Stats", "GetAllMatchRules", ()).map(|(rules,)| rules)
    }

    /// Asks the daemon itself; blocks for at most 20 s.
    fn ask<A: AppendAll, R: ReadAll>(&self, interface: &str, method: &str, arguments: A) -> Result<R> {
        let path = "/org/freedesktop/DBus";
        let call = Message::call_with_args("org.freedesktop.DBus", path, interface, method, arguments);
        Ok(self.connect()?.send_with_reply_and_block(call, PATIENCE)?.read_all()?)
    }
}

/// A private connection to the bus at this address; blocks.
pub fn connect(address: &str) -> Result<Channel, dbus::Error> {
    let mut channel = Channel::open_private(address)?;
    channel.register()?;
    Ok(channel)
}
