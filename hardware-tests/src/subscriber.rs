//! A subscriber that counts readings: MQTT 3.1.1, QoS 0, one thread, no JSON parser on the way but for every 500th
//! message, which is checked whole against the contract's form.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::sim::micros;

/// What is subscribed to.
const TOPIC: &str = "fieldgate/device/+/+/readings";
/// Every so many messages one is parsed.
const SAMPLE: u64 = 500;

/// What was counted so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Messages.
    pub messages: u64,
    /// Values that are not null.
    pub readings: u64,
    /// Sequence numbers that never came.
    pub missing: u64,
    /// By topic.
    pub devices: HashMap<Vec<u8>, Seen>,
    /// Microseconds from the stamp in `r0` to `r3` to the receipt, if stamps are on.
    pub latencies: Vec<u64>,
    /// What was wrong with the first message that broke the contract.
    pub broken: Option<String>,
}

/// What was seen of one device.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Values that are not null.
    pub readings: u64,
    /// When the first message with a value came.
    pub first: Instant,
    /// When the last one did.
    pub last: Instant,
    /// The longest time between two of them.
    pub longest_gap: Duration,
    seq: u64,
}

/// A connected subscriber; it leaves when dropped, so that the broker does not go on serving it.
pub struct Subscriber {
    tally: Arc<Mutex<Tally>>,
    stream: TcpStream,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Its thread's read then ends. An error means that the broker has gone first.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Subscriber {
    /// Connects, subscribes, and returns once the broker has confirmed it.
    pub fn connect(port: u16, stamped: bool) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let id = format!("rig-{}", micros());
        let mut connect = b"\0\x04MQTT\x04\x02\0\0".to_vec();
        push_text(&mut connect, &id)?;
        stream.write_all(&packet(0x10, &connect)?)?;
        expect(&mut stream, &[0x20, 2, 0, 0]).context("the broker refused the subscriber")?;
        let mut subscribe = vec![0, 1];
        push_text(&mut subscribe, TOPIC)?;
        subscribe.push(0);
        stream.write_all(&packet(0x82, &subscribe)?)?;
        expect(&mut stream, &[0x90, 3, 0, 1, 0]).context("the broker refused the subscription")?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (shared, mut incoming) = (Arc::clone(&tally), stream.try_clone()?);
        thread::Builder::new().name("subscriber".into()).spawn(move || receive(&mut incoming, &shared, stamped))?;
        Ok(Self { tally, stream })
    }

    /// Starts counting anew, but remembers when each device was last heard, so that a gap across this moment counts.
    pub fn mark(&self) {
        let mut tally = self.lock();
        tally.readings = 0;
        tally.messages = 0;
        tally.missing = 0;
        tally.latencies.clear();
        for seen in tally.devices.values_mut() {
            seen.readings = 0;
            seen.longest_gap = Duration::ZERO;
        }
    }

    /// What was counted; an error if a message broke the contract.
    pub fn tally(&self) -> Result<Tally> {
        let tally = self.lock().clone();
        match &tally.broken {
            Some(broken) => bail!("a message breaks the contract: {broken}"),
            None => Ok(tally),
        }
    }

    /// The readings counted, cheaply.
    pub fn readings(&self) -> u64 {
        self.lock().readings
    }

    /// Waits for a condition.
    pub fn wait(&self, what: &str, within: Duration, mut met: impl FnMut(&Tally) -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            {
                let tally = self.lock();
                if met(&tally) {
                    return Ok(());
                }
                ensure!(
                    Instant::now() < deadline,
                    "{what}: not within {within:?}; {} readings of {} devices so far",
                    tally.readings,
                    tally.devices.len()
                );
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn receive(stream: &mut TcpStream, shared: &Mutex<Tally>, stamped: bool) {
    let mut buffer = vec![0_u8; 1 << 18];
    let mut filled = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer[filled..]) {
        let (instant, now) = (Instant::now(), micros());
        filled += count;
        let mut start = 0;
        let mut tally = shared.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((header, length)) = frame(&buffer[start..filled]) {
            let body = start + header;
            if buffer[start] & 0xF0 == 0x30 && length >= 2 {
                publish(&mut tally, &buffer[body..body + length], instant, stamped.then_some(now));
            }
            start = body + length;
        }
        drop(tally);
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
    }
}

/// Header and body length of the packet at the start, once it is whole.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for at in 1..=4 {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return (bytes.len() > at + length).then_some((at + 1, length));
        }
    }
    None
}

fn publish(tally: &mut Tally, body: &[u8], instant: Instant, now: Option<u64>) {
    let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let Some((head, payload)) = body.split_at_checked(topic_end) else { return };
    let topic = &head[2..];
    tally.messages += 1;
    if tally.messages % SAMPLE == 1
        && tally.broken.is_none()
        && let Err(error) = check(payload)
    {
        tally.broken = Some(format!("{error:#}: {}", String::from_utf8_lossy(payload)));
    }
    let good = values(payload);
    let seq = number(payload, b"\"seq\":").unwrap_or_default();
    tally.readings += good;
    if let (Some(now), true) = (now, good > 0) {
        let stamp = [b"\"r0\":", b"\"r1\":", b"\"r2\":", b"\"r3\":"]
            .iter()
            .try_fold(0_u64, |stamp, key| Some(stamp << 16 | number(payload, *key)?));
        tally.latencies.extend(stamp.and_then(|stamp| now.checked_sub(stamp)));
    }
    if let Some(seen) = tally.devices.get_mut(topic) {
        // A smaller number is a new boot or a duplicate, not a loss.
        tally.missing += seq.saturating_sub(seen.seq + 1);
        seen.seq = seq;
        if good > 0 {
            seen.readings += good;
            seen.longest_gap = seen.longest_gap.max(instant - seen.last);
            seen.last = instant;
        }
    } else if good > 0 {
        let seen = Seen { readings: good, first: instant, last: instant, longest_gap: Duration::ZERO, seq };
        tally.devices.insert(topic.to_vec(), seen);
    }
}

