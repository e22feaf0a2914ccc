//! Objects of the cluster, and what is taken over from one set to the next.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Catalog, Judge, Serve};
use crate::{
    control::{
        source::{Objects, Origin, SourceText},
        testing,
    },
    model::{Device, DeviceId},
};

fn judge() -> Judge {
    Judge::new(testing::mappers(), Serve::Own("gw-1".to_owned()))
}

fn id(name: &str) -> DeviceId {
    DeviceId::new("plant-a", name)
}

/// An object as the source hands it on.
fn object(kind: &str, name: &str, head: Json, spec: &Json) -> SourceText {
    let mut object = json!({
        "apiVersion": "fieldgate.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": "plant-a", "uid": format!("uid-{name}"), "generation": 1,
                     "creationTimestamp": "2026-01-01T00:00:00Z", "aKeyOfTheFuture": {}},
    });
    if let (Json::Object(meta), Json::Object(head)) = (&mut object["metadata"], head) {
        meta.extend(head);
    }
    SourceText { name: format!("{kind} plant-a/{name}").into(), text: object.to_string().into(), error: None }
}

fn device(name: &str, head: Json, spec: Json) -> SourceText {
    let mut whole = json!({"nodeName": "gw-1", "protocol": {"wire": {"tcp": name, "unit": 1}}, "properties": []});
    if let (Json::Object(whole), Json::Object(spec)) = (&mut whole, spec) {
        whole.extend(spec);
    }
    object("Device", name, head, &whole)
}

fn model(name: &str, spec: &Json) -> SourceText {
    object("DeviceModel", name, json!({}), spec)
}

fn set(texts: &[&SourceText]) -> Objects {
    let mut texts: Vec<SourceText> = texts.iter().map(|text| (*text).clone()).collect();
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    Objects { origin: Origin::Cluster, texts, ..Objects::default() }
}

fn next(texts: &[&SourceText], before: &Catalog) -> Catalog {
    Catalog::build(&set(texts), &judge(), before)
}

fn first(texts: &[&SourceText]) -> Catalog {
    next(texts, &Catalog::default())
}

fn ok(catalog: &Catalog, name: &str) -> Arc<Device> {
    match &catalog.devices[&id(name)] {
        Ok(device) => device.clone(),
        Err(issues) => panic!("{issues:?}"),
    }
}

fn said(catalog: &Catalog, name: &str) -> Vec<String> {
    catalog.devices[&id(name)].as_ref().err().unwrap().iter().map(super::Issue::said).collect()
}

fn lines(catalog: &Catalog) -> Vec<String> {
    catalog.issues.iter().map(ToString::to_string).collect()
}

fn property(key: &str, value: impl Into<Json>) -> Json {
    let mut property = json!({"name": "p", "type": "int16", "wire": {"register": 1}});
    property[key] = value.into();
    json!([property])
}

#[test]
fn identity_and_generation_are_the_resources() {
    let leaving = json!({"generation": 7, "deletionTimestamp": "2026-02-01T00:00:00Z"});
    let catalog = first(&[&device("a", leaving, json!({}))]);
    let a = ok(&catalog, "a");
    assert_eq!((&*a.uid, a.generation, catalog.generation(&id("a"))), ("uid-a", 7, 7), "served until it is gone");
    assert_eq!(catalog.uid(&id("a")), Some("uid-a"));

    let same = next(&[&device("a", json!({"generation": 8}), json!({}))], &catalog);
    assert!(Arc::ptr_eq(&ok(&same, "a"), &a), "an equal spec is the same work");
    assert_eq!(same.generation(&id("a")), 8, "and yet another generation");

    let other = next(&[&device("a", json!({"uid": "another"}), json!({}))], &same);
    assert_eq!(&*ok(&other, "a").uid, "another");
    let broken = next(&[&device("a", json!({"uid": "third"}), json!({"pollEvery": "1ms"}))], &other);
    assert!(broken.at_work().is_empty(), "what ran was another resource");
    assert_eq!(broken.uid(&id("a")), Some("third"));
}

