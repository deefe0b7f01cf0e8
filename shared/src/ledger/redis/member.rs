//! Heartbeats: who is alive, and what they should know.

use std::time::Duration;

use redis::Value;

use super::error::Fault;
use super::packed::Unpacked;
use super::reply;
use super::row::{duration_micros, instant};
use super::script::Call;
use super::session::Session;
use crate::id::{Fence, OwnerId, TaskId, Token};
use crate::ledger::OwnedClaim;
use crate::member::{Heartbeat, HeartbeatAnswer, MemberRecord, Pulse, Role};
use crate::name::QueueName;

pub(super) async fn beat(session: &Session, heartbeat: &Heartbeat) -> Result<HeartbeatAnswer, Fault> {
    let info = serde_json::to_string(&heartbeat.info).map_err(|error| Fault::Invalid(error.to_string()))?;
    let mut args = session.begin(Call::Heartbeat);
    args.push(heartbeat.owner.0.as_bytes())
        .number(i64::from(role_number(heartbeat.role)))
        .number(i64::try_from(heartbeat.counter).unwrap_or(i64::MAX))
        .number(super::packed::exact(duration_micros(heartbeat.lease)))
        .push(&heartbeat.info.name)
        .push(info);
    let [now, retired, cancels, paused, pulses] = reply::parts(session.run(&args).await?)?;
    let cancels = reply::array(cancels)?.into_iter().map(|id| Unpacked(&reply::bytes(id)?).id());
    let pulses = reply::array(pulses)?.into_iter().map(|pulse| self::pulse(&reply::bytes(pulse)?));
    Ok(HeartbeatAnswer {
        now: instant(reply::number(&now)?),
        retired: reply::number(&retired)? == 1,
        cancels: cancels.collect::<Result<_, _>>()?,
        paused: queues(paused)?,
        pulses: pulses.collect::<Result<_, _>>()?,
    })
}

/// Names of queues, in order.
pub(super) fn queues(value: Value) -> Result<Vec<QueueName>, Fault> {
    let names = reply::array(value)?.into_iter().map(|name| queue(reply::text(name)?));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

pub(super) fn queue(name: String) -> Result<QueueName, Fault> {
    QueueName::new(name).map_err(|error| Fault::Invalid(error.to_string()))
}

fn pulse(bytes: &[u8]) -> Result<Pulse, Fault> {
    let mut from = Unpacked(bytes);
    Ok(Pulse {
        owner: from.owner()?,
        role: role_of(from.byte()?),
        counter: u64::try_from(from.long()?).unwrap_or(0),
        lease: micros(from.long()?),
    })
}

/// Those of an owner's tasks that somebody asked to stop.
pub(super) async fn cancels(session: &Session, owner: OwnerId) -> Result<Vec<TaskId>, Fault> {
    let mut args = session.begin(Call::Cancels);
    args.push(owner.0.as_bytes());
    let ids =
        reply::array(session.run(&args).await?)?.into_iter().map(|id| Unpacked(&reply::bytes(id)?).id());
    let mut ids = ids.collect::<Result<Vec<_>, Fault>>()?;
    ids.sort();
    Ok(ids)
}

/// Rows running in an owner's name.
pub(super) async fn mine(session: &Session, owner: OwnerId) -> Result<Vec<OwnedClaim>, Fault> {
    let mut args = session.begin(Call::Mine);
    args.push(owner.0.as_bytes());
    let claims = reply::array(session.run(&args).await?)?.into_iter().map(|claim| {
        let claim = reply::bytes(claim)?;
        let mut from = Unpacked(&claim);
        Ok(OwnedClaim { id: from.id()?, fence: Fence(from.long()?), token: Token(from.long()?) })
    });
    let mut claims = claims.collect::<Result<Vec<_>, Fault>>()?;
    claims.sort_by_key(|claim| claim.id);
    Ok(claims)
}

/// Every member that did not leave.
pub(super) async fn list(session: &Session) -> Result<Vec<MemberRecord>, Fault> {
    let [live, lost] = reply::parts(session.ask(Call::Members).await?)?;
    let mut members = records(live, false)?;
    members.append(&mut records(lost, true)?);
    members.sort_by_key(|member| (member.started_at, member.owner));
    Ok(members)
}

fn records(value: Value, retired: bool) -> Result<Vec<MemberRecord>, Fault> {
    let values = reply::array(value)?.into_iter().map(reply::bytes).collect::<Result<Vec<_>, _>>()?;
    values.chunks_exact(2).map(|pair| record(&pair[0], &pair[1], retired)).collect()
}

fn record(owner: &[u8], member: &[u8], retired: bool) -> Result<MemberRecord, Fault> {
    let mut from = Unpacked(member);
    let role = role_of(from.byte()?);
    from.long()?;
    let lease = micros(from.long()?);
    let (started_at, seen_at) = (instant(from.long()?), instant(from.long()?));
    from.text()?;
    // What a newer member says of itself may be unreadable here; that it lives is not.
    let info = serde_json::from_slice(from.rest()).unwrap_or_default();
    Ok(MemberRecord { owner: Unpacked(owner).owner()?, role, info, started_at, seen_at, lease, retired })
}

/// A member's name.
pub(super) fn name(member: &[u8]) -> Result<String, Fault> {
    let mut from = Unpacked(member);
    from.byte()?;
    for _ in 0..4 {
        from.long()?;
    }
    from.text().map(str::to_owned)
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Beat => 0,
        Role::Worker => 1,
    }
}

fn role_of(number: u8) -> Role {
    if number == 0 { Role::Beat } else { Role::Worker }
}

fn micros(value: i64) -> Duration {
    Duration::from_micros(u64::try_from(value).unwrap_or(0))
}
