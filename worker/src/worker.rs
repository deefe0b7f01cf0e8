//! The life of a worker: it joins, works, drains and leaves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use upbeat_shared::client::Client;
use upbeat_shared::clock::{Clock, StoreClock};
use upbeat_shared::hook::{HookQueue, Hooks};
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::name::QueueName;
use upbeat_shared::telemetry;
use upbeat_shared::transport::{Transport, TransportError};

use crate::executor::blocking::Pool;
use crate::health::WorkerHealth;
use crate::job::handlers::Handlers;
use crate::job::verdict::StopReason;
use crate::job::{self, Stages, settle};
use crate::layer::RunLayers;
use crate::member;
use crate::options::WorkerOptions;
use crate::registry::Registry;
use crate::runtime::{Context, backoff, cancels, consume, in_time, receipt, sweep};
#[cfg(feature = "testing")]
use crate::stepper::Stepper;
use crate::suspect::SuspectProgram;

/// What health calls the broker as a whole.
const BROKER: &str = "broker";
/// Verdicts between run and settle, at most. More wait in their slots.
const MAX_FINISHED: usize = 1024;
/// Batches of deliveries between settle and acknowledgement, at most.
const MAX_ACKS: usize = 64;
/// How long runs may take to obey when the worker stops: of a pod's 30 s, the worker takes 25 to finish.
const STOP_WAIT: Duration = Duration::from_secs(2);
/// How long runs that are dropped may take to be gone.
const DROP_WAIT: Duration = Duration::from_secs(1);
/// How long the last verdicts may take to be settled when the worker stops, and how long leaving may take. They are not
/// lost if that is too short: their rows are given to another worker.
const SETTLE_WAIT: Duration = Duration::from_secs(2);
/// How long hooks may take for what they were told last.
const HOOKS_WAIT: Duration = Duration::from_secs(1);

/// Why a worker ended that was not told to, or could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Its options cannot work.
    #[error("{0}")]
    Options(String),
    /// The ledger is not as it must be; a person must act. One that is merely away is waited for.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The broker is not as it must be; a person must act. One that is merely away is waited for.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A defect in the worker itself.
    #[error("a part of the worker ended by itself: {0}; this is a defect, please report it")]
    Broken(String),
}

impl WorkerError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Options(_) => "worker-options",
            Self::Ledger(error) => error.page(),
            Self::Transport(error) => error.page(),
            Self::Broken(_) => "defect",
        }
    }
}

/// What a worker did, told when it has stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerReport {
    /// Runs that were told to stop because the time to finish was over.
    pub stopped: u64,
    /// Runs that did not obey. The worker left them to its process's end; their tasks run again elsewhere.
    pub abandoned: u64,
    /// Claims whose verdict could not be settled in time; a beat gives them to another worker.
    pub unsettled: u64,
}

/// Takes messages from queues and runs them, each once.
///
/// It owns nothing that matters: everything it has accepted is in the ledger or still with the broker, so it may be
/// killed at any moment.
pub struct Worker {
    transport: Arc<dyn Transport>,
    store: Store,
    clock: Arc<StoreClock>,
    client: Client,
    registry: Registry,
    options: WorkerOptions,
    layers: RunLayers,
    hooks: Hooks,
    suspects: Option<SuspectProgram>,
    health: WorkerHealth,
}

impl Worker {
    /// A worker over these ports. `clock` and `client` may be shared with others in the process.
    pub fn new(
        transport: Arc<dyn Transport>,
        store: Store,
        clock: Arc<StoreClock>,
        client: Client,
        registry: Registry,
        options: WorkerOptions,
    ) -> Self {
        Self {
            transport,
            store,
            clock,
            client,
            registry,
            options,
            layers: RunLayers::default(),
            hooks: Hooks::default(),
            suspects: None,
            health: WorkerHealth::new(),
        }
    }

    /// With these layers around every run; none unless told.
    pub fn layers(mut self, layers: RunLayers) -> Self {
        self.layers = layers;
        self
    }

    /// With these hooks, which it calls while it runs; none unless told.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// With this program, in which it runs suspects alone; among the others unless told.
    pub fn suspects(mut self, program: SuspectProgram) -> Self {
        self.suspects = Some(program);
        self
    }

    /// Its state, to be asked at any time, also after it has stopped.
    pub fn health(&self) -> WorkerHealth {
        self.health.clone()
    }

    /// Works until `stop` is cancelled. Then it takes no more work, lets what runs finish within the grace period, gives
    /// back the rest, and leaves. Dropping the future stops everything at once, as a kill would.
    pub async fn run(self, stop: CancellationToken) -> Result<WorkerReport, WorkerError> {
        let health = self.health.clone();
        let result = self.work(stop).await;
        health.stopped();
        result
    }

