//! What the tests of all formats share: advertisements from hexadecimal digits, and what they say in a line.

use mapper_api::Value;

use super::{Heard, Key, Message, Trouble};
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
    heard.expect("it is of this format").expect("it is understood")
}

/// What is wrong with it, as something must be.
pub fn trouble(heard: Heard) -> Trouble {
    heard.expect("it is of this format").expect_err("it is not understood")
}

/// The measures as `temperature 25.06 °C, humidity[2] 50 %`.
pub fn line(message: &Message) -> String {
    let measures = message.measures.iter().map(|measure| {
        let index = if measure.index == 1 { String::new() } else { format!("[{}]", measure.index) };
        let value = match &measure.value {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Uint(value) => value.to_string(),
            Value::Float32(value) => value.to_string(),
            Value::Float64(value) => value.to_string(),
            Value::Text(value) => value.clone(),
            Value::Bytes(value) => format!("{value:02x?}"),
        };
        format!("{}{index} {value} {}", measure.name, measure.unit).trim_end().to_owned()
    });
    measures.collect::<Vec<_>>().join(", ")
}
