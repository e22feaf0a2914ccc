//! The rig itself: what the tests of the gateway stand on must hold.

#![allow(clippy::unwrap_used)] // all of it is a test

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use hardware_tests::cluster::{
    Endpoint, Gateway, Kubectl, Options, Proxy, Server, crds,
    proxy::{Answer, Fault, Line, Matches, Verb},
    rights,
};
use serde_json::json;

const DEVICES: &str = "/apis/fieldgate.dev/v1alpha1/devices";

fn device(name: &str, node: &str) -> String {
    json!({
        "apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device", "metadata": {"name": name},
        "spec": {"nodeName": node, "protocol": {"virtual": {}},
            "properties": [{"name": "a", "type": "bool", "virtual": {"constant": true}}]},
    })
    .to_string()
}

/// A server of its own for each claim would take seconds each.
#[test]
fn the_rig_holds() {
    let mut server = Server::start(&Options { own: true, ..Options::default() }).unwrap();
    server.kubectl().define(&crds()).unwrap();
    let namespace = server.namespace("rig").unwrap();
    server.kubectl().apply(&namespace, &rights(&namespace).to_string()).unwrap();
    let gateway = Gateway::new(&server, &namespace, "rig-1").unwrap();
    server.kubectl().apply(&namespace, &device("one", "rig-1")).unwrap();
    let config = gateway.kubeconfig(server.endpoint()).unwrap();
    let asks = Kubectl::new(server.kubectl().command(&[]).get_program().as_ref(), &config);
    a_gateway_may_do_its_work_and_nothing_else(&server, &gateway, &asks);
    the_server_can_be_killed_and_comes_back_the_same(&mut server, &namespace, &asks);
    etcd_forgets_on_demand(&mut server, &namespace);
    let proxy = Proxy::start(&server).unwrap();
    let through = gateway.kubeconfig(proxy.endpoint()).unwrap();
    let through = Kubectl::new(server.kubectl().command(&[]).get_program().as_ref(), &through);
    the_proxy_lies_on_demand(&server, &namespace, &proxy, &through);
    the_line_is_cut_on_demand(&server, &namespace, &proxy, &through);
}

/// `FIELDGATE_TEST_KUBECONFIG`: this test points itself, in a process of its own, to a server that it started.
#[test]
fn a_cluster_that_is_there_is_asked_and_nothing_else() {
    const NAME: &str = "a_cluster_that_is_there_is_asked_and_nothing_else";
    if std::env::var_os("FIELDGATE_TEST_KUBECONFIG").is_none() {
        let there = Server::start(&Options { own: true, ..Options::default() }).unwrap();
        let config = there.folder().join("admin.kubeconfig");
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", NAME]).env("FIELDGATE_TEST_KUBECONFIG", config).output().unwrap();
        assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
        let audit = there.audit().unwrap();
        assert!(audit.iter().any(|e| e.resource == "devices" && e.verb == "list"), "the very server was asked");
        return;
    }
    let mut server = Server::start(&Options::default()).unwrap();
    server.kubectl().define(&crds()).unwrap();
    let namespace = server.namespace("rig").unwrap();
    server.kubectl().apply(&namespace, &rights(&namespace).to_string()).unwrap();
    let gateway = Gateway::new(&server, &namespace, "rig-there").unwrap();
    server.kubectl().apply(&namespace, &device("one", "rig-there")).unwrap();
    let config = gateway.kubeconfig(server.endpoint()).unwrap();
    let asks = Kubectl::new(server.kubectl().command(&[]).get_program().as_ref(), &config);
    assert!(asks.raw(DEVICES).unwrap().contains("\"one\""));
    let why = |error: anyhow::Error| error.to_string();
    assert!(server.kill().map_err(why).unwrap_err().contains("it is not ours"));
    assert!(server.audit().map_err(why).unwrap_err().contains("not ours to read"));
}

