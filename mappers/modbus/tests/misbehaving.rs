//! Peers that misbehave, each in its own way: what they say never becomes a value, and the next answer is right.

#![allow(clippy::unwrap_used)] // a test

mod common;

use common::{Peer, pause, poll, registers, sealed, write};
use mapper_api::{Bus, Error, ErrorKind, Protocol};
use mapper_modbus::{Bound, Framing, Line, Modbus, ModbusBus};
use tokio::time::Instant;

const RTU: &str = r#", "framing": "rtu""#;

fn one(register: i64) -> Bound {
    registers(1, register, 1, RTU)
}

async fn read(bus: &mut ModbusBus, register: i64) -> Result<String, Error> {
    poll(bus, &one(register), 1).await.map(|values| values[0].clone())
}

async fn fails(bus: &mut ModbusBus, register: i64, kind: ErrorKind, told: &str) {
    let error = read(bus, register).await.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(told), "{error}, not {told}");
    assert!(error.message.contains(&format!("unit 1 read holding register {register}")), "{error}");
    if kind != ErrorKind::Bus {
        bus.resynchronise().await.unwrap();
    }
}

async fn right(bus: &mut ModbusBus, registers: std::ops::Range<i64>) {
    for register in registers {
        assert_eq!(read(bus, register).await, Ok((10 * register).to_string()));
    }
}

/// Answers rightly from now on.
async fn behave_rtu(mut peer: Peer) {
    loop {
        let answer = peer.rtu().await;
        peer.send(&answer).await;
    }
}

fn tcp_one(register: i64) -> Bound {
    registers(1, register, 1, "")
}

