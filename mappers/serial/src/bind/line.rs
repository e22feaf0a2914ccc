//! From YAML to a line: where it is, how it is set, and what its devices must agree on. Pure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use mapper_api::BusKey;
use mapper_tty::{Parity, Rs485, Settings, Target, UsbId, host_port};

use crate::{
    config::{self, Endpoint, Usb},
    language,
};

/// A mistake: the key inside the endpoint, and what would be accepted.
pub(crate) type Mistake = (String, String);

/// Where the line is.
///
/// # Errors
/// None or several are given, or one that is none.
pub(crate) fn target(endpoint: &Endpoint) -> Result<Target, Mistake> {
    let Endpoint { path, usb, tcp, rfc2217, .. } = endpoint;
    match (path, usb, tcp, rfc2217) {
        (Some(path), None, None, None) => {
            if path.starts_with('/') {
                Ok(Target::Path(path.clone()))
            } else {
                let message =
                    format!("{path:?} is no absolute path; write a device file such as /dev/serial/by-id/usb-...");
                Err(("path".into(), message))
            }
        }
        (None, Some(usb), None, None) => usb_id(usb).map(Target::Usb),
        (None, None, Some(text), None) => host_port(text, None)
            .map(|(host, port)| Target::Tcp { host, port })
            .map_err(|message| ("tcp".into(), message)),
        (None, None, None, Some(text)) => host_port(text, None)
            .map(|(host, port)| Target::Rfc2217 { host, port })
            .map_err(|message| ("rfc2217".into(), message)),
        (None, None, None, None) => Err((
            String::new(),
            "one of path, usb, tcp or rfc2217 must be given, such as path: /dev/serial/by-id/usb-...".into(),
        )),
        _ => Err((String::new(), "path, usb, tcp and rfc2217 are ways to one line; keep one of them".into())),
    }
}

fn usb_id(usb: &Usb) -> Result<UsbId, Mistake> {
    let number = |key: &str, text: &str| UsbId::number(text).map_err(|message| (format!("usb.{key}"), message));
    Ok(UsbId {
        vendor: Some(number("vendor", &usb.vendor)?),
        product: usb.product.as_deref().map(|text| number("product", text)).transpose()?,
        serial_number: usb.serial_number.clone(),
        interface: usb
            .interface
            .map(|n| u8::try_from(n).ok().filter(|n| *n < 32).ok_or(("usb.interface".into(), "must be 0 to 31".into())))
            .transpose()?,
    })
}

/// How the line is set; the language's own where nothing else is said. Every mistake goes into `mistakes`.
pub(crate) fn settings(endpoint: &Endpoint, mistakes: &mut Vec<Mistake>) -> Settings {
    let (baud, bits, parity) = endpoint.language.map_or((9600, 8, Parity::None), language::line);
    let mut number = |key: &str, given: Option<i64>, usual: u32| match given.map(u32::try_from) {
        None => usual,
        Some(Ok(number)) => number,
        Some(Err(_)) => {
            mistakes.push((key.into(), format!("{} cannot be", given.unwrap_or(0))));
            usual
        }
    };
    let baud = number("baud", endpoint.baud, baud);
    let data_bits = u8::try_from(number("dataBits", endpoint.data_bits, bits.into())).unwrap_or(0);
    let stop_bits = u8::try_from(number("stopBits", endpoint.stop_bits, 1)).unwrap_or(0);
    let settings = Settings {
        baud,
        data_bits,
        parity: endpoint.parity.unwrap_or(parity),
        stop_bits,
        flow: endpoint.flow.unwrap_or_default(),
        rs485: endpoint.rs485.as_ref().map(|rs485| {
            let on_send = rs485.rts_on_send.unwrap_or(true);
            let delay = |given: Option<mapper_values::Duration>| given.map_or(Duration::ZERO, |delay| delay.0);
            Rs485 {
                rts_on_send: on_send,
                rts_after_send: rs485.rts_after_send.unwrap_or(!on_send),
                delay_before: delay(rs485.delay_before),
                delay_after: delay(rs485.delay_after),
            }
        }),
        echo: endpoint.echo.unwrap_or(false),
        dtr: endpoint.dtr,
        rts: endpoint.rts,
    };
    mistakes.extend(settings.mistakes().into_iter().map(|(key, message)| (key.to_owned(), message)));
    settings
}

