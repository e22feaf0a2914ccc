//! What the tests of the formats without keys share: records of a nameless sender, what was heard on one line, and two
//! properties that every format has.

use proptest::prelude::*;

pub(crate) use super::samples::bytes;
use super::{
    DECODERS, Format, Heard, decode,
    samples::{held_to_the_table, line},
};
use crate::advert::{Advert, Mac, short};

/// An advertisement with manufacturer data of this company.
pub(crate) fn manufacturer(company: u16, hex: &str) -> Advert {
    Advert { manufacturer: vec![(company, bytes(hex))], ..Advert::new(Mac([0xcb, 0xb8, 0x33, 0x4c, 0x88, 0x4f])) }
}

/// An advertisement with service data of this service.
pub(crate) fn service(id: u16, hex: &str) -> Advert {
    Advert { service_data: vec![(short(id), bytes(hex))], ..Advert::new(Mac([0xcb, 0xb8, 0x33, 0x4c, 0x88, 0x4f])) }
}

/// What was heard, on one line.
pub(crate) fn told(heard: Heard) -> String {
    match heard {
        None => "nothing".to_owned(),
        Some(Err(trouble)) => format!("trouble: {trouble}"),
        Some(Ok(message)) => {
            held_to_the_table(&message);
            line(&message)
        }
    }
}

/// At every length below its own, a record says nothing, is refused, or says no other than the whole: a value of the
/// same name and place in the same model is the same value.
pub(crate) fn truncation_invents_nothing(whole: &Advert) {
    let all = decode(whole, None);
    let shorter = |cut: &dyn Fn(&mut Advert)| {
        let mut advert = whole.clone();
        cut(&mut advert);
        for (format, result) in decode(&advert, None) {
            let Ok(message) = result else { continue };
            let original = all.iter().find_map(|(f, r)| r.as_ref().ok().filter(|_| *f == format));
            let original = original.filter(|original| original.model == message.model);
            let Some(original) = original else { continue };
            // A URL has no length of its own: any beginning of one is one.
            for measure in message.measures.into_iter().filter(|measure| measure.name != "url") {
                assert!(original.measures.contains(&measure), "{format:?} {measure:?} of {advert:?}");
            }
        }
    };
    for record in 0..whole.manufacturer.len() {
        (0..whole.manufacturer[record].1.len()).for_each(|n| shorter(&|a| a.manufacturer[record].1.truncate(n)));
    }
    for record in 0..whole.service_data.len() {
        (0..whole.service_data[record].1.len()).for_each(|n| shorter(&|a| a.service_data[record].1.truncate(n)));
    }
}

#[test]
fn every_decoder_stands_in_the_table_once() {
    let formats: Vec<Format> = DECODERS.iter().map(|(format, _)| *format).collect();
    for (i, format) in formats.iter().enumerate() {
        assert!(!formats[..i].contains(format), "{format:?} stands twice");
    }
    assert_eq!(formats.len(), 10, "one for each format");
}

proptest! {
    /// Any bytes under the identifiers that a format listens to: no panic, and every number is one.
    #[test]
    fn no_input_panics_or_gives_what_is_no_number(
        company in prop_oneof![Just(0x0499_u16), Just(0x004c), Just(0xec88), Just(0x0001), Just(0x0969), any::<u16>()],
        name in prop_oneof![Just(None), Just(Some("GVH5075_1")), Just(Some("GVH5106_1")), Just(Some("GV5140_1"))],
        id in prop_oneof![Just(0xfeaa_u16), Just(0xfd3d), Just(0x180f), Just(0x1809), Just(0x2a6e), any::<u16>()],
        start in prop_oneof![
            Just(vec![]), Just(vec![3]), Just(vec![5]), Just(vec![6]), Just(vec![0xe1]), Just(vec![0x02, 0x15]),
            Just(vec![0xbe, 0xac]), Just(vec![0x10]), Just(vec![0x20, 0]), Just(vec![0x54]), Just(vec![0x35])
        ],
        rest in prop::collection::vec(any::<u8>(), 0..48),
    ) {
        let record = [start, rest].concat();
        let advert = Advert {
            manufacturer: vec![(company, record.clone())],
            service_data: vec![(short(id), record)],
            name: name.map(str::to_owned),
            ..Advert::new(Mac([1, 2, 3, 4, 5, 6]))
        };
        for (_, result) in decode(&advert, None) {
            for measure in result.map(|message| message.measures).unwrap_or_default() {
                prop_assert!(measure.value.as_f64().is_none_or(f64::is_finite), "{measure:?}");
            }
        }
        truncation_invents_nothing(&advert);
    }
}
