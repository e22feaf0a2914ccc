//! A peer that misbehaves: noise, half frames, wrong checks, floods, answers that are late or to another question, a line
//! that is unplugged.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::{fmt::Write as _, sync::Arc, thread, time::Duration};

use common::{Line, Plug, bind, on};
use mapper_api::{BoundDevice, DataType, Decoded, DynBus, Error, ErrorKind, Mapper, Value};
use mapper_serial::Serial;
use serde_json::{Value as Json, json};
use tokio::time::{sleep, timeout};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Numbers in lines, checked by the sum of their bytes in hexadecimal digits: `#21.5*cc`.
fn listening() -> Json {
    json!({
        "frame": {
            "start": "#",
            "end": "\\r\\n",
            "max": 64,
            "check": { "kind": "sum8", "form": "hex", "skipStart": 1, "skipEnd": 1 },
        },
        "messages": [{ "name": "number", "regex": "^(?<n>[-0-9.]+)$" }],
    })
}

fn sealed(number: u32) -> Vec<u8> {
    let text = number.to_string();
    let sum = text.bytes().fold(0_u8, u8::wrapping_add);
    format!("#{text}*{sum:02X}\r\n").into_bytes()
}

struct Session {
    serial: Arc<Serial>,
    bound: Arc<dyn BoundDevice>,
    bus: Box<dyn DynBus>,
}

impl Session {
    async fn open(endpoint: Json, points: &[(Json, DataType)]) -> Self {
        let serial = Arc::new(Serial::default());
        let bound = bind(&serial, &endpoint, points);
        let mut bus = bound.open().await.unwrap();
        for request in bound.prepare().iter().flat_map(|sequence| &sequence.0) {
            bus.exchange(request).await.unwrap();
        }
        Self { serial, bound, bus }
    }

    async fn listen(line: &Line) -> Self {
        Self::open(on(&line.path, listening()), &[(json!({ "field": "n" }), DataType::Uint32)]).await
    }

    /// The next value that comes by itself.
    async fn next(&mut self) -> Result<Value, Error> {
        loop {
            let frame = timeout(PATIENCE, self.bus.idle()).await.expect("nothing came")?;
            let mut out = Vec::new();
            self.bound.decode_frame(&frame, &mut out);
            if let Some(Decoded { result, .. }) = out.pop() {
                return Ok(result.unwrap());
            }
        }
    }

    async fn read(&mut self, points: &[u16]) -> Result<Vec<Result<Value, String>>, Error> {
        let mut out = Vec::new();
        for request in self.bound.plan(points, &self.bound.learnt()).iter().flat_map(|sequence| &sequence.0) {
            let answer = self.bus.exchange(request).await?;
            self.bound.decode(request, &answer, &mut out);
        }
        Ok(out.into_iter().map(|decoded| decoded.result.map_err(|refusal| refusal.to_string())).collect())
    }

    async fn write(&mut self, value: Value) -> Result<Vec<String>, Error> {
        let mut out = Vec::new();
        for request in self.bound.plan_write(&[(0, value)]).unwrap().iter().flat_map(|sequence| &sequence.0) {
            let answer = self.bus.exchange(request).await?;
            self.bound.decode(request, &answer, &mut out);
        }
        Ok(out.into_iter().map(|decoded| decoded.result.unwrap_err().to_string()).collect())
    }

    fn counted(&self, what: &str) -> u64 {
        self.serial.counts().into_iter().find(|(name, _)| *name == what).unwrap().1
    }
}

fn uint(value: u64) -> Value {
    Value::Uint(value)
}

