//! What holds of every language, whatever comes.

use proptest::{prelude::*, test_runner::RngSeed};

use super::{Heard, Key, Keys, Listener, Number, Obis, Place, Telegram, iec62056, samples};
use crate::config::{Address, Language};

const LANGUAGES: [Language; 5] = [Language::P1, Language::Sml, Language::Iec62056, Language::Dlms, Language::Nmea];

const SML: &str = include_str!("samples/sml.txt");
const DLMS: &str = include_str!("samples/dlms.txt");
const SEALED: &str = include_str!("samples/p1-sealed.txt");

fn keys(language: Language) -> Keys {
    let (file, name) = match language {
        Language::P1 => (SEALED, "built-key"),
        _ => (DLMS, "omnipower-key"),
    };
    Keys { encryption: Some(Key(samples::named(file, name).try_into().unwrap())), authentication: None }
}

/// Telegrams that prove themselves by more than an exclusive or, which misses what comes twice.
fn proven() -> Vec<(Language, Keys, Vec<u8>)> {
    let mut all = vec![
        (Language::P1, keys(Language::P1), samples::named(SEALED, "built")),
        (Language::Dlms, keys(Language::Dlms), samples::named(DLMS, "omnipower")),
        (Language::Dlms, Keys::default(), samples::named(DLMS, "iskra-am550")),
        (Language::Dlms, Keys::default(), samples::named(DLMS, "kamstrup")),
    ];
    all.extend(samples::all(SML).into_iter().map(|file| (Language::Sml, Keys::default(), file)));
    all
}

fn telegrams(heard: Vec<Heard>) -> Vec<Telegram> {
    heard
        .into_iter()
        .filter_map(|heard| if let Heard::Telegram(telegram) = heard { Some(telegram) } else { None })
        .collect()
}

/// Bytes as noise has them: any, and those that telegrams are made of.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let made = prop::sample::select(
        b"/!\r\n()*.$,\x02\x03\x1b\x01\x1a\x76\x77\x62\x7e\xa0\x68\x16\xdb\x08\x0f\x09\x06\xff".to_vec(),
    );
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(made, 0..40),
        Just(super::sml::START.to_vec()),
        Just(b"/ABC5x\r\n\r\n".to_vec()),
        Just(b"1-0:1.8.0(1*kWh)\r\n".to_vec()),
        Just(b"!\r\n".to_vec()),
        Just(b"$GPGGA,1,2,N,3,E,".to_vec()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_flood_that_nobody_reads_is_bounded_and_counted() {
    for language in LANGUAGES {
        let mut listener = Listener::new(language, Keys::default());
        let flood = [b'/'; 1000];
        for _ in 0..100 {
            listener.push(&flood);
            assert!(listener.kept() <= 16_384);
        }
        assert_eq!(listener.next(), Some(Heard::Skipped(100_000 - 16_384)));
    }
}

proptest! {
    // Always the same cases: a sum of 16 bits misses one damage in 65,536, and these are some thousands.
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(6),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_break_a_language(line in bytes(), piece in 1_usize..100, sealed: bool) {
        for language in LANGUAGES {
            let keys = if sealed { keys(language) } else { Keys::default() };
            let mut all = Listener::new(language, keys.clone());
            let mut at_once = samples::hear(&mut all, &line, 9000);
            at_once.extend(std::iter::from_fn(|| all.silence()));
            let mut listener = Listener::new(language, keys);
            let heard = samples::hear(&mut listener, &line, piece);
            let mut after = Vec::new();
            after.extend(std::iter::from_fn(|| listener.silence()));
            prop_assert_eq!(listener.kept(), 0);
            let counted: usize = heard.iter().chain(&after).map(|heard| match heard {
                Heard::Telegram(_) => 0,
                Heard::Bad { bytes, .. } => bytes.len(),
                Heard::Skipped(count) => *count,
            }).sum();
            prop_assert!(counted <= line.len());
            let in_pieces = telegrams(heard.into_iter().chain(after).collect());
            prop_assert_eq!(telegrams(at_once), in_pieces);
        }
    }

    #[test]
    fn a_damaged_telegram_says_what_was_sent_or_nothing(at in 0.0..1.0, until in 0.0..1.0, noise in bytes(), piece in 1_usize..600) {
        for (language, keys, telegram) in proven() {
            let whole = telegrams(samples::hear(&mut Listener::new(language, keys.clone()), &telegram, 9000));
            prop_assert_eq!(whole.len(), 1);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let place = |part: f64| (part * telegram.len() as f64) as usize;
            let (at, until) = (place(at).min(place(until)), place(at).max(place(until)));
            let mut damaged = telegram.clone();
            damaged.splice(at..until, noise.iter().copied());
            damaged.extend(&telegram);
            let found = telegrams(samples::hear(&mut Listener::new(language, keys.clone()), &damaged, piece));
            prop_assert!(found.iter().all(|found| *found == whole[0]), "{:?}", found);
        }
    }

    #[test]
    fn a_whole_telegram_after_noise_is_found(noise in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..600) {
        for (language, keys, telegram) in proven() {
            // What noise began is given up when the line falls silent.
            let mut listener = Listener::new(language, keys);
            let mut heard = samples::hear(&mut listener, &noise, piece);
            heard.extend(std::iter::from_fn(|| listener.silence()));
            heard.extend(samples::hear(&mut listener, &telegram, piece));
            prop_assert_eq!(telegrams(heard).len(), 1);
        }
    }

    #[test]
    fn no_bytes_break_a_readout(line in bytes(), piece in 1_usize..100, silence: bool) {
        let mut readout = iec62056::Readout::new("1", 300).unwrap();
        let mut steps = 0;
        for piece in line.chunks(piece) {
            readout.hear(piece);
            while !matches!(readout.step(), iec62056::Step::Listen(_) | iec62056::Step::Silent(_)) {
                steps += 1;
            }
        }
        if silence {
            readout.silence();
        }
        prop_assert!(steps < 20);
    }

    #[test]
    fn texts_are_codes_and_numbers_or_not(text in "\\PC{0,20}", digits in any::<i64>(), exponent in -20_i16..20) {
        if let Ok(code) = text.parse::<Obis>() {
            prop_assert_eq!(code.to_string().parse::<Obis>().unwrap(), code);
        }
        let _ = Number::parse(&text);
        let number = Number { digits: digits.into(), exponent };
        let double: f64 = number.to_string().parse().unwrap();
        prop_assert_eq!(number.value(mapper_api::DataType::Float64).unwrap(), mapper_api::Value::Float64(double));
    }

    #[test]
    fn every_value_is_of_its_type_or_refused(text in "[0-9.,SW*-]{0,16}") {
        let line = format!("/ABC5x\r\n\r\n1.8.0({text})\r\n!\r\n");
        if let Some(telegram) = telegrams(samples::hear(&mut Listener::new(Language::P1, Keys::default()), line.as_bytes(), 99)).pop() {
            for data_type in mapper_api::DataType::ALL.into_iter().filter(|known| *known != mapper_api::DataType::Bcd) {
                let address = Address { obis: Some("1.8.0".into()), ..Address::default() };
                let place = Place::bind(Language::P1, &address, data_type).unwrap();
                let _ = place.read(&telegram).unwrap();
            }
        }
    }
}
