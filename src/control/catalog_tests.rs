use std::{
    fmt::Write as _,
    sync::{Arc, LazyLock},
};

use proptest::prelude::*;

use super::{Catalog, Judge, Serve};
use crate::{
    control::{issue::Severity, source::Objects, testing},
    model::{Device, DeviceId},
};

fn objects(files: &[(&str, &str)]) -> Objects {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn build(files: &[(&str, &str)]) -> Catalog {
    static JUDGE: LazyLock<Judge> = LazyLock::new(|| Judge::new(testing::mappers(), Serve::All));
    Catalog::build(&objects(files), &JUDGE, &Catalog::default())
}

fn device(name: &str, spec: &str) -> String {
    format!("apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

fn model(name: &str, spec: &str) -> String {
    device(name, spec).replace("kind: Device", "kind: DeviceModel")
}

fn lines(catalog: &Catalog) -> Vec<String> {
    catalog.issues.iter().map(ToString::to_string).collect()
}

fn ok(catalog: &Catalog, name: &str) -> Arc<Device> {
    match &catalog.devices[&DeviceId::new("default", name)] {
        Ok(device) => device.clone(),
        Err(issues) => panic!("{issues:?}"),
    }
}

/// Each case of `golden/` is a file of documents and the lines that it must give.
#[test]
fn mistakes_are_told_as_written_down() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control/golden");
    let mut failed = String::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = lines(&build(&[(&name, &text)])).join("\n") + "\n";
        let wanted = std::fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        if std::env::var_os("RENEW_GOLDEN").is_some() {
            std::fs::write(path.with_extension("txt"), &found).unwrap();
        } else if found != wanted {
            let _ = write!(failed, "{name} gives\n{found}\nbut the text beside it says\n{wanted}\n");
        }
    }
    assert!(
        failed.is_empty(),
        "{failed}\nif the new lines are right: RENEW_GOLDEN=1 cargo test --lib control::catalog"
    );
}

#[test]
fn a_whole_device_is_understood() {
    let text = device(
        "a",
        "{nodeName: gw-1, protocol: {wire: {tcp: 'h:1', unit: 1}}, pollEvery: 2s, properties: [\
         {name: t, type: int16, scale: 0.1, min: 0, max: 50, access: readWrite, desired: 21.26, unit: C, \
          tolerance: 0.2, onDrift: report, pollEvery: 500ms, wire: {register: 2}, \
          publish: {onChange: true, deadband: '1%', atLeastEvery: 1m}},\
         {name: s, type: string, size: 4, access: write, wire: {register: 3}},\
         {name: l, type: uint16, labels: {0: 'off', 1: 'on'}, access: readWrite, desired: 'on', maxAge: 7s, wire: {register: 4}}]}",
    );
    let catalog = build(&[("a.yaml", &text)]);
    let a = ok(&catalog, "a");
    assert_eq!((a.poll_every.as_secs(), a.generation, &*a.uid), (2, 1, "files:default/a"));
    let [t, s, l] = &a.properties[..] else { panic!() };
    let wanted = t.desired.as_ref().unwrap();
    assert_eq!((wanted.raw.clone(), wanted.tolerance), (213_i64.into(), Some(0.2)));
    assert_eq!((t.publish.deadband, t.publish.on_change), (Some(0.5), true));
    assert_eq!((t.poll_every.as_millis(), t.max_age.as_millis()), (500, 1500));
    assert_eq!((s.max_age.as_secs(), l.max_age.as_secs()), (6, 7));
    assert_eq!(l.desired.as_ref().unwrap().raw, 1_u64.into());
    assert_eq!(lines(&catalog), Vec::<String>::new());
}

#[test]
fn mistakes_in_a_model_are_shown_where_they_stand() {
    let model = model("m", "\n  properties:\n    - {name: p, type: int16, max: 5, wire: {register: 1}}\n");
    let one = device(
        "a",
        "\n  model: m\n  protocol: {wire: {tcp: h, unit: 1}}\n  properties: [{name: q, type: bool, wire: {register: 0}}, {name: p, desired: 7, access: readWrite}]\n",
    );
    let other = device("b", "\n  model: mm\n  protocol: {wire: {tcp: h, unit: 2}}\n");
    let catalog = build(&[("m.yaml", &model), ("d.yaml", &format!("{one}---\n{other}"))]);
    assert_eq!(
        lines(&catalog),
        [
            "d.yaml:7: spec.properties[1].desired: 7 is above max, which is 5",
            "d.yaml:14: spec.model: no DeviceModel mm in namespace default; did you mean \"m\"?",
        ]
    );
    let bad = model.replace("max: 5", "max: five");
    let catalog = build(&[("m.yaml", &bad), ("d.yaml", &one)]);
    assert_eq!(lines(&catalog), ["m.yaml:6: spec.properties[0].max: \"five\" is a text, but a number is wanted"]);
    assert!(catalog.devices[&DeviceId::new("default", "a")].is_err(), "its device is refused for it");
}

#[test]
fn samples_are_run_with_no_hardware() {
    let given = |given: i64, expect: &str| {
        model(
            "m",
            &format!(
                "\n  protocol: {{wire: {{tcp: h, unit: 1}}}}\n  properties: [{{name: t, type: int16, scale: 0.1, invalid: [-1], wire: {{register: 1}}}}]\n  samples:\n    - given: {{wire: {{\"1\": {given}}}}}\n      expect: {expect}\n"
            ),
        )
    };
    let with = |expect: &str| given(213, expect);
    assert_eq!(lines(&build(&[("m.yaml", &with("{t: 21.3}"))])), Vec::<String>::new());
    assert_eq!(lines(&build(&[("m.yaml", &given(-1, "{t: notAvailable}"))])), Vec::<String>::new());
    for (expect, message) in [
        ("{t: notAvailable}", "spec.samples[0].expect.t: \"notAvailable\" was expected, but the sample gives 21.3"),
        ("{t: 2130}", "spec.samples[0].expect.t: 2130 was expected, but the sample gives 21.3"),
        ("{tt: 1}", "spec.samples[0].expect.tt: the model has no such property; did you mean \"t\"?"),
    ] {
        assert_eq!(lines(&build(&[("m.yaml", &with(expect))])), [format!("m.yaml:9: {message}")]);
    }
    let unbound = with("{t: 1}").replace("tcp: h, unit: 1", "tcp: h");
    assert_eq!(lines(&build(&[("m.yaml", &unbound)])).len(), 1, "a note that the samples were not run");
}

#[test]
fn an_unchanged_device_stays_the_very_same() {
    let judge = Judge::new(testing::mappers(), Serve::All);
    let spec = |unit: u8| format!("{{protocol: {{wire: {{tcp: h, unit: {unit}}}}}, properties: []}}");
    let set = |a: u8, b: u8| {
        objects(&[("a.yaml", &*device("a", &spec(a))), ("b.yaml", &*format!("# moved\n\n{}", device("b", &spec(b))))])
    };
    let first = Catalog::build(&set(1, 1), &judge, &Catalog::default());
    let second = Catalog::build(&set(1, 2), &judge, &first);
    assert!(Arc::ptr_eq(&ok(&first, "a"), &ok(&second, "a")));
    assert!(!Arc::ptr_eq(&ok(&first, "b"), &ok(&second, "b")));
    assert_eq!((ok(&second, "a").generation, ok(&second, "b").generation), (1, 2));
    let third = Catalog::build(&set(0, 2), &judge, &second); // refused, and counted all the same
    assert!(third.devices[&DeviceId::new("default", "a")].is_err());
    assert_eq!(ok(&Catalog::build(&set(1, 2), &judge, &third), "a").generation, 3);
}

#[test]
fn devices_of_another_node_are_left_out_only_where_a_node_is_given() {
    let text = device("a", "{nodeName: n1, protocol: {wire: {tcp: h, unit: 1}}, properties: []}");
    assert_eq!(build(&[("a.yaml", &text)]).devices.len(), 1);
    let judge = Judge::new(testing::mappers(), Serve::Node("n2".to_owned()));
    let other = Catalog::build(&objects(&[("a.yaml", &text)]), &judge, &Catalog::default());
    assert_eq!((other.devices.len(), other.elsewhere), (0, vec![DeviceId::new("default", "a")]));
}

#[test]
fn one_bus_has_one_protocol_and_one_name_has_one_device() {
    let a = device("a", "{protocol: {wire: {tcp: h, unit: 1, baud: 9600}}, properties: []}");
    let b = device("b", "{protocol: {wire: {tcp: h, unit: 2, baud: 1200}}, properties: []}");
    let c = device("c", "{protocol: {air: {name: h}}, properties: []}");
    let catalog = build(&[("a.yaml", &a), ("b.yaml", &b), ("c.yaml", &c), ("d.yaml", &a)]);
    let errors: Vec<String> =
        catalog.issues.iter().filter(|i| i.severity == Severity::Error).map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "b.yaml:4: spec.protocol: h is already used by default/a with the settings 9600; this device says 1200; \
             all devices of one bus must agree",
            "c.yaml:4: spec.protocol: h is already used by wire of default/a; one bus speaks one protocol, and this \
             device is air",
            "d.yaml:3: metadata.name: Device default/a already stands in a.yaml, line 1; this one is ignored",
        ]
    );
    assert!(catalog.devices[&DeviceId::new("default", "a")].is_ok());
    assert!(catalog.devices[&DeviceId::new("default", "b")].is_err());
}

