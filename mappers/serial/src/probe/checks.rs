//! Which sum proves the frames, if any: the common kinds at the common places are tried. Pure. A sum of one byte is believed
//! after three different frames, a longer one after two: by chance fewer than one in ten thousand would fit.

use crate::{
    check::Check,
    config::{self, Form, Order, Over},
};

/// The common ones first. The others of the catalogue are so rare that they would rather fit by chance.
const KINDS: [&str; 21] = [
    "CRC-16/MODBUS",
    "CRC-16/IBM-SDLC",
    "CRC-16/XMODEM",
    "CRC-16/IBM-3740",
    "CRC-16/KERMIT",
    "CRC-16/ARC",
    "CRC-16/GENIBUS",
    "CRC-16/SPI-FUJITSU",
    "CRC-16/USB",
    "CRC-32/ISO-HDLC",
    "CRC-32/BZIP2",
    "CRC-32/MPEG-2",
    "sum16",
    "fletcher16",
    "xor",
    "sum8",
    "lrc",
    "CRC-8/SMBUS",
    "CRC-8/MAXIM-DOW",
    "CRC-8/ROHC",
    "CRC-8/SAE-J1850",
];

/// More frames prove no more.
const ENOUGH: usize = 8;
/// A check may leave out so many bytes at the beginning.
const SKIPPED: i64 = 4;

/// The check that holds for all these frames. `end` is how many bytes stand behind it where YAML says nothing else.
pub(super) fn find(frames: &[Vec<u8>], end: usize, text: bool) -> Option<config::Check> {
    let mut different: Vec<&[u8]> = Vec::new();
    for frame in frames {
        if different.len() < ENOUGH && !different.contains(&&frame[..]) {
            different.push(frame);
        }
    }
    let forms: &[(Form, Over)] = if text {
        &[(Form::Hex, Over::Bytes), (Form::Hex, Over::Hex), (Form::Binary, Over::Bytes), (Form::Decimal, Over::Bytes)]
    } else {
        &[(Form::Binary, Over::Bytes)]
    };
    let after = |after: usize| (after != end).then_some(i64::try_from(after).ok()).flatten();
    for (form, over) in forms {
        for place in [end, 0, 1, 2, 3] {
            for kind in KINDS {
                let wide = !matches!(kind, "xor" | "sum8" | "lrc") && !kind.starts_with("CRC-8");
                if different.len() < if wide { 2 } else { 3 } {
                    continue;
                }
                let orders: &[Option<Order>] =
                    if wide && *form == Form::Binary { &[None, Some(Order::Dcba)] } else { &[None] };
                let tried = orders.iter().flat_map(|order| {
                    (0..=SKIPPED).flat_map(move |start| [0, 1].map(|before| (*order, start, before)))
                });
                for (order, start, before) in tried {
                    let yaml = config::Check {
                        kind: kind.to_owned(),
                        form: (*form != Form::Binary).then_some(*form),
                        over: (*over != Over::Bytes).then_some(*over),
                        order,
                        skip_start: (start > 0).then_some(start),
                        skip_end: (before > 0).then_some(before),
                        after: after(place),
                    };
                    let check = Check::new(&yaml).ok()?;
                    // A sum over hardly anything is no proof.
                    let holds = |frame: &&[u8]| frame.len() >= check.least(end) + 2 && check.verify(frame, end).is_ok();
                    if different.iter().all(holds) {
                        return Some(yaml);
                    }
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::{
        check::Check,
        config::{self, Form, Order, Over},
    };

    fn framed(yaml: &config::Check, heads: &[&[u8]], tail: &[u8]) -> Vec<Vec<u8>> {
        let check = Check::new(yaml).unwrap();
        let frame = |head: &&[u8]| {
            let mut frame = head.to_vec();
            check.append(&mut frame).unwrap();
            [&frame, tail].concat()
        };
        heads.iter().map(frame).collect()
    }

    #[test]
    fn what_was_put_on_is_found() {
        let kind = |kind: &str| config::Check { kind: kind.into(), ..config::Check::default() };
        let hex = |name: &str| config::Check { form: Some(Form::Hex), ..kind(name) };
        let text: [&[u8]; 3] = [b"$GPGGA,1,2*", b"$GPGGA,3,4*", b"$GPRMC,5,64*"];
        let bytes: [&[u8]; 3] = [&[1, 3, 4, 0, 7, 1, 9], &[1, 3, 4, 0, 8, 2, 77], &[1, 3, 4, 1, 8, 9, 13]];
        for (yaml, heads, tail, is_text) in [
            (config::Check { order: Some(Order::Dcba), ..kind("CRC-16/MODBUS") }, bytes, &b""[..], false),
            (kind("CRC-16/XMODEM"), bytes, b"", false),
            (kind("sum8"), bytes, b"", false),
            (config::Check { skip_start: Some(1), ..kind("lrc") }, bytes, b"", false),
            (config::Check { skip_start: Some(2), after: Some(1), ..kind("xor") }, bytes, b"\x16", false),
            (config::Check { skip_start: Some(1), skip_end: Some(1), ..hex("xor") }, text, b"\r\n", true),
            (
                config::Check { over: Some(Over::Hex), skip_start: Some(1), ..hex("lrc") },
                [b":0103001201", b":0103001207", b":0103FF1209"],
                b"\r\n",
                true,
            ),
        ] {
            let frames = framed(&yaml, &heads, tail);
            assert_eq!(find(&frames, if is_text { 2 } else { 0 }, is_text), Some(yaml.clone()), "{yaml:?}");
            // The same frame again and again proves nothing, and one wrong frame is enough.
            assert_eq!(find(&[frames[0].clone(), frames[0].clone()], 0, is_text), None);
            let mut broken = frames;
            let place = broken[1].len() - tail.len() - 1;
            broken[1][place] ^= 1;
            assert_eq!(find(&broken, if is_text { 2 } else { 0 }, is_text), None, "{yaml:?}");
        }
    }
}
