use crate::{
    config::Language,
    language::{Heard, Keys, Listener, samples},
};

const FILES: &str = include_str!("../samples/sml.txt");

fn listener() -> Listener {
    Listener::new(Language::Sml, Keys::default())
}

fn read(name: &str) -> (String, Vec<String>) {
    let telegram = super::read(&samples::named(FILES, name)).unwrap();
    (telegram.sender.clone(), samples::written(&telegram))
}

#[test]
fn meters_say_their_counts_and_power() {
    let (sender, data) = read("dzg-dvs");
    assert_eq!(sender, "1 DZG00 42123440");
    for datum in [
        "1-0:96.50.1*1[0]=DZG",
        "1-0:96.1.0[0]=1 DZG00 42123440",
        "1-0:1.8.0[0]=13391000 Wh",
        "1-0:1.8.0[1]=1835268",
        "1-0:2.8.0[0]=0 Wh",
    ] {
        assert!(data.contains(&datum.to_owned()), "{datum} {data:?}");
    }
    // The number of this one is none by DIN 43863-5.
    let (sender, data) = read("iskra-issue-28");
    assert_eq!(sender, "080535342d510177");
    assert!(data.contains(&"129-129:199.130.3[0]=ISK".to_owned()), "{data:?}");
    assert!(data.contains(&"1-0:16.7.0[0]=130 W".to_owned()), "{data:?}");
}

#[test]
fn a_crc_of_holley_is_taken() {
    let (_, data) = read("holley-dtz541-kermit");
    for datum in ["1-0:16.7.0[0]=188 W", "1-0:32.7.0[0]=236.0 V", "1-0:31.7.0[0]=0.69 A", "1-0:1.8.0[0]=10793898.7 Wh"]
    {
        assert!(data.contains(&datum.to_owned()), "{data:?}");
    }
}

/// 356.24 W come as -299.12 W from a meter with the defect; a meter without it that feeds in says so.
#[test]
fn power_without_its_sign_is_put_right_where_the_meter_is_known_for_it() {
    for (name, power) in [
        ("dzg-dvs7412", "1-0:16.7.0[0]=356.24 W"),
        ("dzg-dvs7420", "1-0:16.7.0[0]=-105.50 W"),
        ("dzg-dwsb20", "1-0:16.7.0[0]=-310.64 W"),
    ] {
        let (_, data) = read(name);
        assert!(data.contains(&power.to_owned()), "{data:?}");
    }
}

#[test]
fn all_files_are_found_in_noise_and_in_any_pieces() {
    let files = samples::all(FILES);
    for piece in [1, 7, 64, 4096] {
        let mut line = b"\x1b\x1b noise \x1b\x1b\x1b\x1b\x1a".to_vec();
        for file in &files {
            line.extend(file);
            line.extend(b"\x00\x1b\x1b\x1b");
        }
        let heard = samples::hear(&mut listener(), &line, piece);
        let found = heard.iter().filter(|heard| matches!(heard, Heard::Telegram(_))).count();
        assert_eq!(found, files.len(), "{heard:?}");
        assert!(heard.iter().all(|heard| !matches!(heard, Heard::Bad { .. })), "{heard:?}");
    }
}

#[test]
fn a_file_that_breaks_off_does_not_take_the_next_one_along() {
    let file = samples::named(FILES, "dzg-dvs");
    let line = [&file[..100], &file[..]].concat();
    let heard = samples::hear(&mut listener(), &line, 13);
    assert!(matches!(&heard[..], [Heard::Bad { .. }, Heard::Telegram(_)]), "{heard:?}");
}

#[test]
fn no_changed_byte_gives_another_value() {
    let file = samples::named(FILES, "dzg-dvs");
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 0x10;
        let heard = samples::hear(&mut listener(), &changed, 4096);
        assert!(heard.iter().all(|heard| !matches!(heard, Heard::Telegram(_))), "{at}");
    }
}

#[test]
fn an_escape_in_the_content_is_undone() {
    assert_eq!(
        super::unescaped(&[1, 0x1b, 0x1b, 0x1b, 0x1b, 0x1b, 0x1b, 0x1b, 0x1b, 2]),
        [1, 0x1b, 0x1b, 0x1b, 0x1b, 2]
    );
    let line = [&super::START[..], &[0x1b; 8], &[7, 0x1b, 0x1b, 0x1b, 0x1b, 0x1a, 0, 1, 2]].concat();
    assert_eq!(super::cut(&line), super::Cut::Whole(line.len()));
}