#[test]
fn messages_have_no_lines_and_name_the_model_that_is_wrong() {
    let texts = [
        device("a", json!({}), json!({"model": "m"})),
        device("b", json!({}), json!({"model": "x"})),
        device("c", json!({}), json!({"properties": property("scal", 2)})),
        device("d", json!({}), json!({"model": "n", "properties": property("unit", "°C")})),
        model("m", &json!({"properties": property("max", "five")})),
        model("n", &json!({})),
    ];
    let catalog = first(&texts.each_ref());
    let max = "spec.properties[0].max: \"five\" is a text, but a number is wanted";
    let missing = "spec.model: no DeviceModel x in namespace plant-a; did you mean \"m\"?";
    let unknown = "spec.properties[0].scal: unknown key; did you mean \"scale\"?";
    assert_eq!(said(&catalog, "a"), [format!("DeviceModel plant-a/m: {max}")]);
    assert_eq!(said(&catalog, "b"), [missing]);
    assert_eq!(said(&catalog, "c"), [unknown]);
    ok(&catalog, "d");
    assert_eq!(
        lines(&catalog)[..3],
        [
            format!("Device plant-a/b: {missing}"),
            format!("Device plant-a/c: {unknown}"),
            format!("DeviceModel plant-a/m: {max}")
        ]
    );
    assert!(catalog.issues.iter().all(|issue| (issue.line, issue.column) == (0, 0)));

    let broken = SourceText { name: "Device plant-a/e".into(), text: "{".into(), error: None };
    assert!(lines(&first(&[&broken, &texts[3], &texts[5]]))[0].starts_with("Device plant-a/e: no JSON"));
}

#[test]
fn only_the_own_nodes_devices_are_served_and_the_moved_are_told_from_the_deleted() {
    let (own, foreign) = (device("a", json!({}), json!({})), device("b", json!({}), json!({"nodeName": "gw-2"})));
    let mut nobody = device("c", json!({}), json!({}));
    nobody.text = nobody.text.replace("\"nodeName\":\"gw-1\",", "").into();
    let mut objects = set(&[&own, &foreign, &nobody]);
    objects.moved = vec![id("d"), id("a")];
    let catalog = Catalog::build(&objects, &judge(), &Catalog::default());
    assert_eq!(catalog.devices.keys().collect::<Vec<_>>(), [&id("a")]);
    assert_eq!(catalog.elsewhere, [id("b"), id("c"), id("d")], "one that is here again has not moved");
    assert!(lines(&catalog)[1].starts_with("Device plant-a/c: spec.nodeName is required"), "{:?}", lines(&catalog));
}

#[test]
fn a_changed_model_touches_only_the_devices_that_it_changes() {
    let base = |max: i32, unit: &str| {
        let p = json!({"name": "p", "type": "int16", "max": max, "wire": {"register": 1}, "unit": unit});
        model("m", &json!({"properties": [p]}))
    };
    let a = device("a", json!({}), json!({"model": "m"}));
    let own = device("b", json!({}), json!({"model": "m", "properties": [{"name": "p", "max": 9}]}));
    let alone = device("c", json!({}), json!({}));
    let before = first(&[&a, &own, &alone, &base(5, "K")]);
    let after = next(&[&a, &own, &alone, &base(6, "K")], &before);
    let same = |name: &str| Arc::ptr_eq(&ok(&before, name), &ok(&after, name));
    assert_eq!((same("a"), same("b"), same("c")), (false, true, true), "b has a max of its own");
    assert_eq!(ok(&after, "a").properties[0].max, Some(6.0));

    let gone = next(&[&a, &own, &alone], &after);
    assert!(gone.devices[&id("a")].is_err() && gone.devices[&id("c")].is_ok());
    assert!(Arc::ptr_eq(&gone.at_work()[&id("a")], &ok(&after, "a")), "the last accepted spec goes on");
    let back = next(&[&a, &own, &alone, &base(6, "K")], &gone);
    assert_eq!(ok(&back, "a").print, ok(&after, "a").print);
}

