//! Any bytes on a line of any language: no panic, no more memory than is said, each byte told of at most once; and what comes
//! out does not depend on the pieces that they come in. The first byte chooses, the others are the line.
#![no_main]

use mapper_serial::{
    config::Language,
    language::{Heard, Key, Keys, Listener, Telegram, iec62056::Readout},
};

/// Bytes that wait at most, by the listener's own word.
const WAITING: usize = 16_384;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, line)) = data.split_first() else { return };
    let language = match choice % 5 {
        0 => Language::P1,
        1 => Language::Sml,
        2 => Language::Iec62056,
        3 => Language::Dlms,
        _ => Language::Nmea,
    };
    let key = Key::parse("000102030405060708090a0b0c0d0e0f");
    let keys = Keys { encryption: key.filter(|_| choice & 0x80 != 0), authentication: None };
    let whole = telegrams(&mut Listener::new(language, keys.clone()), line, 4096);
    let pieces = telegrams(&mut Listener::new(language, keys), line, usize::from(choice >> 3 & 15) + 1);
    assert_eq!(whole, pieces);
    let mut readout = Readout::new("", 300).expect("no address");
    for piece in line.chunks(16) {
        readout.hear(piece);
        let _ = readout.step();
    }
    readout.silence();
});

fn telegrams(listener: &mut Listener, line: &[u8], piece: usize) -> Vec<Telegram> {
    let (mut told, mut telegrams) = (0, Vec::new());
    let mut tell = |heard| match heard {
        Heard::Telegram(telegram) => telegrams.push(telegram),
        Heard::Bad { bytes, .. } => told += bytes.len(),
        Heard::Skipped(count) => told += count,
    };
    for piece in line.chunks(piece) {
        listener.push(piece);
        while let Some(heard) = listener.next() {
            tell(heard);
        }
        assert!(listener.kept() <= WAITING);
    }
    while let Some(heard) = listener.silence() {
        tell(heard);
    }
    assert!(told <= line.len() && listener.kept() == 0);
    telegrams
}
