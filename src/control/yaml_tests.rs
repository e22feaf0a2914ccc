use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Mark, parse};

fn one(text: &str) -> Json {
    let documents = parse(text, 0).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    assert_eq!(documents.roots.len(), 1, "{text}");
    documents.roots[0].to_json()
}

#[test]
fn scalars_follow_the_core_schema() {
    for (text, json) in [
        ("a: 1", json!(1)),
        ("a: -7", json!(-7)),
        ("a: +7", json!(7)),
        ("a: 007", json!(7)),
        ("a: 0x1F", json!(31)),
        ("a: 0o17", json!(15)),
        ("a: 1.5", json!(1.5)),
        ("a: .5", json!(0.5)),
        ("a: 1e3", json!(1000.0)),
        ("a: 18446744073709551615", json!(u64::MAX)),
        ("a: -9223372036854775808", json!(i64::MIN)),
        ("a: true", json!(true)),
        ("a: off", json!("off")),
        ("a: yes", json!("yes")),
        ("a: ~", json!(null)),
        ("a:", json!(null)),
        ("a: '1'", json!("1")),
        ("a: \"\\u00b0C\"", json!("°C")),
        ("a: 1_000", json!("1_000")),
        ("a: 1:30", json!("1:30")),
        ("a: 2026-11-24", json!("2026-11-24")),
        ("a: 0b11", json!("0b11")),
        ("a: !!str 1", json!("1")),
        ("a: !!int '1'", json!(1)),
        ("a: |\n  x\n  y\n", json!("x\ny\n")),
    ] {
        assert_eq!(one(text), json!({ "a": json }), "{text}");
    }
    assert_eq!(one(r#"{"a": [1, {"b": null}], "c": "d"}"#), json!({"a": [1, {"b": null}], "c": "d"}));
    assert_eq!(one("{0: x, true: y, 1.5: z}"), json!({"0": "x", "true": "y", "1.5": "z"}));
}

#[test]
fn several_documents_and_their_lines() {
    let documents = parse("---\n# empty\n---\na: 1\n---\nb:\n  - x\n  - c: 2\n", 3).unwrap();
    assert_eq!(documents.roots.len(), 2);
    let c = documents.roots[1].get("b").unwrap().items()[1].entries()[0].mark;
    assert_eq!(c, Mark { file: 3, line: 8, column: 5 });
    // The item begins where its first key stands: the item's own path is the answer.
    assert_eq!(documents.roots[1].path_of(c).as_deref(), Some("b[1]"));
    let two = documents.roots[1].get("b").unwrap().items()[1].entries()[0].node.mark;
    assert_eq!(documents.roots[1].path_of(two).as_deref(), Some("b[1].c"));
}

#[test]
fn what_kubectl_reads_otherwise_is_noted_with_both_readings() {
    for (text, ours, theirs) in [
        ("off", "\"off\"", "false"),
        ("on", "\"on\"", "true"),
        ("yes", "\"yes\"", "true"),
        ("n", "\"n\"", "false"),
        ("0123", "123", "83"),
        ("00010", "10", "8"),
        ("1_000", "\"1_000\"", "1000"),
        ("0b101", "\"0b101\"", "5"),
        ("-0x10", "\"-0x10\"", "-16"),
        ("0X1F", "\"0X1F\"", "31"),
    ] {
        let notes = parse(&format!("x:\n  a: {text}"), 0).unwrap().notes;
        assert_eq!(notes.len(), 1, "{text}");
        assert_eq!(notes[0].mark.line, 2);
        let message = &notes[0].message;
        assert!(
            message.contains(&format!("as {ours} here")) && message.contains(&format!("as {theirs} by")),
            "{message}"
        );
    }
    for text in ["'off'", "08", "0o7", "0x1f", "1:30", "2026-11-24", "1.", "1e3", ".5", "~", "true", "-1", "+1", "a_b"]
    {
        assert_eq!(parse(&format!("a: {text}"), 0).unwrap().notes, [], "{text}");
    }
    assert_eq!(parse("{off: 1}", 0).unwrap().notes.len(), 1, "keys too");
}

#[test]
fn aliases_are_expanded_within_bounds() {
    assert_eq!(one("a: &x {b: 1}\nc: *x"), json!({"a": {"b": 1}, "c": {"b": 1}}));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..9 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        writeln!(bomb, "a{n}: &a{n} [{aliases}]").unwrap();
    }
    assert!(parse(&bomb, 0).unwrap_err().message.contains("aliases counted"));
}

#[test]
fn what_has_no_json_form_is_refused_with_its_line() {
    for (text, line, part) in [
        ("a: 1\nb: 2\na: 3\n", 3, "\"a\" stands twice; first in line 1"),
        ("a: [1\n", 1, "no YAML"),
        ("a: .nan", 1, "no form in JSON"),
        ("a: -.inf", 1, "no form in JSON"),
        ("a: 1e999", 1, "no form in JSON"),
        ("? [a]\n: 1", 1, "cannot be a key"),
        ("~: 1", 1, "must be a text"),
        ("a: !foo 1", 1, "does not fit the tag"),
        ("a: !!int x", 1, "does not fit the tag"),
        ("a: &x {b: 1}\nc:\n  <<: *x", 3, "no merge key"),
        ("a: *x", 1, "no YAML"),
        ("a: &x [*x]", 1, "inside the very node"),
        ("a:\n\t- b", 2, "no YAML"),
    ] {
        let error = parse(text, 0).expect_err(text);
        assert_eq!((error.mark.line, error.message.contains(part)), (line, true), "{text}: {error:?}");
    }
    assert!(parse(&("[".repeat(100) + &"]".repeat(100)), 0).unwrap_err().message.contains("deep"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z0-9:\\-\\[\\]{}\"'&*!|>#,?%@ \n\t.~<_+]{0,200}") {
        let _ = parse(&text, 0);
    }

    #[test]
    fn no_noise_panics(text in any::<String>()) {
        let _ = parse(&text, 0);
    }

    #[test]
    fn json_reads_as_json(n in any::<i64>(), f in -1e9f64..1e9, s in "[ -~]{0,20}", b in any::<bool>()) {
        let json = json!({"n": n, "f": f, "s": s, "l": [b, null, {"x": s}]});
        prop_assert_eq!(one(&serde_json::to_string(&json).unwrap()), json);
    }
}
