//! MiBeacon against published cases of independent decoders.

use super::decode;
use crate::{
    advert::Advert,
    formats::{
        Key, Message, Trouble, names,
        samples::{key, line, message, service, trouble},
    },
};

/// Captured messages and what they say: the tests of ble_monitor (test/test_xiaomi_parser.py). xiaomi-ble 1.21 reads
/// them the same way. Address, service data, bind key, model, measures.
const CAPTURED: &[(&str, &str, &str, &str, &str)] = &[
    (
        "58:2D:34:35:93:21",
        "5020aa01da219335342d580d1004fe004802",
        "",
        "LYWSDCGQ",
        "temperature 25.4 °C, humidity 58.4 %",
    ),
    (
        "5A:58:2D:34:12:5F",
        "5858480b685f12342d585a0b1841e2aa000e00a4964fb5",
        "814aac74c4f17b6c1581e1ab87816b99",
        "CGG1-ENCRYPTED",
        "humidity 59.6 %",
    ),
    (
        "58:2D:34:12:20:89",
        "58586f0607892012342d585f176dd54f0200002fa453fa",
        "a3bfe9853dd85a620debe3620caaa351",
        "CGDK2",
        "temperature 22.6 °C",
    ),
    (
        "A4:C1:38:B4:94:4C",
        "50305b05034c94b438c1a40d10041001ea01",
        "",
        "LYWSD03MMC",
        "temperature 27.2 °C, humidity 49 %",
    ),
    (
        "A4:C1:38:56:53:84",
        "5858e4162c84535638c1a42b6ef2e91200006c884d9e",
        "a115210eed7a88e50ad52662e732a9fb",
        "LYWSD02MMC",
        "humidity 58 %",
    ),
    (
        "A4:C1:38:02:83:F4",
        "58585b0550f4830238c1a495ef58763c26000097e2abb5",
        "e9ea895fac7cca6d30532432a516f3a8",
        "LYWSD03MMC",
        "humidity 46.7 %",
    ),
    (
        "2C:11:65:25:70:04",
        "48590312a41b776e7c96add7000000f2bf545b",
        "b2cf9a553d53571b5657defd582d676e",
        "XMWSDJ04MMC",
        "humidity 45 %",
    ),
    ("E2:53:30:E6:D3:54", "5030e1048e54d3e63053e2011003010000", "", "XMMF01JQD", "cube rotateLeft"),
    (
        "54:EF:44:E3:9C:BC",
        "5859970966bc9ce344ef5401081205000000715ebe90",
        "5b51a7c91cde6707c9ef18dfda143a58",
        "JTYJGD03MI",
        "smoke true",
    ),
    (
        "54:EF:44:E3:9C:BC",
        "5859970964bc9ce344ef5422206088fd000000003a148fb3",
        "5b51a7c91cde6707c9ef18dfda143a58",
        "JTYJGD03MI",
        "button press",
    ),
    ("C4:7C:8D:6B:4F:F3", "7120980012f34f6b8d7cc40d041002c400", "", "HHCCJCY01", "temperature 19.6 °C"),
    ("C4:7C:8D:6D:59:3E", "7120bc03cd3e596d8d7cc40d0410023c01", "", "GCLS002", "temperature 31.6 °C"),
    (
        "54:EF:44:E0:27:BC",
        "5859630808bc27e044ef54f58fe704000000fc69d15c",
        "255e6cabb39b2eddd0de992b9fee2bf2",
        "SJWS01LM",
        "wet true",
    ),
    (
        "A4:C1:38:B9:4C:67",
        "58590f3f4a674cb938c1a4d6e57b83040000d01e0b4b",
        "33ede53321bc73c790a8daae4581f3d5",
        "RS1BB(MI)",
        "wet false",
    ),
    (
        "A4:C1:38:0F:D6:9B",
        "48594c3f21f4957fb405c9cf040000d8252537",
        "9b4441bc2505db3c3484bae6b7631b34",
        "PS1BB",
        "duration 7800 s",
    ),
    (
        "A4:C1:38:80:15:07",
        "5859b5553407158038c1a4bcc732980e000066960f10",
        "4d8f1373fb4d3bab557d0ebd1c78f8c4",
        "MJWSD06MMC",
        "humidity 39 %",
    ),
    ("DE:70:E8:B2:39:0C", "4030dd032403000101", "", "MUE4094RT", "motion true"),
    ("D0:24:18:53:AB:DB", "702291030fdbab531824d0090a0002750d", "", "MMC-W505", "temperature 34.45 °C"),
    ("E6:71:43:17:5B:11", "7130890437115b174371e6091000020003", "", "M1S-T500", "running true, count 3"),
    (
        "ED:DE:34:3F:48:0C",
        "48580608c9480ef11281079733fc1400005644db41",
        "1330b99cded13258acc391627e9771f7",
        "T700",
        "running false, score 83",
    ),
    (
        "D7:1F:44:EB:8A:91",
        "50449e0642918aeb441fd7060005ffffffff00",
        "",
        "ZNMS16LM",
        "fingerprint matched, keyId 4294967295",
    ),
    (
        "D7:1F:44:EB:8A:91",
        "50449e0643918aeb441fd70b000920020001807c442f61",
        "",
        "ZNMS16LM",
        "unlocked true, lockEvent unlockedOutside, lockMethod biometrics, keyId 2147549186, problem false",
    ),
    (
        "98:0C:33:A3:04:3D",
        "4855c211144e28703276fccd3d00000080e72280",
        "54d84797cb77f9538b224b305c877d1e",
        "Lockin-SV40",
        "door false, doorEvent closed",
    ),
    (
        "98:0C:33:A3:04:3D",
        "4855c211165068b6fe3c878095c8a5834f000000463221c6",
        "54d84797cb77f9538b224b305c877d1e",
        "Lockin-SV40",
        "unlocked true, lockEvent unlockedInside, lockMethod automatic, keyId 0, problem false",
    ),
    ("F8:24:41:E9:50:74", "503053013f7450e94124f8011003000000", "", "YLYK01YL", "button press"),
    (
        "F8:24:41:C5:98:8B",
        "5830b603d28b98c54124f8c3491476757e00000099",
        "b853075158487ca39a5b5ea9",
        "YLKG07YL/YLKG08YL",
        "dimmer press, presses 1",
    ),
    (
        "F8:24:41:C5:98:8B",
        "5830b603368b98c54124f88bb8f2661351000000d6",
        "b853075158487ca39a5b5ea9",
        "YLKG07YL/YLKG08YL",
        "dimmer rotateLeft, dimmerSteps 1",
    ),
    (
        "A4:C1:38:66:E5:67",
        "585989189a67e56638c1a49dd97af3260000c8a60bd5",
        "0fdcc30fe9289254876b5ef7c11ef1f0",
        "MS1BB(MI)",
        "opening true",
    ),
    (
        "A4:C1:38:66:E5:67",
        "585989187667e56638c1a4aa8902ba26000023c3bca8",
        "0fdcc30fe9289254876b5ef7c11ef1f0",
        "MS1BB(MI)",
        "opening true",
    ),
    (
        "EE:89:73:44:BE:98",
        "4855390e35bf9fd9a08beff236ec5bd8315300008e550b6e",
        "2c3795afa33019a8afdc17ba99e6f217",
        "XMZNMS08LM",
        "unlocked true, lockEvent unlockedOutside, lockMethod biometrics, keyId 2147549186, problem false",
    ),
    (
        "EE:89:73:44:BE:98",
        "4855390e339c71c0241fffee8053000002b4c539",
        "2c3795afa33019a8afdc17ba99e6f217",
        "XMZNMS08LM",
        "door false, doorEvent closed",
    ),
    (
        "A4:C1:38:05:8E:E9",
        "5859eb2a9ee98e0538c1a4d07ad3e338000033635d10",
        "7475a4a77584401780ffc3ee62dd353c",
        "HS1BB(MI)",
        "batteryLevel 100 %",
    ),
    (
        "A4:C1:38:05:8E:E9",
        "5859eb2ac1e98e0538c1a40759530f8d380000b77a70f8",
        "7475a4a77584401780ffc3ee62dd353c",
        "HS1BB(MI)",
        "motion false, idleTime 60 s",
    ),
    (
        "A4:C1:38:05:8E:E9",
        "4859eb2ac2fce02ca0b43af2380000a2d9f05f",
        "7475a4a77584401780ffc3ee62dd353c",
        "HS1BB(MI)",
        "illuminance 228 lx, motion true",
    ),
    (
        "A4:C1:38:C7:C3:76",
        "4859fb50d986d27e8f5313e900000030ad6da8",
        "b26295a7a08fbac306c8706ade7f0fe4",
        "ES3",
        "illuminance 173 lx",
    ),
    (
        "A4:C1:38:C7:C3:76",
        "5859fb50da76c3c738c1a4aabc4c16000000c60c1646",
        "b26295a7a08fbac306c8706ade7f0fe4",
        "ES3",
        "occupancy true",
    ),
    (
        "18:C2:3C:2A:69:0D",
        "58598723ff0d692a3cc21876d7a70800006024e757",
        "c533a5ab361b0a24de4d21d1d9a3d8a1",
        "XMWXKG01LM",
        "button press",
    ),
    (
        "18:C2:3C:2A:69:0D",
        "58598723010d692a3cc218f397dd09000079826b9d",
        "c533a5ab361b0a24de4d21d1d9a3d8a1",
        "XMWXKG01LM",
        "button doublePress",
    ),
    (
        "18:C2:3C:2A:69:0D",
        "58598723030d692a3cc218258824090000a360b8a1",
        "c533a5ab361b0a24de4d21d1d9a3d8a1",
        "XMWXKG01LM",
        "button longPress",
    ),
    (
        "A4:C1:38:A5:B9:AD",
        "5859bb3804adb9a538c1a4dc10b50400002c122fb6",
        "a74510b40386d35ae6227a7451efc76e",
        "PTX_YK1_QMIMB",
        "button press",
    ),
    (
        "DC:8E:95:2D:EA:43",
        "485931350b64799117331ef4020000c5d2f6ac",
        "685d647dc5e7bc9bcfcf5a1357bd2114",
        "XMPIRO2SXS",
        "illuminance 51 lx, motion true",
    ),
];

