//! Broker and ledger, opened as the configuration says. The one place that knows which adapters there are.

mod amqp;
mod embedded;
mod postgres;
mod redis;

use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "worker")]
use upbeat_shared::client::PublishLayers;
use upbeat_shared::client::{Client, ClientOptions, Record};
use upbeat_shared::clock::{Clock, StoreClock};
use upbeat_shared::config::{BrokerUrl, Config, LedgerUrl};
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::transport::{Transport, TransportError};

use embedded::Files;

/// The ports of one world, open, and a client over them.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Where tasks travel.
    pub transport: Arc<dyn Transport>,
    /// Where tasks are remembered.
    pub store: Store,
    /// The store's time; known, since opening asks for it.
    pub clock: Arc<StoreClock>,
    /// Publishes tasks, and waits for them.
    pub client: Client,
}

/// Why broker or ledger could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// This build cannot speak to it.
    #[error("this build has no adapter for {url}")]
    NoAdapter {
        /// What was asked for, its password masked.
        url: String,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The broker cannot be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl OpenError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::NoAdapter { .. } => "no-adapter",
            Self::Ledger(error) => error.page(),
            Self::Transport(error) => error.page(),
        }
    }

    #[cfg(not(all(feature = "amqp", feature = "embedded", feature = "postgres", feature = "redis")))]
    fn no_adapter(url: &impl ToString) -> Self {
        Self::NoAdapter { url: url.to_string() }
    }

    /// Whether opening it later may succeed without anybody's doing: a server may come up, a file does not mend itself.
    pub fn is_temporary(&self, config: &Config) -> bool {
        match self {
            Self::Ledger(LedgerError::Unavailable(_)) => config.ledger.url != LedgerUrl::Embedded,
            Self::Transport(TransportError::Unavailable(_)) => config.broker.url != BrokerUrl::Embedded,
            _ => false,
        }
    }
}

impl Stack {
    /// Opens what the configuration names. Makes the data directory and the file, if they are embedded and missing.
    /// `name` is what broker and ledger call this process's connections.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>, name: &str) -> Result<Self, OpenError> {
        Self::open_with(config, clock, name, false).await
    }

    /// As [`Stack::open`]; on RabbitMQ with classic queues, if they are asked for.
    pub(crate) async fn open_with(
        config: &Config,
        clock: Arc<dyn Clock>,
        name: &str,
        classic: bool,
    ) -> Result<Self, OpenError> {
        let mut files = Files::new(config, clock.clone());
        let store = match &config.ledger.url {
            LedgerUrl::Embedded => files.ledger().await?,
            // On the heap: what waits for a pool, a server and an answer at once is large.
            LedgerUrl::Postgres(url) => Box::pin(postgres::open(config, url, name)).await?,
            LedgerUrl::Redis(url) => Box::pin(redis::open(config, url, name)).await?,
        };
        let transport = match &config.broker.url {
            BrokerUrl::Embedded => files.transport().await?,
            BrokerUrl::Amqp(url) => Box::pin(amqp::open(config, url, clock.clone(), name, classic)).await?,
        };
        Self::over(config, transport, store, clock).await
    }

    /// A world over ports that are open.
    pub(crate) async fn over(
        config: &Config,
        transport: Arc<dyn Transport>,
        store: Store,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let store_clock = Arc::new(StoreClock::new(clock.clone()));
        let sent = clock.monotonic();
        let now = store.ledger.now().await?;
        store_clock.observe(sent, now);
        let options = client_options(config);
        let client = Client::new(transport.clone(), store.clone(), store_clock.clone(), options);
        Ok(Self { transport, store, clock: store_clock, client })
    }

    /// The same ports, and a client with these layers.
    #[cfg(feature = "worker")]
    pub(crate) fn with_layers(mut self, layers: &PublishLayers) -> Self {
        self.client = self.client.with_layers(layers);
        self
    }

    /// The embedded broker's and ledger's file, if either of them is embedded.
    pub fn embedded_file(config: &Config) -> Option<PathBuf> {
        let embedded = config.ledger.url == LedgerUrl::Embedded || config.broker.url == BrokerUrl::Embedded;
        embedded.then(|| config.data.join(format!("{}.sqlite3", config.namespace)))
    }
}

/// Every migration of the configured ledger, where that is written in SQL for others to apply.
#[cfg(feature = "cli")]
pub(crate) fn migrations_sql(config: &Config) -> Option<String> {
    match &config.ledger.url {
        LedgerUrl::Postgres(_) => postgres::migrations_sql(config),
        LedgerUrl::Embedded | LedgerUrl::Redis(_) => None,
    }
}

/// How the configured broker is reached beside the transport; `None` if it is not RabbitMQ.
#[cfg(all(feature = "amqp", feature = "cli"))]
pub(crate) fn amqp_options(
    config: &Config,
    name: &str,
    classic: bool,
) -> Option<upbeat_shared::transport::amqp::AmqpOptions> {
    match &config.broker.url {
        BrokerUrl::Amqp(url) => Some(amqp::named(config, url, name, classic)),
        BrokerUrl::Embedded => None,
    }
}

/// Closes a world, and removes everything that is kept of it.
#[cfg(feature = "cli")]
pub(crate) async fn remove_world(config: &Config, stack: Stack) -> Result<(), OpenError> {
    let clock = stack.clock.clock().clone();
    stack.transport.close().await;
    drop(stack);
    if let BrokerUrl::Amqp(url) = &config.broker.url {
        Box::pin(amqp::remove(config, url, clock)).await?;
    }
    match &config.ledger.url {
        LedgerUrl::Postgres(url) => Box::pin(postgres::remove(config, url)).await?,
        LedgerUrl::Redis(url) => Box::pin(redis::remove(config, url)).await?,
        LedgerUrl::Embedded => {}
    }
    if let Some(file) = Stack::embedded_file(config) {
        embedded::remove(&file);
    }
    Ok(())
}

fn client_options(config: &Config) -> ClientOptions {
    let record = match config.broker.url {
        BrokerUrl::Embedded => Record::Publish,
        BrokerUrl::Amqp(_) => Record::Claim,
    };
    let own = config.queues.iter().filter_map(|(name, queue)| Some((name.clone(), queue.record?)));
    ClientOptions {
        namespace: config.namespace.clone(),
        record,
        record_by_queue: own.collect(),
        fair: config.fair_queues(),
        limits: config.limits,
        ..ClientOptions::default()
    }
}
