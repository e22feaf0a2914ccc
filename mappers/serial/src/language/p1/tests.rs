use super::{opened, read};
use crate::{
    config::Language,
    language::{Heard, Key, Keys, Listener, Telegram, samples, seal},
};

// The telegrams are those of dsmr_parser's tests (ndokter/dsmr_parser, test/example_telegrams.py), which are as meters sent
// them or as the companion standards print them, and were given CRCs there.

/// DSMR 2.2 (an ISKRA MT382): no CRC, and the gas meter on two lines.
const V2_2: &str = "/ISk5\\2MT382-1004\r\n\r\n0-0:96.1.1(00000000000000)\r\n1-0:1.8.1(00001.001*kWh)\r\n\
    1-0:1.8.2(00001.001*kWh)\r\n1-0:2.8.1(00001.001*kWh)\r\n1-0:2.8.2(00001.001*kWh)\r\n0-0:96.14.0(0001)\r\n\
    1-0:1.7.0(0001.01*kW)\r\n1-0:2.7.0(0000.00*kW)\r\n0-0:17.0.0(0999.00*kW)\r\n0-0:96.3.10(1)\r\n0-0:96.13.1()\r\n\
    0-0:96.13.0()\r\n0-1:24.1.0(3)\r\n0-1:96.1.0(000000000000)\r\n\
    0-1:24.3.0(161107190000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00001.001)\r\n0-1:24.4.0(1)\r\n!\r\n";

/// DSMR 4.2 (a KAIFA).
const V4_2: &str = "/KFM5KAIFA-METER\r\n\r\n1-3:0.2.8(42)\r\n0-0:1.0.0(161113205757W)\r\n\
    0-0:96.1.1(3960221976967177082151037881335713)\r\n1-0:1.8.1(001581.123*kWh)\r\n1-0:1.8.2(001435.706*kWh)\r\n\
    1-0:2.8.1(000000.000*kWh)\r\n1-0:2.8.2(000000.000*kWh)\r\n0-0:96.14.0(0002)\r\n1-0:1.7.0(02.027*kW)\r\n\
    1-0:2.7.0(00.000*kW)\r\n0-0:96.7.21(00015)\r\n0-0:96.7.9(00007)\r\n\
    1-0:99.97.0(3)(0-0:96.7.19)(000104180320W)(0000237126*s)(000101000001W)(2147583646*s)(000102000003W)(2317482647*s)\r\n\
    1-0:32.32.0(00000)\r\n1-0:52.32.0(00000)\r\n1-0:72.32.0(00000)\r\n1-0:32.36.0(00000)\r\n1-0:52.36.0(00000)\r\n\
    1-0:72.36.0(00000)\r\n0-0:96.13.1()\r\n0-0:96.13.0()\r\n1-0:31.7.0(000*A)\r\n1-0:51.7.0(006*A)\r\n1-0:71.7.0(002*A)\r\n\
    1-0:21.7.0(00.170*kW)\r\n1-0:22.7.0(00.000*kW)\r\n1-0:41.7.0(01.247*kW)\r\n1-0:42.7.0(00.000*kW)\r\n\
    1-0:61.7.0(00.209*kW)\r\n1-0:62.7.0(00.000*kW)\r\n0-1:24.1.0(003)\r\n0-1:96.1.0(4819243993373755377509728609491464)\r\n\
    0-1:24.2.1(161129200000W)(00981.443*m3)\r\n!6796\r\n";

