//! What is opened, and how people write it. Pure.

use std::{fmt, net::Ipv6Addr};

/// Where a serial line is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A device file of this machine.
    Path(String),
    /// The serial port of a USB adapter of this machine, whatever its device file is called today.
    Usb(UsbId),
    /// A TCP port that passes the bytes of a line through; the line's settings are made at the other side.
    Tcp {
        /// A name or an address, IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A TCP port that also takes the line's settings (RFC 2217).
    Rfc2217 {
        /// A name or an address, IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl Target {
    /// What must not be shared, as a [`mapper_api::BusKey`] names it. The same for both ways over TCP.
    pub fn resource(&self) -> String {
        match self {
            Self::Path(path) => format!("serial:{path}"),
            Self::Usb(usb) => format!("serial:{usb}"),
            Self::Tcp { host, port } | Self::Rfc2217 { host, port } => format!("tcp:{}", HostPort(host, *port)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Usb(usb) => usb.fmt(f),
            Self::Tcp { host, port } => HostPort(host, *port).fmt(f),
            Self::Rfc2217 { host, port } => write!(f, "{} (RFC 2217)", HostPort(host, *port)),
        }
    }
}

struct HostPort<'a>(&'a str, u16);

impl fmt::Display for HostPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(host, port) = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// What a USB adapter says of itself; what is left out may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct UsbId {
    /// `idVendor`.
    pub vendor: Option<u16>,
    /// `idProduct`.
    pub product: Option<u16>,
    /// Its serial number, letter by letter.
    pub serial_number: Option<String>,
    /// `bInterfaceNumber`: tells the ports of one adapter apart.
    pub interface: Option<u8>,
}

impl UsbId {
    /// A vendor or product as people write it: four hexadecimal digits, `0403`.
    ///
    /// # Errors
    /// What would be accepted.
    pub fn number(text: &str) -> Result<u16, String> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u16::from_str_radix(digits, 16).ok().filter(|_| hex);
        number.ok_or_else(|| format!("{text:?} is no USB number; four hexadecimal digits in quotes, such as \"0403\""))
    }
}

impl fmt::Display for UsbId {
    /// `USB 0403:6001, serial number A50285BI, interface 0`; a star stands for any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u16>| n.map_or_else(|| "*".to_owned(), |n| format!("{n:04x}"));
        write!(f, "USB {}:{}", number(self.vendor), number(self.product))?;
        if let Some(serial) = &self.serial_number {
            write!(f, ", serial number {serial}")?;
        }
        self.interface.map_or(Ok(()), |interface| write!(f, ", interface {interface}"))
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address; `usual` is the port that may be left out.
///
/// # Errors
/// What is wrong with it, and what would be accepted.
pub fn host_port(text: &str, usual: Option<u16>) -> Result<(String, u16), String> {
    let such = usual.unwrap_or(4001);
    let example = format!("write host:port, such as \"10.0.0.7:{such}\"");
    let ipv6 = |host: &str| {
        ipv6(host).ok_or_else(|| format!("{text:?}: {host:?} is no IPv6 address; {example} or \"[fe80::1]:{such}\""))
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(|| format!("{text:?} lacks a ]; {example}"))?;
            let port = match rest.strip_prefix(':') {
                None if !rest.is_empty() => {
                    return Err(format!("{text:?}: after the ] only :port may follow, such as \"[fe80::1]:{such}\""));
                }
                port => port,
            };
            (ipv6(host)?, port)
        }
        None if text.matches(':').count() > 1 => (ipv6(text)?, None),
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            (host.to_ascii_lowercase(), port)
        }
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(format!("{text:?} names no host; {example}"));
    }
    let port = match (port, usual) {
        (Some(port), _) => {
            port.parse().ok().filter(|p| *p > 0).ok_or_else(|| format!("{port:?} is no port in 1..65535; {example}"))?
        }
        (None, Some(usual)) => usual,
        (None, None) => return Err(format!("{text:?} has no port, and there is no usual one; {example}")),
    };
    Ok((host, port))
}

/// An IPv6 address in its usual form, so that one host has one name. A link-local one may have a zone: `fe80::1%eth0`.
fn ipv6(host: &str) -> Option<String> {
    let (address, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
    match (address.parse::<Ipv6Addr>().ok()?, zone) {
        (address, None) => Some(address.to_string()),
        (address, Some(zone)) => (!zone.is_empty()).then(|| format!("{address}%{zone}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, UsbId, host_port};

    #[test]
    fn hosts_and_ports() {
        for (text, usual, expected) in [
            ("10.0.0.7:502", None, Ok(("10.0.0.7", 502))),
            ("Gate.Local", Some(502), Ok(("gate.local", 502))),
            ("[FE80::1]:23", None, Ok(("fe80::1", 23))),
            ("fe80::1%eth0", Some(502), Ok(("fe80::1%eth0", 502))),
            (
                "10.0.0.7",
                None,
                Err("has no port, and there is no usual one; write host:port, such as \"10.0.0.7:4001\""),
            ),
            ("", Some(1), Err("names no host")),
            (":1", None, Err("names no host")),
            ("a:0", None, Err("\"0\" is no port in 1..65535")),
            ("a:70000", None, Err("is no port")),
            ("[::1", None, Err("lacks a ]")),
            ("[::1]23", None, Err("after the ] only :port may follow")),
            ("1:2:3", None, Err("is no IPv6 address")),
            ("a b:1", None, Err("names no host")),
        ] {
            match (host_port(text, usual), expected) {
                (Ok((host, port)), Ok(expected)) => assert_eq!((&*host, port), expected),
                (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn names_and_resources() {
        let usb = UsbId {
            vendor: Some(0x403),
            product: Some(0x6001),
            serial_number: Some("A50285BI".into()),
            interface: Some(0),
        };
        let (host, port) = ("fe80::1".to_owned(), 23);
        for (target, name, resource) in [
            (Target::Path("/dev/ttyS0".into()), "/dev/ttyS0", "serial:/dev/ttyS0"),
            (
                Target::Usb(usb),
                "USB 0403:6001, serial number A50285BI, interface 0",
                "serial:USB 0403:6001, serial number A50285BI, interface 0",
            ),
            (Target::Usb(UsbId::default()), "USB *:*", "serial:USB *:*"),
            (Target::Tcp { host: host.clone(), port }, "[fe80::1]:23", "tcp:[fe80::1]:23"),
            (Target::Rfc2217 { host, port }, "[fe80::1]:23 (RFC 2217)", "tcp:[fe80::1]:23"),
        ] {
            assert_eq!((target.to_string().as_str(), target.resource().as_str()), (name, resource));
        }
    }

    #[test]
    fn usb_numbers() {
        assert_eq!(UsbId::number("0403"), Ok(0x403));
        assert_eq!(UsbId::number("0xFfFf"), Ok(0xffff));
        for text in ["403", "1027x", "+403", "", "00403"] {
            assert!(UsbId::number(text).unwrap_err().contains("four hexadecimal digits"), "{text}");
        }
    }
}