    /// Joins, as [`Worker::run`] does, and then does one thing at a time, when it is told to.
    #[cfg(feature = "testing")]
    pub async fn stepper(self) -> Result<Stepper, WorkerError> {
        let (ctx, hooks) = self.into_context(Hooks::by_hand)?;
        join(&ctx).await?;
        ctx.health.started();
        Ok(Stepper::new(ctx, hooks))
    }

    /// What its stages share, if its options can work, and what calls its hooks.
    fn into_context<C>(
        self,
        start: impl FnOnce(Hooks, Arc<dyn Clock>) -> (HookQueue, C),
    ) -> Result<(Arc<Context>, C), WorkerError> {
        self.options.check().map_err(WorkerError::Options)?;
        let Self { transport, store, clock, client, registry, options, layers, hooks, suspects, health } =
            self;
        know_queues(&options, &registry);
        let options = WorkerOptions { policies: registry.limits(options.policies.clone()), ..options };
        let (queue, calls) = start(hooks, clock.clock().clone());
        let handlers = Handlers::new(&registry, threads(&options, &registry)?);
        let ctx = Context::new(transport, store, clock, client, handlers, options, health);
        Ok((Arc::new(ctx.with(layers, queue, suspects)), calls))
    }

    async fn work(self, stop: CancellationToken) -> Result<WorkerReport, WorkerError> {
        let (ctx, calling) = self.into_context(Hooks::start)?;
        let joined = stop.run_until_cancelled(join(&ctx)).await;
        let Some(joined) = joined else { return Ok(WorkerReport::default()) };
        joined?;
        tracing::info!(
            name = ctx.options.name,
            queues = ?ctx.options.queues,
            concurrency = ctx.options.concurrency,
            tasks = ctx.handlers.len(),
            "the worker is ready"
        );
        ctx.health.started();
        ctx.handlers.slots().increment(f64::from(ctx.options.concurrency));
        let mut parts = Parts::start(&ctx);
        let broken = tokio::select! {
            // Told to stop, parts end one by one; only what ends before that is a defect.
            biased;
            () = stop.cancelled() => None,
            part = parts.one_ended() => Some(part),
        };
        let report = parts.stop(&ctx).await;
        calling.stop(HOOKS_WAIT).await;
        ctx.handlers.slots().decrement(f64::from(ctx.options.concurrency));
        broken.map_or(Ok(report), |part| Err(WorkerError::Broken(part)))
    }
}

/// The queues that this worker takes from and publishes to by its own settings are counted by their names.
fn know_queues(options: &WorkerOptions, registry: &Registry) {
    telemetry::know_queues(options.queues.iter().map(|(queue, _)| queue));
    telemetry::know_queues(registry.tasks().filter_map(|task| task.queue.as_ref()));
    telemetry::know_queues([&QueueName::undeliverable()]);
}

/// Threads for handlers that block, where there are such handlers.
fn threads(options: &WorkerOptions, registry: &Registry) -> Result<Option<Pool>, WorkerError> {
    if !registry.tasks().any(|task| task.executor.is_blocking()) {
        return Ok(None);
    }
    let count = options.blocking_threads;
    let started = Pool::start(count).map_err(|error| {
        WorkerError::Options(format!(
            "cannot start {count} threads for handlers that block: {error}; set fewer with `blocking_threads`"
        ))
    });
    started.map(Some)
}

/// Waits until the ledger knows this worker and the broker has its queues.
async fn join(ctx: &Context) -> Result<(), WorkerError> {
    let mut failures = 0;
    loop {
        let joined = match member::renew(ctx).await {
            Ok(()) => declare(ctx).await,
            Err(error) => Err(error.into()),
        };
        match joined {
            Ok(()) => return Ok(()),
            Err(WorkerError::Ledger(LedgerError::Unavailable(_))) => {}
            Err(WorkerError::Transport(
                error @ (TransportError::Unavailable(_) | TransportError::ConsumerLost(_)),
            )) => {
                ctx.health.trouble(BROKER, error.to_string());
                tracing::warn!(%error, "the broker is away; waiting for it");
            }
            Err(error) => return Err(error),
        }
        failures += 1;
        tokio::time::sleep(backoff::after(failures)).await;
    }
}

async fn declare(ctx: &Context) -> Result<(), WorkerError> {
    let mut queues = ctx.queues.names().to_vec();
    queues.push(QueueName::undeliverable());
    in_time(ctx.transport.declare(&queues)).await?;
    ctx.health.well(BROKER);
    Ok(())
}

/// Everything that a worker has spawned. Dropping it ends it all.
struct Parts {
    consumers: JoinSet<()>,
    dispatcher: JoinSet<()>,
    /// Settles and acknowledges; ends by itself when nothing can come any more.
    settler: JoinSet<()>,
    /// Heartbeat, lease and sweep.
    watch: JoinSet<()>,
    runs: TaskTracker,
    dispatch_done: CancellationToken,
    watch_done: CancellationToken,
    /// Stops the runs, which the tracker only counts.
    guard: DropGuard,
}

