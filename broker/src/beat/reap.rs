//! The beat's heartbeat, and what it learns from it: who is lost, who else is a beat, and whether it was itself declared
//! lost. Lost workers' tasks become due again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use upbeat_shared::failpoint;
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{LedgerError, Lost, ReapReport};
use upbeat_shared::member::{Heartbeat, HeartbeatAnswer, MemberInfo, Role};
use upbeat_shared::telemetry;

use super::context::{Context, within};
use super::dead;
use super::health::Part;
use super::judge::Judge;
use super::leases::Peers;

/// How often to look for rows of owners that have no heartbeat row, when nobody is lost.
const LOOK: Duration = Duration::from_secs(5);

/// Who this beat is at present, and with how many others it shares the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alive {
    pub(super) owner: OwnerId,
    /// Live beats, this one included.
    pub(super) beats: usize,
}

/// Heartbeats until the beat is stopped. Says who it is once the first one was committed.
pub(super) async fn heartbeat(
    ctx: Arc<Context>,
    alive: watch::Sender<Option<Alive>>,
    lost: watch::Sender<Vec<Lost>>,
) {
    let mut heart = Heart::new(&ctx);
    let every = ctx.options.heartbeat();
    loop {
        let began = ctx.monotonic();
        match heart.beat(&ctx).await {
            Ok(found) => {
                ctx.board.succeeded(Part::Heartbeat);
                alive.send_replace(Some(heart.alive));
                lost.send_if_modified(|known| {
                    let changed = *known != found;
                    *known = found;
                    changed
                });
            }
            Err(error) => {
                heart.judge.failed();
                ctx.board.failed(Part::Heartbeat, &error.into());
            }
        }
        let spent = ctx.monotonic().saturating_sub(began);
        if !ctx.pause(every.saturating_sub(spent).max(every / 10)).await {
            return;
        }
    }
}

/// Retires those who are lost and makes their tasks due again, until the beat is stopped.
pub(super) async fn reap(ctx: Arc<Context>, mut lost: watch::Receiver<Vec<Lost>>) {
    let mut failures = 0;
    while !ctx.stop.is_cancelled() {
        let found = lost.borrow_and_update().clone();
        let reaped = ctx.ledger("reap", ctx.store.agenda.reap(found, ctx.options.max_crashes)).await;
        if let Ok(report) = &reaped {
            note(report);
            if *report != ReapReport::default() {
                failpoint!("beat.reap.done");
            }
            dead::reaped(&ctx, &report.dead).await;
        }
        let failed = reaped.is_err();
        ctx.conclude(Part::Reap, reaped.map(drop).map_err(Into::into), &mut failures).await;
        if failed {
            continue;
        }
        tokio::select! {
            biased;
            () = ctx.stop.cancelled() => return,
            changed = lost.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn note(report: &ReapReport) {
    let ReapReport { retired, rescheduled, dead, cancelled } = report;
    let dead = dead.len() as u64;
    metrics::counter!(telemetry::LOST).increment(retired.len() as u64);
    for owner in retired {
        tracing::warn!(%owner, "a member was declared lost: its heartbeat stood still for a lease");
    }
    if *rescheduled + dead + *cancelled > 0 {
        tracing::warn!(rescheduled, dead, cancelled, "tasks of lost workers go on");
    }
}

/// One incarnation after the other of this beat.
#[derive(Debug)]
struct Heart {
    alive: Alive,
    counter: u64,
    judge: Judge,
    peers: Peers,
}

impl Heart {
    fn new(ctx: &Context) -> Self {
        Self {
            alive: Alive { owner: OwnerId::drawn(&**ctx.clock.clock()), beats: 1 },
            counter: 0,
            judge: Judge::new(ctx.options.lease),
            peers: Peers::new(ctx.options.shard_ttl),
        }
    }

    /// One heartbeat; answers who is lost.
    async fn beat(&mut self, ctx: &Context) -> Result<Vec<Lost>, LedgerError> {
        let sent = ctx.monotonic();
        self.counter += 1;
        let heartbeat = Heartbeat {
            owner: self.alive.owner,
            role: Role::Beat,
            counter: self.counter,
            lease: ctx.options.lease,
            info: MemberInfo {
                name: ctx.options.name.clone(),
                version: ctx.options.version.clone(),
                ..MemberInfo::default()
            },
        };
        // One that takes longer breaks the series anyway.
        let limit = ctx.options.timeout.min(ctx.options.lease / 3);
        let answer = within(&ctx.clock, limit, "heartbeat", ctx.store.ledger.heartbeat(heartbeat)).await?;
        let answered = ctx.monotonic();
        ctx.clock.observe(sent, answer.now);
        if answer.retired {
            self.come_back(ctx);
            return Ok(Vec::new());
        }
        Ok(self.learn(sent, answered, &answer))
    }

    fn learn(&mut self, sent: Duration, answered: Duration, answer: &HeartbeatAnswer) -> Vec<Lost> {
        self.alive.beats = self.peers.count(answered, self.alive.owner, &answer.pulses);
        let mut lost = self.judge.committed(sent, answered, &answer.pulses);
        lost.retain(|lost| lost.owner != self.alive.owner);
        lost
    }

    /// This incarnation was declared lost, rightly or not: it can hold nothing any more.
    fn come_back(&mut self, ctx: &Context) {
        let owner = OwnerId::drawn(&**ctx.clock.clock());
        tracing::warn!(was = %self.alive.owner, now = %owner, "this beat was declared lost; it comes back as a new member");
        self.alive.owner = owner;
        self.counter = 0;
        self.judge.failed();
    }
}
