use crate::{
    config::Language,
    language::{Heard, Key, Keys, Listener, samples},
};

const FRAMES: &str = include_str!("../samples/dlms.txt");

fn listener(meter: &str) -> Listener {
    let key = |kind: &str| {
        let name = format!("{meter}-{kind}");
        FRAMES.contains(&format!("\n{name} ")).then(|| Key(samples::named(FRAMES, &name).try_into().unwrap()))
    };
    Listener::new(Language::Dlms, Keys { encryption: key("key"), authentication: key("authentication") })
}

fn read(meter: &str) -> Vec<String> {
    let heard = samples::hear(&mut listener(meter), &samples::named(FRAMES, meter), 50);
    match &heard[..] {
        [Heard::Telegram(telegram)] => samples::written(telegram),
        other => panic!("{other:?}"),
    }
}

/// The values of those that dlms_parser reads are what it expects of the same bytes.
#[test]
fn meters_say_their_counts_and_power() {
    for (meter, count, says) in [
        (
            "aidon-1-phase",
            9,
            &["1-0:1.7.0[0]=1362 W", "1-0:31.7.0[0]=9.3 A", "1-0:32.7.0[0]=250.0 V", "0-0:96.1.7[0]=6515"][..],
        ),
        ("aidon-feeds-in", 9, &["1-0:2.7.0[0]=1146 W", "1-0:31.7.0[0]=-5.1 A", "1-0:32.7.0[0]=243.5 V"]),
        ("aidon-3-phase", 27, &["0-0:1.0.0[0]=2019-12-16T07:59:40", "1-0:1.8.0[0]=10049926 Wh", "1-0:51.7.0[0]=7.5 A"]),
        ("kamstrup", 12, &["1-1:1.7.0[0]=1468", "1-1:32.7.0[0]=232", "1-1:0.0.5[0]=5706567274389702"]),
        (
            "iskra-am550",
            16,
            &[
                "1-0:1.7.0[0]=182 W",
                "1-0:32.7.0[0]=236.4 V",
                "1-0:31.7.0[0]=0.63 A",
                "1-0:2.8.2[0]=13185 Wh",
                "0-0:96.1.1[0]=160456",
            ],
        ),
        ("omnipower", 32, &["1-1:1.8.0[0]=6307498", "1-1:61.8.0[0]=2687644", "0-1:1.0.0[0]=2026-03-12T15:24:30"]),
        ("e450", 16, &["1-0:1.8.0[0]=12048950", "1-0:1.7.0[0]=545", "1-0:4.7.0[0]=379"]),
        ("kaifa-1", 1, &["1-0:1.7.0[0]=1320 W"]),
        (
            "kaifa-2",
            13,
            &["1-0:1.7.0[0]=948 W", "1-0:31.7.0[0]=1.416 A", "1-0:72.7.0[0]=238.9 V", "0-0:96.1.7[0]=MA304H3E"],
        ),
        ("am550-vienna", 9, &["0-0:1.0.0[0]=2021-04-25T19:05:42Z", "1-0:1.8.0[0]=3448196 Wh", "1-0:1.7.0[0]=125 W"]),
        (
            "e450-cyprus",
            20,
            &["1-0:21.7.0[0]=73", "1-0:1.7.0[0]=187", "1-0:14.7.0[0]=50", "0-0:1.0.0[0]=2026-06-08T18:46:04"],
        ),
        ("netz-noe", 11, &["1-0:1.8.0[0]=12937 Wh", "1-0:32.7.0[0]=233.7 V", "1-0:13.7.0[0]=1.000"]),
    ] {
        let data = read(meter);
        for datum in says {
            assert!(data.contains(&(*datum).to_owned()), "{meter} {datum}: {data:?}");
        }
        assert_eq!(data.len(), count, "{meter}: {data:?}");
    }
}

