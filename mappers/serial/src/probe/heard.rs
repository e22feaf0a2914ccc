//! What came from the line, with the silences in it. Bounded: what is too much is not kept.

use std::time::Duration;

/// So many bytes are kept; a guess needs no more.
pub(super) const MOST: usize = 16 * 1024;

/// What came, in pieces as they were read.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    pieces: Vec<(Duration, Vec<u8>)>,
    len: usize,
}

impl Heard {
    /// Takes what was read at this time, as far as there is room.
    pub(super) fn take(&mut self, at: Duration, bytes: &[u8]) {
        let room = (MOST - self.len).min(bytes.len());
        if room > 0 {
            self.len += room;
            self.pieces.push((at, bytes[..room].to_vec()));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of it, one behind the other.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|(_, bytes)| bytes).copied().collect()
    }

    /// What stands between silences of at least `gap`.
    pub(super) fn bursts(&self, gap: Duration) -> Vec<Vec<u8>> {
        let mut bursts: Vec<Vec<u8>> = Vec::new();
        let mut last = None;
        for (at, bytes) in &self.pieces {
            match (bursts.last_mut(), last) {
                (Some(burst), Some(last)) if at.saturating_sub(last) < gap => burst.extend(bytes),
                _ => bursts.push(bytes.clone()),
            }
            last = Some(*at);
        }
        bursts
    }

    /// The same with each byte's highest bit taken away: it was a parity bit.
    pub(super) fn seven_bits(&self) -> Self {
        let strip = |bytes: &Vec<u8>| bytes.iter().map(|byte| byte & 0x7f).collect();
        Self { pieces: self.pieces.iter().map(|(at, bytes)| (*at, strip(bytes))).collect(), len: self.len }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Heard, MOST};

    #[test]
    fn silences_part_bursts_and_memory_is_bounded() {
        let mut heard = Heard::default();
        for (ms, bytes) in [(0, &b"ab"[..]), (10, b"c"), (40, b"de"), (59, b"f")] {
            heard.take(Duration::from_millis(ms), bytes);
        }
        let bursts = heard.bursts(Duration::from_millis(20));
        assert_eq!(bursts, [b"abc".to_vec(), b"def".to_vec()]);
        for _ in 0..MOST {
            heard.take(Duration::from_secs(1), b"xyz");
        }
        assert_eq!((heard.len(), heard.bytes().len()), (MOST, MOST));
        assert_eq!(heard.seven_bits().len(), MOST);
    }
}
