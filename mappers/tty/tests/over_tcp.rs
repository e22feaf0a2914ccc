//! Lines over TCP: raw, and RFC 2217 with ser2net, which others wrote; and a server that plays tricks.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{fs, path::Path, process::Command, time::Duration};

use common::{Running, Scratch, reason, soon, wait};
use mapper_modbus::sim::Pty;
use mapper_tty::{Port, Rs485, Settings, Target, open};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const WITHIN: Duration = Duration::from_secs(5);
/// Long enough for a server that answers, short enough to wait for one that does not.
const SHORT: Duration = Duration::from_millis(300);

fn target(port: u16) -> Target {
    Target::Rfc2217 { host: "127.0.0.1".into(), port }
}

/// ser2net on a pty. It takes no port of its own choice: one that was free a moment ago is given.
struct Server {
    _running: Running,
    _scratch: Scratch,
    port: u16,
}

impl Server {
    fn start(line: &Path, accepter: &str) -> Self {
        let scratch = Scratch::new("ser2net");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = format!(
            "%YAML 1.1\n---\nconnection: &line\n  accepter: {accepter},127.0.0.1,{port}\n  connector: serialdev,{},local\n",
            line.display()
        );
        let file = scratch.path().join("ser2net.yaml");
        fs::write(&file, config).unwrap();
        // Debian puts it where only root's path leads.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        let running = Running::spawn(Command::new("ser2net").env("PATH", path).args(["-n", "-u", "-c"]).arg(&file));
        Self { _running: running, _scratch: scratch, port }
    }

    /// Opens once it listens.
    async fn open(&self, settings: &Settings) -> Port {
        let target = target(self.port);
        wait(|| async { Some(TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()).filter(|up| *up) }).await;
        // ser2net serves one at a time: the connection that tried it has to be gone.
        wait(|| async { open(&target, settings, WITHIN).await.inspect_err(|error| println!("{error}")).ok() }).await
    }
}

#[tokio::test]
async fn a_real_server_takes_settings_and_passes_every_byte() {
    let mut pty = Pty::open().unwrap();
    let server = Server::start(pty.path(), "telnet(rfc2217),tcp");
    let settings = Settings { baud: 19200, ..Settings::default() };
    let mut port = server.open(&settings).await;
    assert_eq!(common::speed(pty.path()), 19200);
    let all: Vec<u8> = (0..=255).cycle().take(2048).collect();
    let mut there = vec![0; all.len()];
    // A pty takes some thousand bytes at once; sender and receiver take turns.
    let all_of_it = async {
        port.write_all(&all).await?;
        port.flush().await
    };
    let (sent, received) = soon(async { tokio::join!(all_of_it, pty.read_exact(&mut there)) }).await;
    sent.unwrap();
    received.unwrap();
    assert!(there == all, "what was sent is not what came");
    let mut back = vec![0; all.len()];
    let (sent, received) = soon(async { tokio::join!(pty.write_all(&all), port.read_exact(&mut back)) }).await;
    sent.unwrap();
    received.unwrap();
    assert!(back == all, "what came back is not what was sent");
    port.set_baud(57600).await.unwrap();
    assert_eq!((common::speed(pty.path()), port.settings().baud), (57600, 57600));
    pty.write_all(b"old").await.unwrap();
    let mut first = [0; 1];
    soon(port.read_exact(&mut first)).await.unwrap();
    port.discard_input().unwrap();
    port.write_all(b"x").await.unwrap();
    assert_eq!(soon(pty.read_u8()).await.unwrap(), b'x');
    pty.write_all(b"new").await.unwrap();
    let mut bytes = [0; 3];
    soon(port.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"new");
}

