//! One advertisement as a radio heard it. Data only: what it means is decided in [`crate::formats`].

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// A device address, most significant byte first, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

/// What was received in one go: the advertisement and, if there was one, its scan response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Who sent it.
    pub mac: Mac,
    /// The address is a random one: static, or private and then changing.
    pub random: bool,
    /// Strength of reception in dBm.
    pub rssi: Option<i16>,
    /// The transmission power that the device states, in dBm.
    pub tx_power: Option<i16>,
    /// The complete or shortened name.
    pub name: Option<String>,
    /// The services that it states.
    pub services: Vec<Uuid>,
    /// Manufacturer data by the company identifiers of the Bluetooth SIG, without that identifier.
    pub manufacturer: Vec<(u16, Vec<u8>)>,
    /// Service data by service, without its UUID.
    pub service_data: Vec<(Uuid, Vec<u8>)>,
}

impl Advert {
    /// An empty one of this sender.
    pub fn new(mac: Mac) -> Self {
        Self {
            mac,
            random: false,
            rssi: None,
            tx_power: None,
            name: None,
            services: Vec::new(),
            manufacturer: Vec::new(),
            service_data: Vec::new(),
        }
    }

    /// The sender changes its address every few minutes: of the random ones only static ones, with both upper bits set,
    /// stay the same (Core Specification, vol. 6, part B, 1.3.2).
    pub fn is_private(&self) -> bool {
        self.random && self.mac.0[0] >> 6 != 0b11
    }

    /// The first manufacturer data of this company.
    pub fn manufacturer(&self, company: u16) -> Option<&[u8]> {
        self.manufacturer.iter().find(|(id, _)| *id == company).map(|(_, data)| &data[..])
    }

    /// The first data of this service.
    pub fn service_data(&self, service: Uuid) -> Option<&[u8]> {
        self.service_data.iter().find(|(id, _)| *id == service).map(|(_, data)| &data[..])
    }
}

/// The UUID of a 16-bit identifier of the Bluetooth SIG (Core Specification, vol. 3, part B, 2.5.1).
pub const fn short(id: u16) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_1000_8000_0080_5f9b_34fb | (id as u128) << 96)
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address; write six bytes such as A4:C1:38:12:34:56");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit()));
            *byte = part.and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or_else(wrong)?;
        }
        if parts.next().is_none() { Ok(Self(bytes)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mac, short};

    #[test]
    fn addresses_read_back() {
        for text in ["A4:C1:38:12:34:56", "00:00:00:00:00:00"] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), text);
        }
        assert_eq!("a4:c1:38:12:34:56".parse::<Mac>().unwrap().to_string(), "A4:C1:38:12:34:56");
        for text in
            ["", "A4:C1:38:12:34", "A4:C1:38:12:34:56:78", "A4-C1-38-12-34-56", "+4:C1:38:12:34:56", "é:C1:38:12:34:56"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn short_identifiers_stand_in_the_base() {
        assert_eq!(short(0xfcd2).to_string(), "0000fcd2-0000-1000-8000-00805f9b34fb");
    }
}
