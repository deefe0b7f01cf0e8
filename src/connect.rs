//! A client for a program that only publishes.

use std::sync::Arc;

use upbeat_shared::client::Client;
use upbeat_shared::clock::SystemClock;
use upbeat_shared::config::{self, Config, ConfigErrors, Overrides, Sources};

use crate::stack::{OpenError, Stack};

/// What broker and ledger call the connections of a client.
const NAME: &str = "upbeat client";

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The configuration has mistakes; each is shown where it was written.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Broker or ledger cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl ConnectError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Config(errors) => errors.page(),
            Self::Open(error) => error.page(),
        }
    }
}

/// A client of the broker and the ledger that `upbeat.toml` and the environment name.
///
/// Clones share its connections; one a process is enough.
///
/// ```no_run
/// # async fn example() -> Result<(), upbeat::ConnectError> {
/// let client = upbeat::connect().await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
pub async fn connect() -> Result<Client, ConnectError> {
    let loaded = config::load(Sources::process(Overrides::default()))?;
    Ok(connect_to(&loaded.config).await?)
}

/// A client of the broker and the ledger that this configuration names.
pub async fn connect_to(config: &Config) -> Result<Client, OpenError> {
    Ok(Stack::open(config, Arc::new(SystemClock::default()), NAME).await?.client)
}