#[tokio::test(start_paused = true)]
async fn late_answers_on_tcp_are_dropped_and_the_connection_lives() {
    let (mut bus, mut peer) = Peer::new(Framing::Tcp);
    tokio::spawn(async move {
        let late = peer.tcp().await;
        pause(150).await;
        let second = peer.tcp().await;
        peer.send(&late).await;
        peer.send(&second).await;
        loop {
            let answer = peer.tcp().await;
            peer.send(&answer).await;
        }
    });
    let error = poll(&mut bus, &tcp_one(7), 1).await.unwrap_err();
    assert_eq!(
        (error.kind, &*error.message),
        (ErrorKind::Timeout, "unit 1 read holding register 7: no answer within 100 ms")
    );
    bus.resynchronise().await.unwrap();
    pause(60).await;
    for register in 8..12 {
        assert_eq!(poll(&mut bus, &tcp_one(register), 1).await.unwrap(), [(10 * register).to_string()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_on_tcp_that_comes_in_two_halves_is_dropped() {
    let (mut bus, mut peer) = Peer::new(Framing::Tcp);
    tokio::spawn(async move {
        let late = peer.tcp().await;
        pause(120).await;
        peer.send(&late[..5]).await;
        let second = peer.tcp().await;
        peer.send(&late[5..]).await;
        peer.send(&second).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(poll(&mut bus, &tcp_one(7), 1).await.unwrap_err().kind, ErrorKind::Timeout);
    bus.resynchronise().await.unwrap();
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), bus.idle()).await.is_err());
    assert_eq!(poll(&mut bus, &tcp_one(8), 1).await.unwrap(), ["80"]);
}

#[tokio::test(start_paused = true)]
async fn late_answers_on_rtu_end_in_the_quiet_time() {
    let (mut bus, mut peer) = Peer::new(Framing::Rtu);
    tokio::spawn(async move {
        let late = peer.rtu().await;
        // Over TCP the quiet time is 20 ms, and begins anew with every byte.
        pause(110).await;
        peer.send(&[0x55]).await;
        pause(14).await;
        peer.send(&late).await;
        behave_rtu(peer).await;
    });
    fails(&mut bus, 7, ErrorKind::Timeout, "no answer within 100 ms").await;
    right(&mut bus, 8..12).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_on_rtu_is_flushed_before_the_next_request() {
    let (mut bus, mut peer) = Peer::new(Framing::Rtu);
    tokio::spawn(async move {
        let late = peer.rtu().await;
        pause(200).await;
        peer.send(&late).await;
        behave_rtu(peer).await;
    });
    fails(&mut bus, 7, ErrorKind::Timeout, "no answer").await;
    pause(150).await;
    right(&mut bus, 8..12).await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_falls_silent_is_given_up() {
    let (mut bus, mut peer) = Peer::new(Framing::Rtu);
    tokio::spawn(async move {
        peer.request(8).await;
        loop {
            peer.send(&[0x55]).await;
            pause(1).await;
        }
    });
    let error = read(&mut bus, 7).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(error.message.contains("bytes came that are no answer"), "{error}");
    assert_eq!(bus.resynchronise().await.unwrap_err().kind, ErrorKind::Bus);
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_fit_on_rtu() {
    let short = sealed(&[1, 3, 4, 0, 1, 0, 2]);
    let mut flipped = sealed(&[1, 3, 2, 0, 70]);
    flipped[4] ^= 1;
    let table: [(Vec<u8>, ErrorKind, &str); 6] = [
        (short, ErrorKind::BadData, "asked for 1 registers, got 2"),
        (sealed(&[1, 3, 0]), ErrorKind::BadData, "asked for 1 registers, got 0"),
        (flipped, ErrorKind::BadData, "wrong CRC"),
        (sealed(&[2, 3, 2, 0, 70]), ErrorKind::Timeout, "7 bytes came that are no answer"),
        (sealed(&[1, 4, 2, 0, 70]), ErrorKind::Timeout, "7 bytes came that are no answer"),
        (vec![0x55; 600], ErrorKind::Timeout, "512 bytes came that are no answer"),
    ];
    for (bytes, kind, told) in table {
        let (mut bus, mut peer) = Peer::new(Framing::Rtu);
        tokio::spawn(async move {
            peer.request(8).await;
            peer.send(&bytes).await;
            behave_rtu(peer).await;
        });
        fails(&mut bus, 7, kind, told).await;
        right(&mut bus, 8..11).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_crc_does_not_cost_the_whole_time_out() {
    let (mut bus, mut peer) = Peer::new(Framing::Rtu);
    tokio::spawn(async move {
        let mut answer = peer.rtu().await;
        answer[6] ^= 0x80;
        peer.send(&answer).await;
        std::future::pending::<()>().await;
    });
    let start = Instant::now();
    fails(&mut bus, 7, ErrorKind::BadData, "wrong CRC in an answer of 7 bytes").await;
    assert!(start.elapsed().as_millis() < 50, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn noise_around_answers_is_passed_over() {
    let (mut bus, mut peer) = Peer::new(Framing::Rtu);
    tokio::spawn(async move {
        let noise: [&[u8]; 6] = [&[0; 30], &[0], &[1, 3, 2, 0, 0, 9, 9], &[0xff; 40], &[1, 3, 200], &[1, 3, 2]];
        for noise in noise.iter().cycle() {
            let answer = peer.rtu().await;
            peer.send(noise).await;
            peer.send(&answer).await;
            pause(1).await;
            peer.send(noise).await;
        }
    });
    right(&mut bus, 1..40).await;
}

#[tokio::test(start_paused = true)]
async fn frames_in_pieces_are_put_together() {
    let (mut bus, mut peer) = Peer::new(Framing::Rtu);
    tokio::spawn(async move {
        loop {
            for byte in peer.rtu().await {
                peer.send(&[byte]).await;
                pause(10).await;
            }
        }
    });
    right(&mut bus, 7..10).await;
    let (mut bus, mut peer) = Peer::new(Framing::Tcp);
    tokio::spawn(async move {
        for byte in peer.tcp().await {
            peer.send(&[byte]).await;
            pause(2).await;
        }
        std::future::pending::<()>().await;
    });
    assert_eq!(poll(&mut bus, &tcp_one(7), 1).await.unwrap(), ["70"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_began_in_time_may_take_the_time_of_its_bytes() {
    let (near, far) = tokio::io::duplex(4096);
    let mut bus = ModbusBus::attach(near, Line::serial(9600, None));
    let mut peer = Peer(far);
    tokio::spawn(async move {
        peer.request(8).await;
        let body: Vec<u8> = [1, 3, 250].into_iter().chain([0; 250]).collect();
        pause(60).await;
        for byte in sealed(&body).chunks(8) {
            peer.send(byte).await;
            pause(9).await;
        }
        std::future::pending::<()>().await;
    });
    let endpoint = r#"{ "serial": { "path": "/dev/x", "baud": 9600 }, "unit": 1, "timeout": "100ms" }"#;
    let points: Vec<common::Spec> = (0..125)
        .map(|r| ("holdingRegister", r, mapper_api::DataType::Uint16, mapper_api::ByteOrder::Abcd, None))
        .collect();
    let bound = common::bind(&serde_json::from_str(endpoint).unwrap(), &points);
    assert_eq!(poll(&mut bus, &bound, 125).await.unwrap().len(), 125);
}

#[tokio::test(start_paused = true)]
async fn wrong_echoes_of_writes_are_no_confirmation() {
    let device = registers(1, 1, 2, RTU);
    for (echo, told) in [
        (sealed(&[1, 6, 0, 9, 3, 9]), "wrote 777 at 1, the answer confirms 777 at 9"),
        (sealed(&[1, 6, 0, 1, 0, 0]), "wrote 777 at 1, the answer confirms 0 at 1"),
    ] {
        let (mut bus, mut peer) = Peer::new(Framing::Rtu);
        tokio::spawn(async move {
            peer.request(8).await;
            peer.send(&echo).await;
            let request = peer.request(8).await;
            peer.send(&request).await;
        });
        let error = write(&mut bus, &device, &[(0, 777_u16.into())]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadData);
        assert!(error.message.contains(told), "{error}");
        bus.resynchronise().await.unwrap();
        assert_eq!(write(&mut bus, &device, &[(0, 778_u16.into())]).await, Ok(vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_fit_on_tcp() {
    type Spoil = fn(&mut Vec<u8>);
    let table: [(Spoil, ErrorKind, &str); 7] = [
        (
            |a| a.splice(4.., [0, 7, 1, 3, 4, 0, 1, 0, 2]).for_each(drop),
            ErrorKind::BadData,
            "asked for 1 registers, got 2",
        ),
        (|a| a[6] = 5, ErrorKind::BadData, "the answer is of unit 5"),
        (|a| a[7] = 4, ErrorKind::BadData, "the answer is of function 4"),
        (|a| a[8] = 90, ErrorKind::BadData, "the answer tells 90 bytes and has 2"),
        (|a| a[1] = a[1].wrapping_add(1), ErrorKind::Timeout, "no answer"),
        (|a| a[2] = 9, ErrorKind::Bus, "what came is not Modbus TCP"),
        (|a| a.splice(.., *b"HTTP/1.1 400 Bad").for_each(drop), ErrorKind::Bus, "is framing rtu meant?"),
    ];
    for (spoil, kind, told) in table {
        let (mut bus, mut peer) = Peer::new(Framing::Tcp);
        tokio::spawn(async move {
            let mut answer = peer.tcp().await;
            spoil(&mut answer);
            peer.send(&answer).await;
            loop {
                let answer = peer.tcp().await;
                peer.send(&answer).await;
            }
        });
        let error = poll(&mut bus, &tcp_one(7), 1).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(told), "{error}, not {told}");
        if kind != ErrorKind::Bus {
            bus.resynchronise().await.unwrap();
            for register in 8..11 {
                assert_eq!(poll(&mut bus, &tcp_one(register), 1).await.unwrap(), [(10 * register).to_string()]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn exceptions_refuse_each_point_by_name() {
    for (code, name) in [
        (1, "illegalFunction"),
        (2, "illegalDataAddress"),
        (3, "illegalDataValue"),
        (4, "serverDeviceFailure"),
        (5, "acknowledge"),
        (6, "serverDeviceBusy"),
        (8, "memoryParityError"),
        (99, "exception 99"),
    ] {
        let (mut bus, mut peer) = Peer::new(Framing::Rtu);
        tokio::spawn(async move {
            peer.request(8).await;
            peer.send(&sealed(&[1, 0x83, code])).await;
            behave_rtu(peer).await;
        });
        assert_eq!(poll(&mut bus, &registers(1, 1, 3, RTU), 3).await.unwrap(), [name; 3]);
        right(&mut bus, 8..9).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_whose_unit_is_silent_counts_as_a_time_out() {
    for (code, name) in [(10, "gatewayPathUnavailable"), (11, "gatewayTargetDeviceFailedToRespond")] {
        let (mut bus, mut peer) = Peer::new(Framing::Tcp);
        tokio::spawn(async move {
            let r = peer.request(12).await;
            peer.send(&[r[0], r[1], 0, 0, 0, 3, r[6], r[7] | 0x80, code]).await;
            std::future::pending::<()>().await;
        });
        let error = poll(&mut bus, &tcp_one(7), 1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout);
        assert!(error.message.ends_with(name), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_away_breaks_the_bus() {
    for framing in [Framing::Tcp, Framing::Rtu] {
        let (mut bus, mut peer) = Peer::new(framing);
        let device = if framing == Framing::Tcp { tcp_one(7) } else { one(7) };
        tokio::spawn(async move {
            let answer = if framing == Framing::Tcp { peer.tcp().await } else { peer.rtu().await };
            peer.send(&answer[..5]).await;
        });
        let error = poll(&mut bus, &device, 1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Bus, "{error}");
        assert!(error.message.contains("unit 1 read holding register 7: the other side closed"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_is_closed_is_noticed() {
    for framing in [Framing::Tcp, Framing::Rtu] {
        let (mut bus, peer) = Peer::new(framing);
        let closing = tokio::spawn(async move {
            pause(5000).await;
            drop(peer);
        });
        assert_eq!(bus.idle().await.unwrap_err().kind, ErrorKind::Bus);
        closing.await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_connection_names_host_port_and_reason() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let endpoint = serde_json::json!({ "tcp": format!("127.0.0.1:{port}"), "unit": 1 });
    let error = Modbus.open(&common::bind(&endpoint, &[])).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.starts_with(&format!("cannot open 127.0.0.1:{port}: Connection refused")), "{error}");
    let endpoint = serde_json::json!({ "serial": { "path": "/dev/none", "baud": 9600 }, "unit": 1 });
    let error = Modbus.open(&common::bind(&endpoint, &[])).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.starts_with("cannot open /dev/none: there is no such file"), "{error}");
}
