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
        self.byte().is_multiple_of(3).then(|| of(self))
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
    let ends = choices.byte().is_multiple_of(2);
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
    behind_noise(&yaml, stream);
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
                    assert!(!bytes.is_empty() && bytes.len() <= 2 * framing.max() + 66 && !why.is_empty());
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

/// A frame that the grammar itself makes of the beginning of the stream is found behind the rest of it. The grammar gets a
/// check that noise does not pass.
fn behind_noise(yaml: &Frame, stream: &[u8]) {
    let mut yaml = yaml.clone();
    let given = yaml.check.take().unwrap_or_default();
    let after = given.after.filter(|_| yaml.end.is_none()).unwrap_or(0);
    yaml.check = Some(Check { kind: "CRC-32/MPEG-2".to_owned(), over: None, after: None, ..given });
    let form = yaml.check.as_ref().and_then(|check| check.form).unwrap_or_default();
    let digits = [(Form::Binary, 4), (Form::Hex, 8), (Form::Decimal, 10)];
    let behind = digits.iter().find(|(known, _)| *known == form).map(|(_, digits)| *digits);
    yaml.trailer = yaml.trailer.and(behind);
    if let Some(check) = yaml.check.as_mut().filter(|_| after > 0) {
        check.after = Some(after);
    }
    let Ok(framing) = Framing::new(&yaml).map(Arc::new) else { return };
    let (content, noise) = stream.split_at(stream.len().min(9));
    let Some((sent, frame)) = built(&yaml, &framing, content, usize::try_from(after).unwrap_or(0)) else { return };
    let end = yaml.end.as_deref().map(octets).unwrap_or_default();
    // An escape, or the beginning of a mark, at the end of noise would take the first byte of the frame with it; and without
    // a start it begins where the noise has ended. What noise takes as its trailer may be a frame up to the middle of its
    // end, and what is left of that reaches to the end of the next one.
    let sent = if yaml.start.is_none() && yaml.trailer.is_some() { sent.repeat(3) } else { sent };
    let before = [noise, b"  ", if yaml.start.is_none() { &end } else { &[] }].concat();
    let mut framer = Framer::new(Arc::clone(&framing));
    framer.push(&before);
    if framer.by_ref().count() == 0 || yaml.end.is_none() && yaml.length.is_none() && yaml.length_at.is_none() {
        framer.silence();
        framer.by_ref().for_each(drop);
    }
    let mut found = Vec::new();
    for piece in sent.chunks(3) {
        framer.push(piece);
        found.extend(framer.by_ref());
    }
    framer.finish();
    found.extend(framer);
    assert!(found.contains(&Found::Frame(frame)), "{yaml:?} {before:02x?} {sent:02x?} {found:?}");
}

fn octets(text: &str) -> Vec<u8> {
    mapper_serial::octets::parse(text).expect("the grammar was accepted")
}

/// A frame as it is sent, and as it is found. None where the grammar cannot carry this content.
fn built(yaml: &Frame, framing: &Framing, content: &[u8], after: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let check = framing.check()?;
    let start = yaml.start.as_deref().map(octets).unwrap_or_default();
    let end = yaml.end.as_deref().map(octets).unwrap_or_default();
    let mut frame = start.clone();
    if let Some(at) = &yaml.length_at {
        let (offset, size) = (usize::try_from(at.offset).ok()?, usize::try_from(at.size.unwrap_or(1)).ok()?);
        frame.resize(offset, b'p');
        let total = offset + size + content.len() + check.len() + after;
        let number = u32::try_from(i64::try_from(total).ok()? - at.add.unwrap_or(0)).ok()?.to_be_bytes();
        let mut number = number[4 - size..].to_vec();
        if at.order == Some(Order::Dcba) {
            number.reverse();
        }
        frame.extend(number);
    }
    frame.extend(content);
    if let Some(length) = yaml.length {
        frame.resize(usize::try_from(length).ok()?.checked_sub(check.len() + after)?, b'q');
    }
    if yaml.trailer.is_some() {
        let content = frame.len();
        frame.extend(&end);
        check.append(&mut frame).ok()?;
        let sent = [&start, &framing.hide(&frame[start.len()..content])[..], &frame[content..]].concat();
        return can_be(yaml, framing, &start, &end, &frame, &frame[start.len()..content]).then_some((sent, frame));
    }
    check.append(&mut frame).ok()?;
    frame.resize(frame.len() + after, b'r');
    let inside = frame[start.len()..].to_vec();
    frame.extend(&end);
    let sent = [&start, &framing.hide(&inside)[..], &end].concat();
    can_be(yaml, framing, &start, &end, &frame, &inside).then_some((sent, frame))
}

/// Whether nothing inside of the frame would be taken for its end, or for another frame's start.
fn can_be(yaml: &Frame, framing: &Framing, start: &[u8], end: &[u8], frame: &[u8], inside: &[u8]) -> bool {
    let hidden = framing.hide(inside);
    let first = |mark: &[u8], bytes: &[u8]| bytes.windows(mark.len().max(1)).position(|window| window == mark);
    let ends = end.is_empty() || first(end, &[&hidden, end].concat()) == Some(hidden.len());
    let begins = yaml.stuffing.is_none() || start.is_empty() || first(start, &hidden).is_none();
    let carriage = end == b"\n" && inside.ends_with(b"\r");
    let empty = inside.is_empty();
    let fits = frame.len() <= framing.max() && framing.verify(frame).is_ok();
    ends && begins && !carriage && !empty && fits && carries(yaml, inside)
}

/// Whether byte stuffing can hide all that must be.
fn carries(yaml: &Frame, inside: &[u8]) -> bool {
    let Some(stuffing) = yaml.stuffing.as_ref().filter(|stuffing| !stuffing.pairs.is_empty()) else { return true };
    let byte = |text: &String| octets(text)[0];
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
        start: (!choices.byte().is_multiple_of(4)).then(|| mark(choices)),
        end: (ending == 0 || choices.byte().is_multiple_of(16)).then(|| mark(choices)),
        trailer: choices.maybe(|choices| choices.number(5)),
        length: (ending == 1).then(|| choices.number(40)),
        length_at: (ending == 2).then(|| LengthAt {
            offset: choices.number(6),
            size: choices.maybe(|choices| choices.one(&[1, 2, 4])),
            order: choices.maybe(|choices| choices.one(&[Order::Abcd, Order::Dcba])),
            add: choices.maybe(|choices| choices.number(20)),
        }),
        gap: (ending == 3 || choices.byte().is_multiple_of(4))
            .then(|| mapper_values::Duration(Duration::from_millis(20))),
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
            over: choices.byte().is_multiple_of(8).then_some(Over::Hex),
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