#[tokio::test]
async fn frames_are_found_in_noise_glued_and_in_pieces() {
    let line = Line::new();
    let mut session = Session::listen(&line).await;
    line.say(b"\x00\xff\r\nnoise");
    line.say(&[sealed(1), sealed(2)].concat());
    assert_eq!(session.next().await.unwrap(), uint(1));
    assert_eq!(session.next().await.unwrap(), uint(2));
    let whole = sealed(3);
    for byte in &whole {
        line.say(&[*byte]);
        // Dropped and taken up again after each byte.
        let _ = timeout(Duration::from_micros(200), session.bus.idle()).await.map(|frame| {
            let mut out = Vec::new();
            session.bound.decode_frame(&frame.unwrap(), &mut out);
            assert_eq!(out[0].result, Ok(uint(3)));
        });
    }
    line.say(&sealed(4));
    while session.next().await.unwrap() != uint(4) {}
    assert_eq!((session.counted("frames"), session.counted("bad_frames")), (4, 0));
    assert_eq!(session.counted("skipped_bytes"), 9);
}

#[tokio::test]
async fn a_wrong_check_is_never_a_value() {
    let line = Line::new();
    let mut session = Session::listen(&line).await;
    line.say(b"#7*00\r\n");
    line.say(&sealed(8));
    assert_eq!(session.next().await.unwrap(), uint(8));
    assert_eq!((session.counted("frames"), session.counted("bad_frames")), (1, 1));
}

#[tokio::test]
async fn a_flood_costs_no_memory_and_the_next_frame_is_found() {
    let line = Line::new();
    let mut session = Session::listen(&line).await;
    let mut far = line.far.try_clone().unwrap();
    let flood = thread::spawn(move || {
        std::io::Write::write_all(&mut far, &vec![b'#'; 1024 * 1024]).unwrap();
        std::io::Write::write_all(&mut far, &sealed(5)).unwrap();
    });
    assert_eq!(session.next().await.unwrap(), uint(5));
    flood.join().unwrap();
    assert_eq!(session.counted("frames"), 1);
}

#[tokio::test]
async fn what_nobody_has_anything_from_is_counted() {
    let line = Line::new();
    let mut session = Session::listen(&line).await;
    line.say(b"#x*78\r\n");
    line.say(&sealed(8));
    assert_eq!(session.next().await.unwrap(), uint(8));
    assert_eq!(session.counted("not_understood"), 1);
}

#[tokio::test]
async fn an_unplugged_line_is_told_of_and_waited_for() {
    let plug = Plug::new("unplugged");
    let line = Line::new();
    plug.plug(&line);
    let points = [(json!({ "field": "n" }), DataType::Uint32)];
    let mut session = Session::open(on(&plug.path(), listening()), &points).await;
    line.say(&sealed(1)[..3]);
    assert!(timeout(Duration::from_millis(50), session.bus.idle()).await.is_err());
    plug.unplug();
    drop(line);
    let error = session.next().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(error.message.contains("unplugged"), "{error}");
    assert_eq!(session.counted("unplugged"), 1);

    // It is waited for, and its first frame is read.
    let bound = session.bound.clone();
    let mut opening = Box::pin(async move { bound.open().await });
    assert!(timeout(Duration::from_millis(100), &mut opening).await.is_err(), "it opened, or failed, while unplugged");
    let line = Line::new();
    plug.plug(&line);
    session.bus = timeout(PATIENCE, opening).await.unwrap().unwrap();
    line.say(&sealed(2));
    assert_eq!(session.next().await.unwrap(), uint(2));
}

#[tokio::test]
async fn a_line_that_was_never_there_is_told_of_at_once() {
    let plug = Plug::new("missing");
    let serial = Arc::new(Serial::default());
    let bound = bind(&serial, &on(&plug.path(), listening()), &[(json!({ "field": "n" }), DataType::Uint32)]);
    let error = timeout(Duration::from_secs(5), bound.open()).await.unwrap().err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains("tty") && error.message.contains("no such file"), "{error}");
    assert!(timeout(Duration::from_millis(100), bound.open()).await.is_err(), "from then on it is waited for");
}