#[test]
fn what_did_not_change_is_not_parsed_again() {
    let (a, b) = (
        device("a", json!({}), json!({"model": "m"})),
        device("b", json!({}), json!({"properties": property("max", "x")})),
    );
    let (m, late) = (model("m", &json!({"properties": []})), model("late", &json!({})));
    let before = first(&[&a, &b, &m]);
    let after = next(&[&a, &b, &m, &late], &before);
    for name in ["a", "b"] {
        assert!(Arc::ptr_eq(&before.judged[&id(name)], &after.judged[&id(name)]), "{name}");
    }
    assert!(before.scans.iter().all(|(name, scan)| Arc::ptr_eq(scan, &after.scans[name])));
    let told: Vec<String> = lines(&after).into_iter().filter(|line| !line.contains("/late")).collect();
    assert_eq!(lines(&before), told, "mistakes and notes are told on");
    assert_eq!(said(&before, "b"), said(&after, "b"));
}

/// Files too: their notes stay, and what a model in another file says.
#[test]
fn files_taken_over_say_what_they_said() {
    let judge = Judge::new(testing::mappers(), Serve::All);
    let head = |kind: &str, name: &str| {
        format!("apiVersion: fieldgate.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: ")
    };
    let text = format!(
        "{}{{model: m, protocol: {{wire: {{tcp: h, unit: 1}}}}}}\n---\n{}{{model: n, protocol: {{}}}}\n",
        head("Device", "a"),
        head("Device", "b")
    );
    let p = "{properties: [{name: p, type: int16, labels: {0: off}, wire: {register: 40001}}]}\n";
    let files = [("d.yaml".to_owned(), text), ("m.yaml".to_owned(), head("DeviceModel", "m") + p)];
    let objects: Objects = files.into_iter().collect();
    let before = Catalog::build(&objects, &judge, &Catalog::default());
    assert_eq!(before.issues.len(), 4, "{:?}", before.issues);
    assert_eq!(Catalog::build(&objects, &judge, &before).issues, before.issues);
}

#[test]
fn the_oldest_keeps_a_contested_line_after_a_restart_and_whoever_is_on_it_before() {
    let wire = |baud: u32| json!({"protocol": {"wire": {"tcp": "line", "unit": 1, "baud": baud}}});
    let old = json!({"creationTimestamp": "2025-01-01T00:00:00Z"});
    let (young, old) = (device("a", json!({}), wire(9600)), device("b", old, wire(1200)));
    let restarted = first(&[&young, &old]);
    assert!(restarted.devices[&id("a")].is_err() && restarted.devices[&id("b")].is_ok());
    assert!(said(&restarted, "a")[0].starts_with("spec.protocol: line is already used by plant-a/b"));
    let running = next(&[&young, &old], &first(&[&young]));
    assert!(running.devices[&id("a")].is_ok() && running.devices[&id("b")].is_err());

    let mut spec = wire(9600);
    spec["pollEvery"] = "1ms".into();
    let refused = next(&[&device("a", json!({}), spec), &old], &running);
    assert!(refused.devices.values().all(Result::is_err));
    assert_eq!(refused.at_work().keys().collect::<Vec<_>>(), [&id("a")], "its last accepted spec is on the line");
    let freed = next(&[&device("a", json!({}), wire(1200)), &old], &refused);
    assert_eq!(freed.at_work().len(), 2);
}

#[test]
fn an_edit_that_loses_its_bus_leaves_the_last_accepted_spec_at_work() {
    let wire = |line: &str, baud: u32| json!({"protocol": {"wire": {"tcp": line, "unit": 1, "baud": baud}}});
    let on = |name: &str, line: &str, baud: u32| device(name, json!({}), wire(line, baud));
    let running = first(&[&on("a", "x", 9600), &on("b", "x", 9600), &on("c", "y", 1200)]);
    assert_eq!(running.at_work().len(), 3);
    for (what, line, baud) in [("another speed on its own line", "x", 19200), ("a line of another speed", "y", 9600)] {
        let edited = next(&[&on("a", line, baud), &on("b", "x", 9600), &on("c", "y", 1200)], &running);
        assert!(edited.devices[&id("a")].is_err(), "{what}");
        assert!(Arc::ptr_eq(&edited.at_work()[&id("a")], &running.at_work()[&id("a")]), "{what}");
        assert!(edited.devices[&id("b")].is_ok() && edited.devices[&id("c")].is_ok(), "{what}");
    }
    // Whoever hoped for the place that the loser did not leave goes back as well.
    let swapped = next(&[&on("a", "y", 9600), &on("b", "x", 9600), &on("c", "x", 1200)], &running);
    assert_eq!(swapped.at_work().len(), 3);
}
