//! Schedules and their cursors.

use redis::Value;

use super::error::Fault;
use super::packed::{Packed, Unpacked, exact};
use super::reply;
use super::row::instant;
use super::script::Call;
use super::session::Session;
use crate::ledger::{CatalogSnapshot, Expect, LedgerError, NewSchedule, PutAnswer};
use crate::name::ScheduleId;
use crate::occurrence::ScheduleRecord;

/// So many schedules are asked for in one go.
const FOUND: usize = 1000;

pub(super) async fn version(session: &Session) -> Result<u64, Fault> {
    let mut args = session.begin(Call::Snapshot);
    args.number(0);
    let [version, _] = reply::parts(session.run(&args).await?)?;
    reply::count(&version)
}

/// Every schedule, and the version of exactly these.
pub(super) async fn snapshot(session: &Session) -> Result<CatalogSnapshot, Fault> {
    let mut args = session.begin(Call::Snapshot);
    args.number(1);
    let [version, found] = reply::parts(session.run(&args).await?)?;
    let mut schedules = Vec::new();
    for value in reply::array(found)? {
        match record(value) {
            Ok(record) => schedules.push(record),
            // A definition that a newer program wrote must not take the others down with it.
            Err(fault) => {
                let error = LedgerError::from(fault);
                tracing::error!(%error, "a stored schedule cannot be read and does not fire here");
            }
        }
    }
    schedules.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(CatalogSnapshot { version: reply::count(&version)?, schedules })
}

pub(super) async fn get(session: &Session, ids: &[ScheduleId]) -> Result<Vec<ScheduleRecord>, Fault> {
    let mut records = Vec::with_capacity(ids.len());
    for ids in ids.chunks(FOUND) {
        let mut args = session.begin(Call::FindSchedules);
        for id in ids {
            args.push(id.as_str());
        }
        for value in reply::array(session.run(&args).await?)? {
            records.push(record(value)?);
        }
    }
    Ok(records)
}

pub(super) async fn put(
    session: &Session,
    schedule: &NewSchedule,
    expect: Expect,
) -> Result<PutAnswer, Fault> {
    const ABSENT: i64 = -1;
    let definition =
        serde_json::to_string(&schedule.definition).map_err(|error| Fault::Invalid(error.to_string()))?;
    let expected = match expect {
        Expect::Absent => ABSENT,
        Expect::Revision(revision) => number(revision),
    };
    let mut args = session.begin(Call::Put);
    args.push(schedule.id.as_str())
        .number(expected)
        .push(Packed::default().text(&schedule.source).bytes(definition.as_bytes()));
    match session.run(&args).await? {
        Value::Nil => Ok(PutAnswer::Conflict),
        stored => Ok(PutAnswer::Stored(Box::new(record(stored)?))),
    }
}

pub(super) async fn remove(session: &Session, id: &ScheduleId, revision: u64) -> Result<bool, Fault> {
    let mut args = session.begin(Call::Remove);
    args.push(id.as_str()).number(number(revision));
    Ok(reply::number(&session.run(&args).await?)? == 1)
}

/// A revision or an incarnation.
pub(super) fn number(number: u64) -> i64 {
    exact(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Id, cursor, and what is kept of the schedule.
fn record(value: Value) -> Result<ScheduleRecord, Fault> {
    let [id, cursor, schedule] = reply::parts(value)?;
    let (id, cursor, schedule) = (reply::text(id)?, reply::bytes(cursor)?, reply::bytes(schedule)?);
    let invalid = |error: &dyn std::fmt::Display| Fault::Invalid(format!("the schedule {id}: {error}"));
    let mut from = Unpacked(&schedule);
    Ok(ScheduleRecord {
        id: ScheduleId::new(&id).map_err(|error| invalid(&error))?,
        incarnation: from.long()?.unsigned_abs(),
        revision: from.long()?.unsigned_abs(),
        updated_at: instant(from.long()?),
        source: from.text()?.to_owned(),
        definition: serde_json::from_slice(from.rest()).map_err(|error| invalid(&error))?,
        cursor: instant(Unpacked(&cursor).long()?),
    })
}
