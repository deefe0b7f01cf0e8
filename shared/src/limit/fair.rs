//! Fair queues: the tenants of a queue take turns, so that one tenant's million tasks delay another's ten by seconds.

use std::collections::BTreeMap;

use crate::id::{Seq, TaskId};
use crate::message::Message;
use crate::name::{QueueName, TaskKey};

/// How the tenants of a queue share it. A tenant is the key of its tasks; those without a key are one tenant together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FairPolicy {
    /// So many of the queue's tasks are with the broker or run at once; the others wait for their turn in the ledger. More
    /// than its workers run together, or they would wait for work; no more than a tenant should have to wait behind.
    pub slots: u32,
    /// How many tasks of a tenant go for one of another; 1 where nothing is said.
    pub weights: BTreeMap<TaskKey, u32>,
}

impl FairPolicy {
    /// The highest weight.
    pub const MAX_WEIGHT: u32 = 1000;

    /// So many of its tasks are handed out, all tenants alike.
    pub fn new(slots: u32) -> Self {
        Self { slots: slots.max(1), weights: BTreeMap::new() }
    }

    /// So many tasks of this tenant go for one of another.
    pub fn weight(mut self, tenant: TaskKey, weight: u32) -> Self {
        self.weights.insert(tenant, weight.clamp(1, Self::MAX_WEIGHT));
        self
    }
}

impl Default for FairPolicy {
    /// 500 handed out, all tenants alike.
    fn default() -> Self {
        Self::new(500)
    }
}

/// Which queues are fair. Clients and beats must know the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FairQueues(pub BTreeMap<QueueName, FairPolicy>);

impl FairQueues {
    /// No queue is one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this queue is one.
    pub fn contains(&self, queue: &QueueName) -> bool {
        self.0.contains_key(queue)
    }

    /// What to ask the ledger before this message may be published; `None` if its queue is not fair.
    pub fn turn(&self, message: &Message) -> Option<Turn> {
        let policy = self.0.get(&message.queue)?;
        let weight = message.key.as_ref().and_then(|key| policy.weights.get(key)).copied().unwrap_or(1);
        let tenant = message.key.as_ref().map_or("", TaskKey::as_str).to_owned();
        let queue = message.queue.clone();
        Some(Turn { id: message.id, seq: message.seq, queue, slots: policy.slots, tenant, weight })
    }
}

/// Of things that were to ask for their turns, those that need not, and those whose turn it is by the answers to all that did.
pub fn whose_turn_it_is<T>(things: Vec<T>, turns: &[Option<Turn>], answers: Vec<bool>) -> Vec<T> {
    let mut answers = answers.into_iter();
    let goes = |turn: &Option<Turn>| turn.is_none() || answers.next().unwrap_or(false);
    let goes: Vec<bool> = turns.iter().map(goes).collect();
    things.into_iter().zip(goes).filter_map(|(thing, goes)| goes.then_some(thing)).collect()
}

/// Asks whether it is a task's turn in its fair queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which task.
    pub id: TaskId,
    /// As recorded.
    pub seq: Seq,
    /// Its queue.
    pub queue: QueueName,
    /// So many of the queue's tasks are handed out at once.
    pub slots: u32,
    /// Whose it is.
    pub tenant: String,
    /// How many tasks of this tenant go for one of another.
    pub weight: u32,
}