/// `a` and `b` are answered by their own numbers.
fn asking(more: &Json) -> Json {
    let mut endpoint = json!({
        "frame": { "end": "\\r" },
        "timeout": "20s",
        "messages": [
            { "name": "a", "request": "a\\r", "regex": "^a=(?<n>[0-9]+)$" },
            { "name": "b", "request": "b\\r", "regex": "^b=(?<n>[0-9]+)$" },
            { "name": "event", "regex": "^!(?<e>[0-9]+)$" },
        ],
    });
    for (key, value) in more.as_object().unwrap() {
        endpoint[key] = value.clone();
    }
    endpoint
}

fn points() -> [(Json, DataType); 3] {
    [
        (json!({ "message": "a", "field": "n" }), DataType::Uint32),
        (json!({ "message": "b", "field": "n" }), DataType::Uint32),
        (json!({ "field": "e" }), DataType::Uint32),
    ]
}

#[tokio::test]
async fn what_comes_while_a_device_is_asked_is_kept() {
    let line = Line::new();
    let mut events = 0;
    line.serve(move |_| {
        let mut answer = String::new();
        for _ in 0..3 {
            events += 1;
            write!(answer, "!{events}\r").unwrap();
        }
        (answer + "a=7\r").into_bytes()
    });
    let mut session = Session::open(on(&line.path, asking(&json!({}))), &points()).await;
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(7))]);
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(7))]);
    for event in 1..=6 {
        assert_eq!(session.next().await.unwrap(), uint(event));
    }
    for _ in 0..30 {
        session.read(&[0]).await.unwrap();
    }
    assert_eq!(session.next().await.unwrap(), uint(6 + 90 - 64 + 1), "the oldest go first");
    assert_eq!(session.counted("dropped"), 90 - 64);
}

#[tokio::test]
async fn a_late_answer_is_not_taken_for_the_next_one() {
    let line = Line::new();
    let mut asked = 0;
    let (late, go) = std::sync::mpsc::channel();
    line.serve(move |_| {
        asked += 1;
        if asked == 1 {
            go.recv().unwrap();
        }
        format!("a={asked}\r").into_bytes()
    });
    let mut endpoint = asking(&json!({}));
    endpoint["messages"][0]["timeout"] = "100ms".into();
    let mut endpoint = on(&line.path, endpoint);
    let mut session = Session::open(endpoint.clone(), &points()).await;
    let error = session.read(&[0]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    late.send(()).unwrap();
    while line.waiting() < 4 {
        sleep(Duration::from_millis(1)).await;
    }
    session.bus.resynchronise().await.unwrap();
    // The same device, with more patience.
    endpoint["messages"][0]["timeout"] = "20s".into();
    session.bound = bind(&session.serial, &endpoint, &points());
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(2))]);
}

#[tokio::test]
async fn an_answer_to_another_question_is_none() {
    let line = Line::new();
    line.serve(|_| b"b=1\r".to_vec());
    let mut session = Session::open(on(&line.path, asking(&json!({ "timeout": "2s" }))), &points()).await;
    let error = session.read(&[0]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadData, "{error}");
    assert!(error.message.contains("ask a 'a\\r'") && error.message.contains("62 3d 31 0d"), "{error}");
    session.bus.resynchronise().await.unwrap();
    assert_eq!(session.read(&[1]).await.unwrap(), [Ok(uint(1))]);
}

#[tokio::test]
async fn an_unanswered_question_is_asked_again() {
    let line = Line::new();
    let mut asked = 0;
    line.serve(move |_| {
        asked += 1;
        if asked % 3 == 0 { format!("a={asked}\r").into_bytes() } else { Vec::new() }
    });
    let endpoint = asking(&json!({ "retries": 2, "timeout": "500ms" }));
    let mut session = Session::open(on(&line.path, endpoint), &points()).await;
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(3))]);
}

#[tokio::test]
async fn a_bad_answer_names_its_bytes() {
    let line = Line::new();
    line.serve(|_| b"#7*00\r".to_vec());
    let endpoint = json!({
        "frame": { "start": "#", "end": "\\r", "check": { "kind": "sum8", "form": "hex", "skipStart": 1, "skipEnd": 1 } },
        "messages": [{ "name": "a", "request": "#a*{check}\\r", "regex": "^(?<n>.*)$" }],
        "timeout": "1m",
    });
    let mut session = Session::open(on(&line.path, endpoint), &[(json!({ "field": "n" }), DataType::Uint32)]).await;
    let error = timeout(PATIENCE, session.read(&[0])).await.expect("a bad answer is waited out").unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadData, "{error}");
    assert!(error.message.contains("23 37 2a 30 30 0d"), "{error}");
}

