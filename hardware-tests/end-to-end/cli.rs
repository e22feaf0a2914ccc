//! The command line of the real binary: what people type, what is printed, and the code that it ends with.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::Stdio,
};

use common::{
    bridge::{Bridge, Folder, LEVEL, device, fieldgate},
    plant::{Plant, Probe},
};
use fieldgate::observe::health;
use serde_json::Value as Json;

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn run(args: &[&str]) -> Ended {
    let output = fieldgate().args(args).output().unwrap();
    Ended {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// It is refused in one message on standard error, which says all of this.
fn refused(args: &[&str], words: &[&str]) {
    let ended = run(args);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{args:?}: {}", ended.err);
    assert!(ended.err.starts_with("fieldgate: "), "{args:?}: {}", ended.err);
    for word in words {
        assert!(ended.err.contains(word), "{args:?}: {word:?} is missing: {}", ended.err);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_help_has_an_example() {
    for command in ["", "run", "check", "scan", "probe", "demo", "health", "crd", "mappers"] {
        let args: Vec<_> = [command, "--help"].into_iter().filter(|arg| !arg.is_empty()).collect();
        let ended = run(&args);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{args:?}");
        let (_, examples) = ended.out.split_once("Examples:\n").unwrap_or_else(|| panic!("{args:?}: no examples"));
        let call = format!("  fieldgate {command}");
        assert!(examples.lines().any(|line| line.starts_with(call.trim_end())), "{args:?}: {examples}");
    }
    assert_eq!(run(&["--version"]).out.trim_end(), format!("fieldgate {}", env!("CARGO_PKG_VERSION")));
    // Nothing typed, or nothing that is known.
    assert_eq!(run(&[]).code, 2);
    let unknown = run(&["chekc"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("'check'"), "{}", unknown.err);
}

#[test]
fn check_passes_the_examples_and_finds_every_mistake_of_a_folder() {
    let ended = run(&["check", root().join("examples").to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains(" 0 errors"), "{}", ended.out);

    let folder = Folder::new();
    let good = device("meter", "{ tcp: gw, unit: 1 }", &[("level", LEVEL)]);
    folder.write("good.yaml", &good);
    folder.write("wrong.yaml", &good.replace("meter", "wrong").replace("register: 0", "register: 70000"));
    folder.write("typo.yaml", &good.replace("meter", "typo").replace("pollEvery", "polEvery"));
    folder.write("none.yaml", "spec: [");
    folder.write("fieldgate.yaml", "mqtt:\n  qos: 3\n");
    let path = folder.path().to_str().unwrap();
    let ended = run(&["check", path]);
    assert_eq!((ended.code, ended.err.as_str()), (1, ""));
    for line in [
        format!("{path}/wrong.yaml:9: spec.properties[0].modbus.register: 70000 is not in 0..65535"),
        format!("{path}/typo.yaml:7: spec.polEvery: unknown key; did you mean \"pollEvery\"?"),
        format!("{path}/fieldgate.yaml:2: mqtt.qos: 3 is not in 0..1"),
    ] {
        assert!(ended.out.lines().any(|l| l.starts_with(&line)), "{line}\nis missing in\n{}", ended.out);
    }
    assert!(ended.out.contains(&format!("{path}/none.yaml:1: ")), "{}", ended.out);
    assert!(!ended.out.contains("good.yaml"), "{}", ended.out);

    let ended = run(&["check", path, "--output", "json"]);
    assert_eq!(ended.code, 1);
    let report: Json = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&report["files"], &report["errors"]), (&5.into(), &4.into()), "{report}");
    let wrong =
        report["issues"].as_array().unwrap().iter().find(|i| i["file"] == format!("{path}/wrong.yaml")).unwrap();
    assert_eq!((&wrong["line"], &wrong["path"]), (&9.into(), &"spec.properties[0].modbus.register".into()));
    refused(&["check", "/nowhere"], &["cannot read the folder /nowhere"]);
}

#[test]
fn check_mends_the_nodes_label_and_says_so_once() {
    let folder = Folder::new();
    let served = |node: &str| {
        let device = device("meter", "{ tcp: gw, unit: 1 }", &[("level", LEVEL)]);
        device.replace("spec:", &format!("spec: # mine\n  nodeName: {node}"))
    };
    folder.write("meter.yaml", &served("gw-1"));
    let path = folder.path().to_str().unwrap();
    let fixed = format!("{path}/meter.yaml:1: fixed: Device default/meter: label fieldgate.dev/node: gw-1");
    let ended = run(&["check", path, "--fix"]);
    assert_eq!((ended.code, ended.out.lines().next()), (0, Some(&*fixed)), "{}", ended.err);
    let text = fs::read_to_string(folder.path().join("meter.yaml")).unwrap();
    let labelled = "{ name: meter, labels: { fieldgate.dev/node: gw-1 } }";
    assert_eq!(text, served("gw-1").replace("{ name: meter }", labelled));
    assert!(!run(&["check", path, "--fix"]).out.contains("fixed"));

    // What no label can hold is said, and is no success.
    folder.write("meter.yaml", &served(&"n".repeat(64)));
    let ended = run(&["check", path, "--fix", "--output", "json"]);
    assert_eq!(ended.code, 1);
    let report: Json = serde_json::from_str(&ended.out).unwrap();
    assert!(report["fixes"][0]["failed"].as_str().unwrap().contains("no label can hold"), "{report}");
}

#[test]
fn crd_prints_and_writes_what_is_committed() {
    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let crds = root().join("crds");
    let (device, model) = (read(&crds, "device.yaml"), read(&crds, "devicemodel.yaml"));
    let ended = run(&["crd"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let cure = "crds/ is stale; mend it with: cargo run -- crd --out crds";
    assert!(ended.out == format!("{device}---\n{model}"), "{cure}");
    let folder = Folder::new();
    assert_eq!(run(&["crd", "--out", folder.path().to_str().unwrap()]).code, 0);
    assert!(read(folder.path(), "device.yaml") == device && read(folder.path(), "devicemodel.yaml") == model, "{cure}");
}

#[test]
fn mappers_tells_what_is_built_in() {
    let text = run(&["mappers"]);
    assert_eq!(text.code, 0);
    assert!(text.out.lines().any(|line| line.starts_with("modbus ") && line.contains("float32")), "{}", text.out);
    let json: Json = serde_json::from_str(&run(&["mappers", "--output", "json"]).out).unwrap();
    let modbus = json.as_array().unwrap().iter().find(|m| m["name"] == "modbus").unwrap();
    assert_eq!((&modbus["read"], &modbus["write"]), (&true.into(), &true.into()));
    assert!(modbus["endpoint"]["properties"]["tcp"].is_object() && modbus["address"]["properties"].is_object());
}

#[test]
fn a_run_that_cannot_be_says_why() {
    let folder = Folder::new();
    let devices = folder.path().to_str().unwrap();
    let settings = format!("{devices}/fieldgate.yaml");
    folder.write("fieldgate.yaml", "node: gw-1\nmqtt:\n  brokr: mqtt://gw\n  qos: 3\n");
    refused(&["run"], &["--devices DIR"]);
    refused(&["run", "--devices", "/nowhere"], &["/nowhere"]);
    let run = |more: &[&'static str], words: &[&str]| {
        let http: &[_] = if more[0] == "--http" { &[] } else { &["--http", "off"] };
        refused(&[&["run", "--devices", devices], http, more].concat(), words);
    };
    run(&["--broker", "http://gw"], &["mqtt.broker", "mqtt://host"]);
    run(&["--broker", "mqtt://gw:0"], &["mqtt.broker", "1 to 65535"]);
    run(&["--node", "a/b"], &["\"a/b\"", "--node"]);
    run(&["--http", "9464"], &["http.listen", "127.0.0.1:9464"]);
    run(&["--log", "a=b=c"], &["log level", "debug"]);
    refused(
        &["run", "--config", &settings],
        &[
            &format!("{settings}:3: mqtt.brokr: unknown key; did you mean \"broker\"?"),
            &format!("{settings}:4: mqtt.qos: 3 is not in 0..1"),
        ],
    );
    refused(&["run", "--config", "/nowhere.yaml"], &["cannot read /nowhere.yaml"]);
    let secret = fieldgate()
        .args(["run", "--devices", devices, "--http", "off", "--broker", "mqtt://me:hunter2@gw"])
        .output()
        .unwrap();
    let said = String::from_utf8(secret.stderr).unwrap();
    assert!(said.contains("passwordFile") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_flag_overrides_its_variable_and_that_the_file() {
    let folder = Folder::new();
    folder.write("settings.yaml", "devices: /from-the-file\n");
    let config = folder.path().join("settings.yaml");
    for (variable, flag, wins) in
        [(false, false, "/from-the-file"), (true, false, "/from-the-variable"), (true, true, "/from-the-flag")]
    {
        let mut command = fieldgate();
        command.args(["run", "--config"]).arg(&config);
        if variable {
            command.env("FIELDGATE_DEVICES", "/from-the-variable");
        }
        if flag {
            command.args(["--devices", "/from-the-flag"]);
        }
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert!(said.contains(wins), "{wins}: {said}");
    }
}

#[test]
fn health_without_a_bridge_says_what_to_do() {
    // Bound, so that nobody else takes it, and then let go.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for flag in [&[][..], &["--ready"], &["--devices"]] {
        refused(&[&["health", "--http", &free], flag].concat(), &[&free, "fieldgate run", "http.listen"]);
    }
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap().to_string();
    refused(&["health", "--http", &address, "--timeout", "1"], &["did not answer within 1s"]);
    // And the address that is taken, from the other side.
    let folder = Folder::new();
    let devices = folder.path().to_str().unwrap();
    refused(&["run", "--devices", devices, "--http", &address], &["cannot listen on", "--http"]);
}

/// A collector of logs is no screen.
#[test]
fn a_log_that_goes_elsewhere_has_no_colours() {
    let folder = Folder::new();
    folder.write("a.yaml", &device("a", "{ tcp: \"127.0.0.1:1\", unit: 1 }", &[("level", LEVEL)]));
    let arguments = ["run", "--node", "gw-1", "--http", "off", "--broker", "mqtt://127.0.0.1:1", "--devices"];
    let mut command = fieldgate();
    command.args(arguments).arg(folder.path()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("INFO") && !line.contains('\x1b'), "{line:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_panic() {
    let mut child = fieldgate().arg("crd").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
}

#[tokio::test]
async fn the_pages_of_a_running_bridge() {
    let bank = Probe::new([1], &[]);
    let plant = Plant::start(bank.clone()).await;
    let folder = Folder::new();
    folder.write("meter.yaml", &device("meter", &plant.endpoint(1), &[("level", LEVEL)]));
    folder.write("wrong.yaml", &device("wrong", "{ tcp: gw, unit: 0 }", &[("level", LEVEL)]));
    let bridge = Bridge::start(folder.path(), "mqtt://127.0.0.1:9").await;
    bank.read(1, 3).await;
    assert_eq!(bridge.page("/healthz").await, "ok\n");
    assert_eq!(bridge.page("/readyz").await, "ok\n");
    let patience = std::time::Duration::from_secs(20);
    let unknown = health::get(bridge.http, "/nothing", patience).await.unwrap_err().to_string();
    assert!(unknown.contains("/metrics"), "{unknown}");
    bridge.shows("default/meter", "a value", |d| d["live"]["properties"]["level"]["value"] == 0).await;
    let wrong = bridge.shows("default/wrong", "refused", Json::is_object).await;
    assert!(wrong["live"].is_null(), "{wrong}");
    let accepted = common::bridge::condition(&wrong, "Accepted");
    assert_eq!((&accepted["status"], &accepted["reason"]), (&"False".into(), &"Config".into()));
    assert!(accepted["message"].as_str().unwrap().contains("spec.protocol.modbus.unit"), "{accepted}");

    let metrics = bridge.page("/metrics").await;
    let samples = samples(&metrics);
    let value = |name: &str| samples.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
    assert!(value("fieldgate_readings_total").unwrap() >= 3.0, "{metrics}");
    assert_eq!(value("fieldgate_broker_connected"), Some(0.0));
    assert_eq!(value(r#"fieldgate_device_ready{namespace="default",device="meter"}"#), Some(1.0));
    assert_eq!(value(r#"fieldgate_device_ready{namespace="default",device="wrong"}"#), Some(0.0));
    let bus = format!("modbus:tcp:127.0.0.1:{}", plant.port);
    assert_eq!(value(&format!("fieldgate_bus_up{{bus=\"{bus}\"}}")), Some(1.0), "{metrics}");
    assert!(value(&format!("fieldgate_exchanges_total{{bus=\"{bus}\",outcome=\"ok\"}}")).unwrap() >= 3.0);

    for flag in [&[][..], &["--ready"]] {
        let mut command = fieldgate();
        command.args(["health", "--http", &bridge.http.to_string()]).args(flag);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success() && output.stdout == b"ok\n", "{output:?}");
    }
}

/// The samples of a page in Prometheus' text format. Each metric has its help and its type before its samples, the name
/// of a counter ends in `_total`, and no sample comes twice.
fn samples(page: &str) -> Vec<(String, f64)> {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let (mut metric, mut found) = (String::new(), Vec::<(String, f64)>::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            let kind = lines.next().and_then(|l| l.strip_prefix(&format!("# TYPE {name} "))).expect("the type follows");
            assert!(is_name(name) && !text.is_empty(), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            metric = name.into();
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let name = sample.split('{').next().unwrap();
        assert_eq!(name, metric, "{line}");
        if let Some(labels) = sample.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            let labels = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}')).expect("labels stand in braces");
            assert!(labels.split("\",").all(|l| l.split_once("=\"").is_some_and(|(key, _)| is_name(key))), "{line}");
        }
        assert!(!found.iter().any(|(s, _)| s == sample), "{sample} comes twice");
        found.push((sample.into(), value.parse().unwrap()));
    }
    assert!(page.ends_with('\n') && found.len() > 10, "{page}");
    found
}
