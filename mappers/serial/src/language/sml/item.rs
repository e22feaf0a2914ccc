//! The parts of SML's messages: type and length in front of each (SML 1.03, 6.1 to 6.3). Nothing is kept of them and nothing
//! calls itself, so that neither depth nor number costs memory.

/// One part. A list is followed by its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// Bytes; none of them for a part that is left out.
    Octets(&'a [u8]),
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// A list of so many parts.
    List(usize),
    /// The end of a message.
    End,
}

/// What of a file is still to be read.
pub struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is left but bytes that fill up.
    pub fn at_filling(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// The next part.
    pub fn next(&mut self) -> Result<Item<'a>, String> {
        let first = self.byte()?;
        if first == 0 {
            return Ok(Item::End);
        }
        let (mut length, mut head, mut byte) = (usize::from(first & 0x0f), 1, first);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            head += 1;
            if head > 4 {
                return Err("a length of more than four bytes".into());
            }
            length = length << 4 | usize::from(byte & 0x0f);
        }
        let kind = first >> 4 & 7;
        if kind == 7 {
            return match length {
                // Each part has a byte at least.
                length if length > self.0.len() => Err("a list that breaks off".into()),
                length => Ok(Item::List(length)),
            };
        }
        let length = length.checked_sub(head).ok_or("a length of less than nothing")?;
        let bytes = self.0.get(..length).ok_or("a value that breaks off")?;
        self.0 = &self.0[length..];
        match (kind, length) {
            (0, _) => Ok(Item::Octets(bytes)),
            (4, 1) => Ok(Item::Bool(bytes[0] != 0)),
            (5, 1..=8) => Ok(Item::Int(signed(bytes))),
            (6, 1..=8) => Ok(Item::Uint(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))),
            _ => Err(format!("a value of type {kind} with {length} bytes")),
        }
    }

    /// The length of the list that must come.
    pub fn list(&mut self) -> Result<usize, String> {
        match self.next()? {
            Item::List(length) => Ok(length),
            other => Err(format!("{other:?} where a list is expected")),
        }
    }

    /// Passes over so many parts, with all that is in them.
    pub fn skip(&mut self, parts: usize) -> Result<(), String> {
        let mut open = parts;
        while open > 0 {
            open -= 1;
            if let Item::List(parts) = self.next()? {
                open += parts;
            }
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.0.split_first().ok_or("a message that breaks off")?;
        self.0 = rest;
        Ok(*first)
    }
}

/// A number with a sign, of one to eight bytes.
fn signed(bytes: &[u8]) -> i64 {
    let start = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    bytes.iter().fold(start, |sum, byte| sum << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::{Item, Items};

    #[test]
    fn parts_have_types_and_lengths() {
        for (bytes, item) in [
            (&[0x01][..], Item::Octets(&[])),
            (&[0x03, 7, 8], Item::Octets(&[7, 8])),
            (&[0x81, 0x02, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7], Item::Octets(&[7; 16])),
            (&[0x42, 1], Item::Bool(true)),
            (&[0x52, 0xff], Item::Int(-1)),
            (&[0x54, 0x00, 0x80, 0x25], Item::Int(32805)),
            (&[0x63, 0x80, 0x25], Item::Uint(32805)),
            (&[0x72, 1, 1], Item::List(2)),
            (&[0x00], Item::End),
        ] {
            assert_eq!(Items::new(bytes).next().unwrap(), item, "{bytes:02x?}");
        }
        for bytes in [
            &[][..],
            &[0x05, 1],
            &[0x59, 0],
            &[0x51],
            &[0x76, 1],
            &[0x81],
            &[0x80, 0x00],
            &[0x6a, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x32, 1],
            &[0x80, 0x80, 0x80, 0x80, 0x80],
        ] {
            assert!(Items::new(bytes).next().is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn skipping_goes_as_deep_as_the_list() {
        let mut items = Items::new(&[0x72, 0x72, 0x01, 0x62, 5, 0x01, 0x62, 9]);
        items.skip(1).unwrap();
        assert_eq!(items.next().unwrap(), Item::Uint(9));
        let deep = vec![0x71; 8000];
        assert!(Items::new(&deep).skip(1).is_err());
    }
}