#[tokio::test]
async fn what_is_sent_and_heard_again_is_no_answer() {
    let line = Line::new();
    line.serve(|request| format!("{request}a=1\r").into_bytes());
    let mut endpoint = asking(&json!({ "echo": true }));
    endpoint["messages"][0]["regex"] = "^(?<n>.*)$".into();
    let mut session =
        Session::open(on(&line.path, endpoint), &[(json!({ "message": "a", "raw": true }), DataType::String)]).await;
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(Value::Text("a=1".into()))]);
}

#[tokio::test]
async fn silence_is_kept_before_each_question() {
    let line = Line::new();
    let mut last: Option<std::time::Instant> = None;
    let (told, gaps) = std::sync::mpsc::channel();
    line.serve(move |_| {
        if let Some(last) = last {
            told.send(last.elapsed()).unwrap();
        }
        last = Some(std::time::Instant::now());
        b"a=1\r".to_vec()
    });
    let mut session = Session::open(on(&line.path, asking(&json!({ "quiet": "60ms" }))), &points()).await;
    for _ in 0..3 {
        session.read(&[0]).await.unwrap();
    }
    assert!(gaps.try_iter().all(|gap| gap >= Duration::from_millis(55)));
}

#[tokio::test]
async fn a_write_is_confirmed_refused_or_unanswered() {
    let line = Line::new();
    line.serve(|request| match request.trim_end() {
        "set 021.5" => b"OK\r".to_vec(),
        "set 099.0" => b"ERR range\r".to_vec(),
        _ => Vec::new(),
    });
    let endpoint = json!({
        "frame": { "end": "\\r" },
        "timeout": "2s",
        "messages": [{ "name": "a", "request": "a\\r", "regex": "^a=(?<n>.*)$" }],
    });
    let write = json!({ "send": "set {value:05.1}\\r", "answer": "^OK", "refused": "^ERR" });
    let points = [(json!({ "field": "n", "write": write }), DataType::Float32)];
    let mut session = Session::open(on(&line.path, endpoint), &points).await;
    assert_eq!(session.write(21.5_f32.into()).await.unwrap(), [""; 0]);
    let refused = session.write(99_f32.into()).await.unwrap();
    assert!(refused[0].contains("ERR range"), "{refused:?}");
    assert_eq!(session.write(1_f32.into()).await.unwrap_err().kind, ErrorKind::Timeout);
}

#[tokio::test]
async fn a_start_up_sequence_is_run_once_and_changes_the_rate() {
    let line = Line::new();
    let mut started = 0;
    line.serve(move |request| match request.trim_end() {
        "fast" => {
            started += 1;
            b"noise\rok\r".to_vec()
        }
        _ => format!("a={started}\r").into_bytes(),
    });
    let start = json!([{ "send": "fast\\r", "answer": "^ok$", "baud": 38400, "wait": "10ms" }]);
    let mut session = Session::open(on(&line.path, asking(&json!({ "start": start }))), &points()).await;
    let rate = || rustix::termios::tcgetattr(std::fs::File::open(&line.path).ok()?).ok().map(|s| s.output_speed());
    // The line is open for one program alone, root excepted.
    assert!(rate().is_none_or(|rate| rate == 38_400));
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(1))]);
    for request in session.bound.prepare().iter().flat_map(|sequence| &sequence.0) {
        session.bus.exchange(request).await.unwrap();
    }
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(1))], "the rate is changed already");
}

