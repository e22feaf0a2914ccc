//! Device files: opened by one alone, set, unplugged and plugged in again, on ptys.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{
    fs,
    future::poll_fn,
    io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    pin::Pin,
    process::Command,
    time::Duration,
};

use common::{Running, Scratch, reason, soon, wait};
use mapper_api::{Error, ErrorKind};
use mapper_modbus::sim::Pty;
use mapper_tty::{Flow, Parity, Port, Rs485, Settings, System, Target, open};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf},
    time::{Instant, timeout},
};

const WITHIN: Duration = Duration::from_secs(5);

fn target(path: &Path) -> Target {
    Target::Path(path.to_str().unwrap().to_owned())
}

async fn open_pty(pty: &Pty, settings: &Settings) -> Port {
    open(&target(pty.path()), settings, WITHIN).await.unwrap()
}

async fn refusal(path: &Path) -> String {
    reason(open(&target(path), &Settings::default(), WITHIN).await)
}

#[tokio::test]
async fn bytes_go_both_ways_at_any_rate() {
    let mut pty = Pty::open().unwrap();
    for baud in [300, 9600, 12345, 250_000, 4_000_000] {
        for parity in [Parity::None, Parity::Even, Parity::Odd] {
            let settings = Settings {
                baud,
                parity,
                data_bits: 7,
                stop_bits: 2,
                flow: Flow::Software,
                dtr: Some(true),
                rts: Some(false),
                ..Settings::default()
            };
            let mut port = open_pty(&pty, &settings).await;
            assert_eq!(common::speed(pty.path()), baud);
            port.write_all(b"ask").await.unwrap();
            port.flush().await.unwrap();
            let mut bytes = [0; 3];
            soon(pty.read_exact(&mut bytes)).await.unwrap();
            assert_eq!(&bytes, b"ask");
            // XON and XOFF are the driver's with that flow control; everything else comes through.
            pty.write_all(b"\0\r\n\xff").await.unwrap();
            let mut bytes = [0; 4];
            soon(port.read_exact(&mut bytes)).await.unwrap();
            assert_eq!(&bytes, b"\0\r\n\xff");
        }
    }
}

#[tokio::test]
async fn every_byte_comes_through_as_it_is() {
    let mut pty = Pty::open().unwrap();
    let mut port = open_pty(&pty, &Settings::default()).await;
    let all: Vec<u8> = (0..=255).collect();
    for _ in 0..2 {
        port.write_all(&all).await.unwrap();
        let mut there = [0; 256];
        soon(pty.read_exact(&mut there)).await.unwrap();
        assert_eq!(there[..], all);
        pty.write_all(&all).await.unwrap();
        let mut back = [0; 256];
        soon(port.read_exact(&mut back)).await.unwrap();
        assert_eq!(back[..], all);
    }
}

#[tokio::test]
async fn another_rate_is_set_when_all_was_sent() {
    let mut pty = Pty::open().unwrap();
    let mut port = open_pty(&pty, &Settings { baud: 300, ..Settings::default() }).await;
    port.write_all(b"/?!\r\n").await.unwrap();
    port.set_baud(9600).await.unwrap();
    assert_eq!((common::speed(pty.path()), port.settings().baud), (9600, 9600));
    let mut bytes = [0; 5];
    soon(pty.read_exact(&mut bytes)).await.unwrap();
}

/// On a clock that jumps ahead when nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn sent_means_that_the_last_bit_has_left() {
    let pty = Pty::open().unwrap();
    let mut port = open_pty(&pty, &Settings::default()).await;
    let begin = Instant::now();
    port.write_all(&[0; 48]).await.unwrap();
    port.write_all(&[0; 48]).await.unwrap();
    port.drained().await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(100), "{:?}", begin.elapsed());
    let again = Instant::now();
    port.drained().await.unwrap();
    assert_eq!(again.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn what_came_unread_can_be_dropped() {
    let mut pty = Pty::open().unwrap();
    let mut port = open_pty(&pty, &Settings::default()).await;
    pty.write_all(b"old").await.unwrap();
    let mut first = [0; 1];
    soon(port.read_exact(&mut first)).await.unwrap();
    port.discard_input().unwrap();
    pty.write_all(b"new").await.unwrap();
    let mut bytes = [0; 3];
    soon(port.read_exact(&mut bytes)).await.unwrap();
    assert_eq!((&first, &bytes), (b"o", b"new"));
}

#[tokio::test]
async fn a_line_that_hears_itself_hears_the_answer_alone() {
    let mut pty = Pty::open().unwrap();
    let mut port = open_pty(&pty, &Settings { echo: true, ..Settings::default() }).await;
    port.write_all(b"ask").await.unwrap();
    let mut bytes = [0; 3];
    soon(pty.read_exact(&mut bytes)).await.unwrap();
    pty.write_all(b"as").await.unwrap();
    pty.write_all(b"kanswer").await.unwrap();
    let mut answer = [0; 6];
    soon(port.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"answer");
}

/// Counts how often it is looked whether something came.
async fn read_counting(port: &mut Port, polls: &mut u32) -> io::Result<usize> {
    let mut bytes = [0; 16];
    let mut buf = ReadBuf::new(&mut bytes);
    poll_fn(|cx| {
        *polls += 1;
        Pin::new(&mut *port).poll_read(cx, &mut buf)
    })
    .await?;
    Ok(buf.filled().len())
}

#[tokio::test]
async fn an_unplugged_line_is_an_error_and_burns_nothing() {
    let pty = Pty::open().unwrap();
    let mut port = open_pty(&pty, &Settings::default()).await;
    let mut polls = 0;
    // Idle: it is looked once, and once more when the time is over; between, it sleeps.
    assert!(timeout(Duration::from_millis(100), read_counting(&mut port, &mut polls)).await.is_err());
    assert_eq!(polls, 2);
    let unplug = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(pty);
    };
    let (read, ()) = soon(async { tokio::join!(read_counting(&mut port, &mut polls), unplug) }).await;
    let error = read.unwrap_err();
    assert_eq!(error.to_string(), "the serial line is gone; was it unplugged?");
    assert!(polls <= 5, "{polls} looks");
    // It stays so, and never gives an empty read.
    for _ in 0..3 {
        assert!(read_counting(&mut port, &mut polls).await.is_err());
    }
    let error = port.write(b"x").await.unwrap_err();
    assert_eq!(error.to_string(), "the serial line is gone; was it unplugged?");
    for error in [port.set_baud(1200).await, port.drained().await, port.discard_input()] {
        assert_eq!(error.unwrap_err().to_string(), "the serial line is gone; was it unplugged?");
    }
    // As a core sees it: an error of the bus.
    assert_eq!(Error::from(error).kind, ErrorKind::Bus);
}

