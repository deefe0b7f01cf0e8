//! Reaping: lost workers are retired, and their tasks become due again.

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::row::{self, Brief, End, Move};
use super::tally::Tally;
use super::{member, past};
use crate::id::{OwnerId, TaskId};
use crate::ledger::past::Ended;
use crate::ledger::rule::{self, AfterCrash, Crash, LostWorker};
use crate::ledger::{Lost, ReapReport};
use crate::member::MemberInfo;
use crate::sqlite::{SqliteError, Write};
use crate::task::TaskState;

/// Rows running for an owner that has no live heartbeat row.
const OWNERLESS: &str = "SELECT DISTINCT owner FROM task
    WHERE state = 2 AND owner NOT IN (SELECT owner FROM member WHERE retired = 0)";

/// Whether there is anything to reap beside what a beat judged.
pub(super) fn any_ownerless(read: &Connection) -> Result<bool, SqliteError> {
    Ok(read.prepare_cached(OWNERLESS)?.exists([])?)
}

pub(super) fn reap(write: &Write<'_>, lost: &[Lost], max_crashes: u32) -> Result<ReapReport, SqliteError> {
    let mut report = ReapReport::default();
    for Lost { owner, counter } in lost {
        if member::retire(write, *owner, *counter)? {
            report.retired.push(*owner);
        }
    }
    let mut tally = Tally::default();
    for owner in ownerless(write)? {
        for row in row::running_of(write, owner)? {
            crash(write, &mut tally, &row, max_crashes, &mut report)?;
        }
    }
    tally.write(write)?;
    Ok(report)
}

fn ownerless(write: &Write<'_>) -> Result<Vec<[u8; 16]>, SqliteError> {
    let mut select = write.prepare_cached(OWNERLESS)?;
    let owners = select.query_map([], |row| row.get(0))?;
    Ok(owners.collect::<Result<_, _>>()?)
}

fn crash(
    write: &Write<'_>,
    tally: &mut Tally,
    row: &Brief,
    max_crashes: u32,
    report: &mut ReapReport,
) -> Result<(), SqliteError> {
    let worker = lost_worker(write, row)?;
    let Crash { crashes, note, then } = rule::crash(&worker, row.crashes, row.cancel, max_crashes, report);
    past::add(write, row, &Ended::lost(&note))?;
    let end = |state, error| End { crashes, error, note: Some(&note), ..row.end_as(state) };
    match then {
        AfterCrash::Again => {
            let moved = Move { crashes, note: Some(&note), ..row.move_to(write.now()) };
            row::reschedule(write, tally, row, &moved)
        }
        AfterCrash::Cancelled => row::end(write, tally, row, &end(TaskState::Cancelled, None)),
        AfterCrash::Dead(error) => {
            report.dead.push(task_id(write, row)?);
            row::end(write, tally, row, &end(TaskState::Dead, Some(&error)))
        }
    }
}

fn task_id(write: &Write<'_>, row: &Brief) -> Result<TaskId, SqliteError> {
    let mut select = write.prepare_cached("SELECT id FROM task WHERE row = ?1")?;
    let id = select.query_row([row.row], |row| row.get(0))?;
    Ok(TaskId(Uuid::from_bytes(id)))
}

fn lost_worker(write: &Write<'_>, row: &Brief) -> Result<LostWorker, SqliteError> {
    let mut select = write.prepare_cached("SELECT name, info FROM member WHERE owner = ?1")?;
    let known: Option<(String, String)> =
        select.query_row([row.owner], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if let Some((name, info)) = known {
        let info: MemberInfo = serde_json::from_str(&info).unwrap_or_default();
        return Ok(LostWorker { name, isolates: info.isolates });
    }
    let owner = row.owner.map(|bytes| OwnerId(Uuid::from_bytes(bytes)));
    let name = owner.map_or_else(|| "unknown".into(), |owner| owner.to_string());
    Ok(LostWorker { name, isolates: false })
}
