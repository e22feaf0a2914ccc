//! The radio on the scripted org.bluez: what no machine shows on demand. What a real BlueZ does is tested on the virtual
//! machine (`hardware-tests/end-to-end`).

#![allow(clippy::unwrap_used)] // a test

mod hearing;
mod links;
mod outages;
mod recovery;
mod wear;

use std::{env, os::unix::fs::symlink, path::PathBuf, process::Command, time::Duration};

use hardware_tests::{bluez::Scripted, child::Scratch};
use mapper_ble::{
    advert::Mac,
    radio::{Connect, Heard, Listener, Radio, RadioError, Settings, Spot},
};

const FIRST: &str = "00:AA:01:00:00:42";
const SECOND: &str = "00:AA:01:00:00:43";
const A: &str = "C0:DE:00:00:00:01";
const B: &str = "C0:DE:00:00:00:02";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set in the process that runs one test, to a folder of its own.
const INSIDE: &str = "RADIO_TEST";

/// Runs a test in a process of its own: btleplug takes the bus's address from the environment alone. `name` is the
/// test's whole name.
fn alone(name: &str, adapters: &[&str], test: impl AsyncFnOnce(Scripted)) {
    if let Some(folder) = env::var_os(INSIDE) {
        let blue = Scripted::with_adapters(adapters).unwrap();
        let socket = blue.address().strip_prefix("unix:path=").unwrap();
        symlink(socket, PathBuf::from(folder).join("bus")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async { tokio::time::timeout(2 * PATIENCE, test(blue)).await }).expect("in time");
    }
    let scratch = Scratch::new().unwrap();
    let address = format!("unix:path={}", scratch.path().join("bus").display());
    let ran = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", address)
        .env(INSIDE, scratch.path())
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

/// Short times.
fn quick() -> Settings {
    Settings {
        call: Duration::from_secs(2),
        pairing: Duration::from_secs(5),
        pause: Duration::from_millis(300),
        settle: Duration::from_millis(300),
        retry: (Duration::from_millis(50), Duration::from_millis(500)),
        ..Settings::default()
    }
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

fn spot(service: u16, characteristic: u16) -> Spot {
    use mapper_ble::advert::short;
    Spot { service: short(service), characteristic: short(characteristic) }
}

/// Waits for a condition.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn next(listener: &mut Listener) -> Result<Heard, RadioError> {
    tokio::time::timeout(PATIENCE, listener.next()).await.expect("nothing was heard")
}

/// The next error; what is heard before it is passed over.
async fn trouble(listener: &mut Listener) -> RadioError {
    loop {
        if let Err(error) = next(listener).await {
            return error;
        }
    }
}

/// The next advertisement; errors before it are passed over.
async fn heard(listener: &mut Listener) -> Heard {
    loop {
        if let Ok(heard) = next(listener).await {
            return heard;
        }
    }
}

fn soon() -> Connect {
    Connect { patience: Duration::from_secs(10), ..Connect::default() }
}

/// A radio with short times.
fn radio() -> Radio {
    Radio::with(quick())
}
