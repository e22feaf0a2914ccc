//! What a platform engineer applies, on a real API server: every folder of `examples/deploy/` renders and is taken, the Pod
//! passes "restricted", the bridge may do what it must and nothing else.
//!
//! There is no kubelet here: that the Pod runs is not shown. `hardware-tests/image` runs its image.

#![allow(clippy::unwrap_used)] // all of it is a test

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use fieldgate::{control::check, registry, settings::Settings};
use hardware_tests::{
    child::{Running, Scratch},
    cluster::{
        Authorization, Kubectl, Options, Server,
        install::{Bridge, NAMESPACE, install, pod},
        root,
    },
};
use serde_json::{Value as Json, json};

const OVERLAYS: [&str; 4] = ["base", "kubernetes", "k3s", "microk8s"];

fn deploy() -> PathBuf {
    root().join("examples/deploy")
}

/// The folders below one of `examples/deploy/`.
fn folders(below: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(deploy().join(below))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// A server of its own for each claim would take seconds each.
#[test]
fn what_is_applied_holds_on_a_real_api_server() {
    let flags = vec!["--allow-privileged=true".to_owned()];
    let server = Server::start(&Options { own: true, flags, ..Options::default() }).unwrap();
    install(&server, "base").unwrap();
    applying_again_changes_nothing(server.kubectl());
    every_overlay_is_taken(server.kubectl());
    every_component_is_taken(server.kubectl());
    the_settings_are_right(server.kubectl());
    the_pod_is_restricted(&server);
    the_rights_are_these(&server);
    a_role_per_namespace_reads_no_other(&server);
    the_node_label_is_set(&server);
    host_paths_are_two(&server);
    the_samples_are_taken(&server);
    a_bridge_works_with_these_rights(&server);
}

fn applying_again_changes_nothing(kubectl: &Kubectl) {
    // The first apply by kubectl after a server-side one says so once; from then on nothing differs.
    kubectl.apply_folder(&deploy().join("base")).unwrap();
    let said = kubectl.apply_folder(&deploy().join("base")).unwrap();
    assert!(said.lines().all(|line| line.ends_with(" unchanged")), "{said}");
}

fn every_overlay_is_taken(kubectl: &Kubectl) {
    let own: BTreeSet<String> = folders("").into_iter().collect();
    let known = OVERLAYS.iter().chain(&["components", "try"]).map(|name| (*name).to_owned()).collect();
    assert_eq!(own, known, "a new folder of examples/deploy wants its place in this test");
    for overlay in OVERLAYS {
        let folder = deploy().join(overlay);
        kubectl.ok(&["apply", "--dry-run=server", "-k", folder.to_str().unwrap()]).unwrap();
        if overlay != "base" {
            assert!(folder.join("README.md").exists(), "{overlay} says what it is for");
        }
    }
}

/// The base with these components, as an overlay of one's own would have it: a folder that goes with the value.
fn with_components(names: &[&str]) -> Scratch {
    let scratch = Scratch::new().unwrap();
    let up = "../".repeat(scratch.path().canonicalize().unwrap().components().count() - 1);
    let deploy = deploy().canonicalize().unwrap();
    let deploy = format!("{up}{}", deploy.strip_prefix("/").unwrap().display());
    let components: Vec<_> = names.iter().map(|name| format!("{deploy}/components/{name}")).collect();
    let text = format!("resources: [{deploy}/base]\ncomponents: [{}]\n", components.join(", "));
    fs::write(scratch.path().join("kustomization.yaml"), text).unwrap();
    scratch
}

fn every_component_is_taken(kubectl: &Kubectl) {
    kubectl.ok(&["create", "namespace", "plant-a"]).unwrap();
    let names = folders("components");
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let folder = with_components(&[&name]);
        kubectl.ok(&["apply", "--dry-run=server", "-k", folder.path().to_str().unwrap()]).unwrap();
        assert!(deploy().join("components").join(&name).join("README.md").exists(), "{name} says what it costs");
    }
}