#[tokio::test]
async fn a_real_server_that_cannot_set_the_line_is_found_out() {
    let pty = Pty::open().unwrap();
    let server = Server::start(pty.path(), "telnet(rfc2217),tcp");
    let mut port = server.open(&Settings::default()).await;
    port.set_baud(12345).await.unwrap();
    assert_eq!(common::speed(pty.path()), 12345);
    drop(port);
    // A pty has no modem lines, and ser2net says nothing then.
    let settings = Settings { dtr: Some(true), ..Settings::default() };
    let text = wait(|| async {
        let refused = open(&target(server.port), &settings, SHORT).await.err()?.to_string();
        Some(refused).filter(|text| text.contains("the other side does not answer when"))
    })
    .await;
    assert!(text.ends_with("when the level of DTR is set"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error() {
    let pty = Pty::open().unwrap();
    let server = Server::start(pty.path(), "telnet(rfc2217),tcp");
    let mut port = server.open(&Settings::default()).await;
    drop(server);
    let error = timeout(WITHIN, port.read(&mut [0; 4])).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the other side closed the connection");
}

#[tokio::test]
async fn raw_tcp_passes_bytes_and_sets_nothing() {
    let mut pty = Pty::open().unwrap();
    let server = Server::start(pty.path(), "tcp");
    let raw = Target::Tcp { host: "127.0.0.1".into(), port: server.port };
    let settings = Settings::default();
    let mut port = wait(|| async { open(&raw, &settings, WITHIN).await.ok() }).await;
    port.write_all(b"\xff\xfb\0").await.unwrap();
    let mut bytes = [0; 3];
    soon(pty.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"\xff\xfb\0");
    pty.write_all(b"\xff\xff").await.unwrap();
    soon(port.read_exact(&mut bytes[..2])).await.unwrap();
    assert_eq!(&bytes[..2], b"\xff\xff");
    timeout(SHORT, port.drained()).await.expect("it waits for nothing").unwrap();
    let error = port.set_baud(300).await.unwrap_err();
    assert!(error.to_string().contains("RFC 2217"), "{error}");
    drop(server);
    assert!(timeout(WITHIN, port.read(&mut bytes)).await.unwrap().is_err());
}

/// Where one connection is served by the test itself.
async fn trick() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A server that sends this as soon as somebody connects, and then swallows what comes.
async fn says(bytes: Vec<u8>, settings: Settings) -> String {
    let (listener, port) = trick().await;
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        while stream.read(&mut [0; 512]).await.is_ok_and(|n| n > 0) {}
    });
    let text = reason(open(&target(port), &settings, SHORT).await);
    serve.abort();
    text
}

/// An answer of the server: the command as the client counts it.
fn answer(command: u8, value: &[u8]) -> Vec<u8> {
    [&[255, 250, 44, 100 + command][..], value, &[255, 240]].concat()
}

#[tokio::test]
async fn servers_of_another_kind_are_explained() {
    let usual = Settings::default();
    let agree = || b"\xff\xfd\x2c\xff\xfd\0".to_vec();
    for (bytes, settings, part) in [
        (b"weight 17 kg\r\n".to_vec(), usual, "does not answer to RFC 2217; a port that passes bytes through"),
        (b"\xff\xfe\x2c".to_vec(), usual, "speaks telnet and no RFC 2217"),
        (agree(), usual, "does not answer when the rate is set"),
        (vec![b'x'; 200_000], usual, "does not answer to RFC 2217"),
    ] {
        let text = says(bytes, settings).await;
        assert!(text.contains(part) && text.contains("(RFC 2217): "), "{text}");
    }
    let rs485 =
        Rs485 { rts_on_send: true, rts_after_send: false, delay_before: Duration::ZERO, delay_after: Duration::ZERO };
    let text = says(agree(), Settings { rs485: Some(rs485), ..usual }).await;
    assert!(text.contains("knows no RS-485"), "{text}");
}

#[tokio::test]
async fn a_server_without_somebody_is_said_to_be_away() {
    let (listener, port) = trick().await;
    drop(listener);
    for target in [target(port), Target::Tcp { host: "127.0.0.1".into(), port }] {
        let text = reason(open(&target, &Settings::default(), WITHIN).await);
        assert!(text.contains("refused") && text.contains(&port.to_string()), "{text}");
    }
    let (listener, port) = trick().await;
    let serve = async { drop(listener.accept().await.unwrap()) };
    let settings = Settings::default();
    let target = target(port);
    let (opened, ()) = tokio::join!(open(&target, &settings, WITHIN), serve);
    let text = reason(opened);
    assert!(text.contains("is another program on it?") || text.contains("reset"), "{text}");
}

/// Plays the server through the settings; `changed` is what it makes of one command's value.
async fn play(stream: &mut TcpStream, changed: impl Fn(u8, Vec<u8>) -> Vec<u8>) {
    play_with(stream, &[], changed).await;
}

/// The same; behind each answer, in one piece with it, comes something more.
async fn play_with(stream: &mut TcpStream, behind: &[u8], changed: impl Fn(u8, Vec<u8>) -> Vec<u8>) {
    stream.write_all(b"\xff\xfd\x2c\xff\xfd\0\xff\xfb\0\xff\xfd\x03\xff\xfb\x03\xff\xfb\x01").await.unwrap();
    let (mut all, mut answered) = (Vec::new(), 0);
    while answered < 5 {
        let mut bytes = [0; 256];
        let n = stream.read(&mut bytes).await.unwrap();
        if n == 0 {
            return;
        }
        all.extend_from_slice(&bytes[..n]);
        while let Some(begin) = all.windows(3).position(|part| part == [255, 250, 44]) {
            let Some(end) = all.windows(2).position(|part| part == [255, 240]) else { break };
            let (command, value) = (all[begin + 3], all[begin + 4..end].to_vec());
            all.drain(..end + 2);
            if command < 6 {
                let reply = [&answer(command, &changed(command, value)), behind].concat();
                stream.write_all(&reply).await.unwrap();
                answered += 1;
            }
        }
    }
}

#[tokio::test]
async fn what_the_server_sets_otherwise_is_refused() {
    for (command, value, part) in [
        (1, 4800_u32.to_be_bytes().to_vec(), "does not take 9600 baud; it says 4800"),
        (1, vec![], "does not take 9600 baud; it says 0"),
        (2, vec![7], "does not take the number of data bits of 9600 8N1"),
        (3, vec![2], "the parity"),
        (4, vec![2], "the number of stop bits"),
        (5, vec![3], "the flow control"),
    ] {
        let (listener, port) = trick().await;
        let serve = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            play(&mut stream, |is, was| if is == command { value.clone() } else { was }).await;
        };
        let (settings, target) = (Settings::default(), target(port));
        let (opened, ()) = tokio::join!(open(&target, &settings, WITHIN), serve);
        let text = reason(opened);
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_notification_behind_an_answer_does_not_hide_it() {
    // NOTIFY-LINESTATE and NOTIFY-MODEMSTATE (RFC 2217, section 3), and an answer that nobody waits for.
    let behind = [answer(6, &[96]), answer(7, &[0xb0]), answer(12, &[1])].concat();
    let (listener, port) = trick().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        play_with(&mut stream, &behind, |_, value| value).await;
        stream
    };
    let (settings, target) = (Settings::default(), target(port));
    let (opened, _stream) = tokio::join!(open(&target, &settings, WITHIN), serve);
    opened.unwrap();
}

#[tokio::test]
async fn a_server_may_hold_the_sender_up() {
    let (listener, port) = trick().await;
    let settings = Settings::default();
    let target = target(port);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        play(&mut stream, |_, value| value).await;
        stream
    };
    let (opened, mut stream) = tokio::join!(open(&target, &settings, WITHIN), serve);
    let mut port = opened.unwrap();
    // Suspend, with data before and after it.
    stream.write_all(&[b"a".to_vec(), answer(8, &[]), b"b".to_vec()].concat()).await.unwrap();
    let mut bytes = [0; 2];
    soon(port.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"ab");
    assert!(timeout(SHORT, port.write(b"x")).await.is_err(), "it was to wait");
    stream.write_all(&answer(9, &[])).await.unwrap();
    timeout(WITHIN, port.write_all(b"x")).await.unwrap().unwrap();
    port.flush().await.unwrap();
    let mut all = Vec::new();
    while !all.ends_with(b"x") {
        assert!(timeout(WITHIN, stream.read_buf(&mut all)).await.unwrap().unwrap() > 0);
    }
}

#[tokio::test]
async fn a_server_that_asks_without_end_fills_no_memory() {
    let (listener, port) = trick().await;
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
    let (settings, target) = (Settings::default(), target(port));
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        play(&mut stream, |_, value| value).await;
        stream
    };
    let (opened, mut stream) = tokio::join!(open(&target, &settings, WITHIN), serve);
    let mut port = opened.unwrap();
    // It asks for options and reads no answer.
    let flood = tokio::spawn(async move { while stream.write_all(&b"\xff\xfd\x18".repeat(1000)).await.is_ok() {} });
    let error = timeout(4 * WITHIN, port.read(&mut [0; 16])).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("asks without end"), "{error}");
    drop(port);
    flood.await.unwrap();
}
