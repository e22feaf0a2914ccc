//! Meters that are asked (IEC 62056-21, modes A to C): a request at 300 baud, the meter's identification, a change of the
//! rate, and the whole of its data with a check.
//!
//! [`Readout`] says what to do next on the line; it does nothing itself. Programming mode is not spoken: nothing is written to
//! a meter, and no password sent.

use std::{collections::VecDeque, time::Duration};

use super::{Cut, Telegram, cut, dataset};

/// No answer is longer.
pub const LONGEST: usize = 8192;
/// Bytes of an identification at most; the standard says 24.
const IDENTIFICATION: usize = 64;
/// Characters of an address at most (6.3.1).
const ADDRESS: usize = 32;
/// The longest that a meter takes before an answer, and between two characters, is 1.5 s (6.2); adapters add theirs.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What a meter is given before it is answered: 200 ms, or 20 ms where the third letter of its maker is a small one (6.2).
const REACTION: Duration = Duration::from_millis(220);
const QUICK_REACTION: Duration = Duration::from_millis(25);
/// How often the data is asked for again where its check is wrong.
const REPEATS: u8 = 1;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const NAK: u8 = 0x15;

/// The rates of mode C, by the digits 0 to 6, and of mode B, by the letters A to F (6.3.2, item 13).
const RATES: [u32; 7] = [300, 600, 1200, 2400, 4800, 9600, 19_200];

/// What to do on the line.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send these bytes, and wait until the last of them is out.
    Send(Vec<u8>),
    /// Change the rate.
    Baud(u32),
    /// Wait so long.
    Pause(Duration),
    /// Wait so long for bytes: then [`Readout::hear`] them, or tell of the [`Readout::silence`].
    Listen(Duration),
    /// The readout is over: this is what the meter says.
    Done(Telegram),
    /// The readout is over: the meter does not answer.
    Silent(String),
    /// The readout is over: what the meter says does not prove itself.
    Failed(String),
}

/// One readout of one meter. Each is a new one.
#[derive(Debug)]
pub struct Readout {
    ahead: VecDeque<Step>,
    /// What came since the request: the identification and the data.
    heard: Vec<u8>,
    /// Where the data begins in it, and at which rate it comes; none before the identification.
    identified: Option<(usize, u32)>,
    reaction: Duration,
    repeats: u8,
    /// The last step stands in `ahead`, or was taken out.
    over: bool,
}

impl Readout {
    /// A readout of the meter with this address, which is empty where one meter is alone on the line. `baud` is the rate of
    /// the request, 300 by the standard.
    ///
    /// # Errors
    /// The address has a character that none may have.
    pub fn new(address: &str, baud: u32) -> Result<Self, String> {
        if address.len() > ADDRESS || !address.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ') {
            return Err(format!("{address:?} is no address; at most {ADDRESS} letters, digits and blanks are"));
        }
        Ok(Self {
            ahead: [Step::Baud(baud), Step::Send(format!("/?{address}!\r\n").into_bytes())].into(),
            heard: Vec::new(),
            identified: None,
            reaction: REACTION,
            repeats: REPEATS,
            over: false,
        })
    }

    /// What to do now. After the readout is over there is nothing more: it stays silent.
    pub fn step(&mut self) -> Step {
        self.ahead.pop_front().unwrap_or_else(|| {
            if self.over { Step::Silent("the readout is over".into()) } else { Step::Listen(LONGEST_PAUSE) }
        })
    }

    /// Bytes from the meter; the parity bit of a line that passes it on is taken away.
    pub fn hear(&mut self, bytes: &[u8]) {
        if self.over {
            return;
        }
        let room = (2 * LONGEST).saturating_sub(self.heard.len());
        self.heard.extend(bytes.iter().take(room).map(|byte| byte & 0x7f));
        if self.identified.is_none() {
            self.identify();
        }
        let Some((from, _)) = self.identified else {
            if self.heard.len() > LONGEST {
                self.end(Step::Failed("much is said, and no identification".into()));
            }
            return;
        };
        match block(&self.heard[from..]) {
            Block::More if self.heard.len() - from > LONGEST => {
                self.end(Step::Failed(format!("no end of the data within {LONGEST} bytes")));
            }
            Block::More => {}
            Block::Whole(end) => {
                let result = read(&self.heard[..from + end]);
                self.end(result.map_or_else(Step::Failed, Step::Done));
            }
            Block::Bad(_, why) if self.repeats == 0 => self.end(Step::Failed(why)),
            Block::Bad(..) => {
                self.repeats -= 1;
                self.heard.truncate(from);
                self.ahead.extend([Step::Pause(self.reaction), Step::Send(vec![NAK])]);
            }
        }
    }

    /// Nothing came.
    pub fn silence(&mut self) {
        let why = match self.identified {
            None if self.heard.is_empty() => "no answer to the request".to_owned(),
            None => "the meter's identification breaks off".to_owned(),
            Some((from, baud)) if self.heard.len() == from => {
                format!("the meter answered {:?}, then no data at {baud} baud", head(&self.heard))
            }
            Some((_, baud)) => {
                format!("the meter answered {:?}, and the data breaks off at {baud} baud", head(&self.heard))
            }
        };
        self.end(Step::Silent(why));
    }

    fn end(&mut self, step: Step) {
        self.over = true;
        self.ahead.push_back(step);
    }

    /// Looks for the identification, `/XXXZ...`: maker, rate, type. What stands before it, such as the request as the line
    /// hears it again, is dropped.
    fn identify(&mut self) {
        let Some(start) = identification(&self.heard) else { return };
        self.heard.drain(..start);
        let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') else { return };
        let quick = self.heard[3].is_ascii_lowercase();
        self.reaction = if quick { QUICK_REACTION } else { REACTION };
        let rate = self.heard[4];
        let baud = match rate {
            b'0'..=b'6' => {
                let baud = RATES[usize::from(rate - b'0')];
                let acknowledgement = vec![0x06, b'0', rate, b'0', b'\r', b'\n'];
                self.ahead.extend([Step::Pause(self.reaction), Step::Send(acknowledgement), Step::Baud(baud)]);
                baud
            }
            b'A'..=b'F' => {
                let baud = RATES[usize::from(rate - b'A') + 1];
                self.ahead.push_back(Step::Baud(baud));
                baud
            }
            _ => RATES[0],
        };
        self.identified = Some((end + 1, baud));
    }
}

