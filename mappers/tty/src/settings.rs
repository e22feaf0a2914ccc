//! The settings of a line: what they may be, how people write them, and how long a character takes. Pure.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

// The variants of these enums have no docstrings of their own: the schema would spell them as a union of types, which
// the API server refuses.

/// Parity bit of a serial line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Parity {
    #[default]
    None,
    Even,
    Odd,
}

/// Flow control of a serial line: by the RTS and CTS wires, or by the XON and XOFF characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Flow {
    #[default]
    None,
    Hardware,
    Software,
}

/// RS-485 by the kernel's driver, which turns the transceiver around with RTS (Linux, driver-api/serial/serial-rs485).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rs485 {
    /// The level of RTS while sending.
    pub rts_on_send: bool,
    /// The level of RTS otherwise; the opposite of the other.
    pub rts_after_send: bool,
    /// Between RTS and the first bit, in whole milliseconds.
    pub delay_before: Duration,
    /// Between the last bit and RTS, in whole milliseconds.
    pub delay_after: Duration,
}

/// How a line is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Bits per second.
    pub baud: u32,
    /// 5 to 8.
    pub data_bits: u8,
    /// The parity bit.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    /// Flow control.
    pub flow: Flow,
    /// RS-485; left as it is if none.
    pub rs485: Option<Rs485>,
    /// The line hears what is sent on it: [`crate::Port`] drops that.
    pub echo: bool,
    /// The level of DTR after opening; left as the driver sets it if none.
    pub dtr: Option<bool>,
    /// The level of RTS after opening; left as the driver sets it if none.
    pub rts: Option<bool>,
}

impl Default for Settings {
    /// 9600 8N1.
    fn default() -> Self {
        Self {
            baud: 9600,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 1,
            flow: Flow::None,
            rs485: None,
            echo: false,
            dtr: None,
            rts: None,
        }
    }
}

/// The kernel shortens what is longer (`RS485_MAX_RTS_DELAY` of its serial core).
const LONGEST_DELAY: Duration = Duration::from_millis(100);

impl Settings {
    /// The slowest and the fastest rate that is taken for one; a driver may take less.
    pub const BAUD: std::ops::RangeInclusive<u32> = 50..=4_000_000;

    /// Time that one character takes: start bit, data, parity, stop.
    pub fn character(&self) -> Duration {
        let parity = u32::from(self.parity != Parity::None);
        Duration::from_secs((1 + u32::from(self.data_bits) + parity + u32::from(self.stop_bits)).into())
            / self.baud.max(1)
    }

    /// What cannot be: the key in YAML below the line, and what would be accepted.
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        let mut refuse = |wrong: bool, key, message: &str| {
            if wrong {
                mistakes.push((key, message.to_owned()));
            }
        };
        let (least, most) = Self::BAUD.into_inner();
        refuse(!Self::BAUD.contains(&self.baud), "baud", &format!("{} is not in {least}..{most}", self.baud));
        refuse(!(5..=8).contains(&self.data_bits), "dataBits", "must be 8, 7, 6 or 5");
        refuse(!(1..=2).contains(&self.stop_bits), "stopBits", "must be 1 or 2");
        let hardware = self.flow == Flow::Hardware;
        refuse(hardware && self.rts.is_some(), "rts", "flow hardware moves RTS itself; leave one of them out");
        if let Some(rs485) = &self.rs485 {
            refuse(hardware, "rs485", "moves RTS itself, as flow hardware does; leave one of them out");
            refuse(self.rts.is_some(), "rts", "rs485 moves RTS itself; leave one of them out");
            let same = rs485.rts_on_send == rs485.rts_after_send;
            refuse(same, "rs485.rtsAfterSend", "must be the opposite of rtsOnSend, or nothing would turn around");
            for (key, delay) in [("rs485.delayBefore", rs485.delay_before), ("rs485.delayAfter", rs485.delay_after)] {
                let whole = delay.subsec_nanos().is_multiple_of(1_000_000);
                refuse(delay > LONGEST_DELAY || !whole, key, "must be whole milliseconds, 0ms to 100ms");
            }
        }
        mistakes
    }
}

