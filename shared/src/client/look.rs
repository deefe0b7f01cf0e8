//! A look at many tasks: which of them have ended, and how.

use crate::id::TaskId;
use crate::ledger::{Inspect, LedgerError};
use crate::task::{TaskRecord, TaskState};

/// Of so many tasks the states are asked for at once.
pub(super) const STATES: usize = 1000;

/// Of so many that have ended the records, which may be large.
const RECORDS: usize = 100;

/// A task whose waiters are to be told something.
pub(super) struct Seen {
    pub(super) id: TaskId,
    pub(super) result: Result<TaskRecord, LedgerError>,
}

/// Those of these tasks that have ended, and those that cannot be read. An error means that the ledger is away.
pub(super) async fn ended(inspect: &dyn Inspect, ids: &[TaskId]) -> Result<Vec<Seen>, LedgerError> {
    let mut seen = Vec::new();
    for ids in over(inspect, ids, &mut seen).await?.chunks(RECORDS) {
        match inspect.get(ids.to_vec()).await {
            Ok(records) => seen.extend(records.into_iter().flatten().filter_map(Seen::end)),
            Err(LedgerError::Unavailable(reason)) => return Err(LedgerError::Unavailable(reason)),
            Err(_) => one_by_one(inspect, ids, &mut seen).await?,
        }
    }
    Ok(seen)
}

/// Which of them are in a terminal state.
async fn over(
    inspect: &dyn Inspect,
    ids: &[TaskId],
    seen: &mut Vec<Seen>,
) -> Result<Vec<TaskId>, LedgerError> {
    match inspect.states(ids.to_vec()).await {
        Ok(states) => {
            let states = ids.iter().zip(states);
            let over = states.filter(|(_, state)| state.is_some_and(TaskState::is_terminal));
            Ok(over.map(|(id, _)| *id).collect())
        }
        Err(LedgerError::Unavailable(reason)) => Err(LedgerError::Unavailable(reason)),
        Err(_) => {
            one_by_one(inspect, ids, seen).await?;
            Ok(Vec::new())
        }
    }
}

/// One row that cannot be read must not keep those from their answers who wait for others.
async fn one_by_one(inspect: &dyn Inspect, ids: &[TaskId], seen: &mut Vec<Seen>) -> Result<(), LedgerError> {
    for id in ids {
        match inspect.get(vec![*id]).await {
            Ok(records) => seen.extend(records.into_iter().flatten().filter_map(Seen::end)),
            Err(LedgerError::Unavailable(reason)) => return Err(LedgerError::Unavailable(reason)),
            Err(error) => seen.push(Seen { id: *id, result: Err(error) }),
        }
    }
    Ok(())
}

impl Seen {
    /// What to tell of a task that has ended. One that was retried by hand meanwhile has not.
    fn end(record: TaskRecord) -> Option<Self> {
        record.state.is_terminal().then(|| Self { id: record.id(), result: Ok(record) })
    }
}
