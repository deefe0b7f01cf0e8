//! Everything the ledger keeps, and the indexes that are kept with it.

use std::collections::{BTreeMap, BTreeSet};

use super::limit::Limits;
use super::member::Member;
use super::occurrence::Occurrences;
use super::row::{Place, Row};
use super::unique::Holds;
use super::wake::Touched;
use crate::id::{OwnerId, TaskId};
use crate::message::Priority;
use crate::name::{QueueName, ScheduleId};
use crate::occurrence::ScheduleRecord;
use crate::task::TaskState;

/// The tables. Rows are changed through [`State::change`] alone, so that what can be found by an index is always so.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By number: the order in which they were recorded.
    rows: BTreeMap<i64, Row>,
    last_row: i64,
    ids: BTreeMap<TaskId, i64>,
    /// When a beat looks at a row next. Those of one instant in the order recorded.
    wakes: BTreeSet<(i64, i64)>,
    /// Rows running in each owner's name.
    running: BTreeMap<OwnerId, BTreeSet<TaskId>>,
    /// Those that ended and are kept for a while only, by when they ended.
    pub(super) finished: BTreeSet<(i64, i64)>,
    /// Those of them that still have details.
    pub(super) detailed: BTreeSet<(i64, i64)>,
    /// Occurrences of each schedule that are on the agenda and not yet queued.
    planned: BTreeMap<ScheduleId, BTreeSet<TaskId>>,
    pub(super) queues: BTreeMap<QueueName, Queue>,
    pub(super) members: BTreeMap<OwnerId, Member>,
    pub(super) schedules: BTreeMap<ScheduleId, ScheduleRecord>,
    pub(super) catalog_version: u64,
    /// The newest of all schedules.
    pub(super) last_incarnation: Option<i64>,
    pub(super) occurrences: Occurrences,
    pub(super) holds: Holds,
    /// Who has what of which limit.
    pub(super) limits: Limits,
    /// Whose each lease is, and until when.
    pub(super) leases: BTreeMap<String, (OwnerId, i64)>,
}

/// What is known of a queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) paused: bool,
    counts: [u64; TaskState::ALL.len()],
    /// The newest mark among the claimed tasks of each priority: what was marked long before it was overtaken.
    claimed: [Option<i64>; Priority::MAX as usize + 1],
}

impl Queue {
    /// Tasks in a state.
    pub(super) fn count(&self, state: TaskState) -> u64 {
        self.counts[state as usize]
    }

    /// A task that was marked at this time has been claimed.
    pub(super) fn progress(&mut self, priority: Priority, enqueued_at: i64) {
        let newest = &mut self.claimed[usize::from(priority.get())];
        *newest = (*newest).max(Some(enqueued_at));
    }

    /// The newest mark among the claimed tasks of a priority.
    pub(super) fn claimed(&self, priority: Priority) -> Option<i64> {
        self.claimed[usize::from(priority.get())]
    }
}

impl State {
    /// The number of a task's row.
    pub(super) fn number(&self, id: TaskId) -> Option<i64> {
        self.ids.get(&id).copied()
    }

    /// A task's row and its number.
    pub(super) fn find(&self, id: TaskId) -> Option<(i64, &Row)> {
        let number = self.number(id)?;
        Some((number, self.row(number)))
    }

    /// The row of a number that was found under the same lock.
    pub(super) fn row(&self, number: i64) -> &Row {
        self.rows.get(&number).expect("a row's number is that of a row")
    }

    /// Every row below a number, the newest recorded first.
    pub(super) fn newest_first(&self, below: i64) -> impl Iterator<Item = (i64, &Row)> {
        self.rows.range(..below).rev().map(|(number, row)| (*number, row))
    }

    /// Makes a row; answers its number.
    pub(super) fn insert(&mut self, row: Row) -> i64 {
        self.last_row += 1;
        let number = self.last_row;
        self.ids.insert(row.id, number);
        self.index(number, &row.place());
        self.rows.insert(number, row);
        number
    }

