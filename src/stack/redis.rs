//! Redis, as the configuration describes it.

use upbeat_shared::config::{Config, ServiceUrl};
use upbeat_shared::ledger::Store;
#[cfg(feature = "redis")]
use upbeat_shared::ledger::redis::{RedisLedger, RedisOptions};

use super::OpenError;

#[cfg(feature = "redis")]
pub(super) async fn open(config: &Config, url: &ServiceUrl, name: &str) -> Result<Store, OpenError> {
    let mut options = options(config, url);
    name.clone_into(&mut options.name);
    Ok(Store::from_adapter(RedisLedger::open(options).await?))
}

#[cfg(feature = "redis")]
fn options(config: &Config, url: &ServiceUrl) -> RedisOptions {
    let mut options = RedisOptions::new(url.clone(), config.namespace.clone());
    options.connections = config.ledger.connections;
    options.tls = config.ledger.tls.clone();
    options.stale_after = config.retention.stale_after();
    options
}

/// Removes what this namespace has on the server.
#[cfg(all(feature = "redis", feature = "cli"))]
pub(super) async fn remove(config: &Config, url: &ServiceUrl) -> Result<(), OpenError> {
    Ok(RedisLedger::remove(options(config, url)).await?)
}

#[cfg(not(feature = "redis"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
pub(super) async fn open(_config: &Config, url: &ServiceUrl, _name: &str) -> Result<Store, OpenError> {
    Err(OpenError::no_adapter(url))
}

#[cfg(all(not(feature = "redis"), feature = "cli"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
pub(super) async fn remove(_config: &Config, url: &ServiceUrl) -> Result<(), OpenError> {
    Err(OpenError::no_adapter(url))
}
