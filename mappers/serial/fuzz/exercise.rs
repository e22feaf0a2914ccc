//! What must hold of any grammar that is accepted, for any stream: no panic; each frame has a right check and not too many
//! bytes; memory stays within what is said; what is found does not depend on how the stream was cut; and a frame that was made
//! by the grammar is found behind any noise, where its check tells. Used by the fuzz target and by tests/grammar.rs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mapper_api::{Access, ByteOrder, DataType, Point};
use mapper_serial::{
    config::{self, Address, Base, Check, Form, Frame, LengthAt, Order, Over, Stuffing},
    frame::{Found, Framer, Framing},
    message::{Fit, Message, Place},
};

/// Bytes that choose.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        match *self.0 {
            [first, ref rest @ ..] => {
                self.0 = rest;
                first
            }
            [] => 0,
        }
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()].clone()
    }

    fn maybe<T>(&mut self, of: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() % 3 == 0).then(|| of(self))
    }

    fn number(&mut self, most: u8) -> i64 {
        (self.byte() % (most + 1)).into()
    }
}

const MARKS: [&str; 10] =
    ["$", "\\x02", "\\x03", "\\r\\n", "\\n", "~", "BM", "\\x10\\x02", "\\x10\\x03", "hex:1b 1b 1b 1b"];
const CHECKS: [&str; 10] = [
    "xor",
    "sum8",
    "sum16",
    "lrc",
    "fletcher16",
    "CRC-8/MAXIM-DOW",
    "CRC-16/MODBUS",
    "CRC-16/XMODEM",
    "CRC-32",
    "CRC-32/MPEG-2",
];

/// The first bytes choose a grammar, the others are the stream.
pub fn exercise(data: &[u8]) {
    let mut choices = Choices(data);
    let yaml = frame(&mut choices);
    let message = message(&mut choices);
    let piece = 1 + usize::from(choices.byte() % 60);
    let ends = choices.byte() % 2 == 0;
    let Ok(framing) = Framing::new(&yaml).map(Arc::new) else { return };
    let stream = choices.0;
    let whole = run(&framing, stream, stream.len().max(1), ends);
    assert_eq!(run(&framing, stream, 1, ends), whole, "{yaml:?}");
    assert_eq!(run(&framing, stream, piece, ends), whole, "{yaml:?}");
    for found in &whole {
        if let Found::Frame(frame) = found {
            read(message.as_ref(), frame, framing.content(frame));
        }
    }
    behind_noise(&yaml, &framing, stream);
}

fn run(framing: &Arc<Framing>, stream: &[u8], piece: usize, ends: bool) -> Vec<Found> {
    let mut framer = Framer::new(Arc::clone(framing));
    let mut all: Vec<Found> = Vec::new();
    let mut collect = |framer: &mut Framer| {
        for found in framer.by_ref() {
            match &found {
                Found::Frame(frame) => {
                    assert!(framing.verify(frame).is_ok() && frame.len() <= framing.max() && !frame.is_empty());
                    assert!(framing.content(frame).len() <= frame.len());
                }
                Found::Bad { bytes, why } => {
                    assert!(!bytes.is_empty() && bytes.len() <= 2 * framing.max() + 66 && !why.is_empty())
                }
                Found::Skipped(count) => assert!(*count > 0),
            }
            match (all.last_mut(), found) {
                (Some(Found::Skipped(before)), Found::Skipped(more)) => *before += more,
                (_, found) => all.push(found),
            }
        }
        // Twice a frame with all its bytes hidden, twice that for a buffer that grows by doubling, and what is pushed at once.
        assert!(framer.kept() <= 8 * (framing.max() + 64) + 2 * piece.max(8), "{} {}", framer.kept(), framing.max());
    };
    for piece in stream.chunks(piece) {
        framer.push(piece);
        collect(&mut framer);
    }
    if ends {
        framer.finish();
        collect(&mut framer);
    }
    all
}

/// A frame that the grammar itself makes of the beginning of the stream is found behind the rest of it.
fn behind_noise(yaml: &Frame, framing: &Arc<Framing>, stream: &[u8]) {
    let strong = yaml.check.as_ref().is_some_and(|check| check.kind.starts_with("CRC-32") && check.over.is_none());
    let (Some(start), Some(end), true, None) = (&yaml.start, &yaml.end, strong, yaml.trailer) else { return };
    let check = framing.check().expect("it is strong");
    let [start, end] = [start, end].map(|text| mapper_serial::octets::parse(text).expect("the grammar was accepted"));
    if check.after().is_some() || check.skip_end() > 0 || check.least(0) > start.len() + check.len() {
        return;
    }
    let (content, noise) = stream.split_at(stream.len().min(9));
    // What is hidden may stand in the content; otherwise nothing that begins or ends a frame.
    let hides = yaml.stuffing.is_some();
    let content: Vec<u8> =
        content.iter().copied().filter(|byte| hides || !(start.contains(byte) || end.contains(byte))).collect();
    let mut frame = [&start[..], &content].concat();
    if check.append(&mut frame).is_err() {
        return;
    }
    let inside = &frame[start.len()..];
    if !hides && (inside.iter().any(|byte| start.contains(byte) || end.contains(byte))) {
        return;
    }
    let hidden = framing.hide(inside);
    // A grammar whose bytes in pairs do not cover its marks cannot carry everything.
    if hides && [&start, &end].iter().any(|mark| hidden.windows(mark.len()).any(|window| window == &mark[..])) {
        return;
    }
    if frame.len() + end.len() > framing.max() || hides && !carries(yaml, inside) {
        return;
    }
    let sent = [&start[..], &hidden, &end].concat();
    frame.extend(&end);
    // An escape, or the beginning of a mark, at the end of noise would take the first byte of the frame with it.
    let after = [noise, b"  ", &sent, &[b' '; 300]].concat();
    let found = run(framing, &after, 7, true);
    assert!(found.contains(&Found::Frame(frame)), "{yaml:?} {sent:02x?} {found:?}");
}

