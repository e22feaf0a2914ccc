//! The form of the file: a head line with name and version, then one line a record, each with a checksum. Pure.
//!
//! ```text
//! fieldgate-objects 1
//! 5be81b5a put Device plant-a boiler-7 {"apiVersion":...}
//! f625723a delete DeviceModel plant-a acme-th1
//! ```
//!
//! The checksum (CRC-32/ISO-HDLC) is over what follows it. A later record of an object replaces the earlier ones. A line
//! break, a blank in a name, and ESC are written as ESC and a letter; no JSON text on one line and no name of Kubernetes
//! holds any of them.

use std::{
    borrow::Cow,
    io::{self, BufRead},
    sync::Arc,
};

use super::{Key, Set};
use crate::control::document::Kind;

const NAME: &str = "fieldgate-objects";
const VERSION: &str = "1";
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
const ESC: char = '\x1b';
/// What precedes each record: the checksum in hexadecimal digits and a blank.
const CHECKSUM: usize = 9;

/// The first line.
pub fn head() -> String {
    format!("{NAME} {VERSION}\n")
}

/// The record of an object that is there with this text, or that is gone.
pub fn record(key: &Key, text: Option<&str>) -> String {
    let verb = if text.is_some() { "put" } else { "delete" };
    let kind = word(key.kind);
    let (namespace, name) = (escaped(&key.namespace, true), escaped(&key.name, true));
    let mut body = format!("{verb} {kind} {namespace} {name}");
    if let Some(text) = text {
        body.push(' ');
        body.push_str(&escaped(text, false));
    }
    format!("{:08x} {body}\n", CRC.checksum(body.as_bytes()))
}

/// About how many bytes the record of an object takes.
pub fn size(key: &Key, text: &str) -> u64 {
    (CHECKSUM + "put DeviceModel   \n".len() + key.namespace.len() + key.name.len() + text.len()) as u64
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub set: Set,
    /// How many bytes are whole lines. What follows them was torn off while it was written.
    pub whole: u64,
    /// Bytes after the last whole line.
    pub torn: u64,
    /// The lines that are damaged, with the reason.
    pub damaged: Vec<(u64, &'static str)>,
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Ours.
    Content(Content),
    /// Of another version, or nothing of ours: its version, if it has one.
    Other(Option<String>),
}

/// Reads a file.
///
/// # Errors
/// Those of the reader.
pub fn read(mut from: impl BufRead) -> io::Result<Found> {
    let (mut content, mut line, mut number) = (Content::default(), Vec::new(), 0);
    loop {
        line.clear();
        let length = from.read_until(b'\n', &mut line)? as u64;
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        number += 1;
        if number == 1 && !is_head(&line, whole) {
            let version = std::str::from_utf8(&line).ok().and_then(|l| l.strip_prefix(NAME)?.strip_prefix(' '));
            return Ok(Found::Other(version.map(str::to_owned)));
        }
        if !whole {
            content.torn = length;
            return Ok(Found::Content(content));
        }
        content.whole += length;
        if number > 1 {
            match parse(&line) {
                Ok((key, Some(text))) => {
                    content.set.insert(key, text);
                }
                Ok((key, None)) => {
                    content.set.remove(&key);
                }
                Err(reason) => content.damaged.push((number, reason)),
            }
        }
    }
}

/// Whether this is our first line, or what is left of it where it was torn off.
fn is_head(line: &[u8], whole: bool) -> bool {
    let head = head();
    let head = head.trim_end().as_bytes();
    if whole { line == head } else { head.starts_with(line) }
}

fn parse(line: &[u8]) -> Result<(Key, Option<Arc<str>>), &'static str> {
    let (checksum, body) = line.split_at_checked(CHECKSUM).ok_or("it is too short")?;
    let said = checksum.strip_suffix(b" ").and_then(|digits| std::str::from_utf8(digits).ok());
    if said != Some(format!("{:08x}", CRC.checksum(body)).as_str()) {
        return Err("its checksum does not fit");
    }
    let mut fields = std::str::from_utf8(body).map_err(|_| "it is no text")?.splitn(5, ' ');
    let mut field = || fields.next().ok_or("it is too short");
    let (verb, kind, namespace, name) = (field()?, field()?, unescaped(field()?), unescaped(field()?));
    let kind = [Kind::Device, Kind::Model].into_iter().find(|k| word(*k) == kind).ok_or("its kind is not known")?;
    let key = Key { kind, namespace: namespace.as_ref().into(), name: name.as_ref().into() };
    match (verb, fields.next()) {
        ("put", Some(text)) => Ok((key, Some(unescaped(text).as_ref().into()))),
        ("delete", None) => Ok((key, None)),
        _ => Err("what it does is not known"),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Device => "Device",
        Kind::Model => "DeviceModel",
    }
}