fn a_gateway_may_do_its_work_and_nothing_else(server: &Server, gateway: &Gateway, asks: &Kubectl) {
    let namespace = &gateway.namespace;
    assert!(asks.raw(DEVICES).unwrap().contains("\"one\""));
    for (verb, what, may) in [
        ("watch", "devicemodels", "yes"),
        ("patch", "devices", "no"),
        ("get", "secrets", "no"),
        ("create", "events.events.k8s.io", "yes"),
        ("create", "events", "no"),
    ] {
        let output = asks.run(&["auth", "can-i", verb, what, "-n", namespace], "").unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), may, "{verb} {what}");
    }
    // The token is bound to the Pod on its node: policies ask for that.
    let who = asks.ok(&["auth", "whoami", "-o", "json"]).unwrap();
    assert!(who.contains("authentication.kubernetes.io/node-name") && who.contains("rig-1"), "{who}");
    let before = std::fs::read_to_string(&gateway.token).unwrap();
    gateway.renew().unwrap();
    assert_ne!(std::fs::read_to_string(&gateway.token).unwrap(), before);
    assert!(asks.raw(DEVICES).is_ok());

    let audit = server.audit().unwrap();
    let of_gateway: Vec<_> = audit.iter().filter(|e| e.user == gateway.user() && e.resource == "devices").collect();
    assert_eq!(of_gateway.len(), 2, "{of_gateway:?}");
    assert!(of_gateway.iter().all(|e| e.verb == "list" && e.status == 200 && e.agent.starts_with("kubectl")));
    assert!(server.metrics().unwrap().contains("apiserver_request_total{"));
}

fn the_server_can_be_killed_and_comes_back_the_same(server: &mut Server, namespace: &str, asks: &Kubectl) {
    let uid = |server: &Server| server.kubectl().get(namespace, "device", "one").unwrap()["metadata"]["uid"].clone();
    let before = uid(server);
    server.kill().unwrap();
    assert!(asks.raw(DEVICES).is_err());
    server.restart().unwrap();
    assert_eq!(uid(server), before);
    assert!(asks.raw(DEVICES).is_ok(), "the token is still good");
}

