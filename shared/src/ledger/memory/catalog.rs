//! Schedules and their cursors.

use async_trait::async_trait;

use super::row::End;
use super::state::Write;
use super::{MemoryLedger, occurrence};
use crate::ledger::stored::instant;
use crate::ledger::{
    Advance, AdvanceAnswer, Catalog, CatalogSnapshot, Expect, LedgerError, NewSchedule, PutAnswer,
};
use crate::name::ScheduleId;
use crate::occurrence::{OccurrenceRecord, ScheduleRecord};
use crate::task::TaskState;

#[async_trait]
impl Catalog for MemoryLedger {
    async fn version(&self) -> Result<u64, LedgerError> {
        Ok(self.read(|state| state.catalog_version))
    }

    async fn snapshot(&self) -> Result<CatalogSnapshot, LedgerError> {
        Ok(self.read(|state| CatalogSnapshot {
            version: state.catalog_version,
            schedules: state.schedules.values().cloned().collect(),
        }))
    }

    async fn get(&self, ids: Vec<ScheduleId>) -> Result<Vec<ScheduleRecord>, LedgerError> {
        Ok(self.read(|state| ids.iter().filter_map(|id| state.schedules.get(id)).cloned().collect()))
    }

    async fn put(&self, schedule: NewSchedule, expect: Expect) -> Result<PutAnswer, LedgerError> {
        Ok(self.write(|write| put(write, schedule, expect)))
    }

    async fn remove(&self, id: ScheduleId, revision: u64) -> Result<bool, LedgerError> {
        Ok(self.write(|write| remove(write, &id, revision)))
    }

    async fn advance(&self, advances: Vec<Advance>) -> Result<Vec<AdvanceAnswer>, LedgerError> {
        Ok(self.write(|write| occurrence::advance(write, advances)))
    }

    async fn occurrences(&self, id: ScheduleId, limit: usize) -> Result<Vec<OccurrenceRecord>, LedgerError> {
        Ok(self.read(|state| state.occurrences.newest(&id, limit)))
    }
}

fn put(write: &mut Write<'_>, schedule: NewSchedule, expect: Expect) -> PutAnswer {
    let NewSchedule { id, definition, source } = schedule;
    let now = write.now();
    let found = write.state.schedules.get(&id);
    let stored = match (found, expect) {
        (None, Expect::Absent) => {
            let incarnation = write.state.last_incarnation.map_or(now, |last| now.max(last + 1));
            write.state.last_incarnation = Some(incarnation);
            ScheduleRecord {
                id,
                incarnation: incarnation.unsigned_abs(),
                revision: 1,
                definition,
                source,
                cursor: instant(now),
                updated_at: instant(now),
            }
        }
        (Some(found), Expect::Revision(revision)) if found.revision == revision => ScheduleRecord {
            id,
            incarnation: found.incarnation,
            revision: revision + 1,
            definition,
            source,
            cursor: found.cursor,
            updated_at: instant(now),
        },
        _ => return PutAnswer::Conflict,
    };
    write.state.schedules.insert(stored.id.clone(), stored.clone());
    raise_version(write);
    PutAnswer::Stored(Box::new(stored))
}

fn remove(write: &mut Write<'_>, id: &ScheduleId, revision: u64) -> bool {
    if write.state.schedules.get(id).is_none_or(|found| found.revision != revision) {
        return false;
    }
    write.state.schedules.remove(id);
    raise_version(write);
    for task in write.state.planned_of(id) {
        let (number, row) = write.state.find(task).expect("what is on the agenda has a row");
        let end = End { note: Some("its schedule was deleted"), ..row.end_as(TaskState::Cancelled) };
        write.end(number, end);
    }
    true
}

fn raise_version(write: &mut Write<'_>) {
    write.state.catalog_version += 1;
    write.touch_agenda();
}

/// Makes a schedule as it stood in another ledger; answers whether it did, for there may be one of this id.
pub(super) fn restore(write: &mut Write<'_>, schedule: ScheduleRecord) -> bool {
    if write.state.schedules.contains_key(&schedule.id) {
        return false;
    }
    // The next one that is made must not get the same.
    let incarnation = i64::try_from(schedule.incarnation).unwrap_or(i64::MAX);
    write.state.last_incarnation = write.state.last_incarnation.max(Some(incarnation));
    write.state.schedules.insert(schedule.id.clone(), schedule);
    raise_version(write);
    true
}
