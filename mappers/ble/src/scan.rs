//! What is near: every device that advertises, decoded where its format is known, each with a Device's spec to start
//! from. The table of devices and what it keeps of each are bounded.

use std::{collections::HashMap, time::Duration};

use mapper_api::{BoxFuture, Discovery, Error, ErrorKind, Found, Json, Result, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::{
    advert::{Advert, Mac, short},
    formats::{
        self, Format, Trouble,
        names::{self, Kind},
    },
    radio::{Heard, Listener, Radio, RadioErrorKind, Who},
    request::brief,
};

/// So many devices are shown; then the one that was silent for longest is forgotten.
const MOST: usize = 512;
/// So many different values of one device are kept.
const MEASURES: usize = 32;
/// What comes within this is one change.
const TOGETHER: Duration = Duration::from_millis(250);

/// What a scan may be told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Args {
    /// The address of the adapter that is to listen, and no other one.
    #[schemars(length(max = 17))]
    adapter: Option<String>,
}

/// A scan that is under way.
#[derive(Debug)]
pub(crate) struct Scan {
    ear: Listener,
    seen: Seen,
}

/// Begins one.
///
/// # Errors
/// The arguments are wrong.
pub(crate) fn begin(radio: &Radio, args: &Json) -> Result<Scan> {
    let config = |message: String| Error::new(ErrorKind::Config, message);
    let args = Args::deserialize(args).map_err(|error| config(error.to_string()))?;
    let adapter = args.adapter.map(|text| text.parse::<Mac>());
    let adapter = adapter.transpose().map_err(|error| config(format!("adapter: {error}")))?;
    Ok(Scan { ear: radio.listen(Who::Everyone, adapter), seen: Seen::default() })
}

impl Discovery for Scan {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Found>>> {
        Box::pin(async {
            let Heard { advert, .. } = self.ear.next().await.map_err(|error| {
                let absent = error.kind == RadioErrorKind::NoRadio;
                let error = Error::from(error);
                if absent { Error::new(error.kind, format!("{error}. {WHAT_TO_DO}")) } else { error }
            })?;
            self.seen.take(advert);
            let until = Instant::now() + TOGETHER;
            // Trouble that comes meanwhile is what the next call begins with: what was heard is shown first.
            while let Ok(Ok(Heard { advert, .. })) = timeout_at(until, self.ear.next()).await {
                self.seen.take(advert);
            }
            Ok(self.seen.found())
        })
    }
}

const WHAT_TO_DO: &str = "Scanning needs BlueZ (Debian: apt install bluez) with its service running (systemctl start \
    bluetooth), an adapter that is not blocked (rfkill unblock bluetooth), and its D-Bus: in a pod mount the folder \
    /run/dbus, or name another bus with DBUS_SYSTEM_BUS_ADDRESS";

/// What was heard so far.
#[derive(Debug, Default)]
struct Seen {
    devices: HashMap<Mac, Device>,
    order: u64,
}

#[derive(Debug)]
struct Device {
    first: u64,
    last: u64,
    advert: Advert,
    model: Option<String>,
    measures: Vec<(Format, &'static str, u8, Value)>,
    formats: Vec<Format>,
    trouble: Option<Trouble>,
}

impl Seen {
    fn take(&mut self, advert: Advert) {
        self.order += 1;
        let order = self.order;
        if self.devices.len() >= MOST && !self.devices.contains_key(&advert.mac) {
            let oldest = self.devices.iter().min_by_key(|(_, device)| device.last).map(|(mac, _)| *mac);
            oldest.and_then(|mac| self.devices.remove(&mac));
        }
        let device = self.devices.entry(advert.mac).or_insert_with(|| Device {
            first: order,
            last: order,
            advert: Advert::new(advert.mac),
            model: None,
            measures: Vec::new(),
            formats: Vec::new(),
            trouble: None,
        });
        device.last = order;
        device.take(advert);
    }

    /// All of them, those heard first first.
    fn found(&self) -> Vec<Found> {
        let mut devices: Vec<_> = self.devices.values().collect();
        devices.sort_unstable_by_key(|device| device.first);
        devices.into_iter().map(Device::found).collect()
    }
}

impl Device {
    fn take(&mut self, advert: Advert) {
        for (format, message) in formats::decode(&advert, None) {
            if !self.formats.contains(&format) {
                self.formats.push(format);
            }
            match message {
                Ok(message) => {
                    // A mere sign of life takes back nothing.
                    self.trouble.take_if(|_| message.tells());
                    self.model = message.model.map(Into::into).or(self.model.take());
                    for measure in message.measures {
                        self.measure(format, measure.name, measure.index, measure.value);
                    }
                }
                Err(trouble) => self.trouble = Some(trouble),
            }
        }
        let name = advert.name.clone().or(self.advert.name.take());
        let services = if advert.services.is_empty() { std::mem::take(&mut self.advert.services) } else { Vec::new() };
        self.advert = advert;
        self.advert.name = name;
        self.advert.services.extend(services);
    }