/// DSMR 5.
const V5: &str = "/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(170102192002W)\r\n\
    0-0:96.1.1(4B384547303034303436333935353037)\r\n1-0:1.8.1(000004.426*kWh)\r\n1-0:1.8.2(000002.399*kWh)\r\n\
    1-0:2.8.1(000002.444*kWh)\r\n1-0:2.8.2(000000.000*kWh)\r\n0-0:96.14.0(0002)\r\n1-0:1.7.0(00.244*kW)\r\n\
    1-0:2.7.0(00.000*kW)\r\n0-0:96.7.21(00013)\r\n0-0:96.7.9(00000)\r\n1-0:99.97.0(0)(0-0:96.7.19)\r\n\
    1-0:32.32.0(00000)\r\n1-0:52.32.0(00000)\r\n1-0:72.32.0(00000)\r\n1-0:32.36.0(00000)\r\n1-0:52.36.0(00000)\r\n\
    1-0:72.36.0(00000)\r\n0-0:96.13.0()\r\n1-0:32.7.0(0230.0*V)\r\n1-0:52.7.0(0230.0*V)\r\n1-0:72.7.0(0229.0*V)\r\n\
    1-0:31.7.0(0.48*A)\r\n1-0:51.7.0(0.44*A)\r\n1-0:71.7.0(0.86*A)\r\n1-0:21.7.0(00.070*kW)\r\n1-0:41.7.0(00.032*kW)\r\n\
    1-0:61.7.0(00.142*kW)\r\n1-0:22.7.0(00.000*kW)\r\n1-0:42.7.0(00.000*kW)\r\n1-0:62.7.0(00.000*kW)\r\n\
    0-1:24.1.0(003)\r\n0-1:96.1.0(3232323241424344313233343536373839)\r\n0-1:24.2.1(170102161005W)(00000.107*m3)\r\n\
    0-2:24.1.0(003)\r\n0-2:96.1.0()\r\n!6EEE\r\n";

/// A Sagemcom T210-D-r, opened.
const T210: &str = "/EST5\\253710000_A\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(221006155014S)\r\n1-0:1.8.0(006545766*Wh)\r\n\
    1-0:1.8.1(005017120*Wh)\r\n1-0:1.8.2(001528646*Wh)\r\n1-0:1.7.0(000000286*W)\r\n1-0:2.8.0(000000058*Wh)\r\n\
    1-0:2.8.1(000000000*Wh)\r\n1-0:2.8.2(000000058*Wh)\r\n1-0:2.7.0(000000000*W)\r\n1-0:3.8.0(000000747*varh)\r\n\
    1-0:3.8.1(000000000*varh)\r\n1-0:3.8.2(000000747*varh)\r\n1-0:3.7.0(000000000*var)\r\n1-0:4.8.0(003897726*varh)\r\n\
    1-0:4.8.1(002692848*varh)\r\n1-0:4.8.2(001204878*varh)\r\n1-0:4.7.0(000000166*var)\r\n!7EF9\r\n";

/// A Sagemcom of Flanders, as the reader of one logged it in July 2023.
const FLUVIUS: &str = include_str!("../samples/p1-fluvius.txt");

/// A Sagemcom of E.ON in Sweden, as the reader of one logged it in August 2021.
const SWEDEN: &str = include_str!("../samples/p1-sweden.txt");

/// An EasyMeter Q3D, a German meter that sends the same text by itself, from dsmr_parser's tests as well; the last line is of
/// the gateway that it was read through.
const EASY: &str = "/ESY5Q3DA1004 V3.04\r\n\r\n1-0:0.0.0*255(1336001560)\r\n1-0:1.8.0*255(00032549.5061662*kWh)\r\n\
    1-0:21.7.0*255(000557.29*W)\r\n1-0:41.7.0*255(000521.62*W)\r\n1-0:61.7.0*255(000609.30*W)\r\n\
    1-0:1.7.0*255(001688.21*W)\r\n1-0:96.5.5*255(80)\r\n0-0:96.1.255*255(1ESY1336001560)\r\n!\r\n  25818685\r\n";

const SEALED: &str = include_str!("../samples/p1-sealed.txt");

fn key(name: &str) -> Key {
    Key(samples::named(SEALED, name).try_into().unwrap())
}

fn keys() -> Keys {
    Keys { encryption: Some(key("built-key")), authentication: Some(key("built-authentication")) }
}

fn sealed() -> Vec<u8> {
    samples::named(SEALED, "built")
}

