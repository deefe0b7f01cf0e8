//! The worker as a member of the cluster: its incarnation, its heartbeat, and the lease that it must not outlive.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use upbeat_shared::clock::Clock;
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::LedgerError;
use upbeat_shared::member::{Heartbeat, HeartbeatAnswer, MemberInfo, Role};

use crate::job::verdict::StopReason;
use crate::runtime::{Context, HEARTBEAT};

/// Who this worker is, and until when it may rely on it.
pub(crate) struct Member {
    clock: Arc<dyn Clock>,
    lease: Duration,
    identity: Mutex<Identity>,
    /// When the last heartbeat that was committed was sent, on the monotonic clock. Not when it was answered: the
    /// store counted from somewhere in between.
    renewed: watch::Sender<Option<Duration>>,
    nudge: Notify,
    /// A run has something to tell for the first time.
    news: Arc<Notify>,
}

/// Heartbeats that only bring news are so far apart at least.
const NEWS: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
struct Identity {
    owner: OwnerId,
    counter: u64,
}

impl Member {
    /// A new incarnation, which nobody knows yet.
    pub(crate) fn new(clock: Arc<dyn Clock>, lease: Duration) -> Self {
        let identity = Mutex::new(Identity { owner: OwnerId::drawn(&*clock), counter: 0 });
        Self {
            clock,
            lease,
            identity,
            renewed: watch::Sender::new(None),
            nudge: Notify::new(),
            news: Arc::default(),
        }
    }

    /// The present incarnation.
    pub(crate) fn owner(&self) -> OwnerId {
        self.identity().owner
    }

    /// Whether what was claimed in this name may still run.
    pub(crate) fn holds(&self, owner: OwnerId) -> bool {
        self.owner() == owner && !self.left().is_zero()
    }

    /// How long what runs may go on without another heartbeat. A third of the lease is kept for stopping it.
    fn left(&self) -> Duration {
        let until = self.renewed.borrow().map(|sent| sent + self.lease * 2 / 3);
        until.map_or(Duration::ZERO, |until| until.saturating_sub(self.clock.monotonic()))
    }

    /// How long tasks may take to stop after the lease could not be renewed.
    pub(crate) fn lapse_grace(&self) -> Duration {
        self.lease / 5
    }

    /// How long one heartbeat may take.
    pub(crate) fn renewal_timeout(&self) -> Duration {
        self.lease / 3
    }

    /// Notified, it brings the next heartbeat nearer.
    pub(crate) fn news(&self) -> &Arc<Notify> {
        &self.news
    }

    /// Makes the next heartbeat come soon.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    fn identity(&self) -> std::sync::MutexGuard<'_, Identity> {
        self.identity.lock().expect("no holder of the identity panics")
    }

    fn next_beat(&self) -> Identity {
        let mut identity = self.identity();
        identity.counter += 1;
        *identity
    }

    fn renew(&self, owner: OwnerId, sent: Duration) {
        if self.owner() == owner {
            self.renewed.send_replace(Some(sent));
        }
    }

    /// Takes a new incarnation in place of `lost`; `false` if that happened before.
    fn reincarnate(&self, lost: OwnerId) -> bool {
        let mut identity = self.identity();
        if identity.owner != lost {
            return false;
        }
        *identity = Identity { owner: OwnerId::drawn(&*self.clock), counter: 0 };
        drop(identity);
        self.renewed.send_replace(None);
        true
    }

    /// Notices, once, that the lease could not be renewed in time.
    fn lapse(&self) -> bool {
        let out_of_time = self.left().is_zero();
        self.renewed.send_if_modified(|renewed| out_of_time && renewed.take().is_some())
    }
}

/// As [`renew`], for a member whose time stands still between two steps: it cannot have missed a heartbeat.
#[cfg(feature = "testing")]
pub(crate) async fn renew_in_time(ctx: &Context) -> Result<(), LedgerError> {
    ctx.member.renew(ctx.member.owner(), ctx.monotonic());
    renew(ctx).await
}

/// Sends one heartbeat and does what its answer says.
pub(crate) async fn renew(ctx: &Context) -> Result<(), LedgerError> {
    // After a pause of the whole process, first stop what may run elsewhere by now.
    check_lease(ctx);
    let Identity { owner, counter } = ctx.member.next_beat();
    let heartbeat =
        Heartbeat { owner, role: Role::Worker, counter, lease: ctx.options.lease, info: info(ctx) };
    let sent = ctx.monotonic();
    let answer = ctx.ledger(HEARTBEAT, ctx.store.ledger.heartbeat(heartbeat)).await?;
    ctx.clock.observe(sent, answer.now);
    if answer.retired {
        retired(ctx, owner);
        return Err(LedgerError::Unavailable("this worker was declared lost and must come back".into()));
    }
    ctx.member.renew(owner, sent);
    learn(ctx, answer);
    Ok(())
}

