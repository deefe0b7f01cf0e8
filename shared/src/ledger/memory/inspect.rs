//! Looking at tasks, queues and members.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::row::Row;
use super::state::State;
use super::{MemoryLedger, act, limit, member, purge};
use crate::id::TaskId;
use crate::ledger::{
    ActAnswer, Action, Inspect, LedgerError, LimitRecord, PageCursor, PurgeReport, QueueRecord, Retention,
    TaskFilter, TaskPage,
};
use crate::member::MemberRecord;
use crate::name::QueueName;
use crate::task::{TaskRecord, TaskState};

#[async_trait]
impl Inspect for MemoryLedger {
    async fn get(&self, ids: Vec<TaskId>) -> Result<Vec<Option<TaskRecord>>, LedgerError> {
        let record = |state: &State, id: TaskId| state.find(id).map(|(_, row)| state.record(row));
        Ok(self.read(|state| ids.iter().map(|id| record(state, *id)).collect()))
    }

    async fn list(
        &self,
        filter: TaskFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<TaskPage, LedgerError> {
        Ok(self.read(|state| list(state, &filter, after, limit)))
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, LedgerError> {
        Ok(self.read(queues))
    }

    async fn limits(&self, most: usize) -> Result<Vec<LimitRecord>, LedgerError> {
        let now = self.time.now();
        Ok(self.read(|state| limit::list(state, most, now)))
    }

    async fn members(&self) -> Result<Vec<MemberRecord>, LedgerError> {
        Ok(self.read(member::list))
    }

    async fn act(&self, ids: Vec<TaskId>, action: Action) -> Result<Vec<ActAnswer>, LedgerError> {
        Ok(self.write(|write| act::act(write, &ids, &action)))
    }

    async fn pause(&self, queue: QueueName, paused: bool) -> Result<(), LedgerError> {
        self.write(|write| write.state.queue(&queue).paused = paused);
        Ok(())
    }

    async fn purge(&self, retention: Retention, limit: usize) -> Result<PurgeReport, LedgerError> {
        Ok(self.write(|write| purge::purge(write, retention, limit)))
    }

    async fn wait(&self, at_most: Duration) {
        self.shared.signals.next_end(at_most).await;
    }
}

fn list(state: &State, filter: &TaskFilter, after: Option<PageCursor>, limit: usize) -> TaskPage {
    let wanted = Wanted::by(filter);
    let below = after.map_or(i64::MAX, |PageCursor(number)| number);
    let mut found = state.newest_first(below).filter(|(_, row)| wanted.holds(row));
    let mut tasks = Vec::new();
    let mut last = None;
    for (number, row) in found.by_ref().take(limit) {
        tasks.push(state.record(row));
        last = Some(PageCursor(number));
    }
    let more = found.next().is_some();
    TaskPage { tasks, next: last.filter(|_| more) }
}

/// A filter, as it is compared with rows.
struct Wanted<'a> {
    filter: &'a TaskFilter,
    tag: Option<String>,
    since: Option<i64>,
}

impl<'a> Wanted<'a> {
    fn by(filter: &'a TaskFilter) -> Self {
        let tag = filter.tag.as_ref().map(|tag| format!(",{tag},"));
        Self { filter, tag, since: filter.since.map(Timestamp::as_microsecond) }
    }

    fn holds(&self, row: &Row) -> bool {
        let TaskFilter { states, queue, name, schedule, .. } = self.filter;
        let tagged = |tag: &String| row.tags.as_ref().is_some_and(|tags| tags.contains(tag));
        (states.is_empty() || states.contains(&row.state))
            && queue.as_ref().is_none_or(|queue| *queue == row.queue)
            && name.as_ref().is_none_or(|name| *name == row.name)
            && schedule.as_ref().is_none_or(|schedule| row.schedule.as_ref() == Some(schedule))
            && self.tag.as_ref().is_none_or(tagged)
            && self.since.is_none_or(|since| row.recorded_at >= since)
    }
}

/// Every queue that has tasks or was paused.
fn queues(state: &State) -> Vec<QueueRecord> {
    let all = state.queues.iter().map(|(name, queue)| {
        let counts = TaskState::ALL.into_iter().map(|state| (state, queue.count(state)));
        let counts = counts.filter(|(_, count)| *count > 0).collect();
        QueueRecord { name: name.clone(), paused: queue.paused, counts }
    });
    all.filter(|queue| queue.paused || !queue.counts.is_empty()).collect()
}
