//! From YAML to a device that can be listened to and asked: every mistake at once, each with what would be accepted. Pure.

mod device;
pub(crate) mod line;
mod points;
mod talk;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use mapper_api::{At, BindError, ByteOrder, DataType, Point, PointId, SecretRef};
use mapper_tty::{Settings, Target};
use regex_lite::Regex;

use crate::{
    config::{Address, Endpoint, Language},
    frame::Framing,
    language,
    message::{self, Message},
    pace::Paces,
    template::Template,
};

/// A serial device that was checked: all that planning and decoding need.
#[derive(Debug)]
pub struct Bound {
    pub(crate) device: Arc<Device>,
    pub(crate) points: Vec<Spot>,
    pub(crate) notes: Vec<BindError>,
    /// How often it speaks.
    pub(crate) paces: Mutex<Paces>,
}

/// A line: what all its devices share.
#[derive(Debug)]
pub(crate) struct Line {
    pub target: Target,
    pub settings: Settings,
    /// What a frame is, where the grammar says it.
    pub framing: Option<Arc<Framing>>,
    pub language: Option<Language>,
    pub key: Option<SecretRef>,
    pub authentication_key: Option<SecretRef>,
    /// The silence after which no late answer is expected any more.
    pub settle: Duration,
    /// Something comes by itself.
    pub listens: bool,
}

/// What every request of a device shares.
#[derive(Debug)]
pub(crate) struct Device {
    pub line: Arc<Line>,
    pub messages: Vec<Talk>,
    pub steps: Arc<[Step]>,
    pub writes: BTreeMap<PointId, Write>,
    pub retries: u32,
    /// Silence before each request.
    pub quiet: Duration,
    /// How long it may say nothing: as the spec says, or learnt.
    pub silence: Option<Duration>,
    /// Its start-up sequence changes the rate.
    pub changes_baud: bool,
    /// Which meter of several is read out.
    pub meter: String,
}

/// A message, and how it is asked for.
#[derive(Debug)]
pub(crate) struct Talk {
    pub name: String,
    pub message: Message,
    /// None if it comes by itself.
    pub ask: Option<Ask>,
    /// Only settled values of it are wanted: it may rightly say nothing for a while.
    pub settling: bool,
}

/// How a message is asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub send: Vec<u8>,
    pub framing: Arc<Framing>,
    pub timeout: Duration,
}

impl PartialEq for Step {
    /// Whether it does the same.
    fn eq(&self, other: &Self) -> bool {
        (&self.send, self.baud) == (&other.send, other.baud)
    }
}

/// One step of a start-up sequence.
#[derive(Debug)]
pub(crate) struct Step {
    pub send: Option<Vec<u8>>,
    pub answer: Option<(Arc<Framing>, Regex)>,
    pub timeout: Duration,
    pub baud: Option<u32>,
    pub wait: Duration,
}

/// How a point is written.
#[derive(Debug)]
pub(crate) struct Write {
    pub send: Template,
    /// None if nothing is waited for.
    pub confirmation: Option<Confirmation>,
}

/// What confirms a write.
#[derive(Debug)]
pub(crate) struct Confirmation {
    pub framing: Arc<Framing>,
    pub timeout: Duration,
    pub answer: Option<Regex>,
    pub refused: Option<Regex>,
}

/// A point.
#[derive(Debug)]
pub(crate) struct Spot {
    pub place: Place,
    pub data_type: DataType,
    pub order: ByteOrder,
    pub size: Option<u16>,
    pub readable: bool,
}

/// Where a point lives.
#[derive(Debug)]
pub(crate) enum Place {
    /// Nowhere: it is only written.
    Nowhere,
    /// In a message of the device's.
    Message(usize, message::Place),
    /// In a telegram of the line's language.
    Telegram(language::Place),
}