/// This incarnation was declared lost: its tasks may run elsewhere. Comes back as a new one.
pub(crate) fn retired(ctx: &Context, owner: OwnerId) {
    if !ctx.member.reincarnate(owner) {
        return;
    }
    tracing::warn!(
        lost = %owner,
        now = %ctx.member.owner(),
        "this worker was declared lost, so its tasks were given to others; it stops them and comes back anew"
    );
    ctx.gate.set_ledger(false);
    ctx.held.stop_all(StopReason::LeaseLost);
    ctx.member.nudge();
}

/// Stops what runs if the lease could not be renewed in time.
fn check_lease(ctx: &Context) {
    if ctx.member.lapse() {
        ctx.gate.set_ledger(false);
        ctx.held.stop_all(StopReason::LeaseLost);
        tracing::warn!(
            running = ctx.health.running(),
            "no heartbeat for too long: the tasks that run are stopped and given back"
        );
    }
}

fn learn(ctx: &Context, answer: HeartbeatAnswer) {
    ctx.held.stop(&answer.cancels, StopReason::Cancelled);
    for queue in ctx.gate.set_paused(answer.paused) {
        let paused = ctx.gate.paused(&queue);
        tracing::info!(%queue, "{}", if paused { "the queue is paused" } else { "the queue goes on" });
    }
    if ctx.gate.set_ledger(true) {
        ctx.health.well("ledger");
        tracing::info!(owner = %ctx.member.owner(), "the ledger answers");
        ctx.sweep.notify_one();
    }
}

fn info(ctx: &Context) -> MemberInfo {
    MemberInfo {
        name: ctx.options.name.clone(),
        version: ctx.options.version.clone(),
        queues: ctx.options.queues.clone(),
        slots: ctx.options.concurrency,
        running: ctx.health.running(),
        draining: ctx.gate.stopping(),
        isolates: ctx.isolates() && ctx.handlers.any_within(),
        tasks: ctx.handlers.running_now(MemberInfo::MAX_TASKS),
        progress: ctx.held.progress(MemberInfo::MAX_PROGRESS),
    }
}

/// Sends heartbeats until told otherwise; sooner while the ledger is away.
pub(crate) async fn renew_forever(ctx: Arc<Context>, done: CancellationToken) {
    let beat = Role::Worker.renewal(ctx.options.lease);
    let mut last = ctx.monotonic();
    let mut next = last + beat;
    loop {
        // The heartbeat before the nudges: however many there are, it comes.
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = tokio::time::sleep(next.saturating_sub(ctx.monotonic())) => {}
            () = ctx.member.nudge.notified() => {
                // However often it is nudged, the next heartbeat only comes nearer.
                next = next.min(ctx.monotonic() + ctx.ledger_backoff());
                continue;
            }
            () = ctx.member.news.notified() => {
                // Seen within a second or so, for no more than a heartbeat a second, however many have news.
                next = next.min((last + NEWS).max(ctx.monotonic() + ctx.ledger_backoff()));
                continue;
            }
        }
        last = ctx.monotonic();
        // A heartbeat that is cut off here was the last.
        let Some(renewed) = done.run_until_cancelled(renew(&ctx)).await else { return };
        let wait = if renewed.is_ok() { beat } else { ctx.ledger_backoff().min(beat) };
        next = ctx.monotonic() + wait;
    }
}

/// Watches the lease until told otherwise. Apart from the heartbeats, so that one that hangs cannot delay it.
pub(crate) async fn guard_forever(ctx: Arc<Context>, done: CancellationToken) {
    let mut renewed = ctx.member.renewed.subscribe();
    loop {
        renewed.mark_unchanged();
        check_lease(&ctx);
        let left = ctx.member.left();
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = tokio::time::sleep(left), if !left.is_zero() => {}
            // An error would mean that the member is gone; this context holds it.
            _ = renewed.changed(), if left.is_zero() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn wall(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    fn member() -> (Arc<Hand>, Member) {
        let hand = Arc::new(Hand::default());
        (hand.clone(), Member::new(hand, Duration::from_secs(15)))
    }

    #[test]
    fn nothing_is_held_before_the_first_heartbeat() {
        let (_, member) = member();
        assert!(!member.holds(member.owner()));
        assert!(!member.lapse(), "there is nothing to lose yet");
    }

    #[test]
    fn the_lease_counts_from_when_the_heartbeat_was_sent() {
        let (hand, member) = member();
        let owner = member.owner();
        hand.0.store(8, Ordering::SeqCst);
        member.renew(owner, Duration::ZERO);
        assert!(member.holds(owner));
        hand.0.store(10, Ordering::SeqCst);
        assert!(!member.holds(owner), "a third of the lease is left, for stopping");
        assert!(member.lapse());
        assert!(!member.lapse(), "noticed once");
    }

    #[test]
    fn an_answer_for_the_lost_incarnation_renews_nothing() {
        let (_, member) = member();
        let lost = member.owner();
        assert!(member.reincarnate(lost));
        assert!(!member.reincarnate(lost), "once");
        member.renew(lost, Duration::ZERO);
        assert!(!member.holds(lost) && !member.holds(member.owner()));
    }
}
