//! Who has what of which limit.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use super::row::Row;
use super::state::{State, Write};
use crate::ledger::limit::{self, Admission, Book, FAIR, KEPT, Part, Standing};
use crate::ledger::stored::{duration_micros, instant};
use crate::ledger::{Claim, ClaimAnswer, LimitRecord};
use crate::limit::{LimitUse, Turn};
use crate::task::TaskState;

/// The book of all limits.
#[derive(Debug, Default)]
pub(super) struct Limits {
    standings: BTreeMap<String, Standing>,
    /// What each task has, and since when or at which place.
    tasks: BTreeMap<i64, BTreeMap<(String, Part), i64>>,
    /// Who waits for a slot, by place.
    lines: BTreeMap<String, BTreeSet<(i64, i64)>>,
    /// The last place of each tenant in the line of a fair queue.
    turns: BTreeMap<String, BTreeMap<String, i64>>,
}

/// Takes a task that was just claimed through its limits; one that has to wait is scheduled again.
pub(super) fn admit(write: &mut Write<'_>, number: i64, limits: &[LimitUse], claim: Claim) -> ClaimAnswer {
    if limits.is_empty() {
        return ClaimAnswer::Acquired(claim);
    }
    let Ok(admission) = limit::admit(write, number, limits);
    write.state.change(number, |row| row.limited = true);
    let Admission::Waits { by, until } = admission else { return ClaimAnswer::Acquired(claim) };
    write.state.change(number, |row| {
        row.state = TaskState::Scheduled;
        row.seq += 1;
        (row.owner, row.token, row.started_at) = (None, None, None);
        row.wake_at = until;
        row.due_at = until.unwrap_or(row.due_at);
        row.note = Some(limit::note(&limits[by], until));
    });
    if until.is_some() {
        write.touch_agenda();
    }
    ClaimAnswer::Limited { by, until: until.map(instant) }
}

/// A task ends, moves or stops running.
pub(super) fn release(write: &mut Write<'_>, number: i64) {
    if write.state.row(number).limited {
        write.state.change(number, |row| row.limited = false);
        let Ok(()) = limit::release(write, number);
    }
}

/// Gives slots away that nobody came for, and forgets limits of which nothing is taken.
pub(super) fn mend(write: &mut Write<'_>) {
    let now = write.now();
    let late = now.saturating_sub(duration_micros(KEPT));
    let kept = |parts: &BTreeMap<(String, Part), i64>| {
        let slots = parts.iter().filter(|(part, _)| is_kept(part));
        !parts.keys().any(|(_, part)| *part == Part::Place) && slots.map(|(_, at)| *at).max() < Some(late)
    };
    let has_slot = |parts: &BTreeMap<(String, Part), i64>| parts.keys().any(is_kept);
    let waits = |row: &Row| row.state != TaskState::Running;
    let tasks = write.state.limits.tasks.iter().filter(|(_, parts)| has_slot(parts) && kept(parts));
    let stale: Vec<i64> =
        tasks.map(|(number, _)| *number).filter(|number| waits(write.state.row(*number))).collect();
    for number in stale {
        release(write, number);
    }
    let Limits { standings, lines, turns, .. } = &mut write.state.limits;
    standings.retain(|limit, standing| !standing.is_idle(now) || lines.contains_key(limit));
    turns.retain(|limit, tenants| {
        let gone = standings.get(limit).map_or(i64::MAX, |standing| standing.free_at);
        tenants.retain(|_, place| *place > gone);
        !tenants.is_empty()
    });
}

/// A slot that others may miss; those of a fair queue are kept while their tasks wait in the broker's.
fn is_kept((limit, part): &(String, Part)) -> bool {
    *part == Part::Slot && !limit.starts_with(FAIR)
}

