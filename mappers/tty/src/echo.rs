//! What was sent on a two-wire line whose receiver hears it, and is therefore no answer. Pure.

use std::collections::VecDeque;

/// Bytes that were sent and not heard yet.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    sent: VecDeque<u8>,
}

/// More than any frame; older ones were lost on the wire.
const MOST: usize = 16 * 1024;

impl Echo {
    pub fn sent(&mut self, bytes: &[u8]) {
        self.sent.extend(bytes);
        let over = self.sent.len().saturating_sub(MOST);
        self.sent.drain(..over);
    }

    /// Moves what is no echo to the front; gives its length. A byte that differs from what was sent ends the waiting: it
    /// begins the answer, or the line is not as it was said to be.
    pub fn strip(&mut self, heard: &mut [u8]) -> usize {
        let same = heard.iter().zip(&self.sent).take_while(|(a, b)| a == b).count();
        self.sent.drain(..same);
        if same < heard.len() {
            self.sent.clear();
        }
        heard.copy_within(same.., 0);
        heard.len() - same
    }

    pub fn forget(&mut self) {
        self.sent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Echo, MOST};

    #[test]
    fn what_was_sent_is_dropped_and_the_answer_is_kept() {
        for (sent, heard, kept) in [
            (&b"ab"[..], &[&b"a"[..], b"bOK"][..], &b"OK"[..]),
            (b"ab", &[b"ab", b"ab"], b"ab"),
            (b"ab", &[b"xab"], b"xab"),
            (b"ab", &[b"a", b"xb"], b"xb"),
            (b"", &[b"ab"], b"ab"),
        ] {
            let (mut echo, mut left) = (Echo::default(), Vec::new());
            echo.sent(sent);
            for part in heard {
                let mut part = part.to_vec();
                let n = echo.strip(&mut part);
                left.extend_from_slice(&part[..n]);
            }
            assert_eq!(left, kept, "{sent:?} {heard:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut echo = Echo::default();
        for _ in 0..5 {
            echo.sent(&[1; MOST / 2]);
        }
        assert_eq!(echo.sent.len(), MOST);
        echo.forget();
        assert_eq!(echo.strip(&mut [1]), 1);
    }
}
