//! DLMS/COSEM meters that push: data notifications in HDLC frames (IEC 62056-46), in M-Bus frames as the meters of Lower
//! Austria and Salzburg send them, or bare; in one piece, in segments, or by general block transfer; plain, or sealed as
//! [`seal`] says.
//!
//! A value is read where its code stands before it, and where it stands in a list that is known. No meter is asked: no
//! association is made.

mod axdr;
mod lists;

use crc::{CRC_16_IBM_SDLC, Crc};

use super::{Cut, Telegram, cut, seal};

/// No telegram is longer, put together.
pub const LONGEST: usize = 8192;

static CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);

/// The flag around an HDLC frame, and the first byte of an M-Bus long frame.
const FLAG: u8 = 0x7e;
const LONG_FRAME: u8 = 0x68;
const STOP: u8 = 0x16;
/// What stands before the data in HDLC: the addresses of the logical link control, to the client.
const LINK: [u8; 3] = [0xe6, 0xe7, 0x00];

/// The tags of the messages that are read.
const DATA_NOTIFICATION: u8 = 0x0f;
const BLOCK_TRANSFER: u8 = 0xe0;

/// The next frame of a line.
pub fn cut(bytes: &[u8]) -> Cut {
    let Some(start) = bytes.iter().position(|byte| matches!(*byte, FLAG | LONG_FRAME | seal::TAG)) else {
        return if bytes.is_empty() { Cut::More } else { Cut::Noise(bytes.len()) };
    };
    if start > 0 {
        return Cut::Noise(start);
    }
    let (length, last) = match bytes {
        [FLAG, format, low, ..] if format & 0xf0 == 0xa0 => {
            (2 + (usize::from(format & 7) << 8 | usize::from(*low)), Some(FLAG))
        }
        [LONG_FRAME, first, again, LONG_FRAME, ..] if first == again => (6 + usize::from(*first), Some(STOP)),
        [FLAG | LONG_FRAME] | [FLAG, 0xa0..=0xaf] | [LONG_FRAME, _] => return Cut::More,
        [LONG_FRAME, first, again] if first == again => return Cut::More,
        [seal::TAG, ..] => match seal::length(bytes) {
            Ok(Some(length)) if length <= LONGEST => (length, None),
            Ok(None) => return Cut::More,
            _ => return Cut::Noise(1),
        },
        _ => return Cut::Noise(1),
    };
    match (bytes.get(..length), last) {
        (None, _) => Cut::More,
        (Some(frame), Some(last)) if frame.last() != Some(&last) => Cut::Noise(1),
        (Some(_), _) => Cut::Whole(length),
    }
}

/// Whether this is a whole HDLC frame, whose last flag may begin the next frame as well (ISO/IEC 13239).
pub fn ends_with_flag(frame: &[u8]) -> bool {
    matches!(frame, [FLAG, .., FLAG])
}

/// The flag, if these bytes go on as a frame does behind it.
pub fn shared_flag(bytes: &[u8]) -> Option<u8> {
    matches!(bytes, [0xa0..=0xaf, ..]).then_some(FLAG)
}

/// Whether these bytes are flags, which fill the time between two frames: no frame is lost in them.
pub fn filling(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == FLAG)
}

/// Where another frame may begin in bytes that are none.
pub fn again(bytes: &[u8]) -> Option<usize> {
    [FLAG, LONG_FRAME].iter().filter_map(|start| cut::find(bytes, &[*start], 1)).min()
}

/// What came of a telegram that comes in several frames.
#[derive(Debug, Default)]
pub struct Assembly {
    /// Segments of HDLC or M-Bus, and how many there were.
    segments: Vec<u8>,
    count: u8,
    /// Blocks of the block transfer, and the number of the last.
    blocks: Vec<u8>,
    block: u16,
}

impl Assembly {
    /// Forgets what came: a frame was lost.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The message that this frame ends; none while more frames must come.
    ///
    /// # Errors
    /// The frame is damaged, or another one was lost. What came before is forgotten.
    pub fn frame(&mut self, frame: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let result = match frame.first() {
            Some(&FLAG) => self.hdlc(frame),
            Some(&LONG_FRAME) => self.m_bus(frame),
            _ => Ok(Some(frame.to_vec())),
        };
        match result {
            Ok(Some(message)) if message.first() == Some(&BLOCK_TRANSFER) => self.block(&message),
            other => other,
        }
        .inspect_err(|_| self.clear())
    }