fn open(sealed: &[u8], keys: &Keys) -> Result<Telegram, String> {
    seal::Opener::new(keys.clone()).open(sealed, opened)
}

fn says(telegram: &Telegram, data: &[&str]) {
    let written = samples::written(telegram);
    for datum in data {
        assert!(written.contains(&(*datum).to_owned()), "{datum}: {written:?}");
    }
}

fn heard(listener: &mut Listener, bytes: &[u8]) -> Vec<Heard> {
    samples::hear(listener, bytes, 64)
}

#[test]
fn telegrams_of_all_versions_are_read() {
    let (telegram, checked) = read(V2_2.as_bytes()).unwrap();
    assert!(!checked);
    assert_eq!(telegram.sender, "ISk5\\2MT382-1004");
    says(&telegram, &["1-0:1.8.1[0]=00001.001 kWh", "0-1:24.2.1[0]=161107190000", "0-1:24.2.1[1]=00001.001 m3"]);

    let (telegram, checked) = read(V4_2.as_bytes()).unwrap();
    assert!(checked);
    says(
        &telegram,
        &[
            "1-0:1.7.0[0]=02.027 kW",
            "0-1:24.2.1[0]=161129200000W",
            "0-1:24.2.1[1]=00981.443 m3",
            "1-0:99.97.0[7]=2317482647 s",
        ],
    );
    says(&read(V5.as_bytes()).unwrap().0, &["1-0:32.7.0[0]=0230.0 V", "0-1:24.2.1[1]=00000.107 m3", "0-2:96.1.0[0]="]);
    says(&read(T210.as_bytes()).unwrap().0, &["1-0:1.8.0[0]=006545766 Wh", "1-0:4.7.0[0]=000000166 var"]);
}

#[test]
fn telegrams_of_other_countries_are_read() {
    for (telegram, data) in [
        (
            FLUVIUS,
            &[
                "1-0:1.6.0[0]=230622200000S",
                "1-0:1.6.0[1]=06.235 kW",
                "0-0:98.1.0[8]=06.748 kW",
                "1-0:32.7.0[0]=236.9 V",
            ][..],
        ),
        (SWEDEN, &["1-0:2.8.0[0]=00000533.758 kWh", "1-0:64.7.0[0]=0000.000 kvar", "1-0:31.7.0[0]=000.5 A"]),
        (EASY, &["1-0:1.8.0[0]=00032549.5061662 kWh", "1-0:1.7.0[0]=001688.21 W"]),
    ] {
        let line = telegram.replace("\r\n", "\n").replace('\n', "\r\n");
        let heard = heard(&mut Listener::new(Language::P1, Keys::default()), line.as_bytes());
        let Heard::Telegram(telegram) = &heard[0] else { panic!("{heard:?}") };
        says(telegram, data);
    }
}

#[test]
fn a_line_of_telegrams_is_heard() {
    let line = ["noise!\r\n", V5, "\r\n", V4_2, &V5[..300], T210, "0-1:24.2.1(1*m3)\r\n!6EEE\r\n", V5].concat();
    for piece in [1, 100, 9000] {
        let heard = samples::hear(&mut Listener::new(Language::P1, Keys::default()), line.as_bytes(), piece);
        let found = heard.iter().filter(|heard| matches!(heard, Heard::Telegram(_))).count();
        let bad = heard.iter().filter(|heard| matches!(heard, Heard::Bad { .. })).count();
        assert_eq!((found, bad), (4, 1), "{heard:?}");
    }
}

#[test]
fn no_changed_or_missing_byte_gives_another_value() {
    for at in 0..V5.len() - 2 {
        let mut changed = V5.as_bytes().to_vec();
        changed[at] ^= 1;
        let mut missing = V5.as_bytes().to_vec();
        missing.remove(at);
        for line in [changed, missing] {
            let heard = heard(&mut Listener::new(Language::P1, Keys::default()), &line);
            assert!(heard.iter().all(|heard| !matches!(heard, Heard::Telegram(_))), "{at}: {heard:?}");
        }
    }
}

