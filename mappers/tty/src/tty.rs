//! Opens a device file of this machine, for this program alone, and sets the line. Blocks; [`crate::open()`] runs it aside.
//! tokio-serial moves the bytes. What it lacks is done first: it would not say who has the line, and it takes the kernel's
//! exclusive mark off another program's line when that one's lock turns it away.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
    termios::isatty,
};
use serial2::rs4xx::Rs485Config;
use tokio_serial::{DataBits, FlowControl, SerialPort as _, SerialStream, StopBits};

use crate::{
    holder::{holder, is_pty},
    settings::{Flow, Parity, Rs485, Settings},
    system::System,
    trouble,
};

/// Opens and sets it. Says what is wrong and what to do, without the path.
pub(crate) fn open(system: &System, path: &Path, settings: &Settings) -> Result<SerialStream, String> {
    let in_use = || trouble::in_use(&path.to_string_lossy(), holder(&system.proc, path).as_ref());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let first = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::BUSY => in_use(),
        errno => refused(system, path, errno),
    })?;
    if !isatty(&first) {
        return Err("it is no serial line; a device file such as /dev/ttyUSB0 would be accepted".into());
    }
    match flock(&first, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(in_use()),
        Err(errno) => return Err(format!("it cannot be locked: {}", io::Error::from(errno))),
    }
    let device = rustix::fs::fstat(&first).map_err(|errno| io::Error::from(errno).to_string())?.st_rdev;
    // It stays open until the second one is: a line that nobody has open drops DTR.
    let first = match &settings.rs485 {
        Some(rs485) => turn_by_rts(first, rs485, settings.echo)?,
        None => first,
    };
    flock(&first, FlockOperation::Unlock).map_err(|errno| io::Error::from(errno).to_string())?;
    let mut line = SerialStream::open(&builder(path, settings)).map_err(|error| match error.kind() {
        tokio_serial::ErrorKind::NoDevice => in_use(),
        _ => format!("{settings} is refused by its driver: {error}"),
    })?;
    if !is_pty(device) {
        // A pty has no wire: it keeps no parity and moves no modem lines, and nothing is lost by that.
        let levels = [("DTR", settings.dtr), ("RTS", settings.rts)];
        for (name, level) in levels.into_iter().filter_map(|(name, level)| Some((name, level?))) {
            let set =
                if name == "DTR" { line.write_data_terminal_ready(level) } else { line.write_request_to_send(level) };
            set.map_err(|error| format!("its driver cannot set {name} ({error}); leave {} out", name.to_lowercase()))?;
        }
        check(&line, settings)?;
    }
    Ok(line)
}

/// What the system says when a file does not open.
fn refused(system: &System, path: &Path, errno: Errno) -> String {
    match errno {
        Errno::NOENT | Errno::NOTDIR => {
            let folder = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
            let beside = fs::read_dir(folder).into_iter().flatten().filter_map(io::Result::ok);
            let beside: Vec<_> = beside.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            trouble::missing(&path.to_string_lossy(), &folder.to_string_lossy(), &beside)
        }
        Errno::ACCESS => match fs::metadata(path) {
            Ok(meta) => {
                let groups = fs::read_to_string(&system.groups).unwrap_or_default();
                trouble::no_permission(meta.mode(), meta.gid(), trouble::group_name(&groups, meta.gid()))
            }
            Err(error) => format!("a folder of its path may not be entered: {error}"),
        },
        Errno::PERM => trouble::NOT_ALLOWED.into(),
        Errno::NXIO | Errno::NODEV | Errno::IO => {
            format!("the file is there, the device behind it is not ({}); was it unplugged?", io::Error::from(errno))
        }
        errno => io::Error::from(errno).to_string(),
    }
}

fn builder(path: &Path, settings: &Settings) -> tokio_serial::SerialPortBuilder {
    tokio_serial::new(path.to_string_lossy(), settings.baud)
        .data_bits(data_bits(settings))
        .parity(parity(settings))
        .stop_bits(stop_bits(settings))
        .flow_control(flow(settings))
}

fn data_bits(settings: &Settings) -> DataBits {
    match settings.data_bits {
        5 => DataBits::Five,
        6 => DataBits::Six,
        7 => DataBits::Seven,
        _ => DataBits::Eight,
    }
}

fn parity(settings: &Settings) -> tokio_serial::Parity {
    match settings.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    }
}

fn stop_bits(settings: &Settings) -> StopBits {
    if settings.stop_bits == 2 { StopBits::Two } else { StopBits::One }
}

