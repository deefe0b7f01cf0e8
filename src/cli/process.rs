//! The roles that run in this process, their end, and what is told about them meanwhile.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use upbeat_broker::{Beat, BeatOptions};
use upbeat_shared::config::Config;
use upbeat_shared::telemetry;
use upbeat_worker::{Registry, Worker, WorkerOptions};

use super::failure::Failure;
use super::output::Output;
use super::signals::Signals;
use crate::ops::{self, Endpoints, Metrics, Readiness};
use crate::stack::Stack;

/// How often a start is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What runs. Dropping it ends everything at once.
pub(crate) struct Process {
    /// Asks the roles to finish.
    stop: CancellationToken,
    /// Ends health and metrics, after the roles.
    closing: CancellationToken,
    readiness: Readiness,
    /// `None` where nobody asks for them, or the program has a recorder of its own.
    metrics: Option<Metrics>,
    roles: JoinSet<(&'static str, Result<(), Failure>)>,
    serving: JoinSet<()>,
    signals: JoinHandle<()>,
}

impl Process {
    /// Without roles yet; takes over the signals.
    pub(crate) fn new(stack: &Stack, output: Output) -> Result<Self, Failure> {
        let stop = CancellationToken::new();
        let signals = tokio::spawn(Signals::take()?.watch(stop.clone(), output));
        Ok(Self {
            stop,
            closing: CancellationToken::new(),
            readiness: Readiness::new(stack.store.clone(), stack.transport.clone()),
            metrics: None,
            roles: JoinSet::new(),
            serving: JoinSet::new(),
            signals,
        })
    }

    /// Measures from here on. Before any role is started: what a role counts, it counts where the recorder is then.
    pub(crate) fn measure(&mut self, config: &Config) {
        match Metrics::install() {
            Ok(metrics) => self.metrics = Some(metrics),
            Err(error) => tracing::info!(%error, "metrics go to the program's own recorder"),
        }
        telemetry::know_queues(config.queues.keys());
        telemetry::know_queues(config.worker.queues.iter().map(|(queue, _)| queue));
        telemetry::know_queues(config.tasks.values().map(|task| &task.queue));
        telemetry::know_queues(config.schedules.iter().map(|schedule| &schedule.definition.task.queue));
    }

    pub(crate) fn start_beat(&mut self, stack: &Stack, options: BeatOptions) {
        let beat = Beat::new(stack.transport.clone(), stack.store.clone(), stack.clock.clone(), options);
        let health = beat.health();
        self.readiness.role("beat", move || health.why_not().into_iter().collect());
        let stop = self.stop.clone();
        self.roles.spawn(async move {
            let ended = beat.run(stop).await;
            ("beat", ended.map_err(Into::into))
        });
    }

    pub(crate) fn start_worker(&mut self, stack: &Stack, registry: Registry, options: WorkerOptions) {
        let worker = Worker::new(
            stack.transport.clone(),
            stack.store.clone(),
            stack.clock.clone(),
            stack.client.clone(),
            registry,
            options,
        );
        let health = worker.health();
        self.readiness.role("worker", move || health.why_not());
        let stop = self.stop.clone();
        self.roles.spawn(async move {
            let ended = worker.run(stop).await;
            ("worker", ended.map(|_report| ()).map_err(Into::into))
        });
    }

    /// Serves health and metrics of the roles started before.
    pub(crate) fn serve(&mut self, listener: TcpListener, echo: bool) {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "serving health and metrics");
        }
        let metrics = self.metrics.take();
        let endpoints = Endpoints { readiness: self.readiness.clone(), metrics: metrics.clone(), echo };
        let closing = self.closing.clone();
        self.serving.spawn(async move {
            if let Err(error) = ops::serve(listener, endpoints, closing).await {
                tracing::error!(%error, "health and metrics are not served any more");
            }
        });
        if let Some(metrics) = metrics {
            self.serving.spawn(metrics.keep_up(self.closing.clone()));
        }
    }

    /// Waits until every role does its work, or one ends, or for `at_most`.
    pub(crate) async fn until_ready(&self, at_most: Duration) {
        let all = self.roles.len();
        let ready = async {
            while !self.readiness.why_not().await.is_empty() && self.roles.len() == all {
                tokio::time::sleep(LOOK).await;
            }
        };
        let waited = tokio::time::timeout(at_most, self.stop.run_until_cancelled(ready)).await;
        if waited.is_err() {
            let why_not = self.readiness.why_not().await.join("; ");
            tracing::warn!(why_not, "not ready yet; going on trying");
        }
    }

    /// Asks the roles to finish.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every role has ended: all finish when one cannot go on.
    pub(crate) async fn until_ended(mut self) -> Result<(), Failure> {
        let mut first = Ok(());
        while let Some(ended) = self.roles.join_next().await {
            let asked = self.stop.is_cancelled();
            let ended = match ended {
                Ok((_, Err(failure))) => Err(failure),
                Ok((role, Ok(()))) if !asked => Err(broken(format!("the {role} ended by itself"))),
                Ok((_, Ok(()))) => Ok(()),
                Err(panic) => Err(broken(format!("a role panicked: {panic}"))),
            };
            if first.is_ok() {
                first = ended;
            }
            self.stop.cancel();
        }
        self.closing.cancel();
        while self.serving.join_next().await.is_some() {}
        self.signals.abort();
        first
    }
}

/// What should not be possible.
fn broken(message: String) -> Failure {
    Failure::failed(message).page("defect")
}