#[test]
fn a_line_with_noise_is_heard_in_any_pieces() {
    let mut line = b"noise\x7e\xa0".to_vec();
    for meter in ["aidon-1-phase", "iskra-am550", "kamstrup", "aidon-3-phase"] {
        line.extend(samples::named(FRAMES, meter));
        line.extend(b"\x00h\x7e");
    }
    for piece in [1, 33, 4096] {
        let heard = samples::hear(&mut listener("none"), &line, piece);
        let found = heard.iter().filter(|heard| matches!(heard, Heard::Telegram(_))).count();
        assert_eq!(found, 4, "{heard:?}");
    }
}

#[test]
fn no_changed_byte_and_no_lost_frame_gives_a_value() {
    for meter in ["aidon-1-phase", "netz-noe", "iskra-am550"] {
        let frames = samples::named(FRAMES, meter);
        for at in 0..frames.len() {
            let mut changed = frames.clone();
            changed[at] ^= 4;
            let heard = samples::hear(&mut listener(meter), &changed, 4096);
            assert!(heard.iter().all(|heard| !matches!(heard, Heard::Telegram(_))), "{meter} {at}: {heard:?}");
        }
    }
    let frames = samples::named(FRAMES, "iskra-am550");
    let second = 166;
    for lost in [0..second, second..2 * second, 2 * second..frames.len()] {
        let mut rest = frames.clone();
        rest.drain(lost.clone());
        let heard = samples::hear(&mut listener("none"), &rest, 4096);
        assert!(heard.iter().all(|heard| !matches!(heard, Heard::Telegram(_))), "{lost:?}: {heard:?}");
    }
}

/// ISO/IEC 13239 lets one flag end a frame and begin the next, and flags fill the time between two.
#[test]
fn segments_with_one_flag_or_many_between_them_are_put_together() {
    let frames = samples::named(FRAMES, "iskra-am550");
    let (first, second, third) = (&frames[..166], &frames[166..332], &frames[332..]);
    let one = [first, &second[1..], &third[1..]].concat();
    let many = [b"\x7e", first, b"\x7e", second, b"\x7e\x7e", third].concat();
    for (line, piece) in [&one, &many].into_iter().flat_map(|line| [1, 166, 4096].map(|piece| (line, piece))) {
        let heard = samples::hear(&mut listener("none"), line, piece);
        let found =
            heard.iter().filter(|heard| matches!(heard, Heard::Telegram(telegram) if telegram.data.len() == 16));
        assert_eq!(found.count(), 1, "{piece}: {heard:?}");
        assert!(!heard.iter().any(|heard| matches!(heard, Heard::Bad { .. })), "{piece}: {heard:?}");
    }
}

