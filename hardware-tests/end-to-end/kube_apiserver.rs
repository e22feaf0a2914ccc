//! The resources on a real API server: applied, explained, refused in words that a person understands, and read back as
//! the very objects that the file source reads.
//!
//! The server is that of `hardware_tests::cluster`: built on first use, gone with the test.

#![allow(clippy::unwrap_used)] // all of it is a test

use std::{fs, path::PathBuf, process::Output};

use fieldgate::control::yaml;
use hardware_tests::cluster::{self, Options, root};
use serde_json::{Value as Json, json};

struct Server(cluster::Server);

impl Server {
    /// Runs kubectl with this text on its standard input.
    fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        self.0.kubectl().run(arguments, input).unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        self.0.kubectl().ok(arguments).unwrap()
    }

    /// What the server says of an object that it must not take.
    fn refused(&self, object: &Json) -> String {
        self.0.kubectl().refused("default", &object.to_string()).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every file of resources below `examples/`.
fn examples() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("examples")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir());
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml") && !p.ends_with("fieldgate.yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    files
}

fn device(spec: &Json) -> Json {
    json!({
        "apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device",
        "metadata": {"name": "wrong"}, "spec": spec,
    })
}

fn one(property: &Json) -> Json {
    device(&json!({"protocol": {"modbus": {"tcp": "h:502", "unit": 1}}, "properties": [property]}))
}

/// A test of its own for each claim would start a server for each; starting one takes seconds.
#[test]
fn the_resources_hold_on_a_real_api_server() {
    // It lists what stands in the namespace `default`: a server of its own.
    let server = cluster::Server::start(&Options { own: true, ..Options::default() }).unwrap();
    server.kubectl().define(&cluster::crds()).unwrap();
    let server = Server(server);
    explains_the_fields(&server);
    both_readings_give_the_same_objects(&server);
    the_other_reading_is_kubectls(&server);
    stores_nothing_that_nobody_wrote(&server);
    refuses_mistakes_in_words(&server);
    takes_as_many_properties_as_promised(&server);
}

fn explains_the_fields(server: &Server) {
    let explained = server.ok(&["explain", "device.spec.protocol.modbus"]);
    for field in ["tcp", "serial", "unit", "timeout", "framing", "Host and port"] {
        assert!(explained.contains(field), "{field} is missing:\n{explained}");
    }
    let address = server.ok(&["explain", "device.spec.properties.modbus.register"]);
    assert!(address.contains("zero-based"), "{address}");
    let sample = server.ok(&["explain", "devicemodel.spec.samples.given.modbus"]);
    assert!(sample.contains("holdingRegister"), "{sample}");
}

fn both_readings_give_the_same_objects(server: &Server) {
    for file in examples() {
        let path = file.to_str().unwrap();
        let ours = yaml::parse(&fs::read_to_string(&file).unwrap(), 0).unwrap();
        server.ok(&["apply", "-f", path]);
        for object in ours.roots.iter().map(yaml::Node::to_json) {
            let word = |key: &str| object.pointer(key).and_then(Json::as_str).unwrap_or_default();
            let namespace = object.pointer("/metadata/namespace").and_then(Json::as_str).unwrap_or("default");
            let stored = server.ok(&["get", word("/kind"), word("/metadata/name"), "-n", namespace, "-o", "json"]);
            let stored: Json = serde_json::from_str(&stored).unwrap();
            assert_eq!(stored["spec"], object["spec"], "{path}: {}", word("/metadata/name"));
            assert_eq!(stored["apiVersion"], object["apiVersion"]);
        }
    }
}

/// Plain scalars as kubectl reads them, against what our notes say that it reads.
fn the_other_reading_is_kubectls(server: &Server) {
    let scalars = "y n yes No on OFF true True ~ null 0 7 -7 +7 007 08 0123 -017 00010 0o17 0O17 0x1F 0X1f -0x10 0b101 \
                   -0b11 1_000 1__0 0x_f 1.5 1. .5 -.5 +.5 1e3 1E+3 1e 1_0.5 .5_0 .5__0 ._5 1:30 2026-11-24 2026-11-24T10:00:00Z \
                   18446744073709551615 +18446744073709551615 99999999999999999999 -9223372036854775808 0777777777777 \
                   _1 1_ - a_b 0xg 0o8 0b2 --1 +-1 1.2.3";
    let scalars: Vec<&str> = scalars.split_whitespace().filter(|s| *s != "-").collect();
    let lines = scalars.iter().enumerate().map(|(n, s)| format!("      k{n}: {s}\n")).collect::<Vec<_>>().concat();
    let text_of = format!(
        "apiVersion: fieldgate.dev/v1alpha1\nkind: DeviceModel\nmetadata: {{name: scalars}}\nspec:\n  samples:\n  - given: \
         {{}}\n    expect:\n{lines}"
    );
    let output = server.kubectl(&["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-"], &text_of);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let theirs: Json = serde_json::from_slice(&output.stdout).unwrap();
    let theirs = &theirs["spec"]["samples"][0]["expect"];
    let documents = yaml::parse(&text_of, 0).unwrap();
    let ours = documents.roots[0].to_json()["spec"]["samples"][0]["expect"].take();
    for (n, scalar) in scalars.iter().enumerate() {
        let (key, line) = (format!("k{n}"), u32::try_from(n + 8).unwrap());
        let note = documents.notes.iter().find(|note| note.mark.line == line).map(|note| &note.message);
        let (our, their) = (&ours[&key], &theirs[&key]);
        // kubectl writes a null as an absent key; a number beyond 64 bits comes out in another notation.
        let same = our == their || (our.is_number() && our.as_f64() == their.as_f64());
        assert_eq!(note.is_none(), same, "{scalar}: we read {our}, kubectl {their}; the note is {note:?}");
        if let Some(note) = note {
            assert!(note.contains(&format!("as {their} by kubectl")), "{scalar}: kubectl reads {their}, but: {note}");
        }
    }
}