#[tokio::test]
async fn a_meter_is_read_out_with_a_change_of_the_rate() {
    // Constructed: mode C, 9600 baud, with its block check.
    let data = b"1.8.0(000123.4*kWh)\r\n!\r\n\x03";
    let check = data.iter().fold(0, |sum, byte| sum ^ byte);
    let line = Line::new();
    let mut far = line.far.try_clone().unwrap();
    thread::spawn(move || {
        let mut heard = Vec::new();
        let mut bytes = [0; 64];
        while let Ok(n @ 1..) = std::io::Read::read(&mut far, &mut bytes) {
            heard.extend_from_slice(&bytes[..n]);
            let answer = match &heard[..] {
                b"/?!\r\n" => b"/ABC5meter\r\n".to_vec(),
                b"\x06050\r\n" => [b"\x02", &data[..], &[check]].concat(),
                _ => continue,
            };
            heard.clear();
            std::io::Write::write_all(&mut far, &answer).unwrap();
        }
    });
    let endpoint = on(&line.path, json!({ "language": "iec62056" }));
    let points = [(json!({ "obis": "1.8.0", "expect": { "unit": "kWh" } }), DataType::Float64)];
    let mut session = Session::open(endpoint, &points).await;
    for _ in 0..2 {
        assert_eq!(session.read(&[0]).await.unwrap(), [Ok(Value::Float64(123.4))]);
    }
}

#[tokio::test]
async fn an_idle_line_wakes_nobody() {
    let line = Line::new();
    let mut session = Session::listen(&line).await;
    line.say(&sealed(1));
    assert_eq!(session.next().await.unwrap(), uint(1));
    let bus = &mut session.bus;
    let mut polls = 0;
    let mut idle = bus.idle();
    let counted = std::future::poll_fn(|cx| {
        polls += 1;
        idle.as_mut().poll(cx).map(drop)
    });
    tokio::select! {
        () = counted => panic!("nothing was sent"),
        () = sleep(Duration::from_millis(700)) => {}
    }
    assert!(polls <= 3, "{polls}");
}

#[tokio::test]
async fn chatter_does_not_hold_up_a_time_out() {
    let line = Line::new();
    line.talk(|| b"!1\r".to_vec());
    let mut session = Session::open(on(&line.path, asking(&json!({ "timeout": "100ms" }))), &points()).await;
    let error = timeout(PATIENCE, session.read(&[0])).await.expect("it never ended").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    timeout(PATIENCE, session.bus.resynchronise()).await.expect("it never ended").unwrap();
    assert_eq!(session.next().await.unwrap(), uint(1));
}

#[tokio::test]
async fn an_unsettled_weight_is_none_and_the_scale_not_gone() {
    let line = Line::new();
    let endpoint = json!({
        "frame": { "end": "\\r\\n" },
        "messages": [{ "name": "w", "regex": "^(?<s>ST|US),(?<w>[-+0-9.]+)kg$", "stable": { "s": "ST" } }],
    });
    let points = [(json!({ "field": "w", "stable": true }), DataType::Float32)];
    let mut session = Session::open(on(&line.path, endpoint), &points).await;
    line.say(b"\r\nUS,+1.5kg\r\nUS,+2.0kg\r\nST,+2.5kg\r\nUS,+1.0kg\r\nST,+3.0kg\r\n");
    let (mut weights, mut empty) = (Vec::new(), 0);
    while weights.len() < 2 {
        let frame = timeout(PATIENCE, session.bus.idle()).await.unwrap().unwrap();
        let mut out = Vec::new();
        session.bound.decode_frame(&frame, &mut out);
        match out.pop() {
            Some(decoded) => weights.push(decoded.result.unwrap()),
            None => empty += 1,
        }
        assert_eq!(session.bound.freshness(&frame), Some(Duration::from_secs(60)));
    }
    assert_eq!((weights, empty), (vec![Value::Float32(2.5), Value::Float32(3.0)], 3));
    assert_eq!(session.counted("not_understood"), 0);
}

