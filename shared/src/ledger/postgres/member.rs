//! Members: heartbeats, what runs in their names, and leaving.

use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Fault;
use super::row::{bigint, duration_micros, instant, queue_name, text};
use super::session::{Session, Work};
use super::settle::RELEASED;
use crate::id::{Fence, OwnerId, TaskId, Token};
use crate::ledger::OwnedClaim;
use crate::member::{Heartbeat, HeartbeatAnswer, MemberInfo, MemberRecord, Pulse, Role};

/// The column `retired` of a member that lives.
const LIVE: i16 = 0;

/// A heartbeat, and all that it answers.
pub(super) struct Beat<'a>(pub(super) &'a Heartbeat);

impl Work for Beat<'_> {
    const CALL: &'static str = "heartbeat";
    type Answer = HeartbeatAnswer;

    async fn run(&self, session: &mut Session) -> Result<HeartbeatAnswer, Fault> {
        let Heartbeat { owner, role, counter, lease, info } = self.0;
        let written = written(info)?;
        let (role, counter, lease) = (role_number(*role), bigint(*counter), duration_micros(*lease));
        let row = session
            .query_one(
                "select * from heartbeat_1($1, $2, $3, $4, $5, $6)",
                &[&owner.0, &role, &text(&info.name), &written, &counter, &lease],
            )
            .await?;
        let cancels: Vec<Uuid> = row.try_get("cancels")?;
        let paused: Vec<&str> = row.try_get("paused")?;
        Ok(HeartbeatAnswer {
            now: instant(row.try_get("now")?),
            retired: row.try_get("retired")?,
            cancels: cancels.into_iter().map(TaskId).collect(),
            paused: paused.into_iter().map(queue_name).collect::<Result<_, _>>()?,
            pulses: pulses(&row)?,
        })
    }
}

/// JSON writes a NUL as an escape.
fn written(info: &MemberInfo) -> Result<String, Fault> {
    serde_json::to_string(info).map_err(|error| Fault::Invalid(error.to_string()))
}

fn pulses(row: &Row) -> Result<Vec<Pulse>, Fault> {
    let owners: Vec<Uuid> = row.try_get("owners")?;
    let roles: Vec<i16> = row.try_get("roles")?;
    let counters: Vec<i64> = row.try_get("counters")?;
    let leases: Vec<i64> = row.try_get("leases")?;
    let pulses = owners.into_iter().zip(roles).zip(counters).zip(leases);
    Ok(pulses
        .map(|(((owner, role), counter), lease)| Pulse {
            owner: OwnerId(owner),
            role: role_of(role),
            counter: u64::try_from(counter).unwrap_or(0),
            lease: micros(lease),
        })
        .collect())
}

/// Those of an owner's tasks that somebody asked to stop.
pub(super) struct Cancels(pub(super) OwnerId);

impl Work for Cancels {
    const CALL: &'static str = "cancels";
    type Answer = Vec<TaskId>;

    async fn run(&self, session: &mut Session) -> Result<Vec<TaskId>, Fault> {
        let rows = session.query("select * from cancels_1($1)", &[&self.0.0]).await?;
        rows.iter().map(|row| Ok(TaskId(row.try_get(0)?))).collect()
    }
}

/// Rows running in an owner's name.
pub(super) struct Mine(pub(super) OwnerId);

impl Work for Mine {
    const CALL: &'static str = "mine";
    type Answer = Vec<OwnedClaim>;

    async fn run(&self, session: &mut Session) -> Result<Vec<OwnedClaim>, Fault> {
        let rows = session.query("select * from mine_1($1)", &[&self.0.0]).await?;
        let claims = rows.iter().map(|row| {
            Ok(OwnedClaim {
                id: TaskId(row.try_get("id")?),
                fence: Fence(row.try_get("fence")?),
                token: Token(row.try_get("token")?),
            })
        });
        claims.collect()
    }
}

/// A member leaves in good order.
pub(super) struct Leave(pub(super) OwnerId);

impl Work for Leave {
    const CALL: &'static str = "leave";
    type Answer = ();

    async fn run(&self, session: &mut Session) -> Result<(), Fault> {
        session.query("select leave_1($1, $2)", &[&self.0.0, &RELEASED]).await?;
        Ok(())
    }
}

/// Every member that did not leave.
pub(super) struct List;

impl Work for List {
    const CALL: &'static str = "members";
    type Answer = Vec<MemberRecord>;

    async fn run(&self, session: &mut Session) -> Result<Vec<MemberRecord>, Fault> {
        let sql =
            "select owner, role, info, started_at, seen_at, lease, retired from member where retired <> 2
            order by started_at, owner";
        session.query(sql, &[]).await?.iter().map(record).collect()
    }
}

fn record(row: &Row) -> Result<MemberRecord, Fault> {
    Ok(MemberRecord {
        owner: OwnerId(row.try_get("owner")?),
        role: role_of(row.try_get("role")?),
        // What a newer member says of itself may be unreadable here; that it lives is not.
        info: serde_json::from_str(row.try_get("info")?).unwrap_or_default(),
        started_at: instant(row.try_get("started_at")?),
        seen_at: instant(row.try_get("seen_at")?),
        lease: micros(row.try_get("lease")?),
        retired: row.try_get::<_, i16>("retired")? != LIVE,
    })
}

fn role_number(role: Role) -> i16 {
    match role {
        Role::Beat => 0,
        Role::Worker => 1,
    }
}

fn role_of(number: i16) -> Role {
    if number == 0 { Role::Beat } else { Role::Worker }
}

fn micros(value: i64) -> Duration {
    Duration::from_micros(u64::try_from(value).unwrap_or(0))
}