/// A sealed telegram as M-Bus meters send a short one: in one frame.
fn in_one_m_bus_frame(sealed: &[u8]) -> Vec<u8> {
    let inner = [&[0x53, 0xff, 0x10, 0x01, 0x67], sealed].concat();
    let (length, sum) =
        (u8::try_from(inner.len()).unwrap(), inner.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
    [&[0x68, length, length, 0x68], &inner[..], &[sum, 0x16]].concat()
}

#[test]
fn a_sealed_telegram_whose_frame_is_damaged_gives_no_value() {
    let meter = "am550-vienna";
    let hdlc = samples::named(FRAMES, meter);
    let sealed = &hdlc[hdlc.iter().position(|byte| *byte == 0xdb).unwrap()..hdlc.len() - 3];
    let m_bus = in_one_m_bus_frame(sealed);
    let says = |line: &[u8]| {
        let heard = samples::hear(&mut listener(meter), line, 4096);
        heard.iter().any(|heard| matches!(heard, Heard::Telegram(_)))
    };
    assert!(says(&hdlc) && says(&m_bus));
    for frame in [hdlc.as_slice(), &m_bus] {
        for (at, bit) in (0..frame.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut changed = frame.to_vec();
            changed[at] ^= 1 << bit;
            assert!(!says(&changed), "{at} {bit}");
            assert!(at == 0 || !says(&changed[1..]), "{at} {bit}, without the first");
        }
    }
    let heard = samples::hear(&mut listener(meter), sealed, 4096);
    assert!(matches!(&heard[0], Heard::Bad { why, .. } if why.contains("authenticationKey")), "{heard:?}");
}

#[test]
fn a_sealed_telegram_without_a_frame_is_proven_by_its_own_check() {
    let hdlc = samples::named(FRAMES, "omnipower");
    let sealed = &hdlc[hdlc.iter().position(|byte| *byte == 0xdb).unwrap()..hdlc.len() - 3];
    let heard = samples::hear(&mut listener("omnipower"), sealed, 50);
    assert!(matches!(&heard[..], [Heard::Telegram(telegram)] if telegram.data.len() == 32), "{heard:?}");
}

/// A data notification without a time.
fn notification(data: &str) -> Result<Vec<String>, String> {
    super::read(&[&[0x0f, 0, 0, 0, 0, 0], &samples::bytes(data)[..]].concat())
        .map(|telegram| samples::written(&telegram))
}

#[test]
fn a_number_with_decimals_is_none_of_a_list_without_codes() {
    assert_eq!(notification("02 01 06 0000007d"), Ok(vec!["1-0:1.7.0[0]=125 W".into()]));
    for float in ["17 41480000", "17 41400000", "18 4029000000000000"] {
        assert!(notification(&format!("02 01 {float}")).unwrap_err().contains("without codes"), "{float}");
    }
}

#[test]
fn a_float_that_is_no_quantity_is_none_and_spoils_no_other() {
    for float in ["17 7fc00000", "17 ff800000", "18 7e37e43c8800759c"] {
        let data =
            format!("02 06 09 06 0100010700ff {float} 09 06 0100020700ff 17 41480000 09 06 0100030700ff 06 00000007");
        assert_eq!(notification(&data), Ok(vec!["1-0:2.7.0[0]=12.5".into(), "1-0:3.7.0[0]=7".into()]), "{float}");
    }
}

#[test]
fn a_telegram_is_found_after_one_that_lost_its_end() {
    for (meter, first) in [("iskra-am550", 166), ("e450", 141), ("netz-noe", 256)] {
        let frames = samples::named(FRAMES, meter);
        let heard = samples::hear(&mut listener(meter), &[&frames[..first], &frames].concat(), 77);
        assert!(matches!(heard.last(), Some(Heard::Telegram(_))), "{meter}: {heard:?}");
    }
}

#[test]
fn a_telegram_without_a_check_is_refused_where_there_is_a_key_for_it() {
    let keys = Keys {
        encryption: Some(Key(samples::named(FRAMES, "netz-noe-key").try_into().unwrap())),
        authentication: Key::parse("000102030405060708090a0b0c0d0e0f"),
    };
    let heard = samples::hear(&mut Listener::new(Language::Dlms, keys), &samples::named(FRAMES, "netz-noe"), 4096);
    assert!(matches!(&heard[0], Heard::Bad { why, .. } if why.contains("has no check")), "{heard:?}");
}

#[test]
fn a_wrong_key_and_a_telegram_that_was_sent_before_are_refused() {
    let frames = samples::named(FRAMES, "omnipower");
    let wrong = Key::parse("000102030405060708090a0b0c0d0e0f");
    for keys in [
        Keys { encryption: wrong.clone(), authentication: None },
        Keys {
            encryption: Some(Key(samples::named(FRAMES, "omnipower-key").try_into().unwrap())),
            authentication: wrong,
        },
        Keys::default(),
    ] {
        let heard = samples::hear(&mut Listener::new(Language::Dlms, keys), &frames, 4096);
        assert!(matches!(&heard[0], Heard::Bad { why, .. } if why.contains("key")), "{heard:?}");
        assert!(heard.iter().all(|heard| !matches!(heard, Heard::Telegram(_))), "{heard:?}");
    }
    let mut listener = listener("omnipower");
    assert!(matches!(&samples::hear(&mut listener, &frames, 4096)[..], [Heard::Telegram(_)]));
    let again = samples::hear(&mut listener, &frames, 4096);
    assert!(matches!(&again[0], Heard::Bad { why, .. } if why.contains("sent before")), "{again:?}");
    assert_eq!(listener.replayed(), 1);
}