fn said(advert: &Advert, hex: &str) -> Message {
    let key = (!hex.is_empty()).then(|| key(hex));
    message(decode(advert, key.as_ref()))
}

#[test]
fn captured_messages() {
    for (mac, data, hex, model, expected) in CAPTURED {
        let message = said(&service(mac, 0xfe95, data), hex);
        assert_eq!((message.model.as_deref(), line(&message).as_str()), (Some(*model), *expected), "{data}");
        assert_eq!((message.encrypted, message.counter.is_some()), (hex.len() == 32, hex.len() == 32), "{data}");
        assert_eq!(message.remark.is_some(), hex.len() == 24, "{data}: {:?}", message.remark);
        for measure in &message.measures {
            assert_eq!(names::find(measure.name).map(|name| name.unit), Some(measure.unit), "{data}");
        }
    }
}

#[test]
fn the_counter_is_made_of_both_its_parts() {
    let (mac, data, hex, ..) = CAPTURED[5];
    let message = said(&service(mac, 0xfe95, data), hex);
    assert_eq!((message.packet, message.counter), (Some(0x50), Some(0x2650)));
}

#[test]
fn keys_wrong_missing_and_too_many() {
    for (mac, data, hex, ..) in CAPTURED {
        let advert = service(mac, 0xfe95, data);
        if hex.is_empty() {
            assert_eq!(trouble(decode(&advert, Some(&Key([7; 16])))), Trouble::NotEncrypted, "{data}");
        } else {
            assert_eq!(trouble(decode(&advert, None)), Trouble::KeyNeeded, "{data}");
            assert_eq!(trouble(decode(&advert, Some(&Key([7; 16])))), Trouble::WrongKey, "{data}");
        }
    }
    // The old encryption has no check, and yet: a wrong key of xiaomi-ble's tests (test_bindkey_wrong_legacy), and many.
    let advert = service("F8:24:41:C5:98:8B", 0xfe95, "5830b603d28b98c54124f8c3491476757e00000099");
    assert_eq!(trouble(decode(&advert, Some(&key("b853075158487aa39a5b5ea9")))), Trouble::WrongKey);
    for seed in 0..10_000_u32 {
        let mut other = [0; 16];
        other[..4].copy_from_slice(&seed.to_le_bytes());
        assert_eq!(trouble(decode(&advert, Some(&Key(other)))), Trouble::WrongKey);
    }
}

