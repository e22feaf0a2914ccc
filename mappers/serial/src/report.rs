//! What went by and was no value: counted for metrics, and said once.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::octets;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What was counted on all lines since the start.
        #[derive(Debug, Default)]
        pub(crate) struct Counts {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl Counts {
            /// By name, for metrics.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Relaxed))),*]
            }
        }
    };
}

counts! {
    /// Frames that were found and right.
    frames,
    /// Frames whose check was wrong, or that could not be read.
    bad_frames,
    /// Bytes outside of frames.
    skipped_bytes,
    /// Frames that came unasked and said nothing to any device.
    not_understood,
    /// Frames that came while a device was asked and for which there was no room.
    dropped,
    /// Times that a line went away while it was open.
    unplugged,
}

/// One more, or so many.
pub(crate) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Relaxed);
}

/// One line's bad frames: the first of a row is said with its bytes, the others are only counted.
#[derive(Debug)]
pub(crate) struct Report {
    pub counts: Arc<Counts>,
    line: String,
    bad: bool,
    said: Option<Instant>,
    /// Bytes without a frame since the line was opened; none once there was one, or that was said.
    noise: Option<usize>,
}

/// So many bytes without a frame, and the line is not as it was said to be.
const NOISE: usize = 512;

/// A line that is bad now and then does not fill the log either.
const SELDOM: Duration = Duration::from_secs(60);

impl Report {
    pub fn new(line: String, counts: Arc<Counts>) -> Self {
        Self { counts, line, bad: false, said: None, noise: Some(0) }
    }

    /// A frame that is right.
    pub fn good(&mut self) {
        count(&self.counts.frames, 1);
        (self.bad, self.noise) = (false, None);
    }

    /// A frame that is not; true if it was said.
    pub fn bad(&mut self, bytes: &[u8], why: &dyn fmt::Display, now: Instant) -> bool {
        count(&self.counts.bad_frames, 1);
        let say = !std::mem::replace(&mut self.bad, true)
            && self.said.is_none_or(|said| now.saturating_duration_since(said) >= SELDOM);
        if say {
            self.said = Some(now);
            tracing::warn!(line = %self.line, bytes = %Brief(bytes),
                "a bad frame: {why}; the next ones are counted only");
        }
        say
    }

    /// Bytes that belong to no frame; true if that was said.
    pub fn skipped(&mut self, bytes: usize) -> bool {
        count(&self.counts.skipped_bytes, bytes);
        let noise = self.noise.map(|noise| noise.saturating_add(bytes));
        let say = noise.is_some_and(|noise| noise >= NOISE);
        self.noise = noise.filter(|_| !say);
        if say {
            tracing::warn!(line = %self.line, "{NOISE} bytes came and no frame in them: are the rate and the frame right?");
        }
        say
    }
}

/// Bytes in a message for people: at most 64 of them, as hexadecimal digits and as text.
pub(crate) struct Brief<'a>(pub &'a [u8]);

const SHOWN: usize = 64;

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.0[..self.0.len().min(SHOWN)];
        for (at, byte) in bytes.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { " " })?;
        }
        if self.0.len() > SHOWN {
            write!(f, " and {} more", self.0.len() - SHOWN)?;
        }
        if bytes.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').count() * 2 > bytes.len() {
            write!(f, " ({})", octets::Shown(bytes))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use super::{Brief, Counts, Report};

    #[test]
    fn bytes_are_shown_as_digits_and_as_text() {
        for (bytes, shown) in [
            (&b"SI\r\n"[..], "53 49 0d 0a"),
            (b"S S 1\r", "53 20 53 20 31 0d (S S 1\\r)"),
            (b"\x02\xff", "02 ff"),
            (b"", ""),
        ] {
            assert_eq!(Brief(bytes).to_string(), shown);
        }
        let long = Brief(&[0; 100]).to_string();
        assert!(long.ends_with("00 00 and 36 more") && long.len() < 220, "{long}");
    }

    #[test]
    fn a_line_without_frames_is_told_of_once() {
        let mut report = Report::new("line".into(), Arc::default());
        assert_eq!([500, 11, 1, 600].map(|bytes| report.skipped(bytes)), [false, false, true, false]);
        let mut report = Report::new("line".into(), Arc::default());
        report.good();
        assert!(!report.skipped(10_000), "noise between frames is counted only");
        assert_eq!(report.counts.named()[2], ("skipped_bytes", 10_000));
    }

    #[test]
    fn the_first_bad_frame_is_said_and_all_are_counted() {
        let mut report = Report::new("line".into(), Arc::new(Counts::default()));
        let now = Instant::now();
        assert!(report.bad(b"x", &"wrong", now));
        assert!(!report.bad(b"x", &"wrong", now));
        report.good();
        assert!(!report.bad(b"x", &"wrong", now), "once a minute is enough");
        report.good();
        assert!(report.bad(b"x", &"wrong", now + Duration::from_secs(60)));
        let counted = report.counts.named();
        assert_eq!(counted[..2], [("frames", 2), ("bad_frames", 4)]);
    }
}
