//! The beat and the worker of a process, and their end.

use std::fmt;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
#[cfg(feature = "beat")]
use upbeat_broker::{Beat, BeatOptions};
use upbeat_worker::{Registry, Worker, WorkerOptions};

use super::RoleError;
use super::health::Readiness;
use crate::app::Program;
use crate::stack::Stack;

/// How often a start is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A beat over a world's ports, with the program's hooks.
#[cfg(feature = "beat")]
pub(crate) fn beat(stack: &Stack, program: &Program, options: BeatOptions) -> Beat {
    let Stack { transport, store, clock, .. } = stack.clone();
    Beat::new(transport, store, clock, options).hooks(program.hooks.clone())
}

/// A worker over a world's ports, with the program's layers and hooks.
pub(crate) fn worker(stack: &Stack, program: &Program, registry: Registry, options: WorkerOptions) -> Worker {
    let Stack { transport, store, clock, client } = stack.clone();
    let worker = Worker::new(transport, store, clock, client, registry, options);
    let worker = worker.layers(program.run_layers.clone()).hooks(program.hooks.clone());
    match &program.suspects {
        Some(suspects) => worker.suspects(suspects.clone()),
        None => worker,
    }
}

/// The roles that run. Dropping it ends them at once.
pub(crate) struct Members {
    /// Asks the roles to finish.
    stop: CancellationToken,
    readiness: Readiness,
    roles: JoinSet<(&'static str, Result<(), RoleError>)>,
}

impl Members {
    /// Without roles yet.
    pub(crate) fn new(stack: &Stack) -> Self {
        let readiness = Readiness::new(stack.store.clone(), stack.transport.clone());
        Self { stop: CancellationToken::new(), readiness, roles: JoinSet::new() }
    }

    #[cfg(feature = "beat")]
    pub(crate) fn start_beat(&mut self, stack: &Stack, program: &Program, options: BeatOptions) {
        let beat = beat(stack, program, options);
        let health = beat.health();
        self.readiness.role("beat", move || health.why_not().into_iter().collect());
        let stop = self.stop.clone();
        self.roles.spawn(async move {
            let ended = beat.run(stop).await;
            ("beat", ended.map_err(Into::into))
        });
    }

    pub(crate) fn start_worker(
        &mut self,
        stack: &Stack,
        program: &Program,
        registry: Registry,
        options: WorkerOptions,
    ) {
        let worker = worker(stack, program, registry, options);
        let health = worker.health();
        self.readiness.role("worker", move || health.why_not());
        let stop = self.stop.clone();
        self.roles.spawn(async move {
            let ended = worker.run(stop).await;
            ("worker", ended.map(|_report| ()).map_err(Into::into))
        });
    }

    /// Whether they do their work.
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Cancelled when the roles are to finish; whoever cancels it asks them to.
    #[cfg(feature = "cli")]
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits until every role does its work, or one ends, or for `at_most`; answers whether they do.
    pub(crate) async fn until_ready(&self, at_most: Duration) -> bool {
        let all = self.roles.len();
        let ready = async {
            while !self.readiness.why_not().await.is_empty() {
                if self.roles.len() < all {
                    return false;
                }
                tokio::time::sleep(LOOK).await;
            }
            true
        };
        let waited = tokio::time::timeout(at_most, self.stop.run_until_cancelled(ready)).await;
        if waited.is_err() {
            let why_not = self.readiness.why_not().await.join("; ");
            tracing::warn!(why_not, "not ready yet; going on trying");
        }
        matches!(waited, Ok(Some(true)))
    }

    /// Asks the roles to finish.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every role has ended: all finish when one cannot go on. Cancel-safe.
    pub(crate) async fn until_ended(&mut self) -> Result<(), RoleError> {
        let mut first = Ok(());
        while let Some(ended) = self.roles.join_next().await {
            let asked = self.stop.is_cancelled();
            let ended = match ended {
                Ok((_, Err(error))) => Err(error),
                Ok((role, Ok(()))) if !asked => Err(RoleError::Ended(role)),
                Ok((_, Ok(()))) => Ok(()),
                Err(panic) => Err(RoleError::Panicked(panic.to_string())),
            };
            if first.is_ok() {
                first = ended;
            }
            self.stop.cancel();
        }
        first
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("roles", &self.roles.len()).finish_non_exhaustive()
    }
}
