//! A build without AMQP has no plain AMQP loop to compare with.

use std::sync::Arc;

use upbeat_shared::clock::Clock;
use upbeat_shared::config::Config;

use super::super::failure::Failure;
use super::QueueKind;
use super::measure::{Latency, Load};

/// There is none.
pub(super) enum Baseline {}

/// What it would reach, in messages a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughput {
    pub(super) publish: f64,
    pub(super) drain: f64,
}

#[allow(clippy::unused_async, reason = "called where the build with AMQP waits")]
impl Baseline {
    pub(super) async fn open(
        _config: &Config,
        _clock: &Arc<dyn Clock>,
        _queue: QueueKind,
    ) -> Result<Option<Self>, Failure> {
        Ok(None)
    }

    pub(super) async fn throughput(&self, _load: &Load) -> Result<Throughput, Failure> {
        match *self {}
    }

    pub(super) async fn latency(&self, _load: &Load) -> Result<Latency, Failure> {
        match *self {}
    }

    pub(super) async fn remove(self) -> Result<(), Failure> {
        match self {}
    }
}
