//! The broker's own limit: the same work by a plain AMQP loop.

use std::time::Duration;

use upbeat_shared::config::Config;

use super::super::failure::Failure;
use super::QueueKind;
use super::measure::Load;

/// A plain loop against the configured RabbitMQ.
pub(super) struct Baseline {}

/// What the plain loop reaches, in messages a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughput {
    pub(super) publish: f64,
    pub(super) drain: f64,
}

impl Baseline {
    pub(super) fn of(_config: &Config, _queue: QueueKind) -> Option<Self> {
        None
    }

    pub(super) async fn throughput(&self, _load: &Load) -> Result<Throughput, Failure> {
        Err(Failure::failed("no plain loop"))
    }

    pub(super) async fn latency(&self, _load: &Load) -> Result<Vec<Duration>, Failure> {
        Err(Failure::failed("no plain loop"))
    }
}
