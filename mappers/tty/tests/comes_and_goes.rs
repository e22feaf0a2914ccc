//! What is plugged in, found and waited for: a `/sys` and a `/dev` of the test's own, whose device files are ptys.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    pin::pin,
    process::Command,
    time::Duration,
};

use common::{Running, Scratch, reason, soon, until};
use mapper_modbus::sim::Pty;
use mapper_tty::{Settings, System, Target, UsbId, Watch, appears};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const WITHIN: Duration = Duration::from_secs(5);
/// So long nothing must happen.
const QUIET: Duration = Duration::from_millis(100);

/// A machine with USB adapters.
struct Machine {
    scratch: Scratch,
    system: System,
}

impl Machine {
    fn new() -> Self {
        let scratch = Scratch::new("machine");
        let at = |name: &str| scratch.path().join(name);
        let system = System { sys: at("sys"), dev: at("dev"), ..System::default() };
        fs::create_dir_all(at("sys/class/tty")).unwrap();
        fs::create_dir_all(at("dev")).unwrap();
        Self { scratch, system }
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.scratch.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn link(&self, from: &str, to: &Path) {
        let from = self.scratch.path().join(from);
        fs::create_dir_all(from.parent().unwrap()).unwrap();
        symlink(to, from).unwrap();
    }

    /// As the kernel lays a USB serial adapter out: terminal, interface, adapter.
    fn adapter(&self, tty: &str, number: &str, serial: Option<&str>, interface: &str) {
        let adapter = format!("sys/devices/pci0/usb1/1-{number}");
        self.write(&format!("{adapter}/idVendor"), "0403\n");
        self.write(&format!("{adapter}/idProduct"), "6001\n");
        self.write(&format!("{adapter}/manufacturer"), "FTDI\n");
        self.write(&format!("{adapter}/product"), "FT232R USB UART\n");
        if let Some(serial) = serial {
            self.write(&format!("{adapter}/serial"), &format!("{serial}\n"));
        }
        let of = format!("{adapter}/1-{number}:1.{interface}");
        self.write(&format!("{of}/bInterfaceNumber"), &format!("0{interface}\n"));
        self.write(&format!("{of}/{tty}/tty/{tty}/uevent"), &format!("MAJOR=188\nDEVNAME={tty}\n"));
        let driver = self.scratch.path().join("sys/bus/usb-serial/drivers/ftdi_sio");
        fs::create_dir_all(&driver).unwrap();
        self.link(&format!("{of}/{tty}/driver"), &driver);
        let port = self.scratch.path().join(format!("{of}/{tty}"));
        self.link(&format!("{of}/{tty}/tty/{tty}/device"), &port);
        self.link(&format!("sys/class/tty/{tty}"), &port.join("tty").join(tty));
    }

    fn dev(&self, name: &str) -> PathBuf {
        self.system.dev.join(name)
    }
}

fn usb(serial: Option<&str>, interface: Option<u8>) -> Target {
    let id = UsbId { vendor: Some(0x403), product: None, serial_number: serial.map(Into::into), interface };
    Target::Usb(id)
}

#[tokio::test]
async fn ports_are_listed_with_all_that_is_known() {
    let machine = Machine::new();
    let pty = Pty::open().unwrap();
    machine.adapter("ttyUSB10", "2", None, "1");
    machine.adapter("ttyUSB9", "1", Some("A50285BI"), "0");
    // The board's own: one with hardware, one that could be there; a console, which is no port.
    for (name, kind) in [("ttyS0", "4"), ("ttyS1", "0")] {
        machine.write(&format!("sys/devices/platform/{name}/tty/{name}/type"), kind);
        let device = machine.scratch.path().join(format!("sys/devices/platform/{name}"));
        machine.link(&format!("sys/devices/platform/{name}/tty/{name}/device"), &device);
        machine.link(&format!("sys/class/tty/{name}"), &device.join("tty").join(name));
    }
    machine.write("sys/class/tty/tty0/uevent", "DEVNAME=tty0\n");
    machine.link("dev/ttyUSB9", pty.path());
    machine.link("dev/serial/by-id/usb-FTDI_A50285BI-if00-port0", &machine.dev("ttyUSB9"));
    machine.link("dev/serial/by-path/pci-0-usb-0:1:1.0-port0", &machine.dev("ttyUSB9"));
    machine.link("dev/serial/by-id/usb-gone", &machine.dev("ttyUSB7"));

    let ports = machine.system.list();
    let names: Vec<_> = ports.iter().map(|port| port.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["ttyS0", "ttyUSB9", "ttyUSB10"]);
    assert_eq!((&ports[0].usb, &ports[0].driver, &ports[0].by_id), (&None, &None, &vec![]));
    let nine = &ports[1];
    assert_eq!(nine.by_id, [machine.dev("serial/by-id/usb-FTDI_A50285BI-if00-port0")]);
    assert_eq!(nine.by_path, [machine.dev("serial/by-path/pci-0-usb-0:1:1.0-port0")]);
    assert_eq!(nine.driver.as_deref(), Some("ftdi_sio"));
    let usb = nine.usb.as_ref().unwrap();
    assert_eq!((usb.manufacturer.as_deref(), usb.product_name.as_deref()), (Some("FTDI"), Some("FT232R USB UART")));
    assert_eq!(usb.id().to_string(), "USB 0403:6001, serial number A50285BI, interface 0");
    let ten = ports[2].usb.as_ref().unwrap();
    assert_eq!((ten.serial_number.as_deref(), ten.interface), (None, Some(1)));

    // Who has it, by open file alone and by lock: both are this test.
    assert!(nine.holder.as_ref().is_some_and(mapper_tty::Holder::is_self), "{:?}", nine.holder);
    assert_eq!(ports[2].holder, None);
}

#[tokio::test]
async fn an_adapter_is_opened_by_what_it_says_of_itself() {
    let machine = Machine::new();
    let mut pty = Pty::open().unwrap();
    let open = async |target: &Target| machine.system.open(target, &Settings::default(), WITHIN).await;
    assert!(reason(open(&usb(None, None)).await).contains("no such serial port is plugged in (no serial port on USB"));
    machine.adapter("ttyUSB0", "1", Some("A"), "0");
    machine.adapter("ttyUSB1", "2", Some("B"), "0");
    machine.link("dev/ttyUSB1", pty.path());
    let text = reason(open(&usb(Some("C"), None)).await);
    assert!(text.starts_with("cannot open USB 0403:*, serial number C: no such serial port"), "{text}");
    assert!(text.contains("ttyUSB1 is USB 0403:6001, serial number B, interface 0"), "{text}");
    let text = reason(open(&usb(None, None)).await);
    let both = ["several ports are meant", "ttyUSB0 is USB 0403:6001, serial number A", "ttyUSB1 is USB 0403:6001"];
    assert!(both.iter().all(|part| text.contains(part)), "{text}");
    let mut port = open(&usb(Some("B"), Some(0))).await.unwrap();
    port.write_all(b"x").await.unwrap();
    assert_eq!(soon(pty.read_u8()).await.unwrap(), b'x');
    let text = reason(open(&usb(Some("A"), None)).await);
    assert!(text.contains("there is no such file"), "{text}");
}

/// Plugged out and in again, as udev does it: the last adapter takes the folder with it.
#[tokio::test]
async fn a_line_comes_back_under_its_name() {
    let scratch = Scratch::new("by-id");
    let folder = scratch.path().join("serial/by-id");
    let name = folder.join("usb-FTDI-port0");
    let target = Target::Path(name.to_str().unwrap().to_owned());
    for round in 0..3 {
        let mut coming = pin!(appears(&target));
        assert!(timeout(QUIET, &mut coming).await.is_err(), "round {round}");
        fs::create_dir_all(&folder).unwrap();
        assert!(timeout(QUIET, &mut coming).await.is_err(), "round {round}");
        let mut pty = Pty::open().unwrap();
        symlink(pty.path(), &name).unwrap();
        timeout(WITHIN, coming).await.unwrap().unwrap();
        let mut port = mapper_tty::open(&target, &Settings::default(), WITHIN).await.unwrap();
        pty.write_all(b"hello").await.unwrap();
        let mut bytes = [0; 5];
        soon(port.read_exact(&mut bytes)).await.unwrap();
        drop(pty);
        assert!(port.read(&mut bytes).await.is_err());
        fs::remove_dir_all(scratch.path().join("serial")).unwrap();
    }
}

/// The same with lines of another program, which ends and is started again.
#[tokio::test]
async fn a_line_of_another_program_comes_back() {
    let scratch = Scratch::new("socat");
    let [near, far] = ["near", "far"].map(|name| scratch.path().join(name));
    let [here, there] = [&near, &far].map(|link| Target::Path(link.to_str().unwrap().to_owned()));
    let settings = Settings { baud: 115_200, ..Settings::default() };
    for _ in 0..2 {
        let mut coming = pin!(appears(&here));
        assert!(timeout(QUIET, &mut coming).await.is_err());
        let pty = |link: &Path| format!("PTY,raw,echo=0,link={}", link.display());
        let socat = Running::spawn(Command::new("socat").args([pty(&near), pty(&far)]));
        soon(async { tokio::try_join!(coming, appears(&there)) }).await.unwrap();
        let mut one = mapper_tty::open(&here, &settings, WITHIN).await.unwrap();
        let mut other = mapper_tty::open(&there, &settings, WITHIN).await.unwrap();
        let mut bytes = [0; 4];
        one.write_all(b"ping").await.unwrap();
        soon(other.read_exact(&mut bytes)).await.unwrap();
        other.write_all(b"pong").await.unwrap();
        soon(one.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(&bytes, b"pong");
        drop(socat);
        let error = soon(one.read(&mut bytes)).await.unwrap_err();
        assert_eq!(error.to_string(), "the serial line is gone; was it unplugged?");
        // What was killed leaves its links behind.
        fs::remove_file(&near).unwrap();
        fs::remove_file(&far).unwrap();
    }
}

/// The link is there and points nowhere yet: its file comes in another folder.
#[tokio::test]
async fn what_a_link_points_to_is_waited_for() {
    let scratch = Scratch::new("dangling");
    let (name, file) = (scratch.path().join("a/link"), scratch.path().join("b/c/ttyX"));
    fs::create_dir_all(name.parent().unwrap()).unwrap();
    symlink("../b/c/ttyX", &name).unwrap();
    let target = Target::Path(name.to_str().unwrap().to_owned());
    let mut coming = pin!(appears(&target));
    assert!(timeout(QUIET, &mut coming).await.is_err());
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "").unwrap();
    timeout(WITHIN, coming).await.unwrap().unwrap();
    // What is there already is not waited for.
    timeout(WITHIN, appears(&target)).await.unwrap().unwrap();
}

/// udev makes the file first and gives it to its group then.
#[tokio::test]
async fn what_may_not_be_opened_yet_is_waited_for() {
    const CASE: &str = "MAPPER_TTY_TEST_FILE";
    if let Ok(file) = std::env::var(CASE) {
        appears(&Target::Path(file)).await.unwrap();
        return;
    }
    let scratch = Scratch::new("permission");
    let file = scratch.path().join("ttyX");
    fs::write(&file, "").unwrap();
    let allow = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    // Root may open everything: somebody else waits.
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "what_may_not_be_opened_yet_is_waited_for"]).env(CASE, &file).kill_on_drop(true);
    if common::is_root() {
        command.uid(65534).gid(65534);
    }
    let mut other = command.spawn().unwrap();
    let pid = other.id().unwrap();
    until(|| watches(pid) > 0).await;
    assert!(timeout(QUIET, other.wait()).await.is_err(), "it did not wait");
    allow(0o666);
    let ended = timeout(WITHIN, other.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}

