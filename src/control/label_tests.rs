use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{NODE_LABEL, labelled};
use crate::control::yaml;

/// A text whose Device has this metadata, in the middle of other documents.
fn around(metadata: &str, node: &str) -> String {
    format!(
        "# before\n---\napiVersion: fieldgate.dev/v1alpha1 # which\nkind: Device\n{metadata}\nspec:\n  nodeName: {node}\n---\nkind: Other\n"
    )
}

#[test]
fn the_smallest_edit_of_each_form() {
    let table = [
        ("metadata:\n  name: a", "metadata:\n  name: a\n  labels:\n    fieldgate.dev/node: gw-1"),
        ("metadata:\n  name: a # why", "metadata:\n  name: a # why\n  labels:\n    fieldgate.dev/node: gw-1"),
        (
            "metadata:\n    name: 'a'\n    # where\n    namespace: \"b\"\n    annotations: {x: 'y'}",
            "metadata:\n    name: 'a'\n    # where\n    namespace: \"b\"\n    labels:\n      fieldgate.dev/node: gw-1\n    annotations: {x: 'y'}",
        ),
        (
            "metadata:\n  name: a\n  labels:\n    # mine\n    x: 'y' # z\n    z: x",
            "metadata:\n  name: a\n  labels:\n    # mine\n    fieldgate.dev/node: gw-1\n    x: 'y' # z\n    z: x",
        ),
        (
            "metadata:\n  labels: {x: \"y\"}\n  name: a",
            "metadata:\n  labels: {fieldgate.dev/node: gw-1, x: \"y\"}\n  name: a",
        ),
        ("metadata:\n  labels: {}\n  name: a", "metadata:\n  labels: {fieldgate.dev/node: gw-1}\n  name: a"),
        (
            "metadata:\n  labels: # none\n  name: a",
            "metadata:\n  labels: { fieldgate.dev/node: gw-1 } # none\n  name: a",
        ),
        ("metadata: {labels: null, name: a}", "metadata: {labels: { fieldgate.dev/node: gw-1 }, name: a}"),
        ("metadata: { name: a }", "metadata: { name: a, labels: { fieldgate.dev/node: gw-1 } }"),
        ("metadata: {name: a, namespace: b}", "metadata: {name: a, namespace: b, labels: {fieldgate.dev/node: gw-1}}"),
        ("metadata: {\"name\":\"a\"}", "metadata: {\"name\":\"a\", \"labels\": {\"fieldgate.dev/node\": \"gw-1\"}}"),
        (
            "metadata: {\n  \"name\": \"a\"\n  }",
            "metadata: {\n  \"name\": \"a\",\n  \"labels\": {\"fieldgate.dev/node\": \"gw-1\"}\n  }",
        ),
        (
            "metadata:\n  name: a\n  labels: {\n    \"x\": \"y\" }",
            "metadata:\n  name: a\n  labels: {\n    \"fieldgate.dev/node\": \"gw-1\",\n    \"x\": \"y\" }",
        ),
        (
            "metadata:\n  name: a\n  labels:\n    fieldgate.dev/node: gw-22 # old",
            "metadata:\n  name: a\n  labels:\n    fieldgate.dev/node: gw-1 # old",
        ),
        (
            "metadata: {name: a, labels: {'fieldgate.dev/node': 'x' }}",
            "metadata: {name: a, labels: {'fieldgate.dev/node': 'gw-1' }}",
        ),
        (
            "metadata: {name: a, labels: {fieldgate.dev/node: \"x\"}}",
            "metadata: {name: a, labels: {fieldgate.dev/node: \"gw-1\"}}",
        ),
        (
            "metadata: {name: a, labels: {fieldgate.dev/node: 7}}",
            "metadata: {name: a, labels: {fieldgate.dev/node: gw-1}}",
        ),
    ];
    for (before, after) in table {
        for crlf in [false, true] {
            let ends = |text: String| if crlf { text.replace('\n', "\r\n") } else { text };
            let (done, said) = labelled(&ends(around(before, "gw-1")));
            assert_eq!(done, ends(around(after, "gw-1")), "{before}");
            assert_eq!(said.len(), 1);
            assert_eq!((said[0].failed.as_deref(), said[0].line), (None, 3));
            assert_eq!(labelled(&done), (done.clone(), Vec::new()), "a second time changes nothing");
        }
    }
}

#[test]
fn a_name_that_is_something_else_without_quotes_is_quoted() {
    for (node, value) in [("'17'", "\"17\""), ("\"on\"", "\"on\""), ("'1e3'", "\"1e3\""), ("'x'", "x")] {
        let (done, _) = labelled(&around("metadata: {name: a}", node));
        assert!(done.contains(&format!("{{name: a, labels: {{fieldgate.dev/node: {value}}}}}")), "{done}");
    }
}