#[tokio::test]
async fn a_meter_that_talks_is_heard_and_its_broken_telegram_is_not() {
    let line = Line::new();
    let points = [(json!({ "obis": "1-0:1.8.1", "expect": { "unit": "kWh" } }), DataType::Float64)];
    let mut session = Session::open(on(&line.path, json!({ "language": "p1" })), &points).await;
    // Constructed after DSMR 2.2, which has no CRC.
    let telegram = |energy: &str| format!("/ABC5\\meter\r\n\r\n1-0:1.8.1({energy}*kWh)\r\n!\r\n");
    line.say(telegram("00001.500").as_bytes());
    assert_eq!(session.next().await.unwrap(), Value::Float64(1.5));
    line.say(&telegram("00002.500").as_bytes()[..30]);
    line.say(telegram("00003.500").as_bytes());
    assert_eq!(session.next().await.unwrap(), Value::Float64(3.5));
    assert_eq!(session.counted("bad_frames"), 1);
}

#[tokio::test]
async fn devices_of_one_line_take_what_is_their_own() {
    let line = Line::new();
    let endpoint = |address: &str| {
        let endpoint = json!({
            "frame": { "start": "#", "end": "\\r" },
            "parameters": { "address": address },
            "messages": [{ "name": "t", "columns": { "separator": ",", "names": ["id", "t"] }, "when": { "id": "{address}" } }],
        });
        on(&line.path, endpoint)
    };
    let points = [(json!({ "field": "t" }), DataType::Int16)];
    let mut session = Session::open(endpoint("01"), &points).await;
    let other = bind(&session.serial, &endpoint("02"), &points);
    assert_eq!(session.bound.bus_key(), other.bus_key());
    line.say(b"#02,2\r#01,1\r#03,3\r#01,4\r");
    let mut heard = Vec::new();
    while heard.len() < 4 {
        let frame = timeout(PATIENCE, session.bus.idle()).await.unwrap().unwrap();
        let decode = |bound: &Arc<dyn BoundDevice>| {
            let mut out = Vec::new();
            bound.decode_frame(&frame, &mut out);
            out.pop().map(|decoded| decoded.result.unwrap())
        };
        heard.push((decode(&session.bound), decode(&other)));
    }
    let int = |value| Some(Value::Int(value));
    assert_eq!(heard, [(None, int(2)), (int(1), None), (None, None), (int(4), None)]);
    assert_eq!(session.counted("not_understood"), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_with_its_bytes() {
    let line = Line::new();
    line.serve(|_| b"a=1".to_vec());
    let mut endpoint = asking(&json!({ "timeout": "2s" }));
    endpoint["messages"].as_array_mut().unwrap().pop();
    let mut session = Session::open(on(&line.path, endpoint), &points()[..2]).await;
    let error = session.read(&[0]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadData, "{error}");
    assert!(error.message.contains("breaks off") && error.message.contains("61 3d 31"), "{error}");
}

#[tokio::test]
async fn a_connection_that_ends_may_be_made_anew() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut endpoint = listening();
    endpoint["tcp"] = listener.local_addr().unwrap().to_string().into();
    let points = [(json!({ "field": "n" }), DataType::Uint32)];
    let mut session = Session::open(endpoint, &points).await;
    for number in 1..=2 {
        let (mut server, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut server, &sealed(number)).unwrap();
        assert_eq!(session.next().await.unwrap(), uint(number.into()));
        drop(server);
        let error = session.next().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Bus, "{error}");
        session.bus = session.bound.open().await.unwrap();
    }
    assert_eq!(session.counted("unplugged"), 0);
}

/// Two scales stream on one line, told apart by their numbers.
fn scale(line: &Line, number: &str) -> Json {
    let message = json!({ "name": "w", "regex": "^(?<id>..) (?<w>[0-9.]+)$", "when": { "id": "{address}" } });
    on(
        &line.path,
        json!({
            "frame": { "start": "\\x02", "end": "\\r" }, "parameters": { "address": number }, "messages": [message],
        }),
    )
}

