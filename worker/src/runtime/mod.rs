//! What every stage of a worker shares, and the stages around the jobs: consumers, heartbeat, sweep.

pub(crate) mod backoff;
pub(crate) mod cancels;
pub(crate) mod consume;
pub(crate) mod gate;
pub(crate) mod held;
mod prefetch;
pub(crate) mod receipt;
pub(crate) mod sweep;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use upbeat_shared::client::Client;
use upbeat_shared::clock::StoreClock;
use upbeat_shared::hook::HookQueue;
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::run::is_suspect;
use upbeat_shared::telemetry;
use upbeat_shared::transport::{Transport, TransportError};

use crate::health::WorkerHealth;
use crate::job::handlers::Handlers;
use crate::job::told::ToldNames;
use crate::layer::RunLayers;
use crate::member::Member;
use crate::options::WorkerOptions;
use crate::queues::Queues;
use crate::registry::TaskDefinition;
use crate::suspect::{SuspectProgram, Suspects};
use gate::Gate;
use held::Held;

/// How long the ledger may take for one answer. Whatever takes longer may or may not have happened.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the broker may take for one answer.
const TRANSPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Shared by every stage of one worker.
pub(crate) struct Context {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) client: Client,
    pub(crate) options: WorkerOptions,
    pub(crate) handlers: Handlers,
    /// Around every run.
    pub(crate) layers: RunLayers,
    /// Are told of retries and dead tasks.
    pub(crate) hooks: HookQueue,
    pub(crate) told: ToldNames,
    pub(crate) member: Member,
    pub(crate) queues: Arc<Queues>,
    pub(crate) held: Held,
    pub(crate) gate: Gate,
    pub(crate) health: WorkerHealth,
    pub(crate) suspects: Suspects,
    /// Asks for a sweep: an answer of the ledger may have been lost.
    pub(crate) sweep: Notify,
    /// Drops the runs that were told to stop and have not: there is no time left for them.
    pub(crate) drop_runs: CancellationToken,
    /// Calls of the ledger that failed since the last that did not; heartbeats do not count as success, for a ledger
    /// may take them and refuse all else.
    ledger_failures: AtomicU32,
}

impl Context {
    /// Everything that a worker's stages share, before the first heartbeat.
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        store: Store,
        clock: Arc<StoreClock>,
        client: Client,
        handlers: Handlers,
        options: WorkerOptions,
        health: WorkerHealth,
    ) -> Self {
        Self {
            member: Member::new(clock.clock().clone(), options.lease),
            queues: Queues::new(&options.queues, options.concurrency),
            held: Held::default(),
            gate: Gate::new(),
            told: ToldNames::default(),
            suspects: Suspects::new(None, options.suspects),
            sweep: Notify::new(),
            drop_runs: CancellationToken::new(),
            ledger_failures: AtomicU32::new(0),
            transport,
            store,
            clock,
            client,
            options,
            handlers,
            layers: RunLayers::default(),
            hooks: HookQueue::default(),
            health,
        }
    }

    /// With what the program itself brings.
    pub(crate) fn with(self, layers: RunLayers, hooks: HookQueue, suspects: Option<SuspectProgram>) -> Self {
        let suspects = Suspects::new(suspects, self.options.suspects);
        Self { layers, hooks, suspects, ..self }
    }

    /// Whether it runs suspects alone.
    pub(crate) fn isolates(&self) -> bool {
        self.suspects.program().is_some()
    }

    /// Whether a task that saw so many crashes runs in a process of its own.
    pub(crate) fn runs_alone(&self, crashes: u32, task: &TaskDefinition) -> bool {
        let is_suspect = is_suspect(crashes, self.options.max_crashes) && !task.executor.runs_apart();
        if is_suspect && !self.isolates() {
            self.suspects.say_that_there_is_no_way();
        }
        is_suspect && self.isolates()
    }

    /// The monotonic clock.
    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.clock().monotonic()
    }

    /// Asks the ledger something, for so long at most. A failure closes the gate: no work is taken until a heartbeat
    /// succeeds.
    pub(crate) async fn ledger<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        let limit = if call == HEARTBEAT { self.member.renewal_timeout() } else { LEDGER_TIMEOUT };
        let sent = self.monotonic();
        let answer = tokio::time::timeout(limit, answer).await;
        let took = self.monotonic().saturating_sub(sent);
        let answer = answer
            .unwrap_or_else(|_| Err(LedgerError::Unavailable(format!("{call} not answered in {limit:?}"))));
        telemetry::ledger_called(call, answer.is_ok(), took);
        match &answer {
            Ok(_) if call == HEARTBEAT => {}
            Ok(_) => self.ledger_failures.store(0, Ordering::Relaxed),
            Err(error) => self.ledger_failed(call, error),
        }
        answer
    }

    /// How long to wait before the ledger is asked again.
    pub(crate) fn ledger_backoff(&self) -> Duration {
        backoff::after(self.ledger_failures.load(Ordering::Relaxed))
    }

    fn ledger_failed(&self, call: &'static str, error: &LedgerError) {
        self.ledger_failures.fetch_add(1, Ordering::Relaxed);
        self.health.trouble("ledger", error.to_string());
        if self.gate.set_ledger(false) {
            tracing::warn!(call, %error, "the ledger failed; no work is taken until it answers again");
        } else {
            tracing::debug!(call, %error, "the ledger failed");
        }
        if call != HEARTBEAT {
            self.member.nudge();
        }
    }
}

/// The one call by which a worker learns that the ledger is there.
pub(crate) const HEARTBEAT: &str = "heartbeat";

/// Asks the broker something, for a bounded time.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let answer = tokio::time::timeout(TRANSPORT_TIMEOUT, answer).await;
    answer.unwrap_or_else(|_| {
        Err(TransportError::Unavailable(format!("no answer within {TRANSPORT_TIMEOUT:?}")))
    })
}