/// What is mounted as the bridge's settings is what the bridge reads.
fn the_settings_are_right(kubectl: &Kubectl) {
    let text = fs::read_to_string(deploy().join("base/fieldgate.yaml")).unwrap();
    let issues = Settings::issues("fieldgate.yaml", &text);
    assert!(issues.is_empty(), "{issues:?}");
    let maps = kubectl.ok(&["get", "configmaps", "-n", NAMESPACE, "-o", "json"]).unwrap();
    let maps: Json = serde_json::from_str(&maps).unwrap();
    let is_ours = |map: &&Json| map["metadata"]["name"].as_str().unwrap().starts_with("fieldgate-");
    let ours: Vec<&Json> = maps["items"].as_array().unwrap().iter().filter(is_ours).collect();
    assert_eq!(ours.len(), 1, "{maps}");
    let set = kubectl.get(NAMESPACE, "daemonset", "fieldgate").unwrap();
    let template = &set["spec"]["template"]["spec"];
    assert_eq!(template["volumes"][0]["configMap"]["name"], ours[0]["metadata"]["name"]);
    assert_eq!(template["containers"][0]["args"], json!(["run", "--config", "/etc/fieldgate/fieldgate.yaml"]));
    assert_eq!(set["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"], 0);
}

fn the_pod_is_restricted(server: &Server) {
    let kubectl = server.kubectl();
    kubectl.fed(&["apply", "-f", "-"], r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"gw-1"}}"#).unwrap();
    let good = pod(server, "gw-1").unwrap();
    let output = kubectl.run(&["create", "--dry-run=server", "-f", "-"], &good.to_string()).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    // The level is there: what is less strict is refused.
    let mut bad = good;
    bad["spec"]["containers"][0]["securityContext"]["capabilities"] = json!({});
    let refused = kubectl.refused(NAMESPACE, &bad.to_string()).unwrap();
    assert!(refused.contains("violates PodSecurity \"restricted:latest\": unrestricted capabilities"), "{refused}");
}

/// The rows of `kubectl auth can-i --list` that are not every account's own.
fn rights(kubectl: &Kubectl, namespace: &str) -> BTreeSet<String> {
    let account = format!("system:serviceaccount:{NAMESPACE}:fieldgate");
    let list = |who: &str| {
        let all = ["auth", "can-i", "--list", "--no-headers", "-n", namespace, "--as", who, "--as-group"];
        let groups = ["system:authenticated", "--as-group", "system:serviceaccounts"];
        let listed = kubectl.ok(&[&all[..], &groups[..]].concat()).unwrap();
        let rows = listed.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
        rows.collect::<BTreeSet<String>>()
    };
    let everybody = list(&format!("system:serviceaccount:{NAMESPACE}:another"));
    list(&account).difference(&everybody).cloned().collect()
}

fn the_rights_are_these(server: &Server) {
    let expected: BTreeSet<String> = [
        "devicemodels.fieldgate.dev [] [] [get list watch]",
        "devices.fieldgate.dev [] [] [get list watch]",
        "devices.fieldgate.dev/status [] [] [patch]",
        "events.events.k8s.io [] [] [create patch]",
    ]
    .map(str::to_owned)
    .into();
    for namespace in [NAMESPACE, "default", "kube-system"] {
        assert_eq!(rights(server.kubectl(), namespace), expected, "in {namespace}");
    }
    // And with the token itself.
    let bridge = Bridge::new(server, "gw-1").unwrap().kubectl;
    assert!(bridge.ok(&["get", "devices", "-A"]).is_ok());
    for what in ["secrets", "configmaps", "pods", "nodes"] {
        let error = bridge.ok(&["get", what, "-n", NAMESPACE]).unwrap_err().to_string();
        assert!(error.contains("is forbidden"), "{what}: {error}");
    }
}