/// How many watches a process has (proc_pid_fdinfo(5)).
fn watches(pid: u32) -> usize {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts.map(|text| text.lines().filter(|line| line.starts_with("inotify wd:")).count()).sum()
}

#[tokio::test]
async fn an_adapter_comes_under_another_name() {
    let machine = Machine::new();
    let target = usb(Some("A"), None);
    let mut coming = pin!(machine.system.appears(&target));
    assert!(timeout(QUIET, &mut coming).await.is_err());
    // Another one.
    machine.adapter("ttyUSB0", "1", Some("B"), "0");
    machine.link("dev/ttyUSB0", Path::new("/dev/null"));
    assert!(timeout(QUIET, &mut coming).await.is_err());
    machine.adapter("ttyUSB1", "2", Some("A"), "0");
    let pty = Pty::open().unwrap();
    machine.link("dev/ttyUSB1", pty.path());
    timeout(WITHIN, coming).await.unwrap().unwrap();
    machine.system.open(&target, &Settings::default(), WITHIN).await.unwrap();
}

/// Made and filled at once, many times over: never is the last step missed.
#[tokio::test]
async fn nothing_is_missed_between_two_looks() {
    let scratch = Scratch::new("race");
    for round in 0..50 {
        let folder = scratch.path().join(format!("{round}/a/b/c"));
        let file = folder.join("ttyX");
        let target = Target::Path(file.to_str().unwrap().to_owned());
        let make = tokio::task::spawn_blocking(move || {
            for part in folder.ancestors().collect::<Vec<_>>().into_iter().rev() {
                let _ = fs::create_dir(part);
            }
            fs::write(&file, "").unwrap();
        });
        timeout(WITHIN, appears(&target)).await.unwrap_or_else(|_| panic!("round {round}")).unwrap();
        make.await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_that_does_not_change_wakes_nobody() {
    let scratch = Scratch::new("watch");
    let mut watch = Watch::new().unwrap();
    watch.folder(scratch.path()).unwrap();
    watch.folder(scratch.path()).unwrap();
    assert!(timeout(QUIET, watch.changed()).await.is_err());
    let file = scratch.path().join("x");
    fs::write(&file, "").unwrap();
    timeout(WITHIN, watch.changed()).await.unwrap().unwrap();
    assert!(timeout(QUIET, watch.changed()).await.is_err(), "one change is told once");
    fs::remove_file(&file).unwrap();
    timeout(WITHIN, watch.changed()).await.unwrap().unwrap();
}