/// Time-outs.
const TIMEOUT: Duration = Duration::from_secs(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
const LONGEST_QUIET: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The core waits for no request longer than two minutes; its own margin has room.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(110);
/// After so much silence no late answer is expected, at the least.
const SETTLE: Duration = Duration::from_millis(50);

/// Collects mistakes of the endpoint.
pub(crate) struct Mistakes(Vec<BindError>);

impl Mistakes {
    fn endpoint(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(BindError::config(At::Endpoint, path, message));
    }

    fn below(&mut self, path: &str, mistakes: Vec<line::Mistake>) {
        for (key, message) in mistakes {
            let path = if key.is_empty() { path.to_owned() } else { format!("{path}.{key}") };
            self.endpoint(path, message);
        }
    }

    /// A duration of the endpoint.
    fn within(
        &mut self,
        path: &str,
        given: Option<mapper_values::Duration>,
        usual: Duration,
        most: Duration,
        zero: bool,
    ) -> Duration {
        let given = given.map_or(usual, |given| given.0);
        if given > most || (!zero && given.is_zero()) {
            let least = if zero { "" } else { "longer than 0s and " };
            self.endpoint(path, format!("must be {least}at most {}", mapper_values::Duration(most)));
        }
        given
    }
}

pub(crate) fn bind(endpoint: &Endpoint, points: &[Point<Address>]) -> Result<Bound, Vec<BindError>> {
    let mut mistakes = Mistakes(Vec::new());
    let target = line::target(endpoint).map_err(|(path, message)| mistakes.endpoint(path, message)).ok();
    let mut of_line = Vec::new();
    let settings = line::settings(endpoint, &mut of_line);
    for (path, message) in of_line {
        mistakes.endpoint(path, message);
    }
    let framing = talk::framing(endpoint, &mut mistakes);
    let quiet = mistakes.within("quiet", endpoint.quiet, Duration::ZERO, LONGEST_QUIET, true);
    let timeout = mistakes.within("timeout", endpoint.timeout, TIMEOUT, LONGEST_TIMEOUT, false);
    let retries = u32::try_from(endpoint.retries.unwrap_or(0)).ok().filter(|n| *n <= 5).unwrap_or_else(|| {
        mistakes.endpoint("retries", "must be 0 to 5");
        0
    });
    let mut messages = talk::messages(endpoint, framing.as_ref(), timeout, &mut mistakes);
    let steps = talk::steps(endpoint, framing.as_ref(), timeout, &mut mistakes);
    let (spots, writes) = points::points(endpoint, framing.as_ref(), &messages, timeout, points, &mut mistakes.0);
    for (index, talk) in messages.iter_mut().enumerate() {
        let mut of_it = spots
            .iter()
            .zip(points)
            .filter(|(spot, _)| spot.readable && matches!(&spot.place, Place::Message(of, _) if *of == index));
        let mut any = false;
        talk.settling = of_it.all(|(_, point)| {
            any = true;
            point.address.stable == Some(true)
        }) && any;
    }
    let listens = match endpoint.language {
        Some(Language::Iec62056) => false,
        Some(_) => spots.iter().any(|spot| spot.readable),
        None => spots.iter().any(|spot| match &spot.place {
            Place::Message(index, _) => spot.readable && messages[*index].ask.is_none(),
            Place::Nowhere | Place::Telegram(_) => false,
        }),
    };
    let meter = talk::meter(endpoint, settings.baud, &mut mistakes);
    let Some(target) = target.filter(|_| mistakes.0.is_empty()) else { return Err(mistakes.0) };
    let line = Arc::new(Line {
        target,
        settings,
        framing,
        language: endpoint.language,
        key: endpoint.key.as_ref().map(|key| key.secret_ref.clone()),
        authentication_key: endpoint.authentication_key.as_ref().map(|key| key.secret_ref.clone()),
        settle: quiet.max(SETTLE),
        listens,
    });
    let device = Device {
        line,
        messages,
        steps: steps.into(),
        writes,
        retries,
        quiet,
        silence: endpoint.silence.map(|silence| silence.0),
        meter,
        changes_baud: endpoint.start.iter().any(|step| step.baud.is_some()),
    };
    device.lasts_too_long(&mut mistakes);
    if !mistakes.0.is_empty() {
        return Err(mistakes.0);
    }
    let notes = device::notes(endpoint, points, &device, &spots);
    Ok(Bound { device: Arc::new(device), points: spots, notes, paces: Mutex::default() })
}

#[cfg(test)]
mod tests;
