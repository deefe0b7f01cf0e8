//! `upbeat workers`: who is there.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use upbeat_shared::clock;
use upbeat_shared::member::{MemberRecord, Role};
use upbeat_shared::task::rfc3339_micros;

use super::context::{Access, Context};
use super::failure::Failure;
use super::moment::relative;
use super::table::{Cell, Look};

/// Look at the workers
#[derive(Debug, Args)]
pub(crate) struct WorkersCommand {
    #[command(subcommand)]
    action: WorkersAction,
}

#[derive(Debug, Subcommand)]
enum WorkersAction {
    /// List workers: what they take, what they run, when they were last heard of
    List {
        /// Beats, too
        #[arg(long)]
        all: bool,
    },
}

/// What a member's heartbeat tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Alive,
    Draining,
    /// Not heard of for longer than its lease; no beat has judged it yet.
    Silent,
    Lost,
}

impl Standing {
    pub(crate) fn of(now: Timestamp, member: &MemberRecord) -> Self {
        if member.retired {
            Self::Lost
        } else if clock::until(member.seen_at, now) > member.lease {
            Self::Silent
        } else if member.info.draining {
            Self::Draining
        } else {
            Self::Alive
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Lost => "lost",
        }
    }

    fn look(self) -> Look {
        match self {
            Self::Alive => Look::Good,
            Self::Draining => Look::Busy,
            Self::Silent => Look::Odd,
            Self::Lost => Look::Bad,
        }
    }
}

impl WorkersCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let WorkersAction::List { all } = self.action;
        let session = context.session(Access::Existing).await?;
        let mut members = session.stack.store.inspect.members().await?;
        members.retain(|member| all || member.role == Role::Worker);
        members.sort_by(|a, b| (a.role.as_str(), a.started_at).cmp(&(b.role.as_str(), b.started_at)));
        let now = session.now();
        context.output.list(
            &["NAME", "ROLE", "STATUS", "RUNNING", "SLOTS", "QUEUES", "STARTED", "SEEN", "VERSION"],
            &members,
            |member| cells(now, member),
            |member| to_json(now, member),
        )?;
        if members.is_empty() {
            context.output.note("no worker is here: start one with `upbeat up` or `upbeat worker`");
        }
        Ok(())
    }
}

fn cells(now: Timestamp, member: &MemberRecord) -> Vec<Cell> {
    let info = &member.info;
    let standing = Standing::of(now, member);
    let queues: Vec<String> = info.queues.iter().map(|(name, weight)| format!("{name}={weight}")).collect();
    vec![
        Cell::plain(info.name.as_str()),
        Cell::plain(member.role.as_str()),
        Cell::new(standing.as_str(), standing.look()),
        Cell::number(info.running),
        Cell::number(info.slots),
        Cell::plain(queues.join(",")),
        Cell::plain(relative(now, member.started_at)),
        Cell::plain(relative(now, member.seen_at)),
        Cell::faint(info.version.as_str()),
    ]
}

fn to_json(now: Timestamp, member: &MemberRecord) -> Value {
    let info = &member.info;
    let queues: serde_json::Map<String, Value> =
        info.queues.iter().map(|(name, weight)| (name.to_string(), (*weight).into())).collect();
    json!({
        "name": info.name,
        "owner": member.owner.to_string(),
        "role": member.role.as_str(),
        "status": Standing::of(now, member).as_str(),
        "running": info.running,
        "slots": info.slots,
        "queues": queues,
        "version": info.version,
        "started_at": rfc3339_micros(member.started_at),
        "seen_at": rfc3339_micros(member.seen_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use upbeat_shared::id::OwnerId;
    use upbeat_shared::member::{LEASE, MemberInfo};

    #[test]
    fn a_member_is_silent_when_its_heartbeat_is_older_than_its_lease() {
        let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        let seen = |ago: u64, retired| MemberRecord {
            owner: OwnerId::random(),
            role: Role::Worker,
            info: MemberInfo::default(),
            started_at: now,
            seen_at: clock::earlier(now, Duration::from_secs(ago)),
            lease: LEASE,
            retired,
        };
        assert_eq!(Standing::of(now, &seen(1, false)), Standing::Alive);
        assert_eq!(Standing::of(now, &seen(16, false)), Standing::Silent);
        assert_eq!(Standing::of(now, &seen(1, true)), Standing::Lost);
    }
}
