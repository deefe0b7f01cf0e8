//! Members of the cluster: beats and workers, known by their incarnation and their heartbeat.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{OwnerId, TaskId};
use crate::name::QueueName;

/// How long a heartbeat may stand still before a beat declares its member lost.
pub const LEASE: Duration = Duration::from_secs(15);

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Turns time into messages.
    Beat,
    /// Turns messages into finished work.
    Worker,
}

impl Role {
    /// As in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beat => "beat",
            Self::Worker => "worker",
        }
    }
}

/// What a member says of itself; shown by `upbeat workers list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// `host:pid`, or what the user called it.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Queues with their weights (a worker's).
    pub queues: Vec<(QueueName, u32)>,
    /// How many tasks it runs at once at most (a worker's).
    pub slots: u32,
    /// How many it runs now (a worker's).
    pub running: u32,
    /// It takes no new work.
    pub draining: bool,
}

/// Says that a member is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who.
    pub owner: OwnerId,
    /// What it does.
    pub role: Role,
    /// Grows with every heartbeat of this incarnation.
    pub counter: u64,
    /// How long it may stand still: no beat judges it by a shorter time.
    pub lease: Duration,
    /// What it says of itself.
    pub info: MemberInfo,
}

/// What a member learns from its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// The store's time.
    pub now: Timestamp,
    /// It was declared lost: it can claim nothing and must come back as a new incarnation.
    pub retired: bool,
    /// Running tasks of this owner that somebody asked to stop.
    pub cancels: Vec<TaskId>,
    /// Queues from which nobody may take work.
    pub paused: Vec<QueueName>,
    /// Every member that is not retired, as of this heartbeat's transaction; for a beat's judgement.
    pub pulses: Vec<Pulse>,
}

/// A member's heartbeat as a beat saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Whose.
    pub owner: OwnerId,
    /// What it does.
    pub role: Role,
    /// Where its counter stands.
    pub counter: u64,
    /// By what time it is judged.
    pub lease: Duration,
}

/// A member as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its incarnation.
    pub owner: OwnerId,
    /// What it does.
    pub role: Role,
    /// What it says of itself.
    pub info: MemberInfo,
    /// When it first came.
    pub started_at: Timestamp,
    /// Its last heartbeat, in the store's time.
    pub seen_at: Timestamp,
    /// By what time it is judged.
    pub lease: Duration,
    /// A beat declared it lost.
    pub retired: bool,
}
