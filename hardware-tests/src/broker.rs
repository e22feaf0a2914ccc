//! A mosquitto of our own on a free port of the loopback, with its stock settings: no persistence, no log.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::child::{Running, Scratch};

/// A running broker; it ends with this value.
pub struct Broker {
    /// Its port on 127.0.0.1.
    pub port: u16,
    _running: Running,
    _scratch: Scratch,
}

impl Broker {
    /// Starts mosquitto and waits until it accepts connections.
    ///
    /// `max_queued_messages 0` lifts the limit of what may wait for a slow *subscriber*, so that what is counted there
    /// is what was published. What a publisher may have in flight stays as installed (20).
    pub fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        let port = free_port()?;
        let config = scratch.path().join("mosquitto.conf");
        let settings = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\nmax_queued_messages 0\n"
        );
        std::fs::write(&config, settings)?;
        let program =
            if std::path::Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let mut running =
            Running::spawn(Command::new(program).arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()))
                .context("mosquitto is missing: run hardware-tests/install")?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            running.check()?;
            if Instant::now() > deadline {
                bail!("mosquitto does not listen on 127.0.0.1:{port} after 10 s");
            }
            thread::sleep(Duration::from_millis(5));
        }
        // Who answers is ours only if ours lives: the port could have been taken in between.
        running.check()?;
        Ok(Self { port, _running: running, _scratch: scratch })
    }
}

/// A TCP port of the loopback that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
