//! A queue: what waits in it, in which order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::message::{Priority, WireMessage};

/// A message's place among those of its queue: the highest priority first, then in the order published. It keeps it for
/// life, so that what is given back stands where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    rank: u8,
    number: u64,
}

impl Spot {
    pub(super) fn of(message: &WireMessage, number: u64) -> Self {
        let priority = message.priority.unwrap_or(Priority::default().get()).min(Priority::MAX);
        Self { rank: Priority::MAX - priority, number }
    }
}

/// A message as the broker keeps it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) message: Arc<WireMessage>,
    /// How often it was delivered.
    pub(super) deliveries: u32,
}

/// One queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) ready: BTreeMap<Spot, Stored>,
    /// Consumers, by generation; the first one's turn it is.
    pub(super) turns: VecDeque<u64>,
}