#[tokio::test]
async fn a_frame_of_another_device_says_nothing_of_this_one() {
    let line = Line::new();
    let points = [(json!({ "field": "w" }), DataType::Float32)];
    let mut session = Session::open(scale(&line, "01"), &points).await;
    let neighbour = bind(&session.serial, &scale(&line, "02"), &points);
    line.say(b"\x0201 7\r\x02nobody's\r");
    for heard in [true, false] {
        let frame = timeout(PATIENCE, session.bus.idle()).await.unwrap().unwrap();
        for (device, its_own) in [(&session.bound, heard), (&neighbour, false), (&session.bound, heard)] {
            let mut out = Vec::new();
            device.decode_frame(&frame, &mut out);
            assert_eq!((out.len(), device.freshness(&frame).is_some()), (usize::from(its_own), its_own));
        }
    }
}

/// Answers each question after so long, whatever was asked meanwhile.
fn serve_late(line: &Line, late: Duration, answer: impl Fn(u8) -> Vec<u8> + Send + Sync + 'static) {
    let mut far = line.far.try_clone().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(n @ 1..) = std::io::Read::read(&mut far, &mut bytes) {
            for byte in bytes[..n].iter().copied().filter(|byte| *byte != b'\r') {
                let (mut far, answer) = (far.try_clone().unwrap(), answer.clone());
                thread::spawn(move || {
                    thread::sleep(late);
                    let _ = std::io::Write::write_all(&mut far, &answer(byte));
                });
            }
        }
    });
}

#[tokio::test]
async fn the_second_answer_to_one_question_is_not_taken_for_the_next() {
    let line = Line::new();
    serve_late(
        &line,
        Duration::from_millis(500),
        |asked| if asked == b'T' { b"21\r".to_vec() } else { b"55\r".to_vec() },
    );
    let endpoint = json!({
        "frame": { "end": "\\r" }, "timeout": "350ms", "retries": 1,
        "messages": [
            { "name": "t", "request": "T\\r", "regex": "^(?<v>[0-9.]+)$" },
            { "name": "h", "request": "H\\r", "regex": "^(?<v>[0-9.]+)$" },
        ],
    });
    let points = [
        (json!({ "message": "t", "field": "v" }), DataType::Uint32),
        (json!({ "message": "h", "field": "v" }), DataType::Uint32),
    ];
    let mut session = Session::open(on(&line.path, endpoint), &points).await;
    assert_eq!(session.read(&[0, 1]).await.unwrap(), [Ok(uint(21)), Ok(uint(55))]);
}

#[tokio::test]
async fn a_broken_frame_that_came_by_itself_does_not_cut_the_wait_for_an_answer() {
    let line = Line::new();
    let mut far = line.far.try_clone().unwrap();
    serve_late(&line, Duration::from_millis(250), |_| b"#a*61\r".to_vec());
    let endpoint = json!({
        "frame": { "start": "#", "end": "\\r", "check": { "kind": "sum8", "form": "hex", "skipStart": 1, "skipEnd": 1 } },
        "messages": [
            { "name": "a", "request": "a\\r", "regex": "^(?<n>[a-z])$" },
            { "name": "event", "regex": "^!(?<e>[0-9]+)$" },
        ],
    });
    let points = [(json!({ "field": "n" }), DataType::String), (json!({ "field": "e" }), DataType::Uint32)];
    let mut session = Session::open(on(&line.path, endpoint), &points).await;
    let broken = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        std::io::Write::write_all(&mut far, b"#!1*00\r").unwrap();
    });
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(Value::Text("a".into()))]);
    broken.join().unwrap();
}

