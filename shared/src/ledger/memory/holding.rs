//! How many there are of what.

use super::state::State;
use crate::ledger::holding::{Holding, Part};
use crate::ledger::stored::instant;

pub(super) fn holdings(state: &State) -> Vec<Holding> {
    let count = |count: usize| count as u64;
    let rows = || state.newest_first(i64::MAX).map(|(_, row)| row);
    let detailed = rows().filter(|row| row.details.is_some()).count();
    let oldest_row = rows().last().map(|row| row.recorded_at);
    let (records, oldest_record) = state.occurrences.held();
    [
        (Part::Tasks, rows().count(), oldest_row),
        (Part::Details, detailed, None),
        (Part::Occurrences, records, oldest_record),
        (Part::UniqueKeys, state.holds.len(), None),
        (Part::Members, state.members.len(), None),
    ]
    .map(|(part, held, oldest)| Holding {
        part,
        count: count(held),
        bytes: None,
        oldest: oldest.map(instant),
    })
    .to_vec()
}