    fn hdlc(&mut self, frame: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let inner = &frame[1..frame.len() - 1];
        check(inner)?;
        let more = inner[0] & 0x08 != 0;
        // Two addresses, of which the last byte is odd, and the control byte.
        let mut head = 2;
        for _ in 0..2 {
            let address =
                inner[head..].iter().take(4).position(|byte| byte & 1 == 1).ok_or("an address without an end")?;
            head += address + 1;
        }
        head += 1;
        if inner.len() < head + 4 {
            return Err("an HDLC frame without content".into());
        }
        check(&inner[..head + 2])?;
        let content = &inner[head + 2..inner.len() - 2];
        // A telegram begins: what came of another one lost its end.
        if let Some(content) = content.strip_prefix(&LINK) {
            self.clear();
            return self.segment(content, more);
        }
        self.segment(content, more)
    }

    fn m_bus(&mut self, frame: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let (inner, end) = frame[4..].split_last_chunk::<2>().ok_or("an M-Bus frame without content")?;
        let sum = inner.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        if sum != end[0] {
            return Err(format!("the check is {:02x}, and {sum:02x} over what came", end[0]));
        }
        // Control, address, then the segment's number with a bit for the last one, and two addresses of the transport.
        let [_, _, number, _, _, content @ ..] = inner else { return Err("an M-Bus frame without content".into()) };
        let (counted, last) = (number & 0x0f, number & 0x10 != 0);
        if counted == 0 {
            self.clear();
        }
        if counted != self.count % 16 {
            return Err(format!("segment {counted} where {} is expected", self.count % 16));
        }
        self.segment(content, !last)
    }

    fn segment(&mut self, content: &[u8], more: bool) -> Result<Option<Vec<u8>>, String> {
        self.segments.extend_from_slice(content);
        self.count = self.count.wrapping_add(1);
        if self.segments.len() > LONGEST {
            return Err(format!("no end within {LONGEST} bytes"));
        }
        if more {
            return Ok(None);
        }
        self.count = 0;
        Ok(Some(std::mem::take(&mut self.segments)))
    }

    /// General block transfer (DLMS UA Green Book, 9.4.6.13): control, number, number acknowledged, content.
    fn block(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let [_, control, high, low, _, _, rest @ ..] = message else { return Err("a block that breaks off".into()) };
        let number = u16::from_be_bytes([*high, *low]);
        if number == 1 {
            (self.blocks, self.block) = (Vec::new(), 0);
        }
        if number != self.block + 1 {
            return Err(format!("block {number} where {} is expected", self.block + 1));
        }
        let mut reader = axdr::Reader::new(rest);
        let length = reader.length()?;
        let content = reader.take(length)?;
        self.blocks.extend_from_slice(content);
        self.block = number;
        if self.blocks.len() > LONGEST || number == u16::MAX {
            return Err(format!("no end within {LONGEST} bytes"));
        }
        if control & 0x80 == 0 {
            return Ok(None);
        }
        self.block = 0;
        Ok(Some(std::mem::take(&mut self.blocks)))
    }
}

/// Whether the last two bytes are the sum of those before.
fn check(bytes: &[u8]) -> Result<(), String> {
    let (summed, sent) = bytes.split_last_chunk::<2>().ok_or("a frame without a check")?;
    let (sum, sent) = (CRC.checksum(summed), u16::from_le_bytes(*sent));
    if sum == sent { Ok(()) } else { Err(format!("the check is {sent:04x}, and {sum:04x} over what came")) }
}

/// What a message says that is not sealed.
///
/// # Errors
/// It is no data notification, or damaged.
pub fn read(message: &[u8]) -> Result<Telegram, String> {
    let Some((&DATA_NOTIFICATION, rest)) = message.split_first() else {
        return Err(format!(
            "a message with tag {:02x}; a data notification, 0f, is expected",
            message.first().unwrap_or(&0)
        ));
    };
    let mut reader = axdr::Reader::new(rest);
    reader.take(4)?;
    // The time of the notification, with a type in front of it from some meters of Kamstrup.
    let mut length = reader.length()?;
    if length == 9 {
        length = reader.length()?;
    }
    reader.take(length)?;
    let data = reader.data()?;
    if data.is_empty() {
        Err("a data notification without codes".into())
    } else {
        Ok(Telegram { data, ..Telegram::default() })
    }
}

#[cfg(test)]
mod tests;