#[test]
fn what_only_a_person_should_edit_stays_and_hides_nothing() {
    let long = "n".repeat(64);
    for (metadata, node, why) in [
        ("metadata: {name: a}", &*long, "no label can hold this name"),
        ("metadata:\n  name: a\n  labels:\n    fieldgate.dev/node: |-\n      x", "gw-1", "only a person"),
        ("metadata: {name: a, labels: {fieldgate.dev/node: [x]}}", "gw-1", "only a person"),
        ("metadata:\n  name: a\n  annotations: &all {x: z}\n  labels: *all", "gw-1", "only a person"),
        ("metadata:\n  name: a\n  labels:\n    ? x\n    : z", "gw-1", "only a person"),
        ("metadata:\n  name: a\n  labels: &all {x: z}\n  annotations: *all", "gw-1", "only a person"),
    ] {
        let text = around(metadata, node) + "---\n" + &around("metadata: {name: b}", "gw-1");
        let (done, said) = labelled(&text);
        assert_eq!(
            done,
            around(metadata, node)
                + "---\n"
                + &around("metadata: {name: b, labels: {fieldgate.dev/node: gw-1}}", "gw-1")
        );
        assert!(said[0].failed.as_ref().unwrap().contains(why), "{said:?}");
        assert_eq!(said[1].failed, None);
    }
    for text in [
        around("metadata: {name: a}", "").replace("nodeName:", ""),
        around("metadata: {name: a}", "gw-1").replace("kind: Device", "kind: DeviceModel"),
        around("metadata: {name: a}", "17"),
        "no: [".to_owned(),
    ] {
        assert_eq!(labelled(&text), (text.clone(), Vec::new()));
    }
}

fn tree(text: &str) -> Vec<Json> {
    yaml::parse(text, 0).unwrap().roots.iter().map(yaml::Node::to_json).collect()
}

/// One way to write a Device: its metadata in any style, with or without other labels and the label itself.
fn written() -> impl Strategy<Value = String> {
    let labels = proptest::option::of(proptest::collection::vec(("[a-z]{1,3}[0-9]{1,2}", "[a-z]{1,4}"), 0..3));
    let old = proptest::option::of("[a-z]{2,5}-[0-9]");
    (labels, old, 0..4, "[a-z]{2}-?[a-z0-9]{1,20}", any::<bool>()).prop_map(|(labels, old, style, node, comment)| {
        let note = if comment { " # é" } else { "" };
        let mut all: Vec<(String, String)> = labels.clone().unwrap_or_default();
        all.sort();
        all.dedup_by(|a, b| a.0 == b.0);
        all.extend(old.map(|old| (NODE_LABEL.to_owned(), old)));
        let has = labels.is_some() || !all.is_empty();
        let mut metadata = json!({"name": "a"});
        if has {
            metadata["labels"] = all.iter().cloned().map(|(k, v)| (k, Json::String(v))).collect();
        }
        let head = "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\n";
        let spec = format!("spec: {{nodeName: \"{node}\"}}{note}\n");
        match style {
            0 | 1 => {
                let device = json!({"apiVersion": "fieldgate.dev/v1alpha1", "kind": "Device", "metadata": metadata, "spec": {"nodeName": node}});
                if style == 0 { device.to_string() + "\n" } else { serde_json::to_string_pretty(&device).unwrap() + "\n" }
            }
            2 => {
                let pairs: Vec<String> = all.iter().map(|(k, v)| format!("{k}: '{v}'")).collect();
                let labels = if has { format!(", labels: {{{}}}", pairs.join(", ")) } else { String::new() };
                format!("{head}metadata: {{name: a{labels}}}{note}\n{spec}")
            }
            _ => {
                let pairs: Vec<String> = all.iter().map(|(k, v)| format!("    {k}: '{v}'{note}\n")).collect();
                let labels = if has { format!("  labels:{note}\n{}", pairs.concat()) } else { String::new() };
                format!("{head}metadata:{note}\n  name: a{note}\n{labels}{spec}")
            }
        }
    })
}

proptest! {
    #[test]
    fn only_the_label_differs_and_a_second_time_nothing(devices in proptest::collection::vec(written(), 1..4)) {
        let text = devices.join("---\n");
        let (done, said) = labelled(&text);
        prop_assert!(said.iter().all(|said| said.failed.is_none()), "{said:?}\n{text}");
        let mut wanted = tree(&text);
        for device in &mut wanted {
            let node = device["spec"]["nodeName"].clone();
            if device["metadata"]["labels"].is_null() {
                device["metadata"]["labels"] = json!({});
            }
            device["metadata"]["labels"][NODE_LABEL] = node;
        }
        prop_assert_eq!(tree(&done), wanted, "{}\n{}", text, done);
        prop_assert_eq!(labelled(&done), (done.clone(), Vec::new()));
        let (kept, lines) = (done.lines().count(), text.lines().count());
        prop_assert!(kept >= lines && kept <= lines + 2 * said.len());
        prop_assert_eq!(done.matches('é').count(), text.matches('é').count());
    }

    #[test]
    fn no_text_panics(words in proptest::collection::vec("(apiVersion: |kind: Device|metadata:|labels:|fieldgate.dev/node: |name: a|spec: |nodeName: b|&x|[*]x|é|#|[\\[\\]{}:,?\"'-]|\n {0,4})", 0..40)) {
        let text = words.join("");
        let (done, said) = labelled(&text);
        prop_assert!(done == text || !said.is_empty());
    }
}