#[test]
fn cut_off_at_every_length() {
    for (mac, data, hex, ..) in CAPTURED {
        let key = (!hex.is_empty()).then(|| key(hex));
        let advert = service(mac, 0xfe95, data);
        let whole = line(&message(decode(&advert, key.as_ref())));
        for length in 0..data.len() / 2 {
            let mut cut = advert.clone();
            cut.service_data[0].1.truncate(length);
            match decode(&cut, key.as_ref()).unwrap() {
                Ok(message) => assert!(whole.starts_with(&line(&message)) && hex.is_empty(), "{data} at {length}"),
                Err(Trouble::Malformed(_) | Trouble::WrongKey | Trouble::NotEncrypted) => {}
                Err(trouble) => panic!("{data} at {length}: {trouble}"),
            }
        }
    }
}

/// Signs of life without objects (xiaomi-ble, test_blank_advertisements_then_encrypted): clear in encrypted devices too.
#[test]
fn signs_of_life_need_no_key() {
    let advert = service("A4:C1:38:D4:3C:48", 0xfe95, "30585b0502483cd438c1a408");
    for key in [None, Some(&Key([7; 16]))] {
        let message = message(decode(&advert, key));
        assert_eq!((message.measures.len(), message.model.as_deref()), (0, Some("LYWSD03MMC")));
    }
}