/// Tells every run to stop when a worker's future is dropped.
struct DropGuard(Arc<Context>);

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.held.stop_all(StopReason::Shutdown);
        self.0.drop_runs.cancel();
    }
}

impl Parts {
    fn start(ctx: &Arc<Context>) -> Self {
        let mut parts = Self {
            consumers: JoinSet::new(),
            dispatcher: JoinSet::new(),
            settler: JoinSet::new(),
            watch: JoinSet::new(),
            runs: TaskTracker::new(),
            dispatch_done: CancellationToken::new(),
            watch_done: CancellationToken::new(),
            guard: DropGuard(ctx.clone()),
        };
        let (finished, verdicts) = mpsc::channel(MAX_FINISHED.min(ctx.options.concurrency as usize));
        let (acks, done) = mpsc::channel(MAX_ACKS);
        parts.settler.spawn(settle::settle_forever(ctx.clone(), verdicts, acks.clone()));
        parts.settler.spawn(receipt::acknowledge_forever(done));
        let stages = Stages { runs: parts.runs.clone(), finished, acks };
        parts.dispatcher.spawn(job::dispatch(ctx.clone(), stages, parts.dispatch_done.clone()));
        parts.watch.spawn(member::renew_forever(ctx.clone(), parts.watch_done.clone()));
        parts.watch.spawn(member::guard_forever(ctx.clone(), parts.watch_done.clone()));
        parts.watch.spawn(sweep::sweep_forever(ctx.clone(), parts.watch_done.clone()));
        parts.watch.spawn(cancels::watch_forever(ctx.clone(), parts.watch_done.clone()));
        for line in 0..ctx.queues.names().len() {
            parts.consumers.spawn(consume::consume_forever(ctx.clone(), line));
        }
        parts
    }

    /// Answers when a part has ended that should not: it panicked.
    async fn one_ended(&mut self) -> String {
        let ended = tokio::select! {
            biased;
            Some(ended) = self.consumers.join_next() => ended,
            Some(ended) = self.dispatcher.join_next() => ended,
            Some(ended) = self.settler.join_next() => ended,
            Some(ended) = self.watch.join_next() => ended,
        };
        ended.err().map_or_else(|| "it returned".to_owned(), |error| error.to_string())
    }

    /// From the first step to the last: take no more, finish, settle, leave.
    async fn stop(mut self, ctx: &Arc<Context>) -> WorkerReport {
        tracing::info!(running = ctx.health.running(), grace = ?ctx.options.grace, "the worker stops");
        let since = ctx.monotonic();
        ctx.health.stopping();
        ctx.gate.stop();
        ctx.member.nudge();
        // Each of their awaits is bounded, and so are these joins.
        all(&mut self.consumers).await;
        self.dispatch_done.cancel();
        all(&mut self.dispatcher).await;
        let grace = (since + ctx.options.grace).saturating_sub(ctx.monotonic());
        let mut report = self.finish_runs(ctx, grace).await;
        if tokio::time::timeout(SETTLE_WAIT, all(&mut self.settler)).await.is_err() {
            self.settler.abort_all();
        }
        report.unsettled = (ctx.held.len() as u64).saturating_sub(report.abandoned);
        self.watch_done.cancel();
        all(&mut self.watch).await;
        leave(ctx, &report).await;
        drop(self.guard);
        tracing::info!(?report, "the worker has stopped");
        report
    }

    async fn finish_runs(&self, ctx: &Context, grace: Duration) -> WorkerReport {
        self.runs.close();
        let mut report = WorkerReport::default();
        if tokio::time::timeout(grace, self.runs.wait()).await.is_ok() {
            return report;
        }
        report.stopped = self.runs.len() as u64;
        tracing::warn!(
            running = report.stopped,
            "the time to finish is over: what still runs is stopped and given back"
        );
        ctx.held.stop_all(StopReason::Shutdown);
        if tokio::time::timeout(STOP_WAIT, self.runs.wait()).await.is_ok() {
            return report;
        }
        ctx.drop_runs.cancel();
        if tokio::time::timeout(DROP_WAIT, self.runs.wait()).await.is_err() {
            report.abandoned = self.runs.len() as u64;
            tracing::error!(
                running = report.abandoned,
                "handlers that block their thread cannot be stopped; they are left to the end of the process"
            );
        }
        report
    }
}

/// Takes back the worker's name. Not while a handler still runs in it: leaving would let another worker start its task.
async fn leave(ctx: &Context, report: &WorkerReport) {
    if report.abandoned > 0 {
        return;
    }
    let left = ctx.ledger("leave", ctx.store.ledger.leave(ctx.member.owner()));
    if !matches!(tokio::time::timeout(SETTLE_WAIT, left).await, Ok(Ok(()))) {
        tracing::warn!("could not leave in good order; a beat will notice that this worker is gone");
    }
}

/// Waits for every task of a set.
async fn all(set: &mut JoinSet<()>) {
    while let Some(ended) = set.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "a part of the worker panicked");
        }
    }
}