#[test]
fn devices_of_one_model_share_what_they_have_alike() {
    let points = "[{name: a, type: int16, wire: {register: 1}}, {name: b, type: int16, wire: {register: 2}}]";
    let texts = [
        ("m.yaml", model("m", &format!("{{properties: {points}}}"))),
        ("x.yaml", device("x", "{model: m, protocol: {wire: {tcp: 'h:1', unit: 1}}}")),
        (
            "y.yaml",
            device("y", "{model: m, protocol: {wire: {tcp: 'h:2', unit: 1}}, properties: [{name: b, unit: V}]}"),
        ),
    ];
    let catalog = build(&texts.each_ref().map(|(name, text)| (*name, &**text)));
    let (x, y) = (ok(&catalog, "x"), ok(&catalog, "y"));
    assert!(Arc::ptr_eq(&x.properties[0], &y.properties[0]));
    assert_eq!((x.properties[1].unit.as_deref(), y.properties[1].unit.as_deref()), (None, Some("V")));
}

proptest! {
    #[test]
    fn no_document_panics(words in proptest::collection::vec("(apiVersion|kind|Device|metadata|name|spec|protocol|wire|unit|properties|type|int16|desired|[0-9a-z%.-]{0,4}|[\\[\\]{}:,?-]|\n {0,4})", 0..60)) {
        let _ = build(&[("x.yaml", &words.join(" "))]);
    }

    #[test]
    fn no_spec_panics(key in "(min|max|size|order|labels|publish|desired|deadband|access|scale|pollEvery)", value in "[ -~]{0,12}") {
        let text = device("a", &format!("{{protocol: {{wire: {{tcp: h, unit: 1}}}}, properties: [{{name: a, type: int16, {key}: {value}, wire: {{register: 1}}}}]}}"));
        let _ = build(&[("x.yaml", &text)]);
    }
}

#[test]
fn the_generation_goes_on_when_a_model_was_away() {
    let judge = Judge::new(testing::mappers(), Serve::All);
    let d = device("d", "{model: m, protocol: {wire: {tcp: h, unit: 1}}}");
    let m = |poll: &str| model("m", &format!("{{pollEvery: {poll}}}"));
    let mut catalog = Catalog::default();
    for (models, generation) in [(Some("1s"), 1), (Some("2s"), 2), (None, 2), (Some("2s"), 2), (Some("3s"), 3)] {
        let texts = [Some(("d.yaml".to_owned(), d.clone())), models.map(|poll| ("m.yaml".to_owned(), m(poll)))];
        catalog = Catalog::build(&texts.into_iter().flatten().collect(), &judge, &catalog);
        assert_eq!(catalog.generation(&DeviceId::new("default", "d")), generation, "{models:?}");
    }
}
