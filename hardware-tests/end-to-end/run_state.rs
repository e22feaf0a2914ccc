//! The state directory of a running bridge: one bridge has it, and the next one gets it however the first one ended.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{os::unix::fs::PermissionsExt as _, process::Output};

use common::bridge::{Bridge, Folder, fieldgate};

/// Nothing listens there, and nothing has to.
const BROKER: &str = "mqtt://127.0.0.1:1";

/// A bridge that is expected to be refused.
fn refused(devices: &Folder, state: &str) -> String {
    let mut command = fieldgate();
    command.args(["run", "--node", "gw-2", "--http", "off", "--broker", BROKER, "--state", state, "--devices"]);
    let Output { status, stderr, .. } = command.arg(devices.path()).output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[tokio::test]
async fn a_second_bridge_is_refused_and_told_who_has_the_state_directory() {
    let (devices, files) = (Folder::new(), Folder::new());
    let path = files.path().join("state");
    let state = path.to_str().unwrap();
    for signal in ["KILL", "TERM"] {
        let folder = devices.path().to_str().unwrap();
        let flags = ["--node", "gw-1", "--devices", folder, "--broker", BROKER, "--state", state];
        let mut first = Bridge::with(&flags).await;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let told = refused(&devices, state);
        let who = format!("{state}: another bridge has it: node gw-1, pid {}, host ", first.id());
        assert!(told.contains(&who) && told.contains(", since 2"), "{told}");
        first.page("/healthz").await;
        first.signal(signal);
        first.ended().await;
    }
    let told = refused(&devices, "/dev/null/state");
    assert!(told.contains("state directory /dev/null/state: cannot be created"), "{told}");
}
