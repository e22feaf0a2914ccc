//! The open or closed transport of one bus: every await on a mapper's I/O but `idle` and `open` is here, each with the
//! dead-man's limit.

use std::{sync::Arc, time::Duration};

use mapper_api::{Cost, DynAnswer, DynBus, DynRequest, Error, ErrorKind, Result};
use tokio::time::{Instant, timeout};

use super::stats::Stats;

/// What an exchange may take beyond its own longest time before the bus counts as hung.
const MARGIN: Duration = Duration::from_secs(1);
/// The same for resynchronising.
const RESYNCHRONISE: Duration = Duration::from_secs(5);

/// The transport, while it is open.
pub(super) struct Line {
    pub bus: Option<Box<dyn DynBus>>,
    pub stats: Arc<Stats>,
}

impl Line {
    /// One exchange.
    ///
    /// # Errors
    /// Those of [`mapper_api::Bus::exchange`], and [`ErrorKind::Bus`] when the bus hangs.
    pub async fn ask(&mut self, request: &DynRequest, cost: Cost) -> Result<DynAnswer> {
        let Some(bus) = self.bus.as_mut() else {
            return Err(Error::new(ErrorKind::Bus, "the bus is closed"));
        };
        let begun = Instant::now();
        let limit = cost.longest + MARGIN;
        let answer = timeout(limit, bus.exchange(request)).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Bus, format!("the bus hangs: {request} did not end within {limit:?}")))
        });
        self.stats.exchanged(answer.is_ok(), begun.elapsed());
        answer
    }

    /// Makes sure that no late byte is taken for the next answer.
    ///
    /// # Errors
    /// Any: the bus must be reopened.
    pub async fn resynchronise(&mut self) -> Result<()> {
        let Some(bus) = self.bus.as_mut() else { return Ok(()) };
        let begun = Instant::now();
        let result = timeout(RESYNCHRONISE, bus.resynchronise()).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Bus, format!("resynchronising did not end within {RESYNCHRONISE:?}")))
        });
        self.stats.busy(begun.elapsed());
        result
    }
}
