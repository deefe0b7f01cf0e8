//! Removing what retention no longer keeps, in small batches.

use std::collections::BTreeSet;
use std::time::Duration;

use super::limit;
use super::member::Life;
use super::state::Write;
use crate::ledger::rule::MEMBERS;
use crate::ledger::stored::duration_micros;
use crate::ledger::{PurgeReport, Retention};

pub(super) fn purge(write: &mut Write<'_>, retention: Retention, limit: usize) -> PurgeReport {
    limit::mend(write);
    let now = write.now();
    let before = |age: Duration| now.saturating_sub(duration_micros(age));
    let state = &mut *write.state;
    let ids = ended_before(&state.finished, before(retention.ids), limit);
    for number in &ids {
        state.remove(*number);
    }
    let details = ended_before(&state.detailed, before(retention.details), limit);
    for number in &details {
        state.change(*number, |row| row.details = None);
    }
    let occurrences = state.occurrences.purge(before(retention.occurrences), limit);
    let known = before(MEMBERS);
    state.members.retain(|_, member| member.life == Life::Live || member.seen_at >= known);
    PurgeReport { details: details.len() as u64, ids: ids.len() as u64, occurrences }
}

/// The numbers of rows that ended before an instant, the oldest first.
fn ended_before(ended: &BTreeSet<(i64, i64)>, before: i64, limit: usize) -> Vec<i64> {
    ended.range(..(before, i64::MIN)).take(limit).map(|(_, number)| *number).collect()
}