#[tokio::test]
async fn a_write_is_sent_once() {
    let line = Line::new();
    let (told, doses) = std::sync::mpsc::channel();
    line.serve(move |request| {
        told.send(request.to_owned()).unwrap();
        Vec::new()
    });
    let write = json!({ "send": "DOSE {value}\\r", "answer": "^OK" });
    let points = [(json!({ "message": "a", "field": "n", "write": write }), DataType::Uint32)];
    let endpoint = asking(&json!({ "retries": 2, "timeout": "50ms" }));
    let mut session = Session::open(on(&line.path, endpoint), &points).await;
    let error = session.write(uint(5)).await.unwrap_err();
    assert!(error.kind == ErrorKind::Timeout && !error.message.contains("times"), "{error}");
    // What is asked is asked again; by then all that was written has come.
    session.read(&[0]).await.unwrap_err();
    drop(session);
    let sent: Vec<_> = (0..4).map(|_| doses.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(sent, ["DOSE 5\r", "a\r", "a\r", "a\r"]);
}

#[tokio::test]
async fn an_event_behind_the_answer_of_a_second_device_is_kept() {
    let line = Line::new();
    let mut asked = 0;
    line.serve(move |_| {
        asked += 1;
        if asked == 1 { b"a=1\r!7\r!1".to_vec() } else { b"23\ra=2\r".to_vec() }
    });
    let mut session = Session::open(on(&line.path, asking(&json!({}))), &points()).await;
    session.bound = bind(&session.serial, &on(&line.path, asking(&json!({}))), &points());
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(1))]);
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(2))]);
    line.say(b"!45\r");
    for event in [7, 123, 45] {
        assert_eq!(session.next().await.unwrap(), uint(event));
    }
}

#[tokio::test]
async fn a_frame_found_by_another_grammar_is_not_read_by_the_lines() {
    let line = Line::new();
    line.serve(|_| b"W 1250\r\na=7\r".to_vec());
    let endpoint = json!({
        "frame": { "end": "\\r\\n" }, "timeout": "200ms",
        "messages": [
            { "name": "a", "request": "a\\r", "frame": { "end": "\\r" }, "regex": "^\n?a=(?<n>[0-9]+)$" },
            { "name": "w", "regex": "^W (?<w>[0-9]+)$" },
        ],
    });
    let points = [(json!({ "field": "n" }), DataType::Uint32), (json!({ "field": "w" }), DataType::Uint32)];
    let mut session = Session::open(on(&line.path, endpoint), &points).await;
    assert_eq!(session.read(&[0]).await.unwrap(), [Ok(uint(7))]);
    line.say(b"\r\nW 1300\r\n");
    assert_eq!(session.next().await.unwrap(), uint(1300));
}

#[tokio::test]
async fn two_units_of_one_line_are_each_told_their_start() {
    let line = Line::new();
    let (told, starts) = std::sync::mpsc::channel();
    line.serve(move |request| {
        told.send(request.to_owned()).unwrap();
        b"ok\r".to_vec()
    });
    let started = |unit: &str, baud: bool| {
        let mut step = json!({ "send": format!("go {unit}\\r"), "answer": "^ok$" });
        if baud {
            step["baud"] = 38_400.into();
        }
        on(&line.path, asking(&json!({ "start": [step] })))
    };
    let mut session = Session::open(started("1", false), &points()).await;
    for (unit, baud) in [("2", true), ("3", true), ("3", true)] {
        let bound = bind(&session.serial, &started(unit, baud), &points());
        for request in bound.prepare().iter().flat_map(|sequence| &sequence.0) {
            session.bus.exchange(request).await.unwrap();
        }
    }
    let starts: Vec<_> = starts.try_iter().collect();
    assert_eq!(starts, ["go 1\r", "go 2\r", "go 3\r"], "the same start is sent once");
}

#[tokio::test(start_paused = true)]
async fn an_unplugged_line_is_waited_for_without_end() {
    let plug = Plug::new("patient");
    let serial = Arc::new(Serial::default());
    let bound = bind(&serial, &on(&plug.path(), listening()), &[(json!({ "field": "n" }), DataType::Uint32)]);
    assert!(bound.open().await.is_err(), "that it is missing is told once");
    let opened = timeout(Duration::from_secs(24 * 3600), bound.open()).await;
    assert!(opened.is_err(), "it failed, or opened, while unplugged");
    assert_eq!(<Serial as mapper_api::Protocol>::OPENS_WITHIN, None);
}