/// Whether byte stuffing can hide all that must be.
fn carries(yaml: &Frame, inside: &[u8]) -> bool {
    let Some(stuffing) = yaml.stuffing.as_ref().filter(|stuffing| !stuffing.pairs.is_empty()) else { return true };
    let byte = |text: &String| mapper_serial::octets::parse(text).expect("the grammar was accepted")[0];
    let marks = [yaml.start.as_ref(), yaml.end.as_ref(), Some(&stuffing.escape)];
    let meant: Vec<u8> = stuffing.pairs.values().map(byte).collect();
    let must: Vec<u8> = marks.into_iter().flatten().map(byte).collect();
    inside.iter().all(|byte| !must.contains(byte) || meant.contains(byte))
}

fn read(message: Option<&Message>, frame: &[u8], content: &[u8]) {
    let Some(message) = message else { return };
    let Fit::Fields(fields) = message.read(frame, content) else { return };
    for data_type in DataType::ALL {
        for (field, pointer, offset, raw, base) in [
            (Some("a"), None, None, None, None),
            (Some("a"), None, None, None, Some(Base::Hex)),
            (None, Some("/a/0"), None, None, None),
            (None, None, Some(3), None, None),
            (None, None, None, Some(true), None),
        ] {
            let address = Address {
                field: field.map(str::to_owned),
                pointer: pointer.map(str::to_owned),
                offset,
                raw,
                base,
                ..Address::default()
            };
            let point = Point { address, data_type, order: ByteOrder::Cdab, size: Some(3), access: Access::Read };
            if let Ok(place) = Place::new(&point, message)
                && let Some(Err(refusal)) = place.read(&fields)
            {
                assert!(!refusal.detail.is_empty());
            }
        }
    }
}

fn frame(choices: &mut Choices<'_>) -> Frame {
    let mark = |choices: &mut Choices<'_>| choices.one(&MARKS).to_owned();
    let ending = choices.byte() % 4;
    Frame {
        start: (choices.byte() % 4 != 0).then(|| mark(choices)),
        end: (ending == 0 || choices.byte() % 16 == 0).then(|| mark(choices)),
        trailer: choices.maybe(|choices| choices.number(5)),
        length: (ending == 1).then(|| choices.number(40)),
        length_at: (ending == 2).then(|| LengthAt {
            offset: choices.number(6),
            size: choices.maybe(|choices| choices.one(&[1, 2, 4])),
            order: choices.maybe(|choices| choices.one(&[Order::Abcd, Order::Dcba])),
            add: choices.maybe(|choices| choices.number(20)),
        }),
        gap: (ending == 3 || choices.byte() % 4 == 0).then(|| mapper_values::Duration(Duration::from_millis(20))),
        stuffing: choices.maybe(|choices| {
            let escape = choices.one(&["\\x7d", "\\x10", "\\xdb", "\\x1b"]).to_owned();
            match choices.byte() % 3 {
                0 => Stuffing { escape, xor: Some(32), ..Stuffing::default() },
                1 => {
                    let pairs = [("\\xdd".to_owned(), escape.clone()), ("\\xdc".to_owned(), mark(choices))];
                    Stuffing { escape, pairs: pairs.into(), ..Stuffing::default() }
                }
                _ => Stuffing { escape, doubled: Some(true), ..Stuffing::default() },
            }
        }),
        max: choices.maybe(|choices| 10 + choices.number(100)),
        check: choices.maybe(|choices| Check {
            kind: choices.one(&CHECKS).to_owned(),
            form: choices.maybe(|choices| choices.one(&[Form::Binary, Form::Hex, Form::Decimal])),
            order: choices.maybe(|choices| choices.one(&[Order::Abcd, Order::Dcba])),
            over: (choices.byte() % 8 == 0).then_some(Over::Hex),
            skip_start: choices.maybe(|choices| choices.number(4)),
            skip_end: choices.maybe(|choices| choices.number(4)),
            after: choices.maybe(|choices| choices.number(6)),
        }),
    }
}

fn message(choices: &mut Choices<'_>) -> Option<Message> {
    let mut yaml = config::Message { name: "m".to_owned(), ..config::Message::default() };
    match choices.byte() % 6 {
        0 => yaml.regex = Some(choices.one(&["(?<a>[-+0-9. ]*)", "^(?<a>.*)$", "(?<a>.)?x|.(?<b>.)"]).to_owned()),
        1 => {
            let separator = choices.one(&[None, Some(","), Some("\\xb0"), Some(" ")]).map(str::to_owned);
            yaml.columns = Some(config::Columns { separator, names: vec!["-".to_owned(), "a".to_owned()] });
        }
        2 => yaml.fixed = [("a".to_owned(), choices.one(&["0", "1..3", "2..20"]).to_owned())].into(),
        3 => yaml.json = Some(config::JsonLine {}),
        4 => {
            yaml.binary = Some(config::Binary {});
            yaml.when = choices.maybe(|_| ("1".to_owned(), "\\x02".to_owned())).into_iter().collect();
        }
        _ => {}
    }
    yaml.refused = choices.maybe(|choices| choices.one(&["^E", "\\d{3}", ""]).to_owned());
    Message::new(&yaml, &BTreeMap::new()).ok()
}
