//! Two clocks read as one: wall time for people and payloads, the monotonic clock for intervals.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Wall time, UTC, since the Unix epoch. It may step.
    pub wall: Duration,
    /// Monotonic time. It never steps, and stands still in paused tests.
    pub mono: Instant,
}

impl Stamp {
    /// This moment.
    pub fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall, mono: Instant::now() }
    }

    /// This long before it.
    #[must_use]
    pub fn before(self, age: Duration) -> Self {
        Self { wall: self.wall.saturating_sub(age), mono: self.mono.checked_sub(age).unwrap_or(self.mono) }
    }
}
