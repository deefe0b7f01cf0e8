//! The form in which tasks and schedules travel between ledgers: lines of JSON, the first of which says what follows and
//! the last of which says that nothing is missing. Pure: opens no file and no ledger.

mod reader;
mod schedule;
mod task;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use upbeat_shared::id::{KeyId, TaskId};
use upbeat_shared::ledger::KeyWindow;
use upbeat_shared::name::{Namespace, QueueName};

pub(crate) use reader::{Fault, Reader};
pub(crate) use schedule::ScheduleLine;
pub(crate) use task::TaskLine;

/// The version of this form.
pub(crate) const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// The first.
    #[serde(rename = "upbeat_export")]
    Header(Header),
    /// A queue that nobody may take from.
    PausedQueue(QueueName),
    /// A schedule, with its cursor and its past.
    Schedule(Box<ScheduleLine>),
    /// A task.
    Task(Box<TaskLine>),
    /// A unique key that is held for a time. Behind all tasks: what they hold themselves counts more.
    UniqueWindow(WindowLine),
    /// The last.
    End(Counts),
}

/// A unique key that a task holds for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowLine {
    /// Its digest, the same everywhere.
    key: KeyId,
    task: TaskId,
    until: Timestamp,
}

impl From<KeyWindow> for WindowLine {
    fn from(window: KeyWindow) -> Self {
        Self { key: window.key, task: window.task, until: window.until }
    }
}

impl From<WindowLine> for KeyWindow {
    fn from(line: WindowLine) -> Self {
        Self { key: line.key, task: line.task, until: line.until }
    }
}

/// What an export is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Of the form.
    pub(crate) version: u32,
    /// Whose world it is. Ids of occurrences and of tasks with a dedup id are derived from it.
    pub(crate) namespace: Namespace,
    /// When it was made, in the store's time.
    pub(crate) exported_at: Timestamp,
    /// By which program.
    pub(crate) upbeat: String,
    /// Whether tasks that have ended well are in it, so that a repeat of them is recognised.
    pub(crate) finished: bool,
}

/// How many lines of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) tasks: u64,
    pub(crate) schedules: u64,
    pub(crate) paused_queues: u64,
    #[serde(default)]
    pub(crate) unique_windows: u64,
}

impl Counts {
    /// One more of this kind.
    pub(crate) fn count(&mut self, line: &Line) {
        match line {
            Line::Task(_) => self.tasks += 1,
            Line::Schedule(_) => self.schedules += 1,
            Line::PausedQueue(_) => self.paused_queues += 1,
            Line::UniqueWindow(_) => self.unique_windows += 1,
            Line::Header(_) | Line::End(_) => {}
        }
    }
}
