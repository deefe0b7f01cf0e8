//! RabbitMQ, as the configuration describes it.

use std::sync::Arc;

use upbeat_shared::clock::Clock;
use upbeat_shared::config::{Config, ServiceUrl};
use upbeat_shared::transport::Transport;
#[cfg(feature = "amqp")]
use upbeat_shared::transport::amqp::{AmqpOptions, AmqpTransport, QueueType};

use super::OpenError;

#[cfg(feature = "amqp")]
pub(super) async fn open(
    config: &Config,
    url: &ServiceUrl,
    clock: Arc<dyn Clock>,
    name: &str,
    classic: bool,
) -> Result<Arc<dyn Transport>, OpenError> {
    Ok(AmqpTransport::open(named(config, url, name, classic), clock).await?)
}

/// How the configured broker is reached by somebody of this name.
#[cfg(feature = "amqp")]
pub(super) fn named(config: &Config, url: &ServiceUrl, name: &str, classic: bool) -> AmqpOptions {
    let mut options = options(config, url);
    name.clone_into(&mut options.name);
    if classic {
        options.queue_type = QueueType::Classic;
    }
    options
}

#[cfg(feature = "amqp")]
fn options(config: &Config, url: &ServiceUrl) -> AmqpOptions {
    let mut options = AmqpOptions::new(url.clone(), config.namespace.clone());
    options.declare = config.broker.declare;
    options.tls = config.broker.tls.clone();
    options.management.clone_from(&config.broker.management);
    options
}

/// Removes what this namespace has at the broker.
#[cfg(all(feature = "amqp", feature = "cli"))]
pub(super) async fn remove(
    config: &Config,
    url: &ServiceUrl,
    clock: Arc<dyn Clock>,
) -> Result<(), OpenError> {
    let queues = [upbeat_shared::name::QueueName::default_queue()];
    Ok(AmqpTransport::remove(options(config, url), &queues, clock).await?)
}

#[cfg(not(feature = "amqp"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
pub(super) async fn open(
    _config: &Config,
    url: &ServiceUrl,
    _clock: Arc<dyn Clock>,
    _name: &str,
    _classic: bool,
) -> Result<Arc<dyn Transport>, OpenError> {
    Err(OpenError::no_adapter(url))
}

#[cfg(all(not(feature = "amqp"), feature = "cli"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
pub(super) async fn remove(
    _config: &Config,
    url: &ServiceUrl,
    _clock: Arc<dyn Clock>,
) -> Result<(), OpenError> {
    Err(OpenError::no_adapter(url))
}
