//! What the ledger itself says, asked past every member and every fault. Changes nothing.

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::memory::MemoryLedger;
use upbeat_shared::ledger::{Inspect, TaskFilter};
use upbeat_shared::task::TaskRecord;

use crate::testing::world::at_once;

/// Rows in one look.
const PAGE: usize = 10_000;

/// Rows by their ids.
pub(super) fn rows(raw: &MemoryLedger, ids: &[TaskId]) -> Vec<Option<TaskRecord>> {
    if ids.is_empty() {
        return Vec::new();
    }
    at_once(Inspect::get(raw, ids.to_vec())).expect("a ledger in memory does not fail")
}

/// Every row, the oldest first.
pub(super) fn all(raw: &MemoryLedger) -> Vec<TaskRecord> {
    let (mut tasks, mut after) = (Vec::new(), None);
    loop {
        let page = at_once(raw.list(TaskFilter::default(), after, PAGE));
        let page = page.expect("a ledger in memory does not fail");
        tasks.extend(page.tasks);
        after = page.next;
        if after.is_none() {
            tasks.reverse();
            return tasks;
        }
    }
}
