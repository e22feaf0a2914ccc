use std::time::Duration;

use super::{Readout, Step};
use crate::{
    config::Language,
    language::{Heard, Keys, Listener, Telegram, samples},
};

/// A Landis+Gyr E350 as the owner of one saw it (widmedia/wmeter on GitHub, `main.py`), check included.
const E350: &str = "/LGZ4ZMF100AC.M26\r\n\x02F.F(00)\r\n0.0(          120858)\r\nC.1.0(13647123)\r\nC.1.1(        )\r\n\
    1.8.1(042951.721*kWh)\r\n1.8.2(018609.568*kWh)\r\n2.8.1(000000.302*kWh)\r\n2.8.2(000010.188*kWh)\r\n\
    1.8.0(061561.289*kWh)\r\n2.8.0(000010.490*kWh)\r\n15.8.0(061571.780*kWh)\r\nC.7.0(0008)\r\n32.7(241*V)\r\n\
    52.7(243*V)\r\n72.7(242*V)\r\n31.7(000.35*A)\r\n51.7(000.52*A)\r\n71.7(000.47*A)\r\n82.8.1(0000)\r\n82.8.2(0000)\r\n\
    0.2.0(M26)\r\nC.5.0(0401)\r\n!\r\n\x03\x01";

fn e350() -> (&'static [u8], &'static [u8]) {
    let (head, data) = E350.split_at(E350.find('\x02').unwrap());
    (head.as_bytes(), data.as_bytes())
}

/// All that is to be done until the meter is listened to, or the readout is over.
fn steps(readout: &mut Readout) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        steps.push(readout.step());
        if matches!(steps.last(), Some(Step::Listen(_) | Step::Done(_) | Step::Silent(_) | Step::Failed(_))) {
            return steps;
        }
    }
}