#[test]
fn a_crc_is_missed_where_one_was_or_must_be() {
    let without = V5.replace("!6EEE", "!");
    assert!(read(without.as_bytes()).unwrap_err().contains("CRC is missing"));
    let mut listener = Listener::new(Language::P1, Keys::default());
    assert!(matches!(&heard(&mut listener, V2_2.as_bytes())[..], [Heard::Telegram(_)]));
    assert!(matches!(&heard(&mut listener, V5.as_bytes())[..], [Heard::Telegram(_)]));
    assert!(matches!(&heard(&mut listener, V2_2.as_bytes())[..], [Heard::Bad { why, .. }] if why.contains("had one")));
}

#[test]
fn an_encrypted_telegram_is_opened() {
    let sealed = sealed();
    let telegram = open(&sealed, &keys()).unwrap();
    assert_eq!(telegram, read(T210.as_bytes()).unwrap().0);
    // Without the second key the CRC inside proves it.
    let alone = Keys { authentication: None, ..keys() };
    assert_eq!(open(&sealed, &alone).unwrap(), telegram);

    let sealed = samples::named(SEALED, "t210");
    let telegram = open(&sealed, &Keys { encryption: Some(key("t210-key")), authentication: None });
    says(&telegram.unwrap(), &["1-0:1.8.0[0]=007112944 Wh", "1-0:2.8.0[0]=033153972 Wh"]);
}

#[test]
fn a_wrong_key_or_a_changed_byte_opens_nothing() {
    let mut sealed = sealed();
    let wrong = Some(Key::parse("000102030405060708090a0b0c0d0e0f").unwrap());
    for (keys, says) in [
        (Keys { encryption: wrong.clone(), ..keys() }, "not the meter's"),
        (Keys { authentication: wrong.clone(), ..keys() }, "not the meter's"),
        (Keys { encryption: wrong, authentication: None }, "not the meter's"),
        (Keys::default(), "`key` is missing"),
    ] {
        let why = open(&sealed, &keys).unwrap_err();
        assert!(why.contains(says), "{why}");
        assert!(!why.to_lowercase().contains("aa") && !format!("{keys:?}").contains("170"), "{why}");
    }
    sealed[100] ^= 1;
    assert!(open(&sealed, &keys()).is_err());
    assert!(open(&sealed, &Keys { authentication: None, ..keys() }).is_err());
}

#[test]
fn a_telegram_that_was_sent_before_is_refused() {
    let mut listener = Listener::new(Language::P1, keys());
    assert!(matches!(&heard(&mut listener, &sealed())[..], [Heard::Telegram(_)]));
    assert_eq!(listener.replayed(), 0);
    let again = heard(&mut listener, &sealed());
    assert!(matches!(&again[..], [Heard::Bad { why, .. }] if why.contains("sent before")), "{again:?}");
    assert_eq!(listener.replayed(), 1);
}

#[test]
fn what_is_not_encrypted_is_refused_from_a_meter_that_has_a_key() {
    let mut listener = Listener::new(Language::P1, keys());
    // A length that was made up does not swallow the telegram after it, whether more comes or not.
    let line = [V5.as_bytes(), &sealed()[..40], &sealed()].concat();
    let first = heard(&mut listener, &line);
    assert!(matches!(&first[0], Heard::Bad { why, .. } if why.contains("not encrypted")), "{first:?}");
    assert!(matches!(first.last(), Some(Heard::Telegram(_))), "{first:?}");
    let mut listener = Listener::new(Language::P1, keys());
    assert_eq!(heard(&mut listener, &[b"\xdb\x0812345678\x82\x10\x00".as_slice(), &sealed()].concat()), []);
    assert!(matches!(listener.silence(), Some(Heard::Bad { .. })));
    assert!(matches!(listener.next(), Some(Heard::Telegram(_))));
    assert_eq!(listener.next(), None);
}
