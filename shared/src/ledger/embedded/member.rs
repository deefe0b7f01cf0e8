//! Heartbeats: who is alive, and what they should know.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::row::{duration_micros, instant};
use super::settle;
use crate::id::{Fence, OwnerId, TaskId, Token};
use crate::ledger::OwnedClaim;
use crate::member::{Heartbeat, HeartbeatAnswer, MemberRecord, Pulse, Role};
use crate::name::QueueName;
use crate::sqlite::{SqliteError, Write};

/// The column `retired`: a member that left keeps its row for its name's sake, and can claim nothing either.
const LIVE: i64 = 0;
const LOST: i64 = 1;
const LEFT: i64 = 2;

pub(super) fn is_live(write: &Write<'_>, owner: OwnerId) -> Result<bool, SqliteError> {
    let mut select = write.prepare_cached("SELECT retired FROM member WHERE owner = ?1")?;
    let retired: Option<i64> = select.query_row([owner.0.as_bytes()], |row| row.get(0)).optional()?;
    Ok(retired == Some(LIVE))
}

pub(super) fn heartbeat(write: &Write<'_>, heartbeat: &Heartbeat) -> Result<HeartbeatAnswer, SqliteError> {
    let info =
        serde_json::to_string(&heartbeat.info).map_err(|error| SqliteError::Invalid(error.to_string()))?;
    write
        .prepare_cached(
            "INSERT INTO member (owner, role, name, info, counter, lease, started_at, seen_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
             ON CONFLICT (owner) DO UPDATE SET info = excluded.info, counter = excluded.counter,
                lease = excluded.lease, seen_at = excluded.seen_at
             WHERE retired = 0",
        )?
        .execute((
            heartbeat.owner.0.as_bytes(),
            role_number(heartbeat.role),
            &heartbeat.info.name,
            info,
            i64::try_from(heartbeat.counter).unwrap_or(i64::MAX),
            duration_micros(heartbeat.lease),
            write.now(),
        ))?;
    Ok(HeartbeatAnswer {
        now: instant(write.now()),
        retired: !is_live(write, heartbeat.owner)?,
        cancels: noted_cancels(write, heartbeat.owner)?,
        paused: paused(write)?,
        pulses: pulses(write)?,
    })
}

/// Those of the owner's, after those that are over were forgotten.
fn noted_cancels(write: &Write<'_>, owner: OwnerId) -> Result<Vec<TaskId>, SqliteError> {
    let any = write.prepare_cached("SELECT 1 FROM cancel LIMIT 1")?.exists([])?;
    if !any {
        return Ok(Vec::new());
    }
    write
        .prepare_cached(
            "DELETE FROM cancel WHERE task NOT IN
                (SELECT t.row FROM cancel c JOIN task t ON t.row = c.task WHERE t.state = 2 AND t.cancel = 1)",
        )?
        .execute([])?;
    cancels(write, owner)
}

/// Tasks running in an owner's name that somebody asked to stop.
pub(super) fn cancels(read: &Connection, owner: OwnerId) -> Result<Vec<TaskId>, SqliteError> {
    let sql = "SELECT t.id FROM cancel c JOIN task t ON t.row = c.task
        WHERE t.owner = ?1 AND t.state = 2 AND t.cancel = 1 ORDER BY t.id";
    let mut select = read.prepare_cached(sql)?;
    let ids = select.query_map([owner.0.as_bytes()], |row| Ok(TaskId(Uuid::from_bytes(row.get(0)?))))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Queues from which nobody may take work.
pub(super) fn paused(read: &Connection) -> Result<Vec<QueueName>, SqliteError> {
    let mut select = read.prepare_cached("SELECT queue FROM paused ORDER BY queue")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?;
    names.map(|name| QueueName::new(name?).map_err(|error| SqliteError::Invalid(error.to_string()))).collect()
}

fn pulses(write: &Write<'_>) -> Result<Vec<Pulse>, SqliteError> {
    let sql = "SELECT owner, role, counter, lease FROM member WHERE retired = 0";
    let mut select = write.prepare_cached(sql)?;
    let pulses = select.query_map([], |row| {
        Ok(Pulse {
            owner: OwnerId(Uuid::from_bytes(row.get(0)?)),
            role: role_of(row.get(1)?),
            counter: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            lease: micros(row.get(3)?),
        })
    })?;
    Ok(pulses.collect::<Result<_, _>>()?)
}

/// Rows running in an owner's name.
pub(super) fn mine(read: &Connection, owner: OwnerId) -> Result<Vec<OwnedClaim>, SqliteError> {
    let sql = "SELECT id, fence, token FROM task WHERE owner = ?1 AND state = 2 ORDER BY id";
    let mut select = read.prepare_cached(sql)?;
    let claims = select.query_map([owner.0.as_bytes()], |row| {
        Ok(OwnedClaim {
            id: TaskId(Uuid::from_bytes(row.get(0)?)),
            fence: Fence(row.get(1)?),
            token: Token(row.get(2)?),
        })
    })?;
    Ok(claims.collect::<Result<_, _>>()?)
}

/// A member leaves in good order.
pub(super) fn leave(write: &Write<'_>, owner: OwnerId) -> Result<(), SqliteError> {
    let claims = mine(write, owner)?;
    settle::release(write, owner, &claims)?;
    write.prepare_cached("UPDATE member SET retired = ?2 WHERE owner = ?1 AND retired = ?3")?.execute((
        owner.0.as_bytes(),
        LEFT,
        LIVE,
    ))?;
    Ok(())
}

/// Retires a member whose counter still stands where a beat saw it; `false` if it moved.
pub(super) fn retire(write: &Write<'_>, owner: OwnerId, counter: u64) -> Result<bool, SqliteError> {
    let changed = write
        .prepare_cached("UPDATE member SET retired = ?3 WHERE owner = ?1 AND counter = ?2 AND retired = ?4")?
        .execute((owner.0.as_bytes(), i64::try_from(counter).unwrap_or(i64::MAX), LOST, LIVE))?;
    Ok(changed == 1)
}

/// Every member that did not leave.
pub(super) fn list(read: &Connection) -> Result<Vec<MemberRecord>, SqliteError> {
    let mut select = read.prepare_cached(
        "SELECT owner, role, info, started_at, seen_at, lease, retired FROM member WHERE retired != 2
         ORDER BY started_at, owner",
    )?;
    let members = select.query_map([], record)?;
    Ok(members.collect::<Result<_, _>>()?)
}

fn record(row: &Row<'_>) -> rusqlite::Result<MemberRecord> {
    let info: String = row.get(2)?;
    Ok(MemberRecord {
        owner: OwnerId(Uuid::from_bytes(row.get(0)?)),
        role: role_of(row.get(1)?),
        // What a newer member says of itself may be unreadable here; that it lives is not.
        info: serde_json::from_str(&info).unwrap_or_default(),
        started_at: instant(row.get(3)?),
        seen_at: instant(row.get(4)?),
        lease: micros(row.get(5)?),
        retired: row.get::<_, i64>(6)? != LIVE,
    })
}

fn role_number(role: Role) -> i64 {
    match role {
        Role::Beat => 0,
        Role::Worker => 1,
    }
}

fn role_of(number: i64) -> Role {
    if number == 0 { Role::Beat } else { Role::Worker }
}

fn micros(value: i64) -> Duration {
    Duration::from_micros(u64::try_from(value).unwrap_or(0))
}
