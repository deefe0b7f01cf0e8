//! Counts of tasks by queue and state, kept up to date in the transaction that changes them.

use std::collections::HashMap;

use crate::sqlite::{SqliteError, Write};

/// Changes of one operation, written once at its end.
#[derive(Default)]
pub(super) struct Tally {
    deltas: HashMap<(String, i64), i64>,
    progress: HashMap<(String, i64), i64>,
}

impl Tally {
    /// A task of `queue` came into `state`.
    pub(super) fn enter(&mut self, queue: &str, state: i64) {
        self.add(queue, state, 1);
    }

    /// A task of `queue` left one state for another.
    pub(super) fn step(&mut self, queue: &str, from: i64, to: i64) {
        if from != to {
            self.add(queue, from, -1);
            self.add(queue, to, 1);
        }
    }

    /// A task's row is gone.
    pub(super) fn leave(&mut self, queue: &str, state: i64) {
        self.add(queue, state, -1);
    }

    /// A task that was marked at this time has been claimed.
    pub(super) fn claimed(&mut self, queue: &str, priority: i64, enqueued_at: i64) {
        let newest = self.progress.entry((queue.to_owned(), priority)).or_insert(enqueued_at);
        *newest = enqueued_at.max(*newest);
    }

    fn add(&mut self, queue: &str, state: i64, by: i64) {
        if let Some(delta) = self.deltas.iter_mut().find(|((name, of), _)| name == queue && *of == state) {
            *delta.1 += by;
        } else {
            self.deltas.insert((queue.to_owned(), state), by);
        }
    }

    /// Writes what changed.
    pub(super) fn write(self, write: &Write<'_>) -> Result<(), SqliteError> {
        let mut count = write.prepare_cached(
            "INSERT INTO tally (queue, state, tasks) VALUES (?1, ?2, ?3)
             ON CONFLICT (queue, state) DO UPDATE SET tasks = tasks + excluded.tasks",
        )?;
        for ((queue, state), delta) in self.deltas.into_iter().filter(|(_, delta)| *delta != 0) {
            count.execute((queue, state, delta))?;
        }
        let mut progress = write.prepare_cached(
            "INSERT INTO progress (queue, priority, enqueued_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (queue, priority) DO UPDATE SET enqueued_at = max(enqueued_at, excluded.enqueued_at)",
        )?;
        for ((queue, priority), at) in self.progress {
            progress.execute((queue, priority, at))?;
        }
        Ok(())
    }
}