/// Objects that no capture above has, clear and from a model that sends them, as xiaomi-ble 1.21 reads them.
#[test]
fn other_objects() {
    for (product, object, expected) in [
        (0x0098, "0710030a0000", "illuminance 10 lx"),
        (0x0098, "0810011f", "moisture 31 %"),
        (0x0098, "0910020101", "conductivity 257 µS/cm"),
        (0x0098, "0a100164", "batteryLevel 100 %"),
        (0x02df, "101002c400", "formaldehyde 1.96 mg/m³"),
        (0x07f6, "071003640000", "light true"),
        (0x07f6, "0f0003640000", "motion true, light true"),
        (0x0a83, "0f0003640000", "motion true, illuminance 100 lx"),
        (0x040a, "121001 01 131001 32", "powerOn true, consumable 50 %"),
        (0x0113, "0510020158", "powerOn true, temperature 88 °C"),
        (0x0997, "15100102", "problem true"),
        (0x07f6, "171004 1e000000", "motion true, idleTime 30 s"),
        (0x03d6, "19100102", "opening true, leftOpen true"),
        (0x03d6, "19100101", "opening false, leftOpen false"),
        (0x098b, "18100101", "light true"),
        (0x07f6, "1b100478000000", "motion false"),
        (0x0380, "0e100104", "unlocked true, antiLock false, childLock false"),
        (0x0380, "08000100", "armed true"),
        (
            0x069e,
            "0b0009 20 0300dec0 7c442f61",
            "lockEvent unlockedOutside, lockMethod biometrics, keyId 3235774467, problem true",
        ),
        (0x1569, "011003 020002", "button doublePress, button[2] doublePress"),
        (0x0dfd, "011003 050001", "button longPress, button[3] longPress"),
        (0x0153, "011003 040002", "button[5] longPress"),
        (0x03b6, "011003 00fd04", "dimmer rotateLeft, dimmerSteps 3"),
        (0x03b6, "011003 020004", "dimmer rotateRightPressed, dimmerSteps 2"),
        (0x5968, "0c4a0101", "button[2] press"),
        (0x1949, "0d4e0103", "button doublePress, button[2] doublePress"),
        (0x3a61, "0e560104", "button[4] longPress"),
        (0x1c10, "0c4e010f", "button doublePress"),
        (0x2387, "0c4e00", "button press"),
        (0x1203, "014c04 cdcccc41 024c0132 034c0164", "temperature 25.6 °C, humidity 50 %, batteryLevel 100 %"),
        (0x6375, "06480101 7b480100", "wet true, wet[2] false"),
        (0x6375, "684a0103", "wet[2] false"),
        (0x4683, "4e480102 514801 05", "occupancy false, duration 300 s"),
        (0x1889, "0f4a0101 1a4a0101", "tamper true, opening true, leftOpen true"),
        (0x30d9, "166e09 01 e61a554b 00000000", "mass 74.2 kg, heartRate 85 1/min, impedance 482.1 Ω, profile 1"),
    ] {
        let data = format!("4050{:04x}01{object}", u16::swap_bytes(product));
        let message = said(&service("A4:C1:38:D4:3C:48", 0xfe95, &data), "");
        assert_eq!((line(&message).as_str(), message.remark), (expected, None), "{data}");
    }
}

#[test]
fn what_is_not_understood_is_said() {
    let mac = "A4:C1:38:D4:3C:48";
    for (data, remark) in [
        // An object that nobody knows between two that are known.
        ("40505b0501 0410 02 1001 7777 01 00 0a10 01 64", "0x7777 of 1 bytes"),
        // A temperature of three bytes is none.
        ("40505b0501 0410 02 1001 0410 03 100100 0a10 01 64", "0x1004 of 3 bytes"),
    ] {
        let message = message(decode(&service(mac, 0xfe95, data), None));
        assert_eq!(line(&message), "temperature 27.2 °C, batteryLevel 100 %");
        assert!(message.remark.as_ref().unwrap().contains(remark), "{:?}", message.remark);
    }
    // A model that is not known: what is common to all is read, a maker's own is not.
    let message = message(decode(&service(mac, 0xfe95, "4050efbe01 0410 02 1001 014c 04 cdcccc41"), None));
    assert_eq!((line(&message).as_str(), message.model), ("temperature 27.2 °C", None));
    for data in [
        "",
        "40505b05",
        "40105b0501 0410021001",
        "40605b0501 0410021001",
        "c0505b0501 0410021001",
        // Another's address.
        "50505b0501 493cd438c1a4 0410021001",
        "50505b0501 483cd4",
        "60505b0501",
        "60505b0501 20",
        "40505b0501 7777 01 00",
        "40505b0501 0410 05 10",
    ] {
        let trouble = trouble(decode(&service(mac, 0xfe95, data), None));
        assert!(matches!(trouble, Trouble::Malformed(_)), "{data}: {trouble}");
    }
    assert_eq!(decode(&service(mac, 0xfcd2, "40505b05010410021001"), None), None);
}
