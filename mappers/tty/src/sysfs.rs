//! The serial ports of this machine and what their USB adapters say of themselves, from sysfs; no udev is asked, and no
//! port is opened.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    holder::{Holder, holders},
    system::System,
    target::UsbId,
    tty::real,
};

/// A serial port of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The device file, such as `/dev/ttyUSB0`.
    pub path: PathBuf,
    /// Names that follow the device wherever it is plugged in (`/dev/serial/by-id/`).
    pub by_id: Vec<PathBuf>,
    /// Names that follow the place where it is plugged in (`/dev/serial/by-path/`).
    pub by_path: Vec<PathBuf>,
    /// Its adapter, if it is on USB.
    pub usb: Option<Usb>,
    /// The kernel's driver, such as `ftdi_sio`.
    pub driver: Option<String>,
    /// Who has it open, as far as that can be seen.
    pub holder: Option<Holder>,
}

/// What a USB adapter says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usb {
    /// `idVendor`.
    pub vendor: u16,
    /// `idProduct`.
    pub product: u16,
    /// Its maker in words.
    pub manufacturer: Option<String>,
    /// Its product's name.
    pub product_name: Option<String>,
    /// Its serial number; cheap adapters have none, or all the same one.
    pub serial_number: Option<String>,
    /// Which of the adapter's interfaces the port is.
    pub interface: Option<u8>,
}

impl Usb {
    /// Whether it is meant by what is written.
    pub fn fits(&self, id: &UsbId) -> bool {
        id.vendor.is_none_or(|vendor| vendor == self.vendor)
            && id.product.is_none_or(|product| product == self.product)
            && id.interface.is_none_or(|interface| Some(interface) == self.interface)
            && id.serial_number.as_ref().is_none_or(|serial| Some(serial) == self.serial_number.as_ref())
    }

    /// All that it can be told by.
    pub fn id(&self) -> UsbId {
        UsbId {
            vendor: Some(self.vendor),
            product: Some(self.product),
            serial_number: self.serial_number.clone(),
            interface: self.interface,
        }
    }
}

impl System {
    /// Every port that has hardware behind it, in the order of their names. Reads files: not for a task that others wait
    /// for.
    pub fn list(&self) -> Vec<Listed> {
        let mut ports = self.ports();
        let paths: Vec<_> = ports.iter().map(|port| port.path.as_path()).collect();
        let holders = holders(&self.proc, &paths);
        for (port, holder) in ports.iter_mut().zip(holders) {
            port.holder = holder;
        }
        ports
    }

    /// The same without a look at who has them open.
    pub(crate) fn ports(&self) -> Vec<Listed> {
        let class = self.sys.join("class/tty");
        let mut ports: Vec<_> = entries(&class).filter_map(|name| self.port(&class.join(name))).collect();
        ports.sort_by_key(|port| by_number(&port.path));
        for (folder, is_id) in [("serial/by-id", true), ("serial/by-path", false)] {
            let folder = self.dev.join(folder);
            let mut links: Vec<_> = entries(&folder).map(|name| folder.join(name)).collect();
            links.sort_unstable();
            for link in links {
                let file = real(&link);
                let Some(port) = ports.iter_mut().find(|port| real(&port.path) == file) else { continue };
                if is_id { port.by_id.push(link) } else { port.by_path.push(link) }
            }
        }
        ports
    }

    /// A terminal of sysfs as a port; none if there is no hardware behind it.
    fn port(&self, tty: &Path) -> Option<Listed> {
        let device = fs::canonicalize(tty.join("device")).ok()?;
        // PORT_UNKNOWN of the kernel's serial core: a port that could be there.
        if text(&tty.join("type")).as_deref() == Some("0") {
            return None;
        }
        let uevent = fs::read_to_string(tty.join("uevent")).unwrap_or_default();
        let name = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME=")).map(str::to_owned);
        let name = name.or_else(|| Some(tty.file_name()?.to_str()?.to_owned()))?;
        Some(Listed {
            path: self.dev.join(name),
            by_id: Vec::new(),
            by_path: Vec::new(),
            usb: usb(&device),
            driver: driver(&device),
            holder: None,
        })
    }

    /// The device file of the one port that is meant. Says which there are if it is none, or several.
    pub(crate) fn find(&self, id: &UsbId) -> Result<PathBuf, String> {
        let ports = self.ports();
        let on_usb = || ports.iter().filter_map(|port| Some((port, port.usb.as_ref()?)));
        let fitting: Vec<_> = on_usb().filter(|(_, usb)| usb.fits(id)).collect();
        let list = |ports: &[(&Listed, &Usb)]| {
            let each = ports.iter().map(|(port, usb)| format!("{} is {}", port.path.display(), usb.id()));
            each.collect::<Vec<_>>().join("; ")
        };
        match fitting.as_slice() {
            [(port, _)] => Ok(port.path.clone()),
            [] => {
                let all: Vec<_> = on_usb().take(SHOWN).collect();
                let others = if all.is_empty() { "no serial port on USB is there".to_owned() } else { list(&all) };
                Err(format!("no such serial port is plugged in ({others})"))
            }
            several => Err(format!("several ports are meant by that: {}; say more of the one", list(several))),
        }
    }
}

/// So many other ports are named where none fits.
const SHOWN: usize = 8;

fn entries(folder: &Path) -> impl Iterator<Item = std::ffi::OsString> {
    fs::read_dir(folder).into_iter().flatten().filter_map(io::Result::ok).map(|entry| entry.file_name())
}

/// `ttyUSB10` after `ttyUSB9`.
fn by_number(path: &Path) -> (String, u64) {
    let name = path.to_string_lossy();
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (kind.to_owned(), name[kind.len()..].parse().unwrap_or(0))
}

fn text(path: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The adapter: the nearest device above that has USB's numbers. The interface lies between.
fn usb(device: &Path) -> Option<Usb> {
    let adapter = device.ancestors().find(|folder| folder.join("idVendor").exists())?;
    let hex = |name: &str| u16::from_str_radix(&text(&adapter.join(name))?, 16).ok();
    let mut between = device.ancestors().take_while(|folder| *folder != adapter);
    let interface = between.find_map(|folder| text(&folder.join("bInterfaceNumber")));
    Some(Usb {
        vendor: hex("idVendor")?,
        product: hex("idProduct")?,
        manufacturer: text(&adapter.join("manufacturer")),
        product_name: text(&adapter.join("product")),
        serial_number: text(&adapter.join("serial")),
        interface: interface.and_then(|number| u8::from_str_radix(&number, 16).ok()),
    })
}

/// The driver of the nearest device above that has one; the serial core's own layer (`ctrl` and `port`) is none.
fn driver(device: &Path) -> Option<String> {
    let drivers = device.ancestors().filter_map(|folder| fs::read_link(folder.join("driver")).ok());
    let names = drivers.filter_map(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
    names.into_iter().find(|name| !matches!(name.as_str(), "ctrl" | "port"))
}
