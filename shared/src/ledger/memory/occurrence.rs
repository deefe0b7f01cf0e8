//! Occurrences: cursors move in the operation that puts what they pass on the agenda.

use std::collections::{BTreeMap, BTreeSet};

use upbeat_schedule::SkippedRange;

use super::agenda;
use super::state::Write;
use crate::id::TaskId;
use crate::ledger::rule::{self, Standing};
use crate::ledger::stored::instant;
use crate::ledger::{AddAnswer, Advance, AdvanceAnswer};
use crate::name::ScheduleId;
use crate::occurrence::OccurrenceRecord;

/// Schedule, planned instant, incarnation.
type Key = (ScheduleId, i64, u64);

/// What became of schedules' instants.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    records: BTreeMap<Key, Occurrence>,
    /// By the last instant that they tell of.
    until: BTreeSet<(i64, Key)>,
}

/// A fired instant, or a run of skipped ones.
#[derive(Clone, Debug)]
enum Occurrence {
    Fired {
        fired_at: i64,
        task: TaskId,
    },
    /// The task that held its key stands for it.
    Merged {
        merged_at: i64,
        task: TaskId,
    },
    Skipped(SkippedRange),
}

impl Occurrences {
    /// The newest of a schedule's, the newest first.
    pub(super) fn newest(&self, id: &ScheduleId, limit: usize) -> Vec<OccurrenceRecord> {
        let all = (id.clone(), i64::MIN, 0)..=(id.clone(), i64::MAX, u64::MAX);
        let newest = self.records.range(all).rev().take(limit);
        newest.map(|((_, planned_at, _), occurrence)| occurrence.record(*planned_at)).collect()
    }

    /// Removes those that tell of nothing since an instant, at most so many; answers how many.
    pub(super) fn purge(&mut self, before: i64, limit: usize) -> u64 {
        let old = self.until.iter().take_while(|(until, _)| *until < before).take(limit);
        let old: Vec<(i64, Key)> = old.cloned().collect();
        for one in &old {
            self.until.remove(one);
            self.records.remove(&one.1);
        }
        old.len() as u64
    }

    /// How many there are, and since when.
    pub(super) fn held(&self) -> (usize, Option<i64>) {
        (self.records.len(), self.until.first().map(|(until, _)| *until))
    }

    /// What is known of an instant already stays.
    fn insert(&mut self, key: Key, until: i64, occurrence: Occurrence) {
        if !self.records.contains_key(&key) {
            self.until.insert((until, key.clone()));
            self.records.insert(key, occurrence);
        }
    }
}

impl Occurrence {
    fn record(&self, planned_at: i64) -> OccurrenceRecord {
        match self {
            Self::Fired { fired_at, task } => OccurrenceRecord::Fired {
                planned_at: instant(planned_at),
                fired_at: instant(*fired_at),
                task_id: *task,
            },
            Self::Merged { merged_at, task } => OccurrenceRecord::Merged {
                planned_at: instant(planned_at),
                merged_at: instant(*merged_at),
                task_id: *task,
            },
            Self::Skipped(range) => OccurrenceRecord::Skipped(*range),
        }
    }
}

pub(super) fn advance(write: &mut Write<'_>, advances: Vec<Advance>) -> Vec<AdvanceAnswer> {
    write.touch_agenda();
    advances.into_iter().map(|advance| advance_one(write, advance)).collect()
}

fn advance_one(write: &mut Write<'_>, mut advance: Advance) -> AdvanceAnswer {
    let now = write.now();
    let schedule = write.state.schedules.get_mut(&advance.id);
    let standing = schedule.as_ref().map(|found| Standing {
        incarnation: found.incarnation,
        revision: found.revision,
        cursor: found.cursor.as_microsecond(),
    });
    if let Some(refused) = rule::refusal(&advance, standing, now) {
        return refused;
    }
    schedule.expect("an unknown schedule is refused").cursor = instant(advance.to.as_microsecond());
    let fire = std::mem::take(&mut advance.fire);
    let planned: Vec<_> =
        fire.iter().map(|entry| (entry.message.id, entry.message.occurrence.clone())).collect();
    let added = agenda::add(write, fire);
    for ((id, planned), answer) in planned.into_iter().zip(&added) {
        let Some(planned) = planned else { continue };
        record_one(write, &advance, planned.planned_at.as_microsecond(), id, *answer);
    }
    record_skipped(write, &advance);
    let new = added.iter().filter(|answer| matches!(answer, AddAnswer::Added(_))).count();
    AdvanceAnswer::Advanced(new as u64)
}

fn record_one(write: &mut Write<'_>, advance: &Advance, at: i64, task: TaskId, answer: AddAnswer) {
    let now = write.now();
    let occurrence = match answer {
        AddAnswer::Taken { by, .. } => Occurrence::Merged { merged_at: now, task: by },
        AddAnswer::Added(_) | AddAnswer::Exists(_) => Occurrence::Fired { fired_at: now, task },
    };
    write.state.occurrences.insert((advance.id.clone(), at, advance.incarnation), at, occurrence);
}

fn record_skipped(write: &mut Write<'_>, advance: &Advance) {
    let occurrences = &mut write.state.occurrences;
    let key = |planned_at: i64| (advance.id.clone(), planned_at, advance.incarnation);
    for range in &advance.skipped {
        let (from, until) = (range.from.as_microsecond(), range.until.as_microsecond());
        let whole = SkippedRange { from: instant(from), until: instant(until), ..*range };
        occurrences.insert(key(from), until, Occurrence::Skipped(whole));
    }
}

/// Keeps what another ledger knew of a schedule's past.
pub(super) fn restore(
    write: &mut Write<'_>,
    id: &ScheduleId,
    incarnation: u64,
    occurrences: Vec<OccurrenceRecord>,
) {
    for occurrence in occurrences {
        let (at, until, occurrence) = match occurrence {
            OccurrenceRecord::Fired { planned_at, fired_at, task_id } => {
                let (at, fired_at) = (planned_at.as_microsecond(), fired_at.as_microsecond());
                (at, at, Occurrence::Fired { fired_at, task: task_id })
            }
            OccurrenceRecord::Merged { planned_at, merged_at, task_id } => {
                let (at, merged_at) = (planned_at.as_microsecond(), merged_at.as_microsecond());
                (at, at, Occurrence::Merged { merged_at, task: task_id })
            }
            OccurrenceRecord::Skipped(range) => {
                let (from, until) = (range.from.as_microsecond(), range.until.as_microsecond());
                (from, until, Occurrence::Skipped(range))
            }
        };
        write.state.occurrences.insert((id.clone(), at, incarnation), until, occurrence);
    }
}
