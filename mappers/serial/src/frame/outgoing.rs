//! What is sent, while it is put together: as it goes out, and as the other side reads it, byte stuffing undone, since the
//! check is over that. Start and end are said by whoever puts it together; here they are only known from what lies between.

use super::{Ending, Framing, Hiding, Stuffing};

/// What is sent. Without a framing bytes go out as they are.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    framing: Option<&'a Framing>,
    sent: Vec<u8>,
    plain: Vec<u8>,
    /// The mark of its end stands in it: no byte is hidden any more.
    ended: bool,
}

impl<'a> Outgoing<'a> {
    /// Nothing yet.
    pub fn new(framing: Option<&'a Framing>) -> Self {
        Self { framing, sent: Vec::new(), plain: Vec::new(), ended: false }
    }

    /// Bytes that go out as they stand: start, end, and what was hidden by hand.
    pub fn literal(&mut self, bytes: &[u8]) {
        let first = self.sent.is_empty();
        self.sent.extend_from_slice(bytes);
        match self.framing.and_then(|framing| Some((framing, framing.stuffing.as_ref()?))) {
            Some((framing, stuffing)) if !self.ended => self.reveal(framing, stuffing, bytes, first),
            _ => self.plain.extend_from_slice(bytes),
        }
    }

    /// Bytes that may be any: they are hidden where the frame hides bytes.
    pub fn inside(&mut self, bytes: &[u8]) {
        self.plain.extend_from_slice(bytes);
        match self.framing {
            Some(framing) if !self.ended => self.sent.extend(framing.hide(bytes)),
            _ => self.sent.extend_from_slice(bytes),
        }
    }

    /// The check of what stands there; nothing without a framing, whose mistakes are told elsewhere.
    ///
    /// # Errors
    /// The frame has no check, or what stands there is too short for it.
    pub fn check(&mut self) -> Result<(), String> {
        let Some(framing) = self.framing else { return Ok(()) };
        let check = framing.check.as_ref().ok_or("the frame has no check; say which under frame.check")?;
        let mut summed = self.plain.clone();
        check.append(&mut summed)?;
        self.inside(&summed[self.plain.len()..]);
        Ok(())
    }

    /// The bytes to send.
    pub fn sent(self) -> Vec<u8> {
        self.sent
    }

    /// What the other side reads in them.
    fn reveal(&mut self, framing: &Framing, stuffing: &Stuffing, bytes: &[u8], first: bool) {
        let mark = match &framing.ending {
            Ending::Mark { bytes, trailer: 1.. } => &bytes[..],
            _ => &[],
        };
        let start = if first && bytes.starts_with(&framing.start) { framing.start.len() } else { 0 };
        self.plain.extend_from_slice(&bytes[..start]);
        let mut rest = &bytes[start..];
        while let [byte, after @ ..] = rest {
            if !mark.is_empty() && rest.starts_with(mark) {
                self.ended = true;
                self.plain.extend_from_slice(rest);
                return;
            }
            let meant = after.first().filter(|_| *byte == stuffing.escape).and_then(|next| match &stuffing.hiding {
                Hiding::Xor(bits) => Some(next ^ bits),
                Hiding::Pairs(pairs) => pairs.iter().find(|(known, _)| known == next).map(|(_, meant)| *meant),
                Hiding::Doubled => (next == byte).then_some(*byte),
            });
            self.plain.push(meant.unwrap_or(*byte));
            rest = if meant.is_some() { &after[1..] } else { after };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use mapper_api::{ByteOrder, DataType, Value};
    use serde_json::{Value as Json, json};

    use crate::{
        frame::{Found, Framer, Framing},
        template::{Filling, Template},
    };

    /// What the other side reads of a template with this value.
    fn received(frame: Json, template: &str, value: u8) -> (Vec<u8>, Vec<Found>) {
        let framing = Framing::new(&serde_json::from_value(frame).unwrap()).unwrap();
        let parameters = BTreeMap::from([("address".to_owned(), "\\x7d".to_owned())]);
        let template = Template::new(template, &parameters, true, true).unwrap();
        let value = Value::Uint(value.into());
        let filling = Filling { value: &value, data_type: DataType::Uint8, order: ByteOrder::Abcd, size: None };
        let sent = template.fill(Some(filling), Some(&framing)).unwrap();
        let mut framer = Framer::new(Arc::new(framing));
        framer.push(&sent);
        framer.finish();
        (sent, std::iter::from_fn(|| framer.next()).collect())
    }

    #[test]
    fn every_value_is_read_as_it_was_meant() {
        let check = json!({ "kind": "xor", "skipStart": 1 });
        for (frame, template, before) in [
            (
                json!({ "start": "\\x7e", "end": "\\x7e", "stuffing": { "escape": "\\x7d", "xor": 32 }, "check": check }),
                "\\x7e\\x01\\x7d\\x5e{address}{value:raw}{check}\\x7e",
                &b"\x7e\x01\x7e\x7d"[..],
            ),
            (
                json!({
                    "start": "\\xc0", "end": "\\xc0", "check": check,
                    "stuffing": { "escape": "\\xdb", "pairs": { "\\xdc": "\\xc0", "\\xdd": "\\xdb" } },
                }),
                "\\xc0\\xdb\\xdc{value:raw}{check}\\xc0",
                b"\xc0\xc0",
            ),
            (
                json!({
                    "start": "\\x10\\x02", "end": "\\x10\\x03", "trailer": 1, "check": check,
                    "stuffing": { "escape": "\\x10", "doubled": true },
                }),
                "\\x10\\x02\\x10\\x10{value:raw}\\x10\\x03{check}",
                b"\x10\x02\x10",
            ),
        ] {
            for value in 0..=255 {
                let (sent, found) = received(frame.clone(), template, value);
                let [Found::Frame(read)] = &found[..] else { panic!("{value:02x}: {sent:02x?}: {found:?}") };
                assert_eq!(read[..=before.len()], [before, &[value]].concat(), "{sent:02x?}");
            }
        }
    }
}
