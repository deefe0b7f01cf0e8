//! Members of the cluster: beats and workers, known by their incarnation and their heartbeat.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::id::{OwnerId, TaskId};
use crate::name::{QueueName, TaskName};
use crate::progress::Progress;

/// How long a heartbeat may stand still before a beat declares its member lost.
pub const LEASE: Duration = Duration::from_secs(15);

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Turns time into messages.
    Beat,
    /// Turns messages into finished work.
    Worker,
}

impl Role {
    /// As in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beat => "beat",
            Self::Worker => "worker",
        }
    }

    /// How long after one heartbeat the next one is sent: a fifth of the lease, and from a beat at least every second,
    /// since it judges the others by its own.
    pub fn renewal(self, lease: Duration) -> Duration {
        let fifth = lease / 5;
        match self {
            Self::Beat => fifth.clamp(Duration::from_millis(10), Duration::from_secs(1)),
            Self::Worker => fifth,
        }
    }
}

/// What a member says of itself; shown by `upbeat workers list`. What another version does not say is as by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberInfo {
    /// `host:pid`, or what the user called it.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Queues with their weights (a worker's).
    pub queues: Vec<(QueueName, u32)>,
    /// How many tasks it runs at once at most (a worker's).
    pub slots: u32,
    /// How many it runs now (a worker's).
    pub running: u32,
    /// It takes no new work.
    pub draining: bool,
    /// The names of the tasks that it runs and how many of each, most first: at most [`MemberInfo::MAX_TASKS`] (a
    /// worker's).
    pub tasks: Vec<(TaskName, u32)>,
    /// It runs suspects in processes of their own (a worker's).
    pub isolates: bool,
    /// How far its runs have come that say so, what was said last first: at most [`MemberInfo::MAX_PROGRESS`] (a worker's).
    pub progress: Vec<(TaskId, Progress)>,
}

impl MemberInfo {
    /// So many names of running tasks are told; the rest is in `running` alone.
    pub const MAX_TASKS: usize = 8;
    /// So many runs tell how far they have come.
    pub const MAX_PROGRESS: usize = 256;

    /// How far the run of a task has come, if it is among those that tell.
    pub fn progress_of(&self, id: TaskId) -> Option<&Progress> {
        self.progress.iter().find(|(told, _)| *told == id).map(|(_, progress)| progress)
    }
}

/// What a member's record tells of it: the first of these that fits, from the last to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberState {
    /// Its heartbeat is fresh, and it takes work.
    Healthy,
    /// It was asked to stop: it finishes what runs and takes nothing new.
    Draining,
    /// Two of its heartbeats are missing; its lease is not over.
    Late,
    /// A beat retired it, or its lease is over and no beat has judged it yet.
    Lost,
}

impl MemberState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Draining, Self::Late, Self::Lost];

    /// As in listings and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Draining => "draining",
            Self::Late => "late",
            Self::Lost => "lost",
        }
    }
}

/// Says that a member is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who.
    pub owner: OwnerId,
    /// What it does.
    pub role: Role,
    /// Grows with every heartbeat of this incarnation.
    pub counter: u64,
    /// How long it may stand still: no beat judges it by a shorter time.
    pub lease: Duration,
    /// What it says of itself.
    pub info: MemberInfo,
}

/// What a member learns from its heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// The store's time.
    pub now: Timestamp,
    /// It was declared lost: it can claim nothing and must come back as a new incarnation.
    pub retired: bool,
    /// Running tasks of this owner that somebody asked to stop.
    pub cancels: Vec<TaskId>,
    /// Queues from which nobody may take work.
    pub paused: Vec<QueueName>,
    /// Every member that is not retired, as of this heartbeat's transaction; for a beat's judgement.
    pub pulses: Vec<Pulse>,
}

/// A member's heartbeat as a beat saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Whose.
    pub owner: OwnerId,
    /// What it does.
    pub role: Role,
    /// Where its counter stands.
    pub counter: u64,
    /// By what time it is judged.
    pub lease: Duration,
}

/// A member as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its incarnation.
    pub owner: OwnerId,
    /// What it does.
    pub role: Role,
    /// What it says of itself.
    pub info: MemberInfo,
    /// When it first came.
    pub started_at: Timestamp,
    /// Its last heartbeat, in the store's time.
    pub seen_at: Timestamp,
    /// By what time it is judged.
    pub lease: Duration,
    /// A beat declared it lost.
    pub retired: bool,
}

impl MemberRecord {
    /// How it is, at this instant of the store's time. Only for those who look: tasks are taken from a member by its
    /// heartbeat counter, never by this.
    pub fn state(&self, now: Timestamp) -> MemberState {
        let silence = clock::until(self.seen_at, now);
        if self.retired || silence > self.lease {
            MemberState::Lost
        } else if silence > self.role.renewal(self.lease) * 2 {
            MemberState::Late
        } else if self.info.draining {
            MemberState::Draining
        } else {
            MemberState::Healthy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(role: Role, millis_ago: u64) -> MemberRecord {
        let now = now();
        MemberRecord {
            owner: OwnerId::random(),
            role,
            info: MemberInfo::default(),
            started_at: now,
            seen_at: clock::earlier(now, Duration::from_millis(millis_ago)),
            lease: LEASE,
            retired: false,
        }
    }

    fn now() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_member_is_late_after_two_renewals_and_lost_after_its_lease() {
        let state = |role, millis_ago| seen(role, millis_ago).state(now());
        assert_eq!(state(Role::Worker, 6_000), MemberState::Healthy);
        assert_eq!(state(Role::Worker, 6_001), MemberState::Late);
        assert_eq!(state(Role::Worker, 15_000), MemberState::Late);
        assert_eq!(state(Role::Worker, 15_001), MemberState::Lost);
        assert_eq!(state(Role::Beat, 2_000), MemberState::Healthy, "a beat renews every second");
        assert_eq!(state(Role::Beat, 2_001), MemberState::Late);
    }

    #[test]
    fn what_is_wrong_with_a_member_is_told_before_that_it_drains() {
        let draining = |millis_ago, retired| {
            let mut member = MemberRecord { retired, ..seen(Role::Worker, millis_ago) };
            member.info.draining = true;
            member.state(now())
        };
        assert_eq!(draining(0, false), MemberState::Draining);
        assert_eq!(draining(7_000, false), MemberState::Late);
        assert_eq!(draining(0, true), MemberState::Lost);
    }

    #[test]
    fn what_a_member_of_the_previous_version_says_can_be_read() {
        let said = r#"{"name":"host:7","version":"0.1.0","queues":[["default",1]],"slots":8,"running":2,"draining":false}"#;
        let info: MemberInfo = serde_json::from_str(said).unwrap();
        assert_eq!((info.running, info.tasks, info.progress), (2, Vec::new(), Vec::new()));
    }
}
