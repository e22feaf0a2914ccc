use std::{sync::Arc, time::Duration};

use mapper_api::{Access, ByteOrder, DataType, Mapper, Point};
use serde_json::{Value as Json, json};

use crate::Serial;

type Given<'a> = (&'a Json, DataType, Access);

fn bound(endpoint: &Json, points: &[Given]) -> Result<Arc<dyn mapper_api::BoundDevice>, Vec<String>> {
    let points = points.iter().map(|(address, data_type, access)| Point {
        address: *address,
        data_type: *data_type,
        order: ByteOrder::Abcd,
        size: None,
        access: *access,
    });
    Arc::new(Serial::default())
        .bind(endpoint, points.collect())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// An endpoint with more keys.
fn with(more: &Json) -> Json {
    let mut endpoint = json!({
        "path": "/dev/x",
        "frame": { "end": "\\r" },
        "messages": [{ "name": "a", "request": "a\\r", "regex": "^(?<n>.*)$" }],
    });
    for (key, value) in more.as_object().unwrap() {
        endpoint[key] = value.clone();
    }
    endpoint
}

const READ: Access = Access::Read;

#[test]
fn every_mistake_of_an_endpoint_is_told_with_what_would_be_accepted() {
    let field = json!({ "field": "n" });
    for (endpoint, parts) in [
        (json!({ "path": "/dev/x" }), &["frame: is missing", "`language`"][..]),
        (
            with(&json!({ "path": "x", "baud": 1, "timeout": "0s", "quiet": "11s" })),
            &[
                "path: \"x\" is no absolute path",
                "baud: 1 is not in 50..4000000",
                "timeout: must be longer than 0s and at most 1m",
                "quiet: must be at most 10s",
            ],
        ),
        (with(&json!({ "language": "p1" })), &["frame: `language: p1` says it", "messages: `language: p1`"]),
        (
            json!({ "path": "/dev/x", "language": "sml", "key": { "secretRef": { "name": "a", "key": "b" } } }),
            &["key: sml is not encrypted"],
        ),
        (
            with(&json!({ "authenticationKey": { "secretRef": { "name": "a", "key": "b" } } })),
            &["authenticationKey: is for `language: p1`"],
        ),
        (
            with(&json!({ "start": [{}, { "send": "{x}" }, { "timeout": "1s" }, { "baud": 7 }, { "answer": "(" }] })),
            &[
                "start[0]: is empty",
                "start[1].send: {x} stands for nothing",
                "start[2].timeout: is for an `answer`",
                "start[3].baud: 7 is not in",
                "start[4].answer: is no regular expression",
            ],
        ),
        (with(&json!({ "timeout": "1m", "retries": 5 })), &["timeout: with its retries one question may take"]),
        (
            with(&json!({ "messages": [
                { "name": "a", "request": "{check}" }, { "name": "a", "timeout": "1s", "refused": "x" },
            ] })),
            &[
                "messages[0].request: {check}: the frame has no `check`",
                "messages[1].name: a is the name of another message",
                "messages[1].timeout: is for an answer",
                "messages[1].refused: is for an answer",
            ],
        ),
        (
            json!({ "path": "/dev/x", "language": "iec62056", "parameters": { "address": "?" } }),
            &["parameters.address: \"?\" is no address"],
        ),
    ] {
        let errors = bound(&endpoint, &[(&field, DataType::String, READ)]).err().unwrap_or_default();
        for part in parts {
            assert!(errors.iter().any(|error| error.contains(part)), "{part}: {errors:#?}");
        }
    }
}

#[test]
fn every_mistake_of_a_property_is_told_with_what_would_be_accepted() {
    let two = json!({ "messages": [
        { "name": "a", "request": "a\\r", "regex": "^(?<n>.*),(?<m>.*)$" },
        { "name": "b", "request": "b\\r", "regex": "^(?<n>.*)$" },
    ] });
    let write = |write: Json| json!({ "field": "m", "write": write });
    for (address, access, part) in [
        (json!({ "field": "m" }), READ, None),
        (json!({ "field": "n" }), READ, Some("message: is missing, and several could be meant: a, b")),
        (json!({ "message": "c", "field": "n" }), READ, Some("message: c is none of the endpoint's messages: a, b")),
        (json!({ "field": "n", "raw": true }), READ, Some("exclude each other")),
        (json!({}), READ, Some("one of field, offset, pointer or raw")),
        (json!({ "obis": "1.8.0" }), READ, Some("obis: is for an endpoint with `language`")),
        (json!({ "field": "m" }), Access::ReadWrite, Some("write: is missing")),
        (write(json!({ "send": "x" })), READ, Some("access: has `write`")),
        (write(json!({ "send": "{value:9q}" })), Access::ReadWrite, Some("write.send: {value:9q}: {value}")),
        (write(json!({ "send": "x", "refused": "y" })), Access::ReadWrite, Some("write.refused: is for an `answer`")),
        (write(json!({ "send": "x", "answer": "(" })), Access::ReadWrite, Some("write.answer: is no regular")),
        (write(json!({ "send": "x", "answer": "y", "timeout": "2m" })), Access::ReadWrite, Some("write.timeout: must")),
        (json!({ "write": { "send": "x" } }), Access::Write, None),
    ] {
        let errors = bound(&with(&two), &[(&address, DataType::String, access)]).err().unwrap_or_default();
        match part {
            None => assert!(errors.is_empty(), "{address}: {errors:?}"),
            Some(part) => assert!(errors.iter().any(|e| e.contains(part)), "{address}, {part}: {errors:?}"),
        }
    }
}

#[test]
fn what_is_right_and_may_not_be_meant_is_noted() {
    let field = json!({ "field": "n" });
    let listened = json!([{ "name": "a", "regex": "^(?<n>.*)$" }]);
    for (more, part) in [
        (json!({}), None),
        (json!({ "frame": { "end": "\\r", "gap": "5ms" } }), Some("frame.gap")),
        (json!({ "frame": { "end": "\\r", "gap": "20ms" } }), None),
        (
            json!({ "messages": [
            { "name": "a", "request": "a\\r", "regex": "^(?<n>.*)$" }, { "name": "b", "request": "b\\r" },
        ] }),
            Some("messages[1].request: is never sent"),
        ),
        (json!({ "messages": listened }), None),
    ] {
        let notes: Vec<_> = bound(&with(&more), &[(&field, DataType::String, READ)])
            .unwrap_or_else(|e| panic!("{more}: {e:?}"))
            .notes();
        match part {
            None => assert!(notes.is_empty(), "{more}: {notes:?}"),
            Some(part) => assert!(notes.iter().any(|n| n.to_string().contains(part)), "{more}: {notes:?}"),
        }
    }
    let tcp = json!({ "tcp": "h:1", "baud": 9600, "frame": { "end": "\\r" }, "messages": listened });
    let meter = json!({ "tcp": "h:1", "language": "iec62056" });
    let obis = json!({ "obis": "1.8.0" });
    for (endpoint, address) in [(&tcp, &field), (&meter, &obis)] {
        let notes = bound(endpoint, &[(address, DataType::String, READ)]).unwrap_or_else(|e| panic!("{e:?}")).notes();
        assert!(notes[0].message.contains("rfc2217"), "{notes:?}");
    }
}

#[test]
fn a_question_costs_its_bytes_and_at_most_its_time_outs() {
    let field = json!({ "field": "n" });
    let cost = |more: Json| {
        let bound = bound(&with(&more), &[(&field, DataType::String, READ)]).unwrap_or_else(|e| panic!("{e:?}"));
        let plan = bound.plan(&[0], &bound.learnt());
        bound.cost(&plan[0].0[0])
    };
    let usual = cost(json!({}));
    // Two bytes and an answer of 32 at 9600 8N1.
    assert_eq!(usual.wire.as_millis(), 35);
    assert!(usual.longest > Duration::from_secs(4) && usual.longest < Duration::from_secs(6), "{usual:?}");
    let retried = cost(json!({ "retries": 2 }));
    assert!(retried.longest > 2 * usual.longest, "{retried:?}");
    assert_eq!(cost(json!({ "quiet": "100ms" })).wire.as_millis(), 135);
}

#[test]
fn only_what_comes_by_itself_is_listened_to() {
    let field = json!({ "field": "n" });
    let marked = |endpoint: &Json, address: &Json| {
        bound(endpoint, &[(address, DataType::String, READ)])
            .unwrap_or_else(|e| panic!("{e:?}"))
            .frame_source()
            .is_some()
    };
    assert!(!marked(&with(&json!({})), &field));
    assert!(marked(&with(&json!({ "messages": [{ "name": "a", "regex": "^(?<n>.*)$" }] })), &field));
    let meter = |language: &str| json!({ "path": "/dev/x", "language": language });
    let obis = json!({ "obis": "1.8.0" });
    assert!(marked(&meter("p1"), &obis));
    assert!(!marked(&meter("iec62056"), &obis));
}