fn telegram(steps: &[Step]) -> &Telegram {
    match steps.last() {
        Some(Step::Done(telegram)) => telegram,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_meter_of_mode_c_is_read() {
    let (head, data) = e350();
    let mut readout = Readout::new("", 300).unwrap();
    let listen = Step::Listen(Duration::from_secs(2));
    assert_eq!(steps(&mut readout), [Step::Baud(300), Step::Send(b"/?!\r\n".to_vec()), listen.clone()]);
    readout.hear(&head[..7]);
    assert_eq!(steps(&mut readout), std::slice::from_ref(&listen));
    readout.hear(&head[7..]);
    let acknowledged = [
        Step::Pause(Duration::from_millis(220)),
        Step::Send(b"\x06040\r\n".to_vec()),
        Step::Baud(4800),
        listen.clone(),
    ];
    assert_eq!(steps(&mut readout), acknowledged);
    for byte in data {
        readout.hear(&[*byte]);
    }
    let steps = steps(&mut readout);
    let telegram = telegram(&steps);
    assert_eq!(telegram.sender, "LGZ4ZMF100AC.M26");
    let data = samples::written(telegram);
    for datum in ["F.F[0]=00", "1.8.0[0]=061561.289 kWh", "32.7[0]=241 V", "C.1.1[0]=", "0.0[0]=120858"] {
        assert!(data.contains(&datum.to_owned()), "{datum} {data:?}");
    }
    assert!(matches!(readout.step(), Step::Silent(_)));
}

#[test]
fn a_check_that_is_a_mark_of_the_data_does_no_harm() {
    for (said, instead, check) in
        [("951.721", "951.722", '\x02'), ("951.721", "951.723", '\x03'), ("(M26)", "(m26)", '!')]
    {
        let line = E350.replacen(said, instead, 1).replace("\x03\x01", &format!("\x03{check}"));
        let mut readout = Readout::new("", 300).unwrap();
        readout.hear(line.as_bytes());
        let steps = steps(&mut readout);
        assert_eq!(telegram(&steps).data.len(), 22, "{check:?}");
        let heard = samples::hear(&mut Listener::new(Language::Iec62056, Keys::default()), line.as_bytes(), 50);
        assert!(matches!(&heard[..], [Heard::Telegram(telegram)] if telegram.data.len() == 22), "{check:?}: {heard:?}");
    }
}

#[test]
fn the_letter_after_the_maker_says_the_rate() {
    for (head, expected) in [
        (
            "/ABC5x\r\n",
            vec![Step::Pause(Duration::from_millis(220)), Step::Send(b"\x06050\r\n".to_vec()), Step::Baud(9600)],
        ),
        (
            "/ABc0x\r\n",
            vec![Step::Pause(Duration::from_millis(25)), Step::Send(b"\x06000\r\n".to_vec()), Step::Baud(300)],
        ),
        (
            "/ABC6\\2x\r\n",
            vec![Step::Pause(Duration::from_millis(220)), Step::Send(b"\x06060\r\n".to_vec()), Step::Baud(19_200)],
        ),
        ("/ABCEx\r\n", vec![Step::Baud(9600)]),
        ("/KAM x\r\n", vec![]),
    ] {
        let mut readout = Readout::new("1234", 300).unwrap();
        steps(&mut readout);
        // The line may hear the request again.
        readout.hear(b"/?1234!\r\n");
        readout.hear(head.as_bytes());
        let steps = steps(&mut readout);
        assert_eq!(steps[..steps.len() - 1], expected, "{head}");
    }
    assert!(Readout::new("12!34", 300).unwrap_err().contains("12!34"));
    assert!(Readout::new(&"1".repeat(33), 300).is_err());
}

#[test]
fn data_with_a_wrong_check_is_asked_for_once_more() {
    let (head, data) = e350();
    let mut changed = data.to_vec();
    changed[20] ^= 1;
    let mut readout = Readout::new("", 300).unwrap();
    steps(&mut readout);
    readout.hear(head);
    steps(&mut readout);
    readout.hear(&changed);
    assert!(matches!(&steps(&mut readout)[..], [Step::Pause(_), Step::Send(nak), Step::Listen(_)] if nak == b"\x15"));
    readout.hear(data);
    assert_eq!(telegram(&steps(&mut readout)).data.len(), 22);

    let mut readout = Readout::new("", 300).unwrap();
    readout.hear(head);
    readout.hear(&changed);
    readout.hear(&changed);
    assert!(matches!(steps(&mut readout).last(), Some(Step::Failed(why)) if why.contains("check is 01")));
}

#[test]
fn silence_is_told_apart_by_where_it_came() {
    let (head, data) = e350();
    for (heard, says) in [
        (&b""[..], "no answer"),
        (b"/LGZ", "breaks off"),
        (head, "no data at 4800 baud"),
        (&[head, &data[..40]].concat(), "breaks off at 4800 baud"),
    ] {
        let mut readout = Readout::new("", 300).unwrap();
        readout.hear(heard);
        readout.silence();
        assert!(matches!(steps(&mut readout).last(), Some(Step::Silent(why)) if why.contains(says)), "{says}");
    }
}

/// Of mode A: no change of the rate, and data without STX and check. From bipsendk/kamstrup-382Lx7's description of a meter,
/// with an end.
#[test]
fn a_meter_of_mode_a_is_read() {
    let mut readout = Readout::new("", 300).unwrap();
    readout.hear(b"/KAM 68438BC450000\r\n0.0.0(14410000)\r\n1.8.0(0036886*kWh)\r\n96.8.0(0119899*h)\r\n!\r\n");
    let steps = steps(&mut readout);
    assert_eq!(samples::written(telegram(&steps)), ["0.0.0[0]=14410000", "1.8.0[0]=0036886 kWh", "C.8.0[0]=0119899 h"]);
}

#[test]
fn a_meter_that_talks_without_end_is_given_up() {
    let mut readout = Readout::new("", 300).unwrap();
    readout.hear(b"/ABC5x\r\n\x02");
    for _ in 0..200 {
        readout.hear(&[b'x'; 100]);
    }
    assert!(matches!(steps(&mut readout).last(), Some(Step::Failed(_))));
    let mut readout = Readout::new("", 300).unwrap();
    readout.hear(&vec![b'x'; 20_000]);
    assert!(matches!(steps(&mut readout).last(), Some(Step::Failed(_))));
}

#[test]
fn a_line_that_is_listened_to_gives_the_same() {
    let mut listener = Listener::new(Language::Iec62056, Keys::default());
    let line = ["/?!\r\n", &E350[..60], "\r\n", E350, "/?!\r\n", E350].concat();
    for piece in [1, 50, 5000] {
        let heard = samples::hear(&mut listener, line.as_bytes(), piece);
        let found =
            heard.iter().filter(|heard| matches!(heard, Heard::Telegram(telegram) if telegram.data.len() == 22));
        assert_eq!(found.count(), 2, "{heard:?}");
    }
}
