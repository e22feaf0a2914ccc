//! What a receiver makes of a line that is set to another rate than its own: a simulation of the levels on the wire and of
//! how a UART samples them, for tests. A pty carries bytes, not levels: no rate can be heard on one. Simplified: edges are
//! steep, both clocks exact, and a character without its stop bit is given as it stands (as Linux does without INPCK).

/// The bytes heard at `receiver` baud, 8N1, of bytes sent at `sender` baud with this parity bit (none: 8N1).
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // some thousand bits
pub(super) fn heard(bytes: &[u8], sender: f64, receiver: f64, even: Option<bool>) -> Vec<u8> {
    // One level for each bit; true is idle.
    let mut levels = vec![true; 12];
    for byte in bytes {
        levels.push(false);
        let bits = if even.is_some() { 7 } else { 8 };
        levels.extend((0..bits).map(|bit| byte >> bit & 1 == 1));
        if let Some(even) = even {
            levels.push(((byte & 0x7f).count_ones() % 2 == 1) == even);
        }
        levels.push(true);
    }
    levels.extend([true; 40]);
    let end = levels.len() as f64 / sender;
    let level = |time: f64| levels.get((time * sender) as usize).copied().unwrap_or(true);
    let bit = 1.0 / receiver;
    // Sixteen times a bit it looks whether a start bit begins.
    let tick = bit / 16.0;
    let (mut time, mut out) = (0.0, Vec::new());
    while time < end {
        if level(time) {
            time += tick;
            continue;
        }
        if level(time + bit / 2.0) {
            time += bit / 2.0;
            continue;
        }
        let sample = |n: u32| u8::from(level(time + bit * (1.5 + f64::from(n)))) << n;
        out.push((0..8).map(sample).sum());
        time += bit * 9.5;
        // Without a stop bit it waits for the line to rest.
        while time < end && !level(time) {
            time += tick;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::heard;

    #[test]
    fn the_right_rate_hears_what_was_sent() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(heard(&bytes, 9600.0, 9600.0, None), bytes);
        assert_ne!(heard(b"S S 12.34 kg\r\n", 9600.0, 19_200.0, None), b"S S 12.34 kg\r\n");
        // Seven bits and parity look like eight: 'A' has two ones, 'C' three.
        assert_eq!(heard(b"AC", 300.0, 300.0, Some(true)), [0x41, 0xc3]);
    }
}