fn escaped(text: &str, blank: bool) -> Cow<'_, str> {
    if !text.contains(|c| c == ESC || c == '\n' || (blank && c == ' ')) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            ESC => out.extend([ESC, 'e']),
            '\n' => out.extend([ESC, 'n']),
            ' ' if blank => out.extend([ESC, 's']),
            other => out.push(other),
        }
    }
    out.into()
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains(ESC) {
        return text.into();
    }
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match c {
            ESC => out.extend(chars.next().map(|letter| match letter {
                'n' => '\n',
                's' => ' ',
                _ => ESC,
            })),
            other => out.push(other),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(kind: Kind, namespace: &str, name: &str) -> Key {
        Key { kind, namespace: namespace.into(), name: name.into() }
    }

    fn content(bytes: &[u8]) -> Content {
        match read(bytes).unwrap() {
            Found::Content(content) => content,
            Found::Other(version) => panic!("of version {version:?}: {}", String::from_utf8_lossy(bytes)),
        }
    }

    const TEXT: &str = "{\"spec\":{}}";

    fn some_key() -> impl Strategy<Value = Key> {
        let kind = prop_oneof![Just(Kind::Device), Just(Kind::Model)];
        (kind, "[a-c \x1b\n]{0,2}", "[a-c \x1b\n]{0,2}").prop_map(|(kind, ns, name)| key(kind, &ns, &name))
    }

    #[test]
    fn a_record_is_one_readable_line() {
        let boiler = key(Kind::Device, "plant-a", "boiler-7");
        assert_eq!(record(&boiler, Some("{\"a b\":1}")), "521f7196 put Device plant-a boiler-7 {\"a b\":1}\n");
        assert_eq!(record(&key(Kind::Model, "p", "m"), None), "b568d483 delete DeviceModel p m\n");
        assert!(record(&boiler, Some("{\n}")).ends_with("boiler-7 {\x1bn}\n"));
    }

    #[test]
    fn what_is_not_ours_is_told_by_its_version() {
        for (bytes, version) in [
            ("fieldgate-objects 2\n", Some("2")),
            ("fieldgate-objects 2", Some("2")),
            ("fieldgate-objects 11\n", Some("11")),
            ("fieldgate-object\n", None),
            ("hello\n", None),
            ("\n", None),
            ("\u{0}\u{0}\u{0}", None),
        ] {
            assert_eq!(read(bytes.as_bytes()).unwrap(), Found::Other(version.map(str::to_owned)), "{bytes:?}");
        }
        for bytes in ["", "f", "fieldgate-objects", "fieldgate-objects 1"] {
            let torn = bytes.len() as u64;
            assert_eq!(content(bytes.as_bytes()), Content { torn, ..Content::default() }, "{bytes:?}");
        }
        assert_eq!(content(head().as_bytes()).whole, head().len() as u64);
    }

    #[test]
    fn a_damaged_record_is_left_out_and_told() {
        let (a, b) = (key(Kind::Device, "n", "a"), key(Kind::Device, "n", "b"));
        let good = record(&b, Some("{}"));
        for (line, says) in [
            (record(&a, Some("{}")).replace("{}", "{x"), "checksum"),
            ("\n".into(), "short"),
            ("12345678\n".into(), "short"),
            (sealed("put Device n"), "short"),
            (sealed("put Pod n a {}"), "kind"),
            (sealed("take Device n a {}"), "does"),
            (sealed("delete Device n a {}"), "does"),
            (sealed("put Device n a"), "does"),
        ] {
            let found = content(format!("{}{line}{good}", head()).as_bytes());
            assert_eq!(found.set.keys().collect::<Vec<_>>(), [&b], "{line:?}");
            let [(2, reason)] = found.damaged[..] else { panic!("{line:?}: {:?}", found.damaged) };
            assert!(reason.contains(says), "{line:?}: {reason}");
        }
    }

    fn sealed(body: &str) -> String {
        format!("{:08x} {body}\n", CRC.checksum(body.as_bytes()))
    }

    proptest! {
        #[test]
        fn every_record_is_read_back(key in some_key(), text in ".{0,20}[\n\x1b ]{0,3}.{0,20}") {
            let line = record(&key, Some(&text));
            prop_assert_eq!(line.matches('\n').count(), 1);
            let file = format!("{}{line}", head());
            let found = content(file.as_bytes());
            prop_assert_eq!(found.whole, file.len() as u64);
            prop_assert!(found.damaged.is_empty());
            prop_assert_eq!(found.set.into_iter().collect::<Vec<_>>(), [(key.clone(), Arc::from(text))]);
            prop_assert_eq!(content(format!("{file}{}", record(&key, None)).as_bytes()).set, Set::new());
        }

        /// Whatever moment the power fails at, what is read is what was there after some whole record.
        #[test]
        fn every_prefix_is_an_earlier_state(edits in prop::collection::vec((some_key(), prop::option::of("[a-z]{0,5}")), 0..8)) {
            let (mut file, mut states) = (head(), vec![(0, Set::new())]);
            let mut set = Set::new();
            states.push((file.len(), set.clone()));
            for (key, text) in &edits {
                file.push_str(&record(key, text.as_deref()));
                match text {
                    Some(text) => set.insert(key.clone(), text.as_str().into()),
                    None => set.remove(key),
                };
                states.push((file.len(), set.clone()));
            }
            for end in 0..=file.len() {
                let found = content(&file.as_bytes()[..end]);
                let (whole, set) = states.iter().rfind(|(at, _)| *at <= end).unwrap();
                prop_assert_eq!((&found.set, found.whole, found.torn), (set, *whole as u64, (end - whole) as u64));
                prop_assert!(found.damaged.is_empty());
            }
        }

        /// A flipped bit never makes an object that was not written, and costs one record, or two if it joins them.
        #[test]
        fn a_flipped_bit_never_invents(at in 0_usize..1000, bit in 0_u8..8) {
            let keys: Vec<_> = ["a", "b", "c"].iter().map(|name| key(Kind::Device, "n", name)).collect();
            let mut file = head().into_bytes();
            file.extend(keys.iter().flat_map(|key| record(key, Some(TEXT)).into_bytes()));
            let at = head().len() + at % (file.len() - head().len());
            file[at] ^= 1 << bit;
            let found = content(&file);
            prop_assert!(!found.set.is_empty());
            let written = |(key, text): (&Key, &Arc<str>)| keys.contains(key) && &**text == TEXT;
            prop_assert!(found.set.iter().all(written));
            prop_assert!(!found.damaged.is_empty() || found.torn > 0);
        }
    }
}
