//! The ValidatingAdmissionPolicies of `examples/deploy/base` on a real API server: who may report what, with the tokens of
//! two nodes; and which values may be wanted, in the words that people read.

#![allow(clippy::unwrap_used)] // all of it is a test

use std::{
    thread,
    time::{Duration, Instant},
};

use hardware_tests::cluster::{
    Kubectl, Options, Server,
    install::{Bridge, install},
};
use serde_json::{Value as Json, json};

fn object(kind: &str, name: &str, spec: &Json) -> Json {
    json!({"apiVersion": "fieldgate.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn device(properties: &Json) -> Json {
    object("Device", "boiler", &json!({"nodeName": "gw-1", "protocol": {"virtual": {}}, "properties": properties}))
}

fn of_model(model: &str, properties: &Json) -> Json {
    let mut device = device(properties);
    device["spec"]["model"] = model.into();
    device
}

fn model(properties: &Json) -> Json {
    object("DeviceModel", "kind", &json!({"properties": properties}))
}

/// A float32 setpoint with these keys on top.
fn setpoint(keys: &Json) -> Json {
    let mut property = json!({"name": "setpoint", "type": "float32", "virtual": {}});
    for (key, value) in keys.as_object().unwrap() {
        property[key] = value.clone();
    }
    property
}

fn tried(kubectl: &Kubectl, object: &Json) -> Result<(), String> {
    let output = kubectl.run(&["create", "--dry-run=server", "-n", "default", "-f", "-"], &object.to_string()).unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// A server of its own for each claim would take seconds each.
#[test]
fn the_policies_hold_on_a_real_api_server() {
    let server = Server::start(&Options { own: true, ..Options::default() }).unwrap();
    install(&server, "base").unwrap();
    a_gateway_reports_its_own_devices_only(&server);
    wanted_values_are_judged(server.kubectl());
    the_model_is_judged_with(server.kubectl());
    what_is_stored_can_be_labelled_and_deleted(server.kubectl());
    the_largest_device_is_judged(server.kubectl());
}

fn a_gateway_reports_its_own_devices_only(server: &Server) {
    let kubectl = server.kubectl();
    for (namespace, node) in [("plant-a", "gw-1"), ("plant-a", "gw-2"), ("plant-b", "gw-1")] {
        // It may be there already.
        let _ = kubectl.ok(&["create", "namespace", namespace]);
        let device = object("Device", node, &json!({"nodeName": node, "protocol": {"virtual": {}}}));
        kubectl.apply(namespace, &device.to_string()).unwrap();
    }
    let [one, two] = ["gw-1", "gw-2"].map(|node| Bridge::new(server, node).unwrap());
    let status = r#"{"status":{"protocol":"virtual"}}"#;
    for (who, namespace, device) in [(&one, "plant-a", "gw-1"), (&one, "plant-b", "gw-1"), (&two, "plant-a", "gw-2")] {
        assert_eq!(who.report(namespace, device, status).unwrap().0, 200);
    }
    let refusal = "the token was issued for node gw-1, but plant-a/gw-2 belongs to node gw-2: a gateway reports only the \
                   devices whose spec.nodeName is its own node";
    // What the request itself says of the spec does not count.
    for patch in [status, r#"{"spec":{"nodeName":"gw-1"},"status":{"protocol":"virtual"}}"#] {
        let (code, said) = one.report("plant-a", "gw-2", patch).unwrap();
        assert!(code == 403 && said.contains(refusal), "{code} {said}");
    }
    assert_eq!(two.report("plant-b", "gw-1", status).unwrap().0, 403);
    // A device that has moved belongs to the other one at once.
    let moved =
        ["patch", "device", "gw-1", "-n", "plant-b", "--type", "merge", "-p", r#"{"spec":{"nodeName":"gw-2"}}"#];
    kubectl.ok(&moved).unwrap();
    assert_eq!(one.report("plant-b", "gw-1", status).unwrap().0, 403);
    assert_eq!(two.report("plant-b", "gw-1", status).unwrap().0, 200);

    // The same account with a token that is bound to no pod; and an administrator, whose token is bound to none either.
    let unbound = Bridge::with_token(server, &[]).unwrap();
    let (code, said) = unbound.report("plant-a", "gw-1", status).unwrap();
    assert!(code == 403 && said.contains("the token was not issued for a pod on a node"), "{code} {said}");
    let by_hand = ["patch", "device", "gw-1", "-n", "plant-a", "--subresource", "status", "--type", "merge"];
    kubectl.ok(&[&by_hand[..], &["-p", r#"{"status":{"protocol":"by hand"}}"#]].concat()).unwrap();
}

const NEEDS: &str = "needs access: write or readWrite";

fn wanted_values_are_judged(kubectl: &Kubectl) {
    let wanted = |keys: Json| {
        let mut all = json!({"access": "readWrite"});
        all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        setpoint(&all)
    };
    let labels = json!({"0": "day", "1": "night"});
    let good = [
        wanted(json!({"desired": 21.5, "min": 5, "max": 30})),
        wanted(json!({"desired": 30, "max": 30})),
        wanted(json!({"desired": "21.5"})),
        wanted(json!({"desired": "18446744073709551615", "type": "uint64"})),
        wanted(json!({"desired": 1, "type": "bool"})),
        wanted(json!({"desired": false, "type": "bool"})),
        wanted(json!({"desired": "on", "type": "string", "size": 4})),
        wanted(json!({"desired": "night", "type": "uint16", "labels": labels})),
        setpoint(&json!({"desired": 1, "access": "write"})),
    ];
    for property in good {
        tried(kubectl, &device(&json!([property]))).unwrap_or_else(|said| panic!("{property}: {said}"));
    }
    let bad: [(Json, &[&str]); 15] = [
        (setpoint(&json!({"desired": 1})), &[NEEDS, "access was left out, which means read"]),
        (setpoint(&json!({"desired": 1, "access": "read"})), &[NEEDS, "its access is read"]),
        (wanted(json!({"desired": 31, "min": 5, "max": 30})), &["is 31; accepted: 5 to 30"]),
        (wanted(json!({"desired": "99", "min": 5, "max": 30})), &["is 99; accepted: 5 to 30"]),
        (wanted(json!({"desired": -1.5, "min": 0})), &["is -1.5; accepted: 0 or more"]),
        (wanted(json!({"desired": 30.5, "max": 30})), &["is 30.5; accepted: 30 or less"]),
        (wanted(json!({"desired": [1]})), &["must be a number, true, false or a text"]),
        (wanted(json!({"desired": {"value": 1}})), &["must be a number, true, false or a text"]),
        (wanted(json!({"desired": "warm"})), &["cannot be written as float32; write a number"]),
        (wanted(json!({"desired": true})), &["cannot be written as float32; write a number"]),
        (wanted(json!({"desired": "yes", "type": "bool"})), &["cannot be written as bool; write true or false"]),
        (wanted(json!({"desired": 2, "type": "bool"})), &["cannot be written as bool; write true or false"]),
        (wanted(json!({"desired": 5, "type": "string", "size": 4})), &["as string; write a text in quotes"]),
        (
            wanted(json!({"desired": 5, "type": "bytes", "size": 4})),
            &["as bytes; write hexadecimal digits", "\"00ff\""],
        ),
        (
            wanted(json!({"desired": "noon", "type": "uint16", "labels": labels})),
            &["is not one of the labels; accepted:", "day", "night"],
        ),
    ];
    for (property, parts) in bad {
        let said = tried(kubectl, &device(&json!([property]))).expect_err(&property.to_string());
        for part in parts.iter().chain(&["desired of property \"setpoint\""]) {
            assert!(said.contains(part), "{property}: {part:?} is not in: {said}");
        }
    }
    // What is written when the device is given up goes by the same rules.
    tried(kubectl, &device(&json!([wanted(json!({"safe": 5, "min": 5, "max": 30}))]))).unwrap();
    for (property, part) in [
        (setpoint(&json!({"safe": 5})), NEEDS),
        (wanted(json!({"safe": 31, "max": 30})), "is 31; accepted: 30 or less"),
        (wanted(json!({"desired": 20, "safe": "off"})), "cannot be written as float32; write a number"),
    ] {
        let said = tried(kubectl, &device(&json!([property]))).expect_err(&property.to_string());
        assert!(said.contains("safe of property \"setpoint\"") && said.contains(part), "{property}: {said}");
    }
    let said = tried(kubectl, &object("Device", "lost", &json!({"protocol": {"virtual": {}}}))).unwrap_err();
    assert!(said.contains("spec.nodeName is required in a cluster: the name of the node"), "{said}");
}

fn the_model_is_judged_with(kubectl: &Kubectl) {
    // A model by itself: what a Device may still give is left open.
    tried(kubectl, &model(&json!([setpoint(&json!({"desired": 1}))]))).unwrap();
    let read = model(&json!([setpoint(&json!({"desired": 1, "access": "read"}))]));
    assert!(tried(kubectl, &read).unwrap_err().contains(NEEDS));
    let outside = model(&json!([setpoint(&json!({"desired": 1, "min": 2}))]));
    assert!(tried(kubectl, &outside).unwrap_err().contains("is 1; accepted: 2 or more"));

    let models = [
        object(
            "DeviceModel",
            "heater",
            &json!({"properties": [
                {"name": "setpoint", "type": "float32", "access": "readWrite", "min": 5, "max": 30, "virtual": {}},
                {"name": "flow", "type": "int16", "virtual": {}},
                {"name": "preset", "type": "int16", "access": "readWrite", "desired": 7, "max": 10, "virtual": {}},
            ]}),
        ),
        object("DeviceModel", "unrelated", &json!({"properties": [{"name": "setpoint", "access": "read", "max": 1}]})),
    ];
    for model in models {
        kubectl.apply("default", &model.to_string()).unwrap();
    }
    let above = of_model("heater", &json!([{"name": "setpoint", "desired": 31}]));
    // The policies learn of a model by a watch of their own.
    let deadline = Instant::now() + Duration::from_secs(30);
    while tried(kubectl, &above).is_ok() {
        assert!(Instant::now() < deadline, "the model is not judged with");
        thread::sleep(Duration::from_millis(100));
    }
    let bad = [
        (json!({"name": "setpoint", "desired": 31}), "is 31; accepted: 5 to 30 (with the model heater)"),
        (json!({"name": "setpoint", "desired": 31, "min": 0}), "is 31; accepted: 0 to 30 (with the model heater)"),
        (json!({"name": "setpoint", "desired": 20, "access": "read"}), "its access is read"),
        (
            json!({"name": "setpoint", "desired": "warm"}),
            "cannot be written as float32; write a number (with the model",
        ),
        (json!({"name": "setpoint", "safe": 4}), "safe of property \"setpoint\" is 4; accepted: 5 to 30"),
        (json!({"name": "flow", "desired": 3}), "access was left out, which means read (with the model heater)"),
        (json!({"name": "preset", "max": 5}), "desired of property \"preset\" is 7; accepted: 5 or less"),
        (setpoint(&json!({"name": "another", "desired": 3})), "desired of property \"another\" needs access"),
    ];
    for (property, part) in bad {
        let said = tried(kubectl, &of_model("heater", &json!([property]))).expect_err(&property.to_string());
        assert!(said.contains(part), "{property}: {part:?} is not in: {said}");
    }
    for property in [
        json!({"name": "setpoint", "desired": 30}),
        json!({"name": "setpoint", "desired": 31, "max": 40}),
        json!({"name": "flow", "desired": 3, "access": "readWrite"}),
        json!({"name": "flow", "description": "nothing wanted"}),
    ] {
        tried(kubectl, &of_model("heater", &json!([property]))).unwrap_or_else(|said| panic!("{property}: {said}"));
    }
    // The order does not matter: a model that is not there yet refuses nothing.
    tried(kubectl, &of_model("later", &json!([{"name": "setpoint", "desired": 31}]))).unwrap();
}

/// What was stored before the policies were: here a model that has changed since.
fn what_is_stored_can_be_labelled_and_deleted(kubectl: &Kubectl) {
    let device = of_model("heater", &json!([{"name": "setpoint", "desired": 29}])).to_string();
    kubectl.apply("default", &device).unwrap();
    let narrower = r#"{"spec":{"properties":[{"name":"setpoint","type":"float32","access":"read","virtual":{}}]}}"#;
    kubectl.ok(&["patch", "devicemodel", "heater", "--type", "merge", "-p", narrower]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let edit = |text: &str| kubectl.run(&["patch", "device", "boiler", "--type", "merge", "-p", text], "").unwrap();
    let mut every = 1;
    while edit(&format!(r#"{{"spec":{{"pollEvery":"{every}s"}}}}"#)).status.success() {
        assert!(Instant::now() < deadline, "the changed model is not judged with");
        thread::sleep(Duration::from_millis(100));
        every += 1;
    }
    assert!(edit(r#"{"metadata":{"labels":{"line":"3"},"finalizers":["test/hold"]}}"#).status.success());
    kubectl.ok(&["delete", "device", "boiler", "--wait=false"]).unwrap();
    assert!(edit(r#"{"metadata":{"finalizers":null}}"#).status.success(), "a finalizer can be taken away");
}

/// As many writable properties as a Device may have, each of them in the model: the rules stay within the server's budget.
fn the_largest_device_is_judged(kubectl: &Kubectl) {
    let all = |property: fn(usize) -> Json| (0..fieldgate_crds::MAX_PROPERTIES).map(property).collect::<Vec<_>>();
    let offered =
        all(|n| json!({"name": format!("p{n}"), "type": "int16", "access": "readWrite", "max": 9, "virtual": {}}));
    kubectl.apply("default", &object("DeviceModel", "large", &json!({"properties": offered})).to_string()).unwrap();
    let mut wanted = all(|n| json!({"name": format!("p{n}"), "desired": n % 10}));
    let last = wanted.len() - 1;
    wanted[last]["desired"] = 10.into();
    let deadline = Instant::now() + Duration::from_secs(60);
    let wrong = of_model("large", &json!(wanted));
    let said = loop {
        assert!(Instant::now() < deadline, "the large model is not judged with");
        if let Err(said) = tried(kubectl, &wrong) {
            break said;
        }
        thread::sleep(Duration::from_millis(100));
    };
    assert!(said.contains("desired of property \"p511\" is 10; accepted: 9 or less (with the model large)"), "{said}");
    wanted[last]["desired"] = 9.into();
    tried(kubectl, &of_model("large", &json!(wanted))).unwrap();
}