impl Book for Write<'_> {
    type Error = Infallible;

    fn now(&self) -> i64 {
        Write::now(self)
    }

    fn standing(&mut self, limit: &str) -> Result<Standing, Infallible> {
        Ok(self.state.limits.standings.get(limit).copied().unwrap_or_default())
    }

    fn keep(&mut self, limit: &str, standing: Standing) -> Result<(), Infallible> {
        self.state.limits.standings.insert(limit.to_owned(), standing);
        Ok(())
    }

    fn forget(&mut self, limit: &str) -> Result<(), Infallible> {
        self.state.limits.standings.remove(limit);
        self.state.limits.turns.remove(limit);
        Ok(())
    }

    fn has(&mut self, task: i64, limit: &str, part: Part) -> Result<bool, Infallible> {
        let parts = self.state.limits.tasks.get(&task);
        Ok(parts.is_some_and(|parts| parts.contains_key(&(limit.to_owned(), part))))
    }

    fn give(&mut self, task: i64, limit: &str, part: Part, at: i64) -> Result<(), Infallible> {
        let limits = &mut self.state.limits;
        if part == Part::Place {
            limits.lines.entry(limit.to_owned()).or_default().insert((at, task));
        }
        limits.tasks.entry(task).or_default().insert((limit.to_owned(), part), at);
        Ok(())
    }

    fn take(&mut self, task: i64, limit: &str, part: Part) -> Result<(), Infallible> {
        let limits = &mut self.state.limits;
        let at = limits.tasks.get_mut(&task).and_then(|parts| parts.remove(&(limit.to_owned(), part)));
        if limits.tasks.get(&task).is_some_and(BTreeMap::is_empty) {
            limits.tasks.remove(&task);
        }
        if let (Part::Place, Some(at)) = (part, at) {
            limits.leave_line(limit, at, task);
        }
        Ok(())
    }

    fn clear(&mut self, task: i64) -> Result<Vec<(String, Part)>, Infallible> {
        let limits = &mut self.state.limits;
        let parts = limits.tasks.remove(&task).unwrap_or_default();
        for ((limit, part), at) in &parts {
            if *part == Part::Place {
                limits.leave_line(limit, *at, task);
            }
        }
        Ok(parts.into_keys().collect())
    }

    fn first(&mut self, limit: &str) -> Result<Option<(i64, i64)>, Infallible> {
        let line = self.state.limits.lines.get(limit);
        Ok(line.and_then(|line| line.first()).map(|(place, task)| (*task, *place)))
    }

    fn last_place(&mut self, limit: &str, below: i64) -> Result<Option<i64>, Infallible> {
        let line = self.state.limits.lines.get(limit);
        Ok(line.and_then(|line| line.range(..(below, i64::MIN)).next_back()).map(|(place, _)| *place))
    }

    fn priority(&mut self, task: i64) -> Result<u8, Infallible> {
        Ok(self.state.row(task).priority.get())
    }

    fn wake(&mut self, task: i64) -> Result<(), Infallible> {
        let now = Write::now(self);
        self.state.change(task, |row| {
            row.wake_at = Some(now);
            row.due_at = now;
            row.note = None;
        });
        self.touch_agenda();
        Ok(())
    }

    fn fair_slot(&mut self, task: i64) -> Result<Option<String>, Infallible> {
        let parts = self.state.limits.tasks.get(&task);
        let fair = |(limit, part): &&(String, Part)| *part == Part::Slot && limit.starts_with(FAIR);
        Ok(parts.and_then(|parts| parts.keys().find(fair)).map(|(limit, _)| limit.clone()))
    }

    fn has_any(&mut self, task: i64) -> Result<bool, Infallible> {
        let parts = self.state.limits.tasks.get(&task);
        Ok(parts.is_some_and(|parts| parts.keys().any(|(_, part)| *part != Part::Place)))
    }

    fn last_turn(&mut self, limit: &str, tenant: &str) -> Result<Option<i64>, Infallible> {
        Ok(self.state.limits.turns.get(limit).and_then(|turns| turns.get(tenant)).copied())
    }

    fn keep_turn(&mut self, limit: &str, tenant: &str, place: i64) -> Result<(), Infallible> {
        self.state.limits.turns.entry(limit.to_owned()).or_default().insert(tenant.to_owned(), place);
        Ok(())
    }
}

/// Asks for a task's turn in its fair queue.
pub(super) fn line_up(write: &mut Write<'_>, turn: &Turn) -> bool {
    let found = write.state.find(turn.id);
    let found = found.filter(|(_, row)| row.state == TaskState::Scheduled && row.seq == turn.seq.0);
    let Some((number, _)) = found else { return false };
    let Ok(is_turn) = limit::line_up(write, number, turn);
    write.state.change(number, |row| {
        row.limited = true;
        if !is_turn {
            row.wake_at = None;
            row.note = Some(limit::turn_note(turn));
        }
    });
    is_turn
}

/// Where limits stand, those with the longest lines first.
pub(super) fn list(state: &State, most: usize, now: i64) -> Vec<LimitRecord> {
    let Limits { standings, lines, .. } = &state.limits;
    let waiting = |id: &String| lines.get(id).map_or(0, |line| line.len() as u64);
    let all = standings.iter().map(|(id, standing)| standing.record(id.clone(), waiting(id), now));
    limit::longest(all.collect(), most)
}

impl Limits {
    fn leave_line(&mut self, limit: &str, place: i64, task: i64) {
        if let Some(line) = self.lines.get_mut(limit) {
            line.remove(&(place, task));
            if line.is_empty() {
                self.lines.remove(limit);
            }
        }
    }
}
