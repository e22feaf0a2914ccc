//! Serial lines of the running bridge: one of socat's, one that is pulled out and put in again, one that two bridges want, and
//! one that nothing describes yet.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use common::{
    bridge::{Folder, condition, fieldgate},
    serial::{Socket, device, number, site, speak},
    until,
};
use hardware_tests::child::Running;
use mapper_modbus::sim::Pty;
use serde_json::Value as Json;
use tokio::{io::AsyncWriteExt as _, sync::oneshot, time::sleep};

/// A text of one number in each line.
const COUNTER: &str = "frame: { end: '\\n' }, messages: [ { name: count, regex: '^n=(?<count>[0-9]+)$' } ]";
const COUNT: &str = "type: uint32, serial: { field: count }";

#[tokio::test]
async fn what_a_text_device_says_on_socats_line_is_read() {
    let folder = Folder::new();
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    let end = |path: &std::path::Path| format!("pty,raw,echo=0,link={}", path.display());
    let _socat =
        Running::spawn(Command::new("socat").arg(end(&near)).arg(end(&far)).stdin(Stdio::null()).stdout(Stdio::null()))
            .expect("socat is missing: run hardware-tests/install");
    until("socat's lines", async || (near.exists() && far.exists()).then_some(())).await;
    let endpoint = format!("path: {}, {COUNTER}", far.display());
    let site = site(&[("meter", device("meter", &endpoint, &[("count", COUNT)]))]).await;
    let mut line = std::fs::OpenOptions::new().write(true).open(&near).unwrap();
    for n in [7_u32, 8, 4_000_000_000] {
        // What is said before the bridge has opened the line is lost, as with a real one.
        until(&format!("{n}"), async || {
            std::io::Write::write_all(&mut line, format!("n={n}\n").as_bytes()).unwrap();
            sleep(Duration::from_millis(50)).await;
            site.values("meter", "count", 0).iter().any(|v| *v == n).then_some(())
        })
        .await;
    }
    site.online("meter").await;
    let shown =
        site.bridge.shows("default/meter", "reachable", |d| condition(d, "Reachable")["status"] == "True").await;
    assert_eq!(condition(&shown, "Ready")["status"], "True", "{shown}");
}

#[tokio::test]
async fn a_line_that_is_pulled_out_is_offline_until_it_is_put_in_again() {
    let counter = |pty: Pty| speak(pty, Duration::from_millis(20), |n| format!("n={n}\n").into_bytes());
    let mut socket = Socket::with(counter);
    let endpoint = format!("{}, {COUNTER}", socket.line());
    let site = site(&[("meter", device("meter", &endpoint, &[("count", COUNT)]))]).await;
    site.reads("meter", "count", |v| v.as_u64() > Some(3)).await;
    socket.unplug().await;
    assert_eq!(site.offline("meter").await, "unreachable");
    let shown = site.bridge.shows("default/meter", "gone", |d| condition(d, "Reachable")["status"] == "False").await;
    let message = condition(&shown, "Reachable")["message"].as_str().unwrap();
    assert!(message.contains(&socket.path().display().to_string()), "{message}");

    // Once more, and this time it is pulled out in the middle of a frame: its half is not joined to what comes next.
    let from = site.count("meter");
    let (break_off, mut broken_off) = oneshot::channel();
    let (said, half) = oneshot::channel();
    socket.plug(async move |mut pty: Pty| {
        while broken_off.try_recv().is_err() {
            pty.write_all(b"n=100000\n").await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        pty.write_all(b"n=12").await.unwrap();
        said.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    site.reads_after(from, "meter", "count", |v| *v == 100_000).await;
    break_off.send(()).unwrap();
    half.await.unwrap();
    socket.unplug().await;
    site.offline("meter").await;
    let from = site.count("meter");
    socket.plug(|pty| speak(pty, Duration::from_millis(20), |n| format!("{n}\nn={}\n", 200_000 + n).into_bytes()));
    site.reads_after(from, "meter", "count", |v| v.as_u64() > Some(200_003)).await;
    site.online("meter").await;
    let values = site.values("meter", "count", from);
    assert!(values.iter().all(|v| v.as_u64() >= Some(200_000)), "half a frame was joined to another one: {values:?}");
}

#[tokio::test]
async fn of_two_bridges_one_has_the_line_and_the_other_says_who() {
    let socket = Socket::with(|pty| speak(pty, Duration::from_millis(20), |n| format!("n={n}\n").into_bytes()));
    let yaml = device("meter", &format!("{}, {COUNTER}", socket.line()), &[("count", COUNT)]);
    let first = site(&[("meter", yaml.clone())]).await;
    first.reads("meter", "count", Json::is_u64).await;
    let second = site(&[("meter", yaml)]).await;
    assert_eq!(second.offline("meter").await, "unreachable");
    let shown = second.bridge.shows("default/meter", "held", |d| condition(d, "Reachable")["status"] == "False").await;
    let message = condition(&shown, "Reachable")["message"].as_str().unwrap().to_owned();
    let holder = format!("(process {})", first.bridge.id());
    assert!(message.contains("another program has it open") && message.contains(&holder), "{message}");
    // It tried, and will again; the first one lost nothing by it.
    let from = first.count("meter");
    until("more readings", async || (first.count("meter") > from + 200).then_some(())).await;
    let values: Vec<u64> = first.values("meter", "count", 0).iter().map(number).collect();
    let lost: Vec<_> = values.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(second.values("meter", "count", 0).len(), 0, "both had the line");
    // Once the first is gone, the second has it.
    first.bridge.signal("TERM");
    second.reads("meter", "count", Json::is_u64).await;
}

#[tokio::test]
async fn what_probe_drafts_passes_check() {
    let scale = |pty: Pty| {
        speak(pty, Duration::from_millis(30), |n| format!("ST,+{:06}.{}  kg\r\n", n * 7, n % 10).into_bytes())
    };
    let socket = Socket::with(scale);
    let folder = Folder::new();
    let path = format!("path={}", socket.path().display());
    let probe = |more: Vec<String>| {
        let mut program = fieldgate();
        program.args(["probe", "serial"]).arg(&path).args(more);
        async move { tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap() }
    };
    let output = probe(vec!["--output".into(), "yaml".into()]).await;
    let (draft, shown) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{draft}{shown}");
    // Numbers and text stood side by side meanwhile, and it was said that the line is taken.
    assert!(shown.contains("is open for this process alone"), "{shown}");
    assert!(shown.lines().any(|line| line.contains("53 54 2c 2b") && line.contains("ST,+")), "{shown}");
    folder.write("draft.yaml", &draft);
    let check = fieldgate().arg("check").arg(folder.path()).output().unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success(), "{said}\n{draft}");
    // And it is read by it.
    let site = site(&[("draft", draft.clone())]).await;
    let name = draft.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap();
    site.reads(name, "value", |v| v.as_f64().is_some_and(|kg| kg > 0.0)).await;
    // While the bridge has the line, a probe says who holds it.
    let output = probe(vec![]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains(&format!("(process {})", site.bridge.id())), "{error}");
}