fn etcd_forgets_on_demand(server: &mut Server, namespace: &str) {
    let page = format!("{DEVICES}?limit=1");
    server.kubectl().apply(namespace, &device("two", "rig-1")).unwrap();
    let first: serde_json::Value = serde_json::from_str(&server.kubectl().raw(&page).unwrap()).unwrap();
    let next = format!("{page}&continue={}", first["metadata"]["continue"].as_str().unwrap());
    assert!(server.kubectl().raw(&next).is_ok());
    server.kubectl().apply(namespace, &device("three", "rig-1")).unwrap();
    let now: serde_json::Value = serde_json::from_str(&server.kubectl().raw(DEVICES).unwrap()).unwrap();
    let revision = server.compact().unwrap();
    assert!(revision >= now["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap());
    server.kill().unwrap(); // what the server has in memory still knows the old page
    server.restart().unwrap();
    let error = server.kubectl().raw(&next).unwrap_err().to_string();
    assert!(error.contains("too old") || error.contains("expired"), "{error}");
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn the_proxy_lies_on_demand(server: &Server, namespace: &str, proxy: &Proxy, through: &Kubectl) {
    let list = Matches::of(Verb::List, "devices");
    let patch = Matches::of(Verb::Patch, "devices/status");
    let ask = || through.run(&["get", "--raw", DEVICES], "").unwrap();
    assert!(said(&ask()).contains("\"one\""), "honest at first: {}", said(&ask()));
    assert_eq!(proxy.count(list), 1);
    assert_eq!(proxy.count(Matches::of(Verb::Watch, "devices")), 0);

    for (fault, part) in [
        (Fault::Answer(Answer::text(503, "dial tcp 10.0.0.1:6443: i/o timeout")), "unable to handle the request"),
        (Fault::Answer(Answer::status(500, "InternalError", "etcd is away")), "etcd is away"),
        (Fault::Answer(Answer::status(410, "Expired", "too old")), "too old"),
        (Fault::empty_list(), "\"items\":[]"),
        (Fault::bare_list(), "EmptyList"),
        (Fault::foreign_items(vec![json!({"kind": "Lamp"})]), "\"Lamp\""),
        (Fault::endless_pages(), "\"continue\":\"again\""),
        (Fault::Gone, "too old resource version"),
    ] {
        proxy.next(1, list, fault.clone());
        let output = ask();
        assert!(said(&output).contains(part), "{fault:?}: {}", said(&output));
        assert_eq!(proxy.waiting(), 0);
    }
    proxy.next(1, list, Fault::list_without_version());
    let bare: serde_json::Value = serde_json::from_slice(&ask().stdout).unwrap();
    assert!(bare["metadata"].is_object() && bare["metadata"]["resourceVersion"].is_null(), "{bare}");
    proxy.next(1, list, Fault::Empty);
    assert_eq!(ask().stdout, b"");
    proxy.next(1, list, Fault::Delay(Duration::from_millis(300)));
    let start = Instant::now();
    assert!(ask().status.success() && start.elapsed() >= Duration::from_millis(300));

    // kubectl waits for a second when it is told so, and comes again.
    proxy.next(1, list, Fault::Answer(Answer::too_many(1)));
    let (start, before) = (Instant::now(), proxy.count(list));
    assert!(ask().status.success() && start.elapsed() >= Duration::from_secs(1));
    assert_eq!(proxy.count(list), before + 2);

    let authority = |endpoint: &Endpoint| endpoint.authority.display().to_string();
    // An administrator's PATCH through the proxy: `kubectl patch` asks for a GET of the status, too.
    let admin = server.kubectl().config();
    let admin = std::fs::read_to_string(admin).unwrap().replace(&server.endpoint().url, &proxy.endpoint().url);
    let admin = admin.replace(&authority(server.endpoint()), &authority(proxy.endpoint()));
    let config = server.folder().join("through.kubeconfig");
    std::fs::write(&config, admin).unwrap();
    let admin = Kubectl::new(server.kubectl().command(&[]).get_program().as_ref(), &config);
    let report = |generation: u64| {
        let status = json!({"status": {"observedGeneration": generation}}).to_string();
        let arguments =
            ["patch", "device", "one", "-n", namespace, "--subresource=status", "--type=merge", "-p", &status];
        admin.run(&[&arguments[..], &["-o", "json"]].concat(), "").unwrap()
    };
    let stored = || server.kubectl().get(namespace, "device", "one").unwrap()["status"]["observedGeneration"].clone();
    assert!(report(1).status.success(), "{}", said(&report(1)));
    assert_eq!(stored(), 1);
    proxy.next(1, patch, Fault::OldObject);
    let old = report(2);
    assert!(old.status.success() && !said(&old).contains("\"observedGeneration\": 2"), "{}", said(&old));
    assert_eq!(stored(), 1);
    proxy.next(1, patch, Fault::DoneBut(Answer::text(503, "http2: client connection lost")));
    assert!(!report(3).status.success());
    assert_eq!(stored(), 3);
}

fn the_line_is_cut_on_demand(server: &Server, namespace: &str, proxy: &Proxy, through: &Kubectl) {
    let ask = || through.run(&["get", "--raw", DEVICES, "--request-timeout=1s"], "").unwrap();
    proxy.line(Line::Refused).unwrap();
    assert!(said(&ask()).contains("refused"), "{}", said(&ask()));
    proxy.line(Line::Hung).unwrap();
    let hung = said(&ask());
    assert!(hung.contains("Timeout exceeded") || hung.contains("deadline"), "{hung}");
    proxy.heal().unwrap();
    assert!(ask().status.success());

    let watching = Matches::of(Verb::Watch, "devices");
    let watch = |options: &[&str]| {
        let path = format!("{DEVICES}?watch=true");
        let before = proxy.count(watching);
        let child = through.command(&[&["get", "--raw", &path], options].concat()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while proxy.count(watching) == before {
            assert!(Instant::now() < deadline, "no watch");
            std::thread::sleep(Duration::from_millis(10));
        }
        child
    };
    // A watch ends when the line is cut, at once when it is empty, and in the middle of an event.
    let open = watch(&[]);
    proxy.cut();
    assert!(!open.wait_with_output().unwrap().status.success());
    proxy.next(1, watching, Fault::Empty);
    let ended = watch(&[]).wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stdout.is_empty());
    proxy.next(1, watching, Fault::CutMidChunk);
    let broken = watch(&[]);
    server.kubectl().apply(namespace, &device("four", "rig-1")).unwrap();
    let broken = broken.wait_with_output().unwrap();
    assert!(!broken.status.success() && !broken.stdout.ends_with(b"\n"), "{}", said(&broken));
    proxy.next(1, watching, Fault::Silent);
    let silent = watch(&["--request-timeout=1s"]).wait_with_output().unwrap();
    assert!(silent.stdout.is_empty(), "{}", said(&silent));
}