/// What must not be shared, and what all devices of the line must say alike.
pub(crate) fn bus_key(endpoint: &Endpoint) -> BusKey {
    // A mistake is told by `bind`; the key only has to be something then.
    let resource = target(endpoint).map_or_else(|_| String::new(), |target| target.resource());
    let line = match (&endpoint.tcp, &endpoint.rfc2217) {
        (Some(_), _) if endpoint.echo == Some(true) => "tcp echo".to_owned(),
        (Some(_), _) => "tcp".to_owned(),
        (None, Some(_)) => format!("{} rfc2217", settings(endpoint, &mut Vec::new())),
        (None, None) => settings(endpoint, &mut Vec::new()).to_string(),
    };
    let speech = match (endpoint.language, &endpoint.frame) {
        (Some(language), _) => {
            let keys = [&endpoint.key, &endpoint.authentication_key].into_iter().flatten();
            let files = keys.map(|key| format!(" {}/{}", key.secret_ref.name, key.secret_ref.key));
            format!(" {}{}", name(language), files.collect::<String>())
        }
        (None, Some(frame)) => format!(" frame {:08x}", digest(frame)),
        (None, None) => String::new(),
    };
    let rates = endpoint.start.iter().filter_map(|step| step.baud).map(|baud| format!(", start to baud {baud}"));
    BusKey { resource, settings: format!("{line}{speech}{}", rates.collect::<String>()) }
}

/// The language's name in YAML.
pub(crate) fn name(language: config::Language) -> &'static str {
    match language {
        config::Language::P1 => "p1",
        config::Language::Sml => "sml",
        config::Language::Iec62056 => "iec62056",
        config::Language::Dlms => "dlms",
        config::Language::Nmea => "nmea",
    }
}

/// In short, so that two frames that differ are told apart.
fn digest(frame: &config::Frame) -> u32 {
    let mut hasher = DefaultHasher::new();
    frame.hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{bus_key, settings, target};
    use crate::config::Endpoint;

    fn endpoint(json: Json) -> Endpoint {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_line_is_named_as_every_protocol_names_it() {
        for (json, resource, settings) in [
            (json!({ "path": "/dev/ttyUSB0" }), "serial:/dev/ttyUSB0", "9600 8N1"),
            (json!({ "path": "/dev/x", "baud": 300, "parity": "even", "dataBits": 7 }), "serial:/dev/x", "300 7E1"),
            (json!({ "path": "/dev/x", "language": "p1" }), "serial:/dev/x", "115200 8N1 p1"),
            (
                json!({ "path": "/dev/x", "language": "iec62056", "echo": true }),
                "serial:/dev/x",
                "300 7E1 echo iec62056",
            ),
            (json!({ "tcp": "Host:4001" }), "tcp:host:4001", "tcp"),
            (json!({ "rfc2217": "[::1]:4001" }), "tcp:[::1]:4001", "9600 8N1 rfc2217"),
            (
                json!({ "usb": { "vendor": "0403", "serialNumber": "A" } }),
                "serial:USB 0403:*, serial number A",
                "9600 8N1",
            ),
        ] {
            let key = bus_key(&endpoint(json));
            assert_eq!((key.resource.as_str(), key.settings.as_str()), (resource, settings));
        }
    }

    #[test]
    fn devices_of_one_line_agree_on_its_frames() {
        let key = |end: &str| bus_key(&endpoint(json!({ "path": "/dev/x", "frame": { "end": end } })));
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a").settings, key("b").settings);
        assert_eq!(key("a").resource, key("b").resource);
    }

    #[test]
    fn devices_of_one_line_agree_on_the_rates_that_it_is_changed_to() {
        for speech in [json!({ "language": "nmea" }), json!({ "frame": { "end": "a" } }), json!({})] {
            let key = |start: Json| {
                let mut json = speech.clone();
                (json["path"], json["start"]) = ("/dev/x".into(), start);
                bus_key(&endpoint(json)).settings
            };
            let plain = key(json!([]));
            assert_eq!(key(json!([{ "send": "a" }])), plain, "what is sent is each device's own matter");
            let changed = key(json!([{ "send": "a", "baud": 115_200 }, { "send": "b" }]));
            assert_eq!(changed, format!("{plain}, start to baud 115200"));
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for (json, path, part) in [
            (json!({}), "", "one of path"),
            (json!({ "path": "/dev/a", "tcp": "b:1" }), "", "keep one"),
            (json!({ "path": "ttyUSB0" }), "path", "absolute"),
            (json!({ "tcp": "host" }), "tcp", "no port"),
            (json!({ "usb": { "vendor": "1" } }), "usb.vendor", "hexadecimal"),
            (json!({ "usb": { "vendor": "0403", "interface": 99 } }), "usb.interface", "0 to 31"),
        ] {
            let (at, message) = target(&endpoint(json)).unwrap_err();
            assert!(at == path && message.contains(part), "{at}: {message}");
        }
        let mut mistakes = Vec::new();
        settings(&endpoint(json!({ "path": "/d", "baud": -1, "dataBits": 9, "stopBits": 0 })), &mut mistakes);
        let keys: Vec<_> = mistakes.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["baud", "dataBits", "stopBits"]);
    }
}
