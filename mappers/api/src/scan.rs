//! What `fieldgate scan` shows: devices that a mapper finds by looking, with no spec at hand.

use crate::{BoxFuture, Error, Json};

/// A device that was found, or seen again.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What tells it apart from the others, such as its address; the same in each set.
    pub id: String,
    /// What is known of it, as columns of a table: title and text. The same titles in the same order for all.
    pub about: Vec<(&'static str, String)>,
    /// A Device's spec to start from: it passes `fieldgate check`. Why none can be written, for people.
    pub draft: Result<Json, String>,
}

/// A search that goes on until it is dropped.
pub trait Discovery: Send {
    /// Waits for a change, and gives the whole set of what is there now. Cancel-safe.
    ///
    /// # Errors
    /// The search cannot go on: what is missing and what to do.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Found>, Error>>;
}
