//! What hooks are told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::id::TaskId;
use crate::message::Message;
use crate::name::ScheduleId;
use crate::task::TaskState;
use crate::verdict::RunError;

/// A run failed, and its task runs again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// What was published: name, queue, tags, schedule, trace. With the arguments: think before you send them elsewhere.
    pub message: Arc<Message>,
    /// Which attempt failed, from 1.
    pub attempt: u32,
    /// Workers lost while they ran this task.
    pub crashes: u32,
    /// When it runs again, from now.
    pub delay: Duration,
    /// Why it failed.
    pub error: RunError,
    /// When this became known, in the store's time; `None` where that was not known.
    pub at: Option<Timestamp>,
}

/// A task failed for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Dead {
    /// What was published: name, queue, tags, schedule, trace. With the arguments: think before you send them elsewhere.
    pub message: Arc<Message>,
    /// Failures that the task reported, the last one included.
    pub attempts: u32,
    /// Workers lost while they ran this task.
    pub crashes: u32,
    /// Why it is dead.
    pub error: RunError,
    /// When this became known, in the store's time; `None` where that was not known.
    pub at: Option<Timestamp>,
}

/// The task of an occurrence has not started, though its time has long come.
#[derive(Clone, Debug, PartialEq)]
pub struct Overdue {
    /// What was planned: name, queue, tags, with the arguments.
    pub message: Arc<Message>,
    /// Whose occurrence it is.
    pub schedule: ScheduleId,
    /// Which: the rule's instant.
    pub planned_at: Timestamp,
    /// When it should have run: the instant and its jitter.
    pub due_at: Timestamp,
    /// How long ago that was.
    pub late_by: Duration,
    /// Where it is: scheduled, queued, or expired without having started.
    pub state: TaskState,
    /// Why it waits, where the ledger knows.
    pub note: Option<String>,
    /// When this was found, in the store's time.
    pub at: Timestamp,
}

impl Retry {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.message.id
    }
}

impl Dead {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.message.id
    }
}

impl Overdue {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.message.id
    }
}
