//! How a beat behaves.

use std::time::Duration;

use upbeat_shared::hook::Notices;
use upbeat_shared::ledger::Retention;
use upbeat_shared::limit::FairQueues;
use upbeat_shared::member::{LEASE, Role};
use upbeat_shared::message::Limits;
use upbeat_shared::name::Namespace;

/// How a beat behaves. Beats of one namespace should agree on all but the name.
#[derive(Clone, Debug)]
pub struct BeatOptions {
    /// Whose world it serves.
    pub namespace: Namespace,
    /// What members are listed by: `host:pid`, or what the user called it.
    pub name: String,
    /// The program's version, for listings.
    pub version: String,
    /// How long a member's heartbeat may stand still before it is declared lost. The beat's own heartbeat follows it: a
    /// fifth of it, at most a second.
    pub lease: Duration,
    /// A task whose worker was lost so often is dead.
    pub max_crashes: u32,
    /// So long after its instant, an occurrence whose task has not started is overdue, unless its schedule says otherwise.
    pub overdue_after: Duration,
    /// How long finished tasks and occurrences are kept.
    pub retention: Retention,
    /// Entries or schedules in one round trip, at most.
    pub batch: usize,
    /// Into how many parts the schedules are divided; live beats share them.
    pub shards: u32,
    /// How long a part stays with a beat that went silent.
    pub shard_ttl: Duration,
    /// How long a due entry is left to the beat that is publishing it.
    pub entry_lease: Duration,
    /// How long one call of the ledger or the broker may take before it counts as failed.
    pub timeout: Duration,
    /// What a message may cost, for those that come from the undeliverable queue.
    pub limits: Limits,
    /// Which queues are fair: their tasks are published when it is their turn.
    pub fair: FairQueues,
    /// Which events become tasks that tell the operator.
    pub notices: Notices,
}

impl Default for BeatOptions {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            name: format!("beat:{}", std::process::id()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lease: LEASE,
            max_crashes: 3,
            overdue_after: Duration::from_secs(60),
            retention: Retention::default(),
            batch: 500,
            shards: 16,
            shard_ttl: Duration::from_secs(3),
            entry_lease: Duration::from_secs(10),
            timeout: Duration::from_secs(8),
            limits: Limits::default(),
            fair: FairQueues::default(),
            notices: Notices::default(),
        }
    }
}

impl BeatOptions {
    /// The time between two heartbeats.
    pub(super) fn heartbeat(&self) -> Duration {
        Role::Beat.renewal(self.lease)
    }

    /// Options that cannot stall or spin a loop, whatever was written.
    pub(super) fn sound(mut self) -> Self {
        self.batch = self.batch.clamp(1, 10_000);
        self.shards = self.shards.clamp(1, 4096);
        self.shard_ttl = self.shard_ttl.max(Duration::from_millis(100));
        self.lease = self.lease.max(Duration::from_millis(100));
        self.timeout = self.timeout.max(Duration::from_millis(100));
        self.max_crashes = self.max_crashes.max(1);
        self
    }
}
