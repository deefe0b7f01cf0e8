//! The broker's own limit: the same work by a plain AMQP loop in this process, on a queue of its own declared alike.

use std::sync::Arc;

use upbeat_shared::clock::Clock;
use upbeat_shared::config::Config;
use upbeat_shared::transport::amqp::raw::{RawLatency, RawLoad, RawQueue};

use super::super::context::unopened;
use super::super::failure::Failure;
use super::QueueKind;
use super::measure::{Latency, Load};
use crate::stack;

/// Messages of the plain loop that wait for their confirmation at a time.
const WINDOW: usize = 1000;
/// Tasks that share its channel.
const TASKS: usize = 16;
/// Deliveries that it has at a time; it acknowledges fifty at once.
const PREFETCH: u16 = 1000;

/// A plain loop against the configured RabbitMQ.
pub(super) struct Baseline {
    queue: RawQueue,
}

/// What the plain loop reaches, in messages a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughput {
    pub(super) publish: f64,
    pub(super) drain: f64,
}

impl Baseline {
    /// `None` where the broker is not RabbitMQ.
    pub(super) async fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        queue: QueueKind,
    ) -> Result<Option<Self>, Failure> {
        let classic = queue == QueueKind::Classic;
        let Some(options) = stack::amqp_options(config, "upbeat bench plain", classic) else {
            return Ok(None);
        };
        let queue = RawQueue::open(&options, clock.clone()).await;
        queue.map(|queue| Some(Self { queue })).map_err(|error| unopened(&error.into()))
    }

    pub(super) async fn throughput(&self, load: &Load) -> Result<Throughput, Failure> {
        let messages = load.tasks as u64;
        let publish = RawLoad { messages, payload_bytes: load.payload, window: WINDOW, tasks: TASKS };
        let publish = self.queue.publish(publish).await?.per_second();
        let drain = self.queue.drain(messages, PREFETCH).await?.per_second();
        Ok(Throughput { publish, drain })
    }

    pub(super) async fn latency(&self, load: &Load) -> Result<Latency, Failure> {
        let seconds = u32::try_from(load.seconds.as_secs()).unwrap_or(u32::MAX).max(1);
        let RawLatency { p50, p99, max, .. } = self.queue.latency(load.rate, seconds).await?;
        Ok(Latency { p50, p99, max })
    }

    pub(super) async fn remove(self) -> Result<(), Failure> {
        Ok(self.queue.remove().await?)
    }
}
