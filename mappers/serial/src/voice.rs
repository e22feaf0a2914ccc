//! Who listens to a line while nothing is asked: for frames of the grammar, or for telegrams of a language.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    bind::Line,
    config::Language,
    frame::Found,
    language::{Heard, Listener},
    report::Report,
    request::{Frame, Said},
    wire::{Ear, Hears},
};

/// Who listens while nothing is asked.
pub(crate) enum Voice {
    /// Nobody: what comes is dropped.
    None,
    /// For frames of the grammar.
    Frames(Box<Ear>),
    /// For telegrams of a language.
    Language(Box<Hearer>),
}

/// Listens for telegrams.
pub(crate) struct Hearer {
    listener: Listener,
    /// When the last bytes came.
    at: Instant,
    /// Bytes came since it was last silent.
    awake: bool,
    /// What the silence told.
    told: Option<Heard>,
}

/// No meter or receiver pauses for so long inside of a telegram.
const PAUSE: Duration = Duration::from_secs(2);

impl Voice {
    /// Who listens to this line.
    pub fn new(line: &Line, listener: Option<Listener>) -> Self {
        // A meter that is asked says nothing by itself.
        let listener = listener.filter(|_| line.language != Some(Language::Iec62056));
        match (listener, &line.framing) {
            (Some(listener), _) => {
                Self::Language(Box::new(Hearer { listener, at: Instant::now(), awake: false, told: None }))
            }
            (None, Some(framing)) => Self::Frames(Box::new(Ear::new(framing.clone()))),
            (None, None) => Self::None,
        }
    }

    /// The next frame of those that came already.
    pub fn next(&mut self, report: &mut Report) -> Option<Frame> {
        loop {
            match self {
                Self::None => return None,
                Self::Frames(ear) => match ear.next()? {
                    Found::Frame(bytes) => {
                        report.good();
                        return Some(Frame::new(Said::Bytes(bytes), ear.at, &report.counts));
                    }
                    Found::Bad { bytes, why } => drop(report.bad(&bytes, &why, Instant::now().into())),
                    Found::Skipped(bytes) => drop(report.skipped(bytes)),
                },
                Self::Language(hearer) => match hearer.told.take().or_else(|| hearer.listener.next())? {
                    Heard::Telegram(telegram) => {
                        report.good();
                        return Some(Frame::new(Said::Telegram(Box::new(telegram)), hearer.at, &report.counts));
                    }
                    Heard::Bad { bytes, why } => drop(report.bad(&bytes, &why, Instant::now().into())),
                    Heard::Skipped(bytes) => drop(report.skipped(bytes)),
                },
            }
        }
    }
}

impl Hears for Hearer {
    fn hear(&mut self, bytes: &[u8], at: Instant) {
        self.listener.push(bytes);
        (self.at, self.awake) = (at, true);
    }

    fn hush(&self) -> Option<Instant> {
        self.awake.then(|| self.at + PAUSE)
    }

    fn hushed(&mut self) {
        self.awake = false;
        self.told = self.listener.silence();
    }
}

impl Hears for Voice {
    fn hear(&mut self, bytes: &[u8], at: Instant) {
        match self {
            Self::None => {}
            Self::Frames(ear) => ear.hear(bytes, at),
            Self::Language(hearer) => hearer.hear(bytes, at),
        }
    }

    fn hush(&self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Frames(ear) => ear.hush(),
            Self::Language(hearer) => hearer.hush(),
        }
    }

    fn hushed(&mut self) {
        match self {
            Self::None => {}
            Self::Frames(ear) => ear.hushed(),
            Self::Language(hearer) => hearer.hushed(),
        }
    }
}