    fn measure(&mut self, format: Format, name: &'static str, index: u8, value: Value) {
        let room = self.measures.len() < MEASURES;
        let known = self.measures.iter_mut().find(|(f, n, i, _)| (*f, *n, *i) == (format, name, index));
        match known {
            Some((.., known)) => *known = value,
            None if room => self.measures.push((format, name, index, value)),
            None => {}
        }
    }

    fn found(&self) -> Found {
        let advert = &self.advert;
        let number = |number: Option<i16>| number.map(|n| n.to_string()).unwrap_or_default();
        let mut format: Vec<_> = self.formats.iter().map(|format| format_name(*format)).collect();
        format.extend(self.model.clone());
        Found {
            id: advert.mac.to_string(),
            about: vec![
                ("address", advert.mac.to_string()),
                ("rssi", number(advert.rssi)),
                ("name", advert.name.clone().unwrap_or_default()),
                ("format", format.join(" ")),
                ("values", self.values()),
            ],
            draft: self.draft(),
        }
    }

    /// What it says, or what is known of it otherwise.
    fn values(&self) -> String {
        if let Some(trouble) = &self.trouble {
            return trouble.to_string();
        }
        let values: Vec<_> = self
            .measures
            .iter()
            .map(|(_, name, index, value)| {
                let unit = names::find(name).map_or("", |name| name.unit);
                let index = if *index > 1 { format!("[{index}]") } else { String::new() };
                let space = if unit.is_empty() { "" } else { " " };
                format!("{name}{index} {value}{space}{unit}")
            })
            .collect();
        if !values.is_empty() {
            return values.join(", ");
        }
        let companies = self.advert.manufacturer.iter().map(|(company, _)| format!("company 0x{company:04x}"));
        let data = self.advert.service_data.iter().map(|(service, _)| format!("service data {}", brief(*service)));
        let services = self.advert.services.iter().map(|service| format!("service {}", brief(*service)));
        companies.chain(data).chain(services).collect::<Vec<_>>().join(", ")
    }

    /// A spec that passes `check`: what it measures, how strong it is received, and the battery of one that has that
    /// service. None for a device that nobody could find again.
    fn draft(&self) -> Result<Json, String> {
        let mac = self.advert.mac;
        let mut endpoint = match (&self.advert.name, self.advert.is_private()) {
            (_, false) => json!({ "address": mac.to_string() }),
            (Some(name), true) if !name.is_empty() => json!({ "name": name }),
            _ => return Err("its address changes, and it has no name".to_owned()),
        };
        if matches!(self.trouble, Some(Trouble::KeyNeeded)) {
            let key = mac.to_string().replace(':', "").to_lowercase();
            endpoint["bindKey"] = json!({ "secretRef": { "name": "bluetooth", "key": key } });
        }
        let mut properties: Vec<Json> = self.measures.iter().filter_map(|measure| self.property(measure)).collect();
        properties.push(json!({ "name": "rssi", "type": "int8", "unit": "dBm", "ble": { "radio": "rssi" } }));
        if self.advert.services.contains(&short(0x180f)) && self.measures.is_empty() {
            let battery = json!({ "characteristic": { "service": "180f", "uuid": "2a19" } });
            properties.push(json!({ "name": "battery", "type": "uint8", "unit": "%", "ble": battery }));
        }
        Ok(json!({ "protocol": { "ble": endpoint }, "properties": properties }))
    }

    fn property(&self, (format, name, index, _): &(Format, &'static str, u8, Value)) -> Option<Json> {
        let known = names::find(name)?;
        let alone = self.measures.iter().filter(|(_, other, i, _)| other == name && i == index).count() == 1;
        let mut address = json!({ "reading": name });
        let mut property = if *index > 1 { format!("{name}{index}") } else { (*name).to_owned() };
        if *index > 1 {
            address["index"] = json!(index);
        }
        if !alone {
            address["format"] = json!(format);
            property = format!("{property}-{}", format_name(*format));
        }
        let data_type = match known.kind {
            Kind::Bool => "bool",
            Kind::Whole => "int64",
            Kind::Number => "float32",
            Kind::Text => "string",
            Kind::Bytes => "bytes",
        };
        let mut draft = json!({ "name": property, "type": data_type, "ble": address });
        if matches!(known.kind, Kind::Text | Kind::Bytes) {
            draft["size"] = json!(64);
        }
        if !known.unit.is_empty() {
            draft["unit"] = json!(known.unit);
        }
        Some(draft)
    }
}

/// As YAML writes it.
fn format_name(format: Format) -> String {
    json!(format).as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
