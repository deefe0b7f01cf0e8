//! Heartbeats: who is alive, and what they should know.

use std::time::Duration;

use super::settle;
use super::state::{State, Write};
use crate::id::{OwnerId, TaskId};
use crate::ledger::OwnedClaim;
use crate::ledger::rule::LostWorker;
use crate::ledger::stored::instant;
use crate::member::{Heartbeat, HeartbeatAnswer, MemberInfo, MemberRecord, Pulse, Role};
use crate::name::QueueName;

/// A member's heartbeat row. Times are in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Member {
    role: Role,
    /// What it was called when it came.
    pub(super) name: String,
    info: MemberInfo,
    counter: u64,
    lease: Duration,
    started_at: i64,
    pub(super) seen_at: i64,
    pub(super) life: Life,
}

/// Whether a member may claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Live,
    /// A beat declared it lost.
    Lost,
    /// It keeps its row for its name's sake.
    Left,
}

/// Whether it has a heartbeat, and was neither lost nor left.
pub(super) fn is_live(state: &State, owner: OwnerId) -> bool {
    state.members.get(&owner).is_some_and(|member| member.life == Life::Live)
}

/// A worker that was lost.
pub(super) fn lost_worker(state: &State, owner: Option<OwnerId>) -> LostWorker {
    let known = owner.and_then(|owner| state.members.get(&owner));
    let stranger = || owner.map_or_else(|| "unknown".to_owned(), |owner| owner.to_string());
    LostWorker {
        name: known.map_or_else(stranger, |member| member.name.clone()),
        isolates: known.is_some_and(|member| member.info.isolates),
    }
}

pub(super) fn heartbeat(write: &mut Write<'_>, heartbeat: Heartbeat) -> HeartbeatAnswer {
    let (owner, now) = (heartbeat.owner, write.now());
    let Heartbeat { role, counter, lease, info, .. } = heartbeat;
    let new = || Member {
        role,
        name: info.name.clone(),
        info: MemberInfo::default(),
        counter,
        lease,
        started_at: now,
        seen_at: now,
        life: Life::Live,
    };
    let member = write.state.members.entry(owner).or_insert_with(new);
    if member.life == Life::Live {
        (member.info, member.counter, member.lease, member.seen_at) = (info, counter, lease, now);
    }
    HeartbeatAnswer {
        now: instant(now),
        retired: !is_live(write.state, owner),
        cancels: cancels(write.state, owner),
        paused: paused(write.state).cloned().collect(),
        pulses: pulses(write.state),
    }
}

/// Tasks running in an owner's name that somebody asked to stop.
pub(super) fn cancels(state: &State, owner: OwnerId) -> Vec<TaskId> {
    let asked = |id: &TaskId| state.find(*id).is_some_and(|(_, row)| row.cancel);
    state.running_of(owner).filter(asked).collect()
}

/// Queues from which nobody may take work.
fn paused(state: &State) -> impl Iterator<Item = &QueueName> {
    state.queues.iter().filter(|(_, queue)| queue.paused).map(|(name, _)| name)
}

fn pulses(state: &State) -> Vec<Pulse> {
    let live = state.members.iter().filter(|(_, member)| member.life == Life::Live);
    let pulse = |(owner, member): (&OwnerId, &Member)| Pulse {
        owner: *owner,
        role: member.role,
        counter: member.counter,
        lease: member.lease,
    };
    live.map(pulse).collect()
}

/// Rows running in an owner's name.
pub(super) fn mine(state: &State, owner: OwnerId) -> Vec<OwnedClaim> {
    let claim = |id: TaskId| {
        let (_, row) = state.find(id)?;
        Some(OwnedClaim { id, fence: row.fence?, token: row.token? })
    };
    state.running_of(owner).filter_map(claim).collect()
}

/// A member leaves in good order.
pub(super) fn leave(write: &mut Write<'_>, owner: OwnerId) {
    let claims = mine(write.state, owner);
    settle::release(write, owner, &claims);
    set_life(write.state, owner, Life::Left);
}

/// Retires a member whose counter still stands where a beat saw it; `false` if it moved.
pub(super) fn retire(state: &mut State, owner: OwnerId, counter: u64) -> bool {
    let stands = state.members.get(&owner).is_some_and(|member| member.counter == counter);
    stands && set_life(state, owner, Life::Lost)
}

/// Ends a member's life; `false` if it has ended.
fn set_life(state: &mut State, owner: OwnerId, life: Life) -> bool {
    let member = state.members.get_mut(&owner).filter(|member| member.life == Life::Live);
    member.map(|member| member.life = life).is_some()
}

/// Every member that did not leave, in the order in which they came.
pub(super) fn list(state: &State) -> Vec<MemberRecord> {
    let here = state.members.iter().filter(|(_, member)| member.life != Life::Left);
    let mut members: Vec<_> = here.map(|(owner, member)| member.record(*owner)).collect();
    members.sort_by_key(|member| (member.started_at, member.owner));
    members
}

impl Member {
    fn record(&self, owner: OwnerId) -> MemberRecord {
        MemberRecord {
            owner,
            role: self.role,
            info: self.info.clone(),
            started_at: instant(self.started_at),
            seen_at: instant(self.seen_at),
            lease: self.lease,
            retired: self.life != Life::Live,
        }
    }
}