#[tokio::test]
async fn the_same_program_cannot_open_it_twice() {
    let pty = Pty::open().unwrap();
    let port = open_pty(&pty, &Settings::default()).await;
    let text = refusal(pty.path()).await;
    assert!(text.contains("this very program has it open already"), "{text}");
    drop(port);
    open_pty(&pty, &Settings::default()).await;
}

#[tokio::test]
async fn the_program_that_has_it_is_named() {
    let pty = Pty::open().unwrap();
    let path = pty.path().to_str().unwrap().to_owned();
    let socat = Running::spawn(Command::new("socat").args([&format!("OPEN:{path},flock-ex"), "PIPE"]));
    let name = format!("socat (process {})", socat.pid());
    // Until it has the lock, the line is free.
    let text = wait(|| async { open(&target(pty.path()), &Settings::default(), WITHIN).await.err() }).await.to_string();
    assert!(text.starts_with(&format!("cannot open {path}: another program has it open: {name};")), "{text}");
    drop(socat);
    open_pty(&pty, &Settings::default()).await;
}

#[tokio::test]
async fn a_program_that_cannot_be_seen_is_said_to_be_there() {
    let pty = Pty::open().unwrap();
    let _port = open_pty(&pty, &Settings::default()).await;
    // What a container of its own shows of the host's processes.
    let proc = Scratch::new("proc");
    let place = common::place(pty.path());
    fs::write(proc.path().join("locks"), format!("1: FLOCK  ADVISORY  WRITE 0 {place} 0 EOF\n")).unwrap();
    let system = System { proc: proc.path().to_owned(), ..System::default() };
    let text = reason(system.open(&target(pty.path()), &Settings::default(), WITHIN).await);
    assert!(text.contains("which cannot be seen from here") && text.contains("fuser -v /dev/pts/"), "{text}");
}

#[tokio::test]
async fn what_is_no_line_is_said() {
    let scratch = Scratch::new("no-line");
    let file = scratch.path().join("ttyUSB0");
    for (path, part) in [
        (file.as_path(), "there is no such file; is it plugged in?"),
        (&scratch.path().join("serial/by-id/usb-X"), "nor its folder ("),
        (Path::new("/dev/null"), "it is no serial line"),
        (scratch.path(), "irectory"),
    ] {
        let text = refusal(path).await;
        assert!(text.contains(part) && text.contains(path.to_str().unwrap()), "{text}");
    }
    fs::write(&file, "").unwrap();
    assert!(refusal(&file).await.contains("it is no serial line"));
    let other = scratch.path().join("ttyUSB1");
    let text = refusal(&other).await;
    assert!(text.contains("there is: ttyUSB0"), "{text}");
}

#[tokio::test]
async fn a_driver_without_rs485_is_explained() {
    let pty = Pty::open().unwrap();
    let none = Duration::ZERO;
    let rs485 = Rs485 { rts_on_send: true, rts_after_send: false, delay_before: none, delay_after: none };
    let settings = Settings { rs485: Some(rs485), ..Settings::default() };
    let text = reason(open(&target(pty.path()), &settings, WITHIN).await);
    assert!(text.contains("its driver cannot switch an RS-485 transceiver"), "{text}");
    // What failed left nothing behind.
    open_pty(&pty, &Settings::default()).await;
}

/// Root may open everything: the test runs itself again as somebody else, who then finds out.
#[tokio::test]
async fn others_are_kept_out_and_told_why() {
    const CASE: &str = "MAPPER_TTY_TEST_PATH";
    if let Ok(path) = std::env::var(CASE) {
        println!("{}", refusal(Path::new(&path)).await);
        println!("{:?}", fs::File::open(path).map_err(|error| error.kind()).err());
        return;
    }
    let pty = Pty::open().unwrap();
    let again = |mode: u32| {
        fs::set_permissions(pty.path(), fs::Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "others_are_kept_out_and_told_why", "--nocapture"]).env(CASE, pty.path());
        if common::is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // The owner may not, its group may.
    let text = again(0o060);
    assert!(
        text.contains("permission denied; it belongs to the group") && text.contains("supplementalGroups"),
        "{text}"
    );
    // Everybody may, but somebody has it: the kernel keeps out all but root, the lock keeps out root.
    let _port = open_pty(&pty, &Settings::default()).await;
    // An attempt that the lock turns away leaves the kernel's mark where it is.
    refusal(pty.path()).await;
    let text = again(0o666);
    assert!(!common::is_root() || text.contains("ResourceBusy"), "{text}");
    let holder = format!("(process {})", std::process::id());
    assert!(text.contains("another program has it open") && text.contains(&holder), "{text}");
}

const NOBODY: u32 = 65534;