/// Where an identification begins.
fn identification(bytes: &[u8]) -> Option<usize> {
    bytes.windows(5).position(|five| five[0] == b'/' && five[1..4].iter().all(u8::is_ascii_alphabetic))
}

fn head(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).trim().chars().take(40).collect()
}

/// The data after an identification.
enum Block {
    More,
    /// It ends here, and its check is right, if it has one.
    Whole(usize),
    Bad(usize, String),
}

/// STX, data, `!`, ETX, and all of it but STX summed by exclusive or; meters of mode A, and those that are not asked, may send
/// the data alone.
fn block(bytes: &[u8]) -> Block {
    let bare = cut::find(bytes, b"\n!", 0).and_then(|mark| cut::find(bytes, b"\n", mark + 1));
    let start = bytes.iter().position(|byte| *byte == STX);
    let (Some(start), true) = (start, start.is_none_or(|start| bare.is_none_or(|end| start < end))) else {
        return bare.map_or(Block::More, |end| Block::Whole(end + 1));
    };
    let Some(end) = cut::find(bytes, &[ETX], start) else { return Block::More };
    let Some(sent) = bytes.get(end + 1) else { return Block::More };
    let sum = bytes[start + 1..=end].iter().fold(0, |sum, byte| sum ^ (byte & 0x7f));
    if sum == sent & 0x7f {
        Block::Whole(end + 2)
    } else {
        Block::Bad(end + 2, format!("the check is {sent:02x}, and {sum:02x} over what came"))
    }
}

/// The next telegram of a line that is listened to: of a meter that speaks by itself, or asked by another.
pub fn cut(bytes: &[u8]) -> Cut {
    let start = match identification(bytes) {
        Some(start) => start,
        // What may become one at the end of the bytes stays.
        None if bytes.len() > 4 => return Cut::Noise(bytes.len() - 4),
        None => return Cut::More,
    };
    if start > 0 {
        return Cut::Noise(start);
    }
    let bytes = cut::seen(bytes, LONGEST);
    let Some(line) = cut::find(cut::seen(bytes, IDENTIFICATION), b"\n", 0) else {
        return cut::more(cut::seen(bytes, IDENTIFICATION), IDENTIFICATION);
    };
    let rest = &bytes[line + 1..];
    let end = match block(rest) {
        Block::More => rest.len(),
        Block::Whole(end) | Block::Bad(end, _) => end,
    };
    // Another line that begins as one: this telegram lost its end.
    match (identification(&rest[..end]), block(rest)) {
        (Some(again), _) => Cut::Bad(line + 1 + again, "the telegram breaks off".into()),
        (None, Block::More) => cut::more(bytes, LONGEST),
        (None, Block::Whole(end)) => Cut::Whole(line + 1 + end),
        (None, Block::Bad(end, why)) => Cut::Bad(line + 1 + end, why),
    }
}

/// What a meter says, from its identification to the last byte of the data.
///
/// # Errors
/// It is damaged.
pub fn read(bytes: &[u8]) -> Result<Telegram, String> {
    let text: String = bytes.iter().map(|byte| char::from(byte & 0x7f)).collect();
    let (sender, rest) = text.split_once('\n').ok_or("an identification without an end")?;
    // The check behind ETX goes first: it may be any byte, STX and `!` too.
    let rest = rest.split_once('\u{2}').map_or(rest, |(_, data)| data);
    let rest = rest.split_once('\u{3}').map_or(rest, |(data, _)| data);
    let (data, _) = rest.rsplit_once('!').ok_or("data without its end, `!`")?;
    let data = dataset::data(data)?;
    if data.is_empty() {
        Err("a telegram without data".into())
    } else {
        Ok(Telegram { sender: sender.trim().trim_start_matches('/').to_owned(), data, whole: true })
    }
}

#[cfg(test)]
mod tests;
