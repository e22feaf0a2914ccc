//! Reading a record byte by byte. Nothing here reads past the end: what is missing is none.

use std::borrow::Cow;

use super::Trouble;

/// The part of a record that was not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a>(pub &'a [u8]);

impl Record<'_> {
    /// The next `N` bytes, for one of the `from_be_bytes` and `from_le_bytes`. None, and nothing read, if there are fewer.
    pub fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.next().map(|[byte]| byte)
    }
}

/// It breaks the format's rules in this way.
pub(crate) fn malformed(why: impl Into<Cow<'static, str>>) -> Trouble {
    Trouble::Malformed(why.into())
}

/// A record that ends too early, or goes on for too long.
pub(crate) fn wrong_length(what: &str, record: &[u8], wanted: &str) -> Trouble {
    Trouble::Malformed(format!("{what} of {} bytes; {wanted} would be accepted", record.len()).into())
}

/// Bytes as hexadecimal digits in small letters.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing into a String cannot fail
        text
    })
}
