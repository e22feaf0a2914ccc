//! What the tests of all formats share: advertisements from hexadecimal digits, and what they say in a line.

use super::{Heard, Key, Measure, Message, Trouble};
use crate::advert::{Advert, short};

/// Bytes from digits, spaces left out.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    assert_eq!(digits.len() % 2, 0, "{hex}");
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

/// An advertisement with this data of this service.
pub fn service(mac: &str, service: u16, data: &str) -> Advert {
    Advert { service_data: vec![(short(service), bytes(data))], ..Advert::new(mac.parse().unwrap()) }
}

/// The key that these digits write.
pub fn key(hex: &str) -> Key {
    Key::from_hex(hex).unwrap()
}

/// The message that there must be.
pub fn message(heard: Heard) -> Message {
    let message = heard.expect("it is of this format").expect("it is understood");
    held_to_the_table(&message);
    message
}

/// Each measure has a name that the format is known to give.
pub fn held_to_the_table(message: &Message) {
    for measure in &message.measures {
        assert!(super::gives::gives(message.format, measure.name), "{:?} gives {}", message.format, measure.name);
    }
}

/// What is wrong with it, as something must be.
pub fn trouble(heard: Heard) -> Trouble {
    heard.expect("it is of this format").expect_err("it is not understood")
}

/// What it says, as `temperature 25.06 °C, humidity[2] 50 %`.
pub fn line(message: &Message) -> String {
    measures(&message.measures)
}

/// The same of measures alone.
pub fn measures(measures: &[Measure]) -> String {
    let told = measures.iter().map(|measure| {
        let index = if measure.index == 1 { String::new() } else { format!("[{}]", measure.index) };
        format!("{}{index} {} {}", measure.name, measure.value, measure.unit).trim_end().to_owned()
    });
    told.collect::<Vec<_>>().join(", ")
}
