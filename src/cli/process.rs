//! The roles that run in this process, their end, and what is told about them meanwhile.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use upbeat_shared::config::Config;
use upbeat_shared::telemetry;

use super::failure::Failure;
use super::output::Output;
use super::signals::Signals;
use crate::ops::{self, Endpoints, Metrics};
use crate::roles::Members;
use crate::stack::Stack;

/// What runs. Dropping it ends everything at once.
pub(crate) struct Process {
    members: Members,
    /// Ends health and metrics, after the roles.
    closing: CancellationToken,
    /// `None` where nobody asks for them, or the program has a recorder of its own.
    metrics: Option<Metrics>,
    serving: JoinSet<()>,
    signals: JoinHandle<()>,
}

impl Process {
    /// Without roles yet; takes over the signals.
    pub(crate) fn new(stack: &Stack, output: Output) -> Result<Self, Failure> {
        let members = Members::new(stack);
        let signals = tokio::spawn(Signals::take()?.watch(members.stopping().clone(), output));
        Ok(Self {
            members,
            closing: CancellationToken::new(),
            metrics: None,
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

    /// The roles, to start them.
    pub(crate) fn members(&mut self) -> &mut Members {
        &mut self.members
    }

    /// Serves health and metrics of the roles started before.
    pub(crate) fn serve(&mut self, listener: TcpListener, echo: bool) {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "serving health and metrics");
        }
        let metrics = self.metrics.take();
        let endpoints =
            Endpoints { readiness: self.members.readiness().clone(), metrics: metrics.clone(), echo };
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
        self.members.until_ready(at_most).await;
    }

    /// Asks the roles to finish.
    pub(crate) fn stop(&self) {
        self.members.stop();
    }

    /// Waits until every role has ended: all finish when one cannot go on.
    pub(crate) async fn until_ended(mut self) -> Result<(), Failure> {
        let ended = self.members.until_ended().await;
        self.closing.cancel();
        while self.serving.join_next().await.is_some() {}
        self.signals.abort();
        ended.map_err(Into::into)
    }
}
