//! Unique keys: who holds them, how they are taken and freed.

use std::collections::{BTreeMap, BTreeSet};

use super::row::End;
use super::state::{State, Write};
use crate::id::{KeyId, TaskId};
use crate::ledger::stored::{duration_micros, instant};
use crate::ledger::{AddAnswer, KeyWindow, restored, unique};
use crate::message::Message;
use crate::task::TaskState;
use crate::unique::Until;

/// Which task holds a key.
#[derive(Clone, Copy, Debug)]
struct Hold {
    task: TaskId,
    /// When its window is over; `None` until the task has ended.
    until: Option<i64>,
}

/// Every key that is held.
#[derive(Debug, Default)]
pub(super) struct Holds {
    by_key: BTreeMap<KeyId, Hold>,
    /// By when they are over.
    windows: BTreeSet<(i64, KeyId)>,
}

impl Holds {
    fn holder(&self, key: KeyId, now: i64) -> Option<TaskId> {
        let hold = self.by_key.get(&key)?;
        hold.until.is_none_or(|until| until > now).then_some(hold.task)
    }

    fn take(&mut self, key: KeyId, hold: Hold) {
        let before = self.by_key.insert(key, hold);
        if let Some(until) = before.and_then(|before| before.until) {
            self.windows.remove(&(until, key));
        }
        if let Some(until) = hold.until {
            self.windows.insert((until, key));
        }
    }

    /// Windows that are not over, behind this one.
    pub(super) fn windows(&self, now: i64, after: Option<KeyWindow>, limit: usize) -> Vec<KeyWindow> {
        let after = after.map(|window| (window.until.as_microsecond(), window.key));
        let behind =
            self.windows.iter().filter(|place| place.0 > now && after.is_none_or(|after| **place > after));
        let window = |(until, key): &(i64, KeyId)| {
            let task = self.by_key[key].task;
            KeyWindow { key: *key, task, until: instant(*until) }
        };
        behind.take(limit).map(window).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The task has ended: the key is free, if it still holds it.
    pub(super) fn free(&mut self, key: KeyId, task: TaskId) {
        if self.by_key.get(&key).is_some_and(|hold| hold.task == task && hold.until.is_none()) {
            self.by_key.remove(&key);
        }
    }

    /// Forgets windows that are over, at most so many; answers how many.
    pub(super) fn purge(&mut self, now: i64, limit: usize) -> u64 {
        let over = self.windows.iter().take_while(|(until, _)| *until <= now).take(limit);
        let over: Vec<(i64, KeyId)> = over.copied().collect();
        for one in &over {
            self.windows.remove(one);
            self.by_key.remove(&one.1);
        }
        over.len() as u64
    }
}

impl State {
    /// The task that holds a key, and its state. One that is forgotten had ended.
    fn key_holder(&self, key: KeyId, now: i64) -> Option<(TaskId, TaskState)> {
        let task = self.holds.holder(key, now)?;
        Some((task, self.find(task).map_or(TaskState::Succeeded, |(_, row)| row.state)))
    }
}

/// Takes the key of a task that is about to be made, if it has one; answers who has it, where that one stays.
pub(super) fn take(write: &mut Write<'_>, message: &Message) -> Option<AddAnswer> {
    let (key, wanted) = (message.unique_key()?, message.unique.as_ref()?);
    let now = write.now();
    if let Some((by, state)) = write.state.key_holder(key, now) {
        if !unique::gives_way(state, wanted.on_taken) {
            return Some(AddAnswer::Taken { by, state });
        }
        let (number, row) = write.state.find(by).expect("what waits has a row");
        let (note, end) = (unique::replaced_note(message.id), row.end_as(TaskState::Cancelled));
        write.end(number, End { note: Some(&note), ..end });
    }
    let until = match wanted.until {
        Until::Finished => None,
        Until::Window(window) => Some(now.saturating_add(duration_micros(window))),
    };
    write.state.holds.take(key, Hold { task: message.id, until });
    None
}

/// Takes the key of a task that is to run again, if it held one until it ended; answers who has it meanwhile.
pub(super) fn take_again(write: &mut Write<'_>, number: i64) -> Result<(), TaskId> {
    let (id, key) = (write.state.row(number).id, write.state.row(number).unique);
    let Some(key) = key else { return Ok(()) };
    if let Some(by) = write.state.holds.holder(key, write.now()) {
        return Err(by);
    }
    write.state.holds.take(key, Hold { task: id, until: None });
    Ok(())
}

/// Takes the key of a task that comes from another ledger, unless somebody has it.
pub(super) fn take_if_free(write: &mut Write<'_>, key: KeyId, task: TaskId) {
    if write.state.holds.holder(key, write.now()).is_none() {
        write.state.holds.take(key, Hold { task, until: None });
    }
}

/// Holds a key as another ledger did, unless somebody has it or its time is over; answers whether it does.
pub(super) fn restore_window(write: &mut Write<'_>, window: KeyWindow) -> bool {
    let (now, until) = (write.now(), window.until.as_microsecond());
    let holds = &mut write.state.holds;
    let is_free = until > now && holds.holder(window.key, now).is_none();
    if is_free {
        holds.take(window.key, Hold { task: window.task, until: Some(until) });
    }
    is_free
}

/// The key that a row of this message holds until it has ended.
pub(super) fn held_by(message: &Message) -> Option<KeyId> {
    restored::key(message)
}
