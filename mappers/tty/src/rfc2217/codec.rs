//! Telnet with the option of RFC 2217: what is data and what is not, both ways. Pure; memory bounded by what is fed.

/// The telnet option (RFC 2217, section 2).
pub(crate) const COM_PORT: u8 = 44;
/// Transmit binary (RFC 856).
pub(crate) const BINARY: u8 = 0;
/// Suppress go ahead (RFC 858).
pub(crate) const NO_GO_AHEAD: u8 = 3;

/// Commands of the client (RFC 2217, section 3); the server answers with a hundred more.
pub(crate) const SET_BAUDRATE: u8 = 1;
pub(crate) const SET_DATASIZE: u8 = 2;
pub(crate) const SET_PARITY: u8 = 3;
pub(crate) const SET_STOPSIZE: u8 = 4;
pub(crate) const SET_CONTROL: u8 = 5;
pub(crate) const SUSPEND: u8 = 8;
pub(crate) const RESUME: u8 = 9;
pub(crate) const SET_MODEMSTATE_MASK: u8 = 11;
pub(crate) const PURGE_DATA: u8 = 12;
/// Of [`PURGE_DATA`]: what the server received from the line.
pub(crate) const PURGE_RECEIVED: u8 = 1;

const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

/// No subnegotiation that concerns us is longer; what is longer is dropped.
const LONGEST: usize = 64;

/// What came that is no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Will(u8),
    Wont(u8),
    Do(u8),
    Dont(u8),
    /// The server's answer to a command, or its own one; the command as the client counts it.
    ComPort {
        command: u8,
        value: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Command,
    Option(u8),
    Sub,
    SubCommand,
}

/// Takes a stream apart, however it is cut.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    sub: Vec<u8>,
}

impl Decoder {
    pub fn new() -> Self {
        Self { state: State::Data, sub: Vec::new() }
    }

    /// Data and events, each in their order.
    pub fn feed(&mut self, bytes: &[u8], data: &mut impl Extend<u8>, events: &mut Vec<Event>) {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Data, IAC) => State::Command,
                (State::Command, IAC) | (State::Data, _) => {
                    data.extend([byte]);
                    State::Data
                }
                (State::Command, SB) => {
                    self.sub.clear();
                    State::Sub
                }
                // Anything but a doubled IAC ends a subnegotiation: its sender broke it off.
                (State::Command | State::SubCommand, WILL..=DONT) => State::Option(byte),
                (State::Option(verb), option) => {
                    events.push(match verb {
                        WILL => Event::Will(option),
                        WONT => Event::Wont(option),
                        DO => Event::Do(option),
                        _ => Event::Dont(option),
                    });
                    State::Data
                }
                (State::Sub, IAC) => State::SubCommand,
                (State::SubCommand, SE) => {
                    events.extend(self.com_port());
                    State::Data
                }
                (State::Sub, _) | (State::SubCommand, IAC) => {
                    // One more than is taken: too long shows.
                    if self.sub.len() <= LONGEST {
                        self.sub.push(byte);
                    }
                    State::Sub
                }
                (State::Command | State::SubCommand, _) => State::Data,
            };
        }
    }

    fn com_port(&self) -> Option<Event> {
        match self.sub.as_slice() {
            [COM_PORT, command, value @ ..] if self.sub.len() <= LONGEST => {
                Some(Event::ComPort { command: command.checked_sub(100)?, value: value.to_vec() })
            }
            _ => None,
        }
    }
}

/// Data as it is sent.
pub(crate) fn escape(data: &[u8], out: &mut Vec<u8>) {
    for &byte in data {
        out.push(byte);
        if byte == IAC {
            out.push(IAC);
        }
    }
}

/// A command as it is sent.
pub(crate) fn command(command: u8, value: &[u8], out: &mut Vec<u8>) {
    out.extend([IAC, SB, COM_PORT, command]);
    escape(value, out);
    out.extend([IAC, SE]);
}

/// What a client begins with: both ways binary, and the option itself.
pub(crate) fn greeting(out: &mut Vec<u8>) {
    for option in [COM_PORT, BINARY, NO_GO_AHEAD] {
        out.extend([IAC, WILL, option]);
    }
    for option in [BINARY, NO_GO_AHEAD] {
        out.extend([IAC, DO, option]);
    }
}

