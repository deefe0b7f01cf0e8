//! A world of a benchmark's own: a namespace that nobody else uses, removed at the end.

use std::sync::Arc;
use std::time::Duration;

use upbeat_broker::{Beat, BeatOptions};
use upbeat_shared::client::{Client, ClientOptions};
use upbeat_shared::clock::Clock;
use upbeat_shared::config::Config;
use upbeat_shared::limit::FairQueues;
use upbeat_shared::name::{Namespace, QueueName};
use upbeat_shared::task::TaskState;
use upbeat_worker::{Registry, Worker, WorkerOptions};

use super::super::context::unopened;
use super::super::failure::Failure;
use super::QueueKind;
use crate::roles;
use crate::stack::{Stack, remove_world};

/// Broker and ledger of the configuration, in a namespace of their own.
pub(super) struct World {
    config: Config,
    stack: Stack,
}

/// The configuration with a namespace that nobody else uses.
pub(super) fn config(config: &Config) -> Result<Config, Failure> {
    let namespace = Namespace::new(format!("bench-{}", std::process::id()));
    let namespace = namespace.map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Config { namespace, queues: std::collections::BTreeMap::new(), ..config.clone() })
}

impl World {
    pub(super) async fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        queue: QueueKind,
    ) -> Result<Self, Failure> {
        let name = roles::connection_name(config, "bench");
        let stack = Stack::open_with(config, clock.clone(), &name, queue == QueueKind::Classic).await;
        let stack = stack.map_err(|error| unopened(&error))?;
        stack.transport.declare(&[QueueName::default_queue()]).await?;
        Ok(Self { config: config.clone(), stack })
    }

    pub(super) fn client(&self) -> &Client {
        &self.stack.client
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        self.stack.clock.clock()
    }

    /// Broker and ledger, in words.
    pub(super) fn describe(&self) -> (String, String) {
        (self.stack.transport.describe(), self.stack.store.schema.describe())
    }

    /// A client to which the queue is fair.
    pub(super) fn fair_client(&self, fair: FairQueues) -> Client {
        let Stack { transport, store, clock, client } = self.stack.clone();
        Client::new(transport, store, clock, ClientOptions { fair, ..client.options().clone() })
    }

    /// A beat to which it is.
    pub(super) fn beat(&self, fair: FairQueues) -> Beat {
        let Stack { transport, store, clock, .. } = self.stack.clone();
        let namespace = self.config.namespace.clone();
        Beat::new(transport, store, clock, BeatOptions { namespace, fair, ..BeatOptions::default() })
    }

    pub(super) fn worker(&self, registry: Registry, concurrency: u32) -> Worker {
        let Stack { transport, store, clock, client } = self.stack.clone();
        let options = WorkerOptions {
            namespace: self.config.namespace.clone(),
            concurrency,
            lease: self.config.ledger.lease,
            limits: self.config.limits,
            ..WorkerOptions::default()
        };
        Worker::new(transport, store, clock, client, registry, options)
    }

    /// How many tasks have succeeded, by the ledger's own counts.
    pub(super) async fn settled(&self) -> Result<u64, Failure> {
        let queues = self.stack.store.inspect.queues().await?;
        let counts = queues.iter().flat_map(|queue| &queue.counts);
        Ok(counts.filter(|(state, _)| *state == TaskState::Succeeded).map(|(_, count)| count).sum())
    }

    /// Removes everything that it made.
    pub(super) async fn remove(self) -> Result<(), Failure> {
        let Self { config, stack } = self;
        remove_world(&config, stack).await.map_err(|error| unopened(&error))
    }
}

/// Processor time of this process so far, where the system tells.
#[cfg(target_os = "linux")]
pub(super) fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in brackets, may hold spaces: count from its end.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn cpu() -> Option<Duration> {
    None
}