fn stores_nothing_that_nobody_wrote(server: &Server) {
    let listed = server.ok(&["get", "devices", "--field-selector", "spec.nodeName=gw-1", "-o", "name"]);
    assert!(listed.contains("meter-hall") && !listed.contains("greenhouse"), "{listed}");
    let table = server.ok(&["get", "fgdev"]);
    for column in ["NAME", "NODE", "MODEL", "PROTOCOL", "READY", "REACHABLE", "SINCE", "AGE"] {
        assert!(table.contains(column), "{table}");
    }
}

fn refuses_mistakes_in_words(server: &Server) {
    let good = json!({"name": "a", "type": "int16", "modbus": {"table": "coil", "register": 1}});
    let with = |key: &str, value: Json| {
        let mut property = good.clone();
        property[key] = value;
        one(&property)
    };
    let cases: [(&str, Json, &[&str]); 11] = [
        ("a misspelt key", with("unitt", json!("V")), &["unknown field \"spec.properties[0].unitt\""]),
        (
            "a misspelt key of the endpoint",
            device(&json!({"protocol": {"modbus": {"tcp": "h", "unit": 1, "timout": "1s"}}})),
            &["unknown field \"spec.protocol.modbus.timout\""],
        ),
        (
            "two protocols",
            device(&json!({"protocol": {"modbus": {"tcp": "h", "unit": 1}, "virtual": {}}})),
            &["spec.protocol", "exactly one protocol must be given: ble, modbus, serial, virtual"],
        ),
        (
            "an address of another protocol",
            one(&json!({"name": "a", "type": "int16", "virtual": {"constant": 1}})),
            &["spec.properties", "has an address of virtual", "under the protocol's own key"],
        ),
        (
            "no register",
            with("modbus", json!({"table": "coil"})),
            &["spec.properties[0].modbus", "exactly one of these must be given: register with table, reference"],
        ),
        (
            "a register out of range",
            with("modbus", json!({"table": "coil", "register": 70000})),
            &["spec.properties[0].modbus.register", "less than or equal to 65535"],
        ),
        (
            "a type that is none",
            with("type", json!("flot32")),
            &["spec.properties[0].type", "\"flot32\"", "\"float32\""],
        ),
        (
            "a name twice",
            device(&json!({"protocol": {"virtual": {}}, "properties": [
                {"name": "a", "type": "bool", "virtual": {}}, {"name": "a", "type": "bool", "virtual": {}}]})),
            &["spec.properties[1]", "Duplicate value", "\"a\""],
        ),
        (
            "no unit and no model that gives it",
            device(&json!({"protocol": {"modbus": {"tcp": "h"}}})),
            &["spec.protocol.modbus.unit is required, here or in the model"],
        ),
        (
            "neither tcp nor serial",
            device(&json!({"protocol": {"modbus": {"unit": 1}}})),
            &["exactly one of these must be given: tcp, serial"],
        ),
        (
            "no type",
            one(&json!({"name": "a", "modbus": {"table": "coil", "register": 1}})),
            &["every property needs a type"],
        ),
    ];
    for (what, object, parts) in cases {
        let message = server.refused(&object);
        for part in parts {
            assert!(message.contains(part), "{what}: {part:?} is not in: {message}");
        }
    }
    let created = server.kubectl(&["create", "--dry-run=server", "-f", "-"], &one(&good).to_string());
    assert!(created.status.success(), "the same without a mistake: {}", text(&created.stderr));
}

fn takes_as_many_properties_as_promised(server: &Server) {
    let many = |n: usize| {
        let property = |n| json!({"name": format!("p{n}"), "type": "int16", "virtual": {"constant": n}});
        device(&json!({"protocol": {"virtual": {}}, "properties": (0..n).map(property).collect::<Vec<_>>()}))
    };
    let most = fieldgate_crds::MAX_PROPERTIES;
    let output = server.kubectl(&["create", "--dry-run=server", "-f", "-"], &many(most).to_string());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(server.refused(&many(most + 1)).contains("must have at most 512 items"));
}
