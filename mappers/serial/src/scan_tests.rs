//! Ports of a `/sys` and a `/dev` of the test's own, and what is shown of them.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use mapper_api::{Access, ByteOrder, DataType, Discovery, ErrorKind, Found, Json, Point, Protocol};
use mapper_tty::{Holder, Listed, System, Usb};
use serde_json::json;
use tokio::time::timeout;

use super::{Scan, begin, found};
use crate::Serial;

const WITHIN: Duration = Duration::from_secs(10);

fn listed() -> Listed {
    Listed {
        path: "/dev/ttyUSB0".into(),
        by_id: vec!["/dev/serial/by-id/usb-FTDI-if00".into()],
        by_path: vec!["/dev/serial/by-path/pci-0".into()],
        usb: Some(Usb {
            vendor: 0x403,
            product: 0x6001,
            manufacturer: Some("FTDI".into()),
            product_name: Some("FT232R".into()),
            serial_number: Some("A5".into()),
            interface: Some(0),
        }),
        driver: Some("ftdi_sio".into()),
        holder: Some(Holder { pid: Some(7), program: Some("gpsd".into()) }),
    }
}

fn texts(found: &Found) -> Vec<&str> {
    found.about.iter().map(|(_, text)| text.as_str()).collect()
}

fn endpoint(found: &Found) -> Json {
    found.draft.as_ref().unwrap()["protocol"]["serial"].clone()
}

#[test]
fn all_that_is_known_is_shown() {
    let port = found(&listed());
    let by_id = "/dev/serial/by-id/usb-FTDI-if00";
    let expected = ["/dev/ttyUSB0", "0403:6001", "FTDI", "FT232R", "A5", "ftdi_sio", "gpsd (process 7)", by_id];
    assert_eq!((port.id.as_str(), texts(&port)), ("ttyUSB0", expected.to_vec()));
    let bare = Listed { by_id: vec![], by_path: vec![], usb: None, driver: None, holder: None, ..listed() };
    assert_eq!(texts(&found(&bare)), ["/dev/ttyUSB0", "", "", "", "", "", "", ""]);
}

#[test]
fn a_draft_names_the_port_by_what_lasts() {
    let numbered = listed();
    let mut nameless = listed();
    nameless.usb.as_mut().unwrap().serial_number = None;
    let mut container = listed();
    (container.by_id, container.by_path) = (vec![], vec![]);
    let mut board = container.clone();
    board.usb = None;
    for (port, key, expected) in [
        (numbered, "path", json!("/dev/serial/by-id/usb-FTDI-if00")),
        (nameless, "path", json!("/dev/serial/by-path/pci-0")),
        (container, "usb", json!({ "vendor": "0403", "product": "6001", "serialNumber": "A5", "interface": 0 })),
        (board, "path", json!("/dev/ttyUSB0")),
    ] {
        let endpoint = endpoint(&found(&port));
        assert_eq!(endpoint[key], expected, "{endpoint}");
        let ways = ["path", "usb"].iter().filter(|way| !endpoint[**way].is_null()).count();
        assert_eq!(ways, 1, "{endpoint}");
        let property = found(&port).draft.unwrap()["properties"][0].clone();
        let point = Point {
            address: serde_json::from_value(property["serial"].clone()).unwrap(),
            data_type: DataType::String,
            order: ByteOrder::Abcd,
            size: property["size"].as_u64().map(|size| u16::try_from(size).unwrap()),
            access: Access::Read,
        };
        Serial::default().bind(serde_json::from_value(endpoint).unwrap(), vec![point]).unwrap();
    }
}

struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("mapper-serial-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("sys/class/tty")).unwrap();
        fs::create_dir_all(folder.join("dev")).unwrap();
        Self(folder)
    }

    fn scan(&self) -> Scan {
        let system = System { sys: self.0.join("sys"), dev: self.0.join("dev"), ..System::default() };
        Scan::on(system).unwrap()
    }

    /// A port of the board.
    fn plug(&self, name: &str) {
        let device = self.0.join("sys/devices").join(name);
        let tty = device.join("tty").join(name);
        fs::create_dir_all(&tty).unwrap();
        symlink(&device, tty.join("device")).unwrap();
        symlink(&tty, self.0.join("sys/class/tty").join(name)).unwrap();
        // The kernel makes the device file last.
        fs::write(self.0.join("dev").join(name), "").unwrap();
    }

    fn unplug(&self, name: &str) {
        fs::remove_file(self.0.join("sys/class/tty").join(name)).unwrap();
        fs::remove_dir_all(self.0.join("sys/devices").join(name)).unwrap();
        fs::remove_file(self.0.join("dev").join(name)).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn ports(scan: &mut Scan) -> Vec<String> {
    let found = timeout(WITHIN, scan.next()).await.expect("a change").unwrap();
    found.into_iter().map(|port| port.id).collect()
}

#[tokio::test]
async fn what_is_plugged_in_and_out_is_shown_at_once() {
    let machine = Machine::new("scan");
    let mut scan = machine.scan();
    assert_eq!(ports(&mut scan).await, [""; 0]);
    machine.plug("ttyACM0");
    assert_eq!(ports(&mut scan).await, ["ttyACM0"]);
    // Nothing changes: nothing is shown, however often it is asked.
    for _ in 0..2 {
        assert!(timeout(Duration::from_millis(100), scan.next()).await.is_err());
    }
    // A file that is no port changes nothing; the next change is not lost by asking in between.
    fs::write(machine.0.join("dev/other"), "").unwrap();
    assert!(timeout(Duration::from_millis(10), scan.next()).await.is_err());
    machine.plug("ttyACM1");
    assert!(timeout(Duration::from_millis(10), scan.next()).await.is_err());
    assert_eq!(ports(&mut scan).await, ["ttyACM0", "ttyACM1"]);
    // A name that udev makes later.
    let by_id = machine.0.join("dev/serial/by-id");
    fs::create_dir_all(&by_id).unwrap();
    symlink("../../ttyACM1", by_id.join("usb-x")).unwrap();
    let named = timeout(WITHIN, scan.next()).await.unwrap().unwrap();
    assert_eq!(endpoint(&named[1])["path"], json!(by_id.join("usb-x")));
    machine.unplug("ttyACM0");
    assert_eq!(ports(&mut scan).await, ["ttyACM1"]);
}

#[tokio::test]
async fn a_scan_is_told_nothing() {
    begin(&json!({})).unwrap();
    let error = begin(&json!({ "port": "/dev/ttyS0" })).unwrap_err();
    assert_eq!((error.kind, error.message.contains("port")), (ErrorKind::Config, true));
}
