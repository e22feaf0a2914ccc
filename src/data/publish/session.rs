//! One connection to the broker: what was handed over, what is on its way, and how it is to end.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    clock::Stamp,
    data::{
        link::{Client, Ending, LinkError, Message},
        outbox::Ticket,
        retained::Item,
    },
};

/// What a message on its way is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Reading(Ticket),
    Item(Item),
    Farewell,
}

pub(super) struct Flight {
    pub(super) what: What,
    pub(super) message: Message,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// Only what waits in the outbox.
    Draining,
    /// The last message is on its way.
    Saying,
    Closing,
    /// It ends since another bridge is there.
    Yielding,
}

/// One connection.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) since: Stamp,
    pub(super) connected: bool,
    /// Handed over, not yet gone out; in order.
    pub(super) handed: VecDeque<Flight>,
    /// Gone out, not yet acknowledged.
    pub(super) on_way: HashMap<u16, Flight>,
    pub(super) later: VecDeque<(Instant, Flight)>,
    pub(super) window: usize,
    pub(super) blocked: bool,
    pub(super) heard: Instant,
    pub(super) keep_alive: Duration,
    pub(super) stage: Stage,
    /// Whose turn it is when both retained topics and readings wait.
    pub(super) readings_next: bool,
}

impl LinkError {
    pub(super) fn mixed_up() -> Self {
        Self { message: "acknowledgements do not fit what was sent".into(), ending: Ending::Other }
    }

    pub(super) fn rival() -> Self {
        Self { message: "another bridge of this node is connected".into(), ending: Ending::Rival }
    }
}

impl Session {
    pub(super) fn new(client: Client, keep_alive: Duration) -> Self {
        let since = Stamp::now();
        Self {
            client,
            since,
            connected: false,
            handed: VecDeque::new(),
            on_way: HashMap::new(),
            later: VecDeque::new(),
            window: 0,
            blocked: false,
            heard: since.mono,
            keep_alive,
            stage: Stage::Running,
            readings_next: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.handed.len() + self.on_way.len() < self.window
    }

    /// Ends it in order, so that no last will is published over what the other bridge says.
    pub(super) fn give_way(&mut self) {
        if self.stage != Stage::Yielding {
            (self.window, self.stage) = (0, Stage::Yielding);
            self.client.disconnect();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.handed.is_empty() && self.on_way.is_empty() && self.later.is_empty()
    }

    pub(super) fn publish(&mut self, flight: Flight) {
        // The channel holds a whole window and more; only a topic that is none would be refused.
        if self.client.publish(&flight.message) {
            self.handed.push_back(flight);
        } else {
            tracing::error!(topic = flight.message.topic, "not a topic to publish to");
        }
    }
}