impl fmt::Display for Settings {
    /// `9600 8N1`, and what else is set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{} {}{parity}{}", self.baud, self.data_bits, self.stop_bits)?;
        match self.flow {
            Flow::None => {}
            Flow::Hardware => f.write_str(" RTS/CTS")?,
            Flow::Software => f.write_str(" XON/XOFF")?,
        }
        if let Some(Rs485 { rts_on_send, delay_before, delay_after, .. }) = self.rs485 {
            f.write_str(" RS-485")?;
            f.write_str(if rts_on_send { "" } else { " inverted" })?;
            if delay_before + delay_after > Duration::ZERO {
                write!(f, " {}+{} ms", delay_before.as_millis(), delay_after.as_millis())?;
            }
        }
        f.write_str(if self.echo { " echo" } else { "" })?;
        for (name, level) in [("DTR", self.dtr), ("RTS", self.rts)] {
            if let Some(level) = level {
                write!(f, " {name} {}", if level { "on" } else { "off" })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Flow, Parity, Rs485, Settings};

    const PLAIN: Rs485 =
        Rs485 { rts_on_send: true, rts_after_send: false, delay_before: Duration::ZERO, delay_after: Duration::ZERO };

    #[test]
    fn as_people_write_them() {
        let usual = Settings::default();
        let rs485 = Rs485 { rts_on_send: false, rts_after_send: true, delay_after: Duration::from_millis(2), ..PLAIN };
        for (settings, text) in [
            (usual, "9600 8N1"),
            (Settings { baud: 300, data_bits: 7, parity: Parity::Even, ..usual }, "300 7E1"),
            (Settings { parity: Parity::Odd, stop_bits: 2, flow: Flow::Software, ..usual }, "9600 8O2 XON/XOFF"),
            (Settings { flow: Flow::Hardware, dtr: Some(false), ..usual }, "9600 8N1 RTS/CTS DTR off"),
            (Settings { rs485: Some(PLAIN), rts: Some(true), ..usual }, "9600 8N1 RS-485 RTS on"),
            (Settings { rs485: Some(rs485), echo: true, ..usual }, "9600 8N1 RS-485 inverted 0+2 ms echo"),
        ] {
            assert_eq!(settings.to_string(), text);
        }
    }

    #[test]
    fn a_character_has_ten_to_twelve_bits() {
        let settings = Settings { baud: 1000, ..Settings::default() };
        assert_eq!(settings.character(), Duration::from_millis(10));
        let settings = Settings { parity: Parity::Odd, stop_bits: 2, ..settings };
        assert_eq!(settings.character(), Duration::from_millis(12));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let usual = Settings::default();
        assert_eq!(usual.mistakes(), []);
        assert_eq!(Settings { rs485: Some(PLAIN), ..usual }.mistakes(), []);
        let turned = Rs485 { rts_after_send: true, ..PLAIN };
        let slow =
            Rs485 { delay_before: Duration::from_millis(101), delay_after: Duration::from_micros(1500), ..PLAIN };
        for (settings, keys) in [
            (Settings { baud: 49, data_bits: 9, stop_bits: 3, ..usual }, &["baud", "dataBits", "stopBits"][..]),
            (Settings { flow: Flow::Hardware, rts: Some(true), ..usual }, &["rts"]),
            (Settings { flow: Flow::Hardware, rs485: Some(PLAIN), ..usual }, &["rs485"]),
            (Settings { rts: Some(true), rs485: Some(turned), ..usual }, &["rts", "rs485.rtsAfterSend"]),
            (Settings { rs485: Some(slow), ..usual }, &["rs485.delayBefore", "rs485.delayAfter"]),
        ] {
            let found: Vec<_> = settings.mistakes().into_iter().map(|(key, _)| key).collect();
            assert_eq!(found, keys);
        }
    }
}