/// The answer to what the greeting did not ask for, if there has to be one: everything else stays off (RFC 854: nobody
/// confirms what is so already).
pub(crate) fn reply(event: &Event, out: &mut Vec<u8>) {
    match *event {
        Event::Do(option) if ![COM_PORT, BINARY, NO_GO_AHEAD].contains(&option) => out.extend([IAC, WONT, option]),
        Event::Will(COM_PORT) => out.extend([IAC, DO, COM_PORT]),
        Event::Will(option) if ![BINARY, NO_GO_AHEAD].contains(&option) => out.extend([IAC, DONT, option]),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::any, sample::select, strategy::Strategy};

    use super::{Decoder, Event, LONGEST, command, escape, greeting, reply};

    /// Bytes that telnet gives a meaning to, more often than by chance.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let telling = select(vec![0, 44, 101, 108, 240, 250, 251, 252, 253, 254, 255, 255]);
        vec(proptest::prop_oneof![telling, any::<u8>()], 0..300)
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_stream_says_the_same_however_it_is_cut(bytes in bytes(), cut in 1_usize..20) {
            let whole = decode(&[&bytes]);
            proptest::prop_assert!(whole.0.len() <= bytes.len());
            proptest::prop_assert_eq!(decode(&bytes.chunks(cut).collect::<Vec<_>>()), whole);
        }

        #[test]
        fn what_stands_behind_anything_is_found_again(before in bytes(), data in vec(any::<u8>(), 0..50)) {
            let (mut decoder, mut out, mut events) = (Decoder::new(), Vec::new(), Vec::new());
            decoder.feed(&before, &mut out, &mut events);
            // However far it got, the end of a subnegotiation brings it back to data.
            decoder.feed(&[0, 0xff, 240, 0xff, 240], &mut out, &mut events);
            out.clear();
            let mut sent = Vec::new();
            escape(&data, &mut sent);
            decoder.feed(&sent, &mut out, &mut events);
            proptest::prop_assert_eq!(out, data);
        }
    }

    fn decode(parts: &[&[u8]]) -> (Vec<u8>, Vec<Event>) {
        let (mut decoder, mut data, mut events) = (Decoder::new(), Vec::new(), Vec::new());
        for part in parts {
            decoder.feed(part, &mut data, &mut events);
        }
        (data, events)
    }

    #[test]
    fn data_and_commands_are_told_apart() {
        let rate = || Event::ComPort { command: 1, value: vec![0, 0, 0xff, 0x80] };
        for (bytes, data, events) in [
            (&b"a\xff\xffb\r\0"[..], &b"a\xffb\r\0"[..], vec![]),
            (b"\xff\xfd\x2cx\xff\xfb\x01", b"x", vec![Event::Do(44), Event::Will(1)]),
            (b"\xff\xfc\x00\xff\xfe\x2c", b"", vec![Event::Wont(0), Event::Dont(44)]),
            (b"1\xff\xfa\x2c\x65\0\0\xff\xff\x80\xff\xf02", b"12", vec![rate()]),
            (b"\xff\xf1x", b"x", vec![]),
            // Another option's, a client's command, an empty one, one that was broken off.
            (b"\xff\xfa\x18\x01\xff\xf0\xff\xfa\x2c\x01\xff\xf0\xff\xfa\xff\xf0x", b"x", vec![]),
            (b"\xff\xfa\x2c\x65\xff\xfd\x2cx", b"x", vec![Event::Do(44)]),
        ] {
            assert_eq!(decode(&[bytes]), (data.to_vec(), events.clone()), "{bytes:x?}");
            let cut: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(decode(&cut), (data.to_vec(), events), "{bytes:x?} cut");
        }
    }

    #[test]
    fn what_is_too_long_is_dropped_and_not_kept() {
        let mut bytes = b"\xff\xfa\x2c\x65".to_vec();
        bytes.extend([7; 10_000]);
        let mut decoder = Decoder::new();
        let (mut data, mut events) = (Vec::new(), Vec::new());
        decoder.feed(&bytes, &mut data, &mut events);
        assert_eq!(decoder.sub.len(), LONGEST + 1);
        decoder.feed(b"\xff\xf0x", &mut data, &mut events);
        assert_eq!((data, events), (b"x".to_vec(), vec![]));
    }

    #[test]
    fn what_is_sent_comes_back_as_it_was() {
        let mut out = Vec::new();
        let all: Vec<u8> = (0..=255).collect();
        escape(&all, &mut out);
        assert_eq!(decode(&[&out]).0, all);
        out.clear();
        command(1, &[0, 0, 0xff, 0], &mut out);
        assert_eq!(out, b"\xff\xfa\x2c\x01\0\0\xff\xff\0\xff\xf0");
        out.clear();
        greeting(&mut out);
        assert_eq!(out, b"\xff\xfb\x2c\xff\xfb\0\xff\xfb\x03\xff\xfd\0\xff\xfd\x03");
    }

    #[test]
    fn nothing_is_agreed_to_that_was_not_asked_for() {
        for (event, answer) in [
            (Event::Do(44), &b""[..]),
            (Event::Do(1), b"\xff\xfc\x01"),
            (Event::Will(1), b"\xff\xfe\x01"),
            (Event::Will(0), b""),
            (Event::Will(44), b"\xff\xfd\x2c"),
            (Event::Dont(1), b""),
            (Event::ComPort { command: 7, value: vec![] }, b""),
        ] {
            let mut out = Vec::new();
            reply(&event, &mut out);
            assert_eq!(out, answer, "{event:?}");
        }
    }
}
