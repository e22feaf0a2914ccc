//! The outer end of a bus: what the control path holds.

use std::sync::Arc;

use mapper_api::BusKey;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{BusStats, Command, grid::Grid, grid::hash, line::Line, stats::Stats, supervise::supervise, task::Task};

/// What all buses of a process share.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where the deadlines lie.
    pub grid: Grid,
    /// The seed of the jitter.
    pub seed: u64,
}

impl Options {
    /// Phase and jitter follow from the node's name.
    pub fn of_node(node: &str) -> Self {
        Self { grid: Grid::of_node(node), seed: hash(node) }
    }
}

/// A running bus. When it is dropped, the bus finishes the sequence in flight and closes.
pub struct BusHandle {
    label: String,
    commands: mpsc::UnboundedSender<Command>,
    stats: Arc<Stats>,
    task: JoinHandle<()>,
}

/// Starts the task of a bus, without devices. It opens when the first joins and after these predecessors, which hold
/// the same resource, have ended.
pub fn spawn(protocol: &str, key: &BusKey, options: Options, predecessors: Vec<JoinHandle<()>>) -> BusHandle {
    let label = format!("{protocol}:{key}");
    let stats = Arc::new(Stats::default());
    let (commands, receiver) = mpsc::unbounded_channel();
    let line = Line { bus: None, stats: stats.clone() };
    let task = tokio::spawn(supervise(Task::new(label.clone(), options, receiver, line, predecessors)));
    BusHandle { label, commands, stats, task }
}

impl BusHandle {
    /// Tells the bus; it takes commands in order, between two sequences.
    pub fn send(&self, command: Command) {
        // The task ends after its handle, so somebody always listens.
        let _ = self.commands.send(command);
    }

    /// What the bus counts, with this many devices on it.
    pub fn stats(&self, devices: usize) -> BusStats {
        self.stats.snapshot(self.label.clone(), devices)
    }

    /// Ends the bus after the sequence in flight; the task that is left can be waited for.
    pub fn stop(self) -> JoinHandle<()> {
        self.task
    }
}
