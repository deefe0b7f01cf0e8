//! How far running tasks have come, as their workers' heartbeats tell.

use std::collections::HashMap;

use upbeat_shared::id::{OwnerId, TaskId};
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::member::MemberRecord;
use upbeat_shared::progress::Progress;
use upbeat_shared::task::{TaskRecord, TaskState};

/// What runs in which member, with what was said of it.
#[derive(Debug, Default)]
pub(crate) struct Running(HashMap<(OwnerId, TaskId), Progress>);

impl Running {
    /// Asks the members, if one of these tasks runs.
    pub(crate) async fn of(store: &Store, tasks: &[TaskRecord]) -> Result<Self, LedgerError> {
        if !tasks.iter().any(|task| task.state == TaskState::Running) {
            return Ok(Self::default());
        }
        Ok(Self::told_by(&store.inspect.members().await?))
    }

    /// What these members tell.
    pub(crate) fn told_by(members: &[MemberRecord]) -> Self {
        let told = |member: &MemberRecord| {
            let owner = member.owner;
            member.info.progress.clone().into_iter().map(move |(id, progress)| ((owner, id), progress))
        };
        Self(members.iter().flat_map(told).collect())
    }

    /// How far a task has come. What its worker says of an earlier run of it counts only while it runs there again.
    pub(crate) fn progress(&self, task: &TaskRecord) -> Option<&Progress> {
        let owner = task.owner.filter(|_| task.state == TaskState::Running)?;
        self.0.get(&(owner, task.id()))
    }

    /// The task as `--json` prints it.
    pub(crate) fn json(&self, task: &TaskRecord) -> serde_json::Value {
        let mut object = task.to_json();
        object["progress"] = serde_json::json!(self.progress(task));
        object
    }
}
