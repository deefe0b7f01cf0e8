//! Postgres, as the configuration describes it.

use upbeat_shared::config::{Config, ServiceUrl};
use upbeat_shared::ledger::Store;
#[cfg(all(feature = "postgres", feature = "cli"))]
use upbeat_shared::ledger::postgres;
#[cfg(feature = "postgres")]
use upbeat_shared::ledger::postgres::{PostgresLedger, PostgresOptions};

use super::OpenError;

#[cfg(feature = "postgres")]
pub(super) async fn open(config: &Config, url: &ServiceUrl, name: &str) -> Result<Store, OpenError> {
    let mut options = options(config, url);
    name.clone_into(&mut options.name);
    Ok(Store::from_adapter(PostgresLedger::open(options).await?))
}

#[cfg(feature = "postgres")]
fn options(config: &Config, url: &ServiceUrl) -> PostgresOptions {
    let mut options = PostgresOptions::new(url.clone(), config.namespace.clone());
    options.connections = config.ledger.connections;
    options.tls = config.ledger.tls.clone();
    options.stale_after = config.retention.stale_after();
    options
}

#[cfg(all(feature = "postgres", feature = "cli"))]
#[allow(clippy::unnecessary_wraps, reason = "a build without the adapter has none")]
pub(super) fn migrations_sql(config: &Config) -> Option<String> {
    Some(postgres::migrations_sql(&config.namespace))
}

/// Removes what this namespace has in the database.
#[cfg(all(feature = "postgres", feature = "cli"))]
pub(super) async fn remove(config: &Config, url: &ServiceUrl) -> Result<(), OpenError> {
    Ok(PostgresLedger::remove(options(config, url)).await?)
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
pub(super) async fn open(_config: &Config, url: &ServiceUrl, _name: &str) -> Result<Store, OpenError> {
    Err(OpenError::no_adapter(url))
}

#[cfg(all(not(feature = "postgres"), feature = "cli"))]
pub(super) fn migrations_sql(_config: &Config) -> Option<String> {
    None
}

#[cfg(all(not(feature = "postgres"), feature = "cli"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
pub(super) async fn remove(_config: &Config, url: &ServiceUrl) -> Result<(), OpenError> {
    Err(OpenError::no_adapter(url))
}