/// How many of the values are not null. The benchmark's own names and numbers hold no colon and no bracket.
fn values(payload: &[u8]) -> u64 {
    let Some(values) = behind(payload, b"\"values\":{") else { return 0 };
    let mut good = 0;
    let mut bytes = values.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'}' => break,
            b':' => good += u64::from(bytes.peek() != Some(&&b'n')),
            _ => {}
        }
    }
    good
}

fn number(payload: &[u8], key: &[u8]) -> Option<u64> {
    let digits = behind(payload, key)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

fn behind<'a>(payload: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = payload.windows(key.len()).position(|window| window == key)?;
    Some(&payload[at + key.len()..])
}

/// The form of `readings`: node, boot, seq from 1, a time with milliseconds, and a number or null for each value.
fn check(payload: &[u8]) -> Result<()> {
    let message: serde_json::Value = serde_json::from_slice(payload).context("not JSON")?;
    for key in ["node", "boot"] {
        ensure!(message[key].as_str().is_some_and(|text| !text.is_empty()), "no {key}");
    }
    ensure!(message["seq"].as_u64().is_some_and(|seq| seq > 0), "no seq");
    let time = message["time"].as_str().context("no time")?;
    ensure!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T" && &time[19..20] == ".", "time {time}");
    let values = message["values"].as_object().context("no values")?;
    ensure!(!values.is_empty() && values.values().all(|v| v.is_number() || v.is_null()), "values of another type");
    ensure!(
        values.iter().filter(|(_, value)| value.is_null()).all(|(name, _)| message["bad"][name].is_object()),
        "a null without its reason in bad"
    );
    Ok(())
}

fn push_text(packet: &mut Vec<u8>, text: &str) -> Result<()> {
    packet.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
    packet.extend_from_slice(text.as_bytes());
    Ok(())
}

/// A packet of less than 128 bytes.
fn packet(kind: u8, body: &[u8]) -> Result<Vec<u8>> {
    ensure!(body.len() < 128, "a packet of {} bytes", body.len());
    Ok([&[kind, u8::try_from(body.len())?], body].concat())
}

fn expect(stream: &mut TcpStream, wanted: &[u8]) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut answer = vec![0; wanted.len()];
    stream.read_exact(&mut answer)?;
    ensure!(answer == wanted, "it answered {answer:02x?}");
    stream.set_read_timeout(None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] = br#"{"node":"gw-1","boot":"01K9ZQ6T3M","seq":48211,"time":"2026-11-23T21:11:04.512Z","values":{"r0":1,"r1":0.5}}"#;
    const BAD: &[u8] = br#"{"node":"gw-1","boot":"01K9ZQ6T3M","seq":48212,"time":"2026-11-23T21:11:04.512Z","values":{"r0":null,"r1":3},"bad":{"r0":{"reason":"timeout"}}}"#;

    fn message(topic: &str, payload: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        push_text(&mut body, topic).expect("short");
        body.extend_from_slice(payload);
        body
    }

    #[test]
    fn nulls_are_no_readings() {
        assert_eq!((values(GOOD), values(BAD), values(b"{}")), (2, 1, 0));
        assert_eq!(number(GOOD, b"\"seq\":"), Some(48211));
    }

    #[test]
    fn the_sample_is_checked_whole() {
        check(GOOD).expect("good");
        check(BAD).expect("bad, with a reason");
        for (from, to) in
            [("\"seq\":48211", "\"seq\":0"), (".512Z", "Z"), ("\"r0\":1", "\"r0\":\"1\""), ("\"r0\":1", "\"r0\":null")]
        {
            let text = String::from_utf8_lossy(GOOD).replace(from, to);
            check(text.as_bytes()).expect_err(&text);
        }
    }

    #[test]
    fn a_jump_in_seq_is_a_loss() {
        let mut tally = Tally::default();
        for seq in ["1", "2", "5", "1"] {
            let payload = String::from_utf8_lossy(GOOD).replace("48211", seq);
            publish(&mut tally, &message("a", payload.as_bytes()), Instant::now(), None);
        }
        assert_eq!((tally.messages, tally.readings, tally.missing), (4, 8, 2));
    }

    #[test]
    fn frames_come_in_pieces() {
        assert_eq!(frame(&[0x30]), None);
        assert_eq!(frame(&[0x30, 2, 0]), None);
        assert_eq!(frame(&[0x30, 2, 0, 0]), Some((2, 2)));
        let long = [&[0x30, 0x80, 1][..], &[0; 128]].concat();
        assert_eq!(frame(&long), Some((3, 128)));
        assert_eq!(frame(&long[..130]), None);
    }
}