    /// Changes a row, and with it every index.
    pub(super) fn change<T>(&mut self, number: i64, change: impl FnOnce(&mut Row) -> T) -> T {
        let row = self.rows.get_mut(&number).expect("a row's number is that of a row");
        let before = row.place();
        let answer = change(row);
        let after = row.place();
        if before != after {
            self.unindex(number, &before);
            self.index(number, &after);
        }
        answer
    }

    /// Forgets a row.
    pub(super) fn remove(&mut self, number: i64) {
        if let Some(row) = self.rows.remove(&number) {
            self.ids.remove(&row.id);
            self.unindex(number, &row.place());
        }
    }

    /// The first rows whose time has come, the longest due first.
    pub(super) fn due(&self, now: i64) -> impl Iterator<Item = i64> {
        self.wakes.range(..=(now, i64::MAX)).map(|(_, number)| *number)
    }

    /// When a beat should look next.
    pub(super) fn next_wake(&self) -> Option<i64> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Tasks running in an owner's name, in the order of their ids.
    pub(super) fn running_of(&self, owner: OwnerId) -> impl Iterator<Item = TaskId> {
        self.running.get(&owner).into_iter().flatten().copied()
    }

    /// Owners in whose names something runs.
    pub(super) fn owners(&self) -> impl Iterator<Item = OwnerId> {
        self.running.keys().copied()
    }

    /// Occurrences of a schedule that are on the agenda and not yet queued.
    pub(super) fn planned_of(&self, schedule: &ScheduleId) -> Vec<TaskId> {
        self.planned.get(schedule).into_iter().flatten().copied().collect()
    }

    /// What is known of a queue, from now on.
    pub(super) fn queue(&mut self, name: &QueueName) -> &mut Queue {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), Queue::default());
        }
        self.queues.get_mut(name).expect("it was just made")
    }

    fn index(&mut self, number: i64, place: &Place) {
        self.queue(&place.queue).counts[place.state as usize] += 1;
        if let Some(at) = place.wake_at {
            self.wakes.insert((at, number));
        }
        if let Some(owner) = place.running {
            self.running.entry(owner).or_default().insert(place.id);
        }
        if let Some(at) = place.finished {
            self.finished.insert((at, number));
            if place.detailed {
                self.detailed.insert((at, number));
            }
        }
        if let Some(schedule) = &place.planned {
            self.planned.entry(schedule.clone()).or_default().insert(place.id);
        }
    }

    fn unindex(&mut self, number: i64, place: &Place) {
        self.queue(&place.queue).counts[place.state as usize] -= 1;
        if let Some(at) = place.wake_at {
            self.wakes.remove(&(at, number));
        }
        if let Some(owner) = place.running {
            leave(&mut self.running, &owner, place.id);
        }
        if let Some(at) = place.finished {
            self.finished.remove(&(at, number));
            self.detailed.remove(&(at, number));
        }
        if let Some(schedule) = &place.planned {
            leave(&mut self.planned, schedule, place.id);
        }
    }
}

/// Takes a task out of its group; an empty group is none.
fn leave<K: Ord>(groups: &mut BTreeMap<K, BTreeSet<TaskId>>, key: &K, id: TaskId) {
    if let Some(group) = groups.get_mut(key) {
        group.remove(&id);
        if group.is_empty() {
            groups.remove(key);
        }
    }
}

/// One operation on the state: its now, and whom it wakes when it is done.
pub(super) struct Write<'a> {
    pub(super) state: &'a mut State,
    now: i64,
    touched: Touched,
}

impl<'a> Write<'a> {
    pub(super) fn new(state: &'a mut State, now: i64) -> Self {
        Self { state, now, touched: Touched::default() }
    }

    /// The store's time in microseconds, the same throughout the operation.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// Something may have come onto the agenda, or into the catalog.
    pub(super) fn touch_agenda(&mut self) {
        self.touched.agenda = true;
    }

    /// Some task ended.
    pub(super) fn touch_ended(&mut self) {
        self.touched.ended = true;
    }

    /// Whom it wakes.
    pub(super) fn touched(&self) -> Touched {
        self.touched
    }
}
