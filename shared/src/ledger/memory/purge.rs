//! Removing what retention no longer keeps, in small batches.

use std::collections::BTreeSet;
use std::time::Duration;

use super::limit;
use super::member::Life;
use super::row::Row;
use super::state::{State, Write};
use crate::ledger::rule::{DROPPED_BY_RETENTION, MEMBERS};
use crate::ledger::stored::duration_micros;
use crate::ledger::{PurgeReport, Retention};
use crate::task::TaskState;

pub(super) fn purge(write: &mut Write<'_>, retention: Retention, limit: usize) -> PurgeReport {
    limit::mend(write);
    let now = write.now();
    let before = |age: Duration| now.saturating_sub(duration_micros(age));
    let state = &mut *write.state;
    let dead = retention.dead.map_or(0, |age| drop_dead(state, before(age), limit));
    let ids = ended_before(&state.finished, before(retention.ids), limit);
    for number in &ids {
        state.remove(*number);
    }
    let details = details_over(state, &retention, now, limit);
    for number in &details {
        state.change(*number, |row| row.details = None);
    }
    let occurrences = state.occurrences.purge(before(retention.occurrences), limit);
    let windows = state.holds.purge(now, limit);
    let known = before(MEMBERS);
    state.members.retain(|_, member| member.life == Life::Live || member.seen_at >= known);
    PurgeReport {
        details: details.len() as u64,
        ids: ids.len() as u64,
        occurrences,
        windows,
        dead,
        more: false,
    }
}

/// Drops tasks that died before an instant, the first recorded first; answers how many.
fn drop_dead(state: &mut State, before: i64, limit: usize) -> u64 {
    let died = |row: &Row| row.state == TaskState::Dead && row.finished_at.is_some_and(|at| at < before);
    let mut dead: Vec<i64> =
        state.newest_first(i64::MAX).filter(|(_, row)| died(row)).map(|(number, _)| number).collect();
    dead.reverse();
    dead.truncate(limit);
    for number in &dead {
        state.change(*number, |row| {
            row.state = TaskState::Cancelled;
            row.note = Some(DROPPED_BY_RETENTION.to_owned());
            row.details = None;
        });
    }
    dead.len() as u64
}

/// The numbers of rows whose details are older than those of their state are kept, the oldest first.
fn details_over(state: &State, retention: &Retention, now: i64, limit: usize) -> Vec<i64> {
    let is_over = |(at, number): &&(i64, i64)| {
        let age = retention.details_of(state.row(*number).state);
        age.is_some_and(|age| *at < now.saturating_sub(duration_micros(age)))
    };
    state.detailed.iter().filter(is_over).take(limit).map(|(_, number)| *number).collect()
}

/// The numbers of rows that ended before an instant, the oldest first.
fn ended_before(ended: &BTreeSet<(i64, i64)>, before: i64, limit: usize) -> Vec<i64> {
    ended.range(..(before, i64::MIN)).take(limit).map(|(_, number)| *number).collect()
}