fn flow(settings: &Settings) -> FlowControl {
    match settings.flow {
        Flow::None => FlowControl::None,
        Flow::Hardware => FlowControl::Hardware,
        Flow::Software => FlowControl::Software,
    }
}

/// A driver that cannot do a setting takes another one and says nothing: it is asked what it took.
fn check(line: &SerialStream, settings: &Settings) -> Result<(), String> {
    let refused = |what: &str| Err(format!("its driver does not take {what} of {settings}"));
    let unknown = |error: tokio_serial::Error| format!("its settings cannot be read back: {error}");
    let baud = line.baud_rate().map_err(unknown)?;
    if !is_near(baud, settings.baud) {
        return Err(format!("its driver does not take {} baud; the nearest it can is {baud}", settings.baud));
    }
    if line.data_bits().map_err(unknown)? != data_bits(settings) {
        return refused("the data bits");
    }
    if line.parity().map_err(unknown)? != parity(settings) {
        return refused("the parity");
    }
    if line.stop_bits().map_err(unknown)? != stop_bits(settings) {
        return refused("the stop bits");
    }
    if line.flow_control().map_err(unknown)? != flow(settings) {
        return refused("the flow control");
    }
    Ok(())
}

/// Receivers bear two or three per cent; dividers of clocks hit a rate rarely better than to one.
pub(crate) fn is_near(baud: u32, wanted: u32) -> bool {
    u64::from(baud.abs_diff(wanted)) * 100 <= u64::from(wanted) * 3
}

/// What is said of a tty that vanished under an open file.
pub(crate) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the serial line is gone; was it unplugged?")
}

/// An open line that does not do what it did is gone, unless it could not do just that.
pub(crate) fn failed(error: &tokio_serial::Error) -> io::Error {
    match error.kind() {
        tokio_serial::ErrorKind::InvalidInput => io::Error::other(format!("its driver refuses that: {error}")),
        _ => gone(),
    }
}

/// Sets another rate on an open line.
pub(crate) fn set_baud(line: &mut SerialStream, baud: u32) -> io::Result<()> {
    line.set_baud_rate(baud).map_err(|error| failed(&error))?;
    let taken = line.baud_rate().map_err(|error| failed(&error))?;
    if is_near(taken, baud) {
        return Ok(());
    }
    Err(io::Error::other(format!("its driver does not take {baud} baud; the nearest it can is {taken}")))
}

fn turn_by_rts(line: OwnedFd, rs485: &Rs485, echo: bool) -> Result<OwnedFd, String> {
    let mut config = Rs485Config::new();
    config.set_invert_rts(!rs485.rts_on_send);
    config.set_delay_before_send(rs485.delay_before);
    config.set_delay_after_send(rs485.delay_after);
    config.set_full_duplex(echo);
    let line = serial2::SerialPort::from(line);
    line.set_rs4xx_mode(config).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL) => trouble::NO_RS485.to_owned(),
        _ => format!("RS-485 cannot be set: {error}"),
    })?;
    Ok(line.into())
}

/// The file that is meant: names that udev gives are links.
pub(crate) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mapper_modbus::sim::Pty;

    use super::{check, is_near, open};
    use crate::{
        settings::{Flow, Parity, Settings},
        system::System,
    };

    /// A pty takes eight bits and no parity whatever is asked for, and says so when it is asked.
    #[tokio::test]
    async fn what_a_driver_took_otherwise_is_named() {
        let (pty, usual) = (Pty::open().unwrap(), Settings::default());
        let take = |settings: &Settings| open(&System::default(), Path::new(pty.path()), settings).unwrap();
        assert_eq!(check(&take(&usual), &usual), Ok(()));
        let seven = Settings { data_bits: 7, ..usual };
        let even = Settings { parity: Parity::Even, ..usual };
        for (asked, wanted, part) in [
            (seven, seven, "does not take the data bits of 9600 7N1"),
            (even, even, "does not take the parity of 9600 8E1"),
            (usual, Settings { stop_bits: 2, ..usual }, "the stop bits"),
            (usual, Settings { flow: Flow::Hardware, ..usual }, "the flow control"),
            (usual, Settings { baud: 19200, ..usual }, "does not take 19200 baud; the nearest it can is 9600"),
        ] {
            let message = check(&take(&asked), &wanted).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn rates_that_a_receiver_bears() {
        for (baud, wanted, near) in [
            (115_200, 115_200, true),
            (117_647, 115_200, true),
            (125_000, 115_200, false),
            (9600, 12345, false),
            (0, 300, false),
        ] {
            assert_eq!(is_near(baud, wanted), near, "{baud} for {wanted}");
        }
    }
}