fn a_role_per_namespace_reads_no_other(server: &Server) {
    let kubectl = server.kubectl();
    let folder = with_components(&["namespaces"]);
    kubectl.apply_folder(folder.path()).unwrap();
    kubectl.ok(&["delete", "clusterrolebinding", "fieldgate"]).unwrap();
    assert_eq!(rights(kubectl, "plant-a").len(), 4);
    assert!(rights(kubectl, "default").is_empty());
    kubectl.apply_folder(&deploy().join("base")).unwrap();
}

fn the_node_label_is_set(server: &Server) {
    let kubectl = server.kubectl();
    kubectl.apply_folder(with_components(&["node-label"]).path()).unwrap();
    let device = |node: &str| {
        let name = "labelled";
        json!({"apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device", "metadata": {"name": name, "labels": {"line": "3"}},
            "spec": {"nodeName": node, "protocol": {"virtual": {}}}})
    };
    let labels = |node: &str| {
        let device = device(node).to_string();
        let stored = kubectl.fed(&["apply", "-n", "plant-a", "-o", "json", "-f", "-"], &device).unwrap();
        serde_json::from_str::<Json>(&stored).unwrap()["metadata"]["labels"].clone()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while labels("gw-1") != json!({"line": "3", "fieldgate.dev/node": "gw-1"}) {
        assert!(Instant::now() < deadline, "the label is not set: {}", labels("gw-1"));
        thread::sleep(Duration::from_millis(100));
        kubectl.ok(&["delete", "device", "labelled", "-n", "plant-a"]).unwrap();
    }
    assert_eq!(labels("gw-2"), json!({"line": "3", "fieldgate.dev/node": "gw-2"}), "it follows the device");
    // Longer than a label may be: taken, and found by the field.
    kubectl.ok(&["delete", "device", "labelled", "-n", "plant-a"]).unwrap();
    let long = format!("gw-{}", "x".repeat(61));
    assert_eq!(labels(&long), json!({"line": "3"}));
    kubectl.ok(&["delete", "device", "labelled", "-n", "plant-a"]).unwrap();
}

fn host_paths_are_two(server: &Server) {
    let kubectl = server.kubectl();
    kubectl.apply_folder(with_components(&["host-paths", "durable-state", "bluetooth"]).path()).unwrap();
    let good = pod(server, "gw-2").unwrap();
    let state = good["spec"]["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "state").unwrap();
    assert_eq!(*state, json!({"name": "state", "hostPath": {"path": "/var/lib/fieldgate", "type": "Directory"}}));
    let dbus = good["spec"]["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "dbus").unwrap();
    assert_eq!(*dbus, json!({"name": "dbus", "hostPath": {"path": "/run/dbus", "type": "Directory"}}));
    let tried = |pod: &Json| {
        let output = kubectl.run(&["create", "--dry-run=server", "-f", "-"], &pod.to_string()).unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let mut wrong: Vec<(Json, &str)> = Vec::new();
    let mut change = |pointer: &str, value: Json, says: &'static str| {
        let mut pod = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        wrong.push((pod, says));
    };
    change(
        "/spec/volumes",
        json!([{"name": "state", "hostPath": {"path": "/"}}, {"name": "settings", "emptyDir": {}},
        {"name": "secrets", "emptyDir": {}}, {"name": "dbus", "emptyDir": {}}]),
        "may mount these paths of the node: /var/lib/fieldgate, /run/dbus",
    );
    change("/spec/hostNetwork", json!(true), "may not use hostNetwork, hostPID or hostIPC");
    change("/spec/containers/0/securityContext", json!({}), "allowPrivilegeEscalation: false");
    change("/spec/securityContext", json!({}), "runAsNonRoot: true");
    change("/spec/containers/0/ports", json!([{"containerPort": 9464, "hostPort": 9464}]), "may not use hostPort");
    change(
        "/spec/securityContext/seccompProfile",
        json!({"type": "Unconfined"}),
        "seccompProfile: {type: RuntimeDefault}",
    );
    let deadline = Instant::now() + Duration::from_secs(30);
    while tried(&wrong[0].0).0 {
        assert!(Instant::now() < deadline, "fieldgate-host-paths does not judge");
        thread::sleep(Duration::from_millis(100));
    }
    for (pod, says) in wrong {
        let (taken, said) = tried(&pod);
        assert!(!taken && said.contains("fieldgate-host-paths") && said.contains(says), "{says}: {said}");
    }
    let (taken, said) = tried(&good);
    assert!(taken, "{said}");
}

fn the_samples_are_taken(server: &Server) {
    let folder = deploy().join("try");
    let report = check::check(&folder, registry::mappers(), Settings::issues).unwrap();
    assert!(report.issues.is_empty() && report.devices == 2 && report.models == 1, "{}", report.text());
    let kubectl = server.kubectl();
    kubectl.ok(&["apply", "-f", folder.to_str().unwrap()]).unwrap();
    let table = kubectl.ok(&["get", "devices", "--field-selector", "spec.nodeName=gw-1"]).unwrap();
    assert!(table.contains("boiler-1") && table.contains("demo-boiler"), "{table}");
}

/// The program itself with the rights and under the policies that are installed: no more, and no less than it needs.
fn a_bridge_works_with_these_rights(server: &Server) {
    let bridge = Bridge::new(server, "gw-1").unwrap();
    let scratch = Scratch::new().unwrap();
    let log = scratch.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(["run", "--node", "gw-1", "--broker", "mqtt://127.0.0.1:1", "--http", "off", "--kubeconfig"]);
    command.arg(bridge.kubectl.config()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let bridge = Running::spawn(&mut command).unwrap();
    let kubectl = server.kubectl();
    let waited = kubectl.ok(&["wait", "--for=condition=Ready", "--timeout=60s", "device/boiler-1", "device/boiler-2"]);
    let said = || fs::read_to_string(&log).unwrap();
    waited.unwrap_or_else(|error| panic!("{error}\n{}", said()));
    let boiler = kubectl.get("default", "device", "boiler-1").unwrap();
    assert_eq!(boiler["status"]["reported"]["setpoint"], json!({"value": 21.5, "desired": 21.5}), "{boiler}");
    let events = ["get", "events.events.k8s.io", "-n", "default", "-o", "name"];
    let deadline = Instant::now() + Duration::from_secs(30);
    while kubectl.ok(&events).unwrap().is_empty() {
        assert!(Instant::now() < deadline, "no event: {}", said());
        thread::sleep(Duration::from_millis(100));
    }
    // Its end waits for a broker that is not there, and is not what is tested here.
    drop(bridge);
    assert!(!said().contains("forbidden"), "{}", said());
}

/// MicroK8s as it is installed: everybody may do everything, and Events are limited.
#[test]
fn it_is_taken_where_everybody_may_do_everything() {
    let limits = json!([{"type": "Server", "qps": 5000, "burst": 20000}]);
    let authorization = Authorization::AlwaysAllow;
    let options = Options { own: true, authorization, event_rate_limit: Some(limits), ..Options::default() };
    let server = Server::start(&options).unwrap();
    install(&server, "microk8s").unwrap();
    let kubectl = server.kubectl();
    for node in ["gw-1", "gw-2"] {
        let device = json!({"apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device", "metadata": {"name": node},
            "spec": {"nodeName": node, "protocol": {"virtual": {}}}});
        kubectl.apply("default", &device.to_string()).unwrap();
    }
    let bridge = Bridge::new(&server, "gw-1").unwrap();
    let report = |node: &str| bridge.report("default", node, r#"{"status":{"protocol":"virtual"}}"#).unwrap();
    assert_eq!(report("gw-1").0, 200);
    // The policy holds there as well, and the roles do not: the page of the overlay says so.
    let (code, said) = report("gw-2");
    assert!(code == 403 && said.contains("a gateway reports only the devices"), "{code} {said}");
    assert!(bridge.kubectl.ok(&["get", "secrets", "-A"]).is_ok());
}
