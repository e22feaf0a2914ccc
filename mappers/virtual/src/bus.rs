//! The table in memory: cells, a clock, and what is sent unasked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use mapper_api::{Bus, DataType, Decoded, Error, ErrorKind, PointId, Result};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    Virtual,
    bind::Spec,
    plan::{Ask, Request},
    signal::{Cell, sample},
};

/// How long a question to a silent device takes.
pub const TIMEOUT: Duration = Duration::from_millis(300);

/// So many values of a point that are sent unasked are kept while nobody fetches them.
const KEPT: u32 = 16;

/// An open bus.
pub struct Table {
    opened: Instant,
    /// A property that changes its type is another cell.
    cells: HashMap<String, HashMap<(PointId, DataType), Cell>>,
    pushes: Vec<Push>,
}

/// A point that is sent unasked.
struct Push {
    spec: Arc<Spec>,
    point: PointId,
    every: Duration,
    due: Instant,
}

/// Values that nobody asked for.
#[derive(Debug)]
pub struct Frame {
    /// The device's name on the bus.
    pub device: String,
    /// What it says.
    pub values: Vec<Decoded>,
}

impl Table {
    /// An empty table, whose time begins now.
    pub(crate) fn new() -> Self {
        Self { opened: Instant::now(), cells: HashMap::new(), pushes: Vec::new() }
    }

    fn cell(&mut self, spec: &Spec, point: PointId) -> &mut Cell {
        let data_type = spec.points[usize::from(point)].data_type;
        if !self.cells.contains_key(&spec.device) {
            self.cells.insert(spec.device.clone(), HashMap::new());
        }
        let cells = self.cells.get_mut(&spec.device).expect("it was just made sure of");
        cells.entry((point, data_type)).or_default()
    }

    fn read(&mut self, spec: &Spec, point: PointId) -> Decoded {
        let at = self.opened.elapsed();
        let signalled = &spec.points[usize::from(point)];
        let cell = self.cell(spec, point);
        let result = sample(&signalled.signal, signalled.data_type, signalled.size, at, cell);
        cell.readings += 1;
        Decoded { point, result }
    }

    fn subscribe(&mut self, spec: &Arc<Spec>) {
        self.pushes.retain(|push| push.spec.device != spec.device);
        let now = Instant::now();
        for (point, signalled) in (0..).zip(&spec.points) {
            if let Some(every) = signalled.push_every {
                self.pushes.push(Push { spec: spec.clone(), point, every, due: now + every });
            }
        }
    }
}

impl Bus<Virtual> for Table {
    async fn exchange(&mut self, request: &Request) -> Result<Vec<Decoded>> {
        let spec = &request.spec;
        if spec.silent {
            sleep(TIMEOUT).await;
            return Err(Error::new(ErrorKind::Timeout, format!("{} is silent, as its endpoint says", spec.device)));
        }
        if !spec.latency.is_zero() {
            sleep(spec.latency).await;
        }
        Ok(match &request.ask {
            Ask::Subscribe => {
                self.subscribe(spec);
                Vec::new()
            }
            Ask::Read(points) => points.iter().map(|point| self.read(spec, *point)).collect(),
            Ask::Write(point, value) => {
                self.cell(spec, *point).written = Some(value.clone());
                Vec::new()
            }
        })
    }

    /// Cancel-safe: a push counts as sent only when it is returned, without a wait in between.
    async fn idle(&mut self) -> Result<Frame> {
        let next =
            self.pushes.iter().enumerate().min_by_key(|(_, push)| push.due).map(|(index, push)| (index, push.due));
        let Some((index, due)) = next else { return std::future::pending().await };
        sleep_until(due).await;
        let push = &mut self.pushes[index];
        // What nobody fetched in time is dropped but for the last few.
        push.due = (push.due + push.every).max(Instant::now().checked_sub(push.every * KEPT).unwrap_or(due));
        let (spec, point) = (push.spec.clone(), push.point);
        Ok(Frame { device: spec.device.clone(), values: vec![self.read(&spec, point)] })
    }
}
