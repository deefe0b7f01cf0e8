//! Broker and ledger, opened as the configuration says. The one place that knows which adapters there are.

use std::path::PathBuf;
use std::sync::Arc;

use upbeat_shared::client::{Client, ClientOptions, Record};
use upbeat_shared::clock::{Clock, StoreClock};
use upbeat_shared::config::{BrokerUrl, Config, LedgerUrl, ServiceUrl};
use upbeat_shared::ledger::{LedgerError, Store};
use upbeat_shared::transport::{Transport, TransportError};

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
    /// Whether opening it later may succeed without anybody's doing.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Ledger(LedgerError::Unavailable(_)) | Self::Transport(TransportError::Unavailable(_))
        )
    }
}

impl Stack {
    /// Opens what the configuration names. Makes the data directory and the file, if they are embedded and missing.
    /// `name` is what broker and ledger call this process's connections.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>, name: &str) -> Result<Self, OpenError> {
        let mut files = Files::new(config, clock.clone());
        let store = match &config.ledger.url {
            LedgerUrl::Embedded => files.ledger().await?,
            LedgerUrl::Postgres(url) => postgres(config, url, name).await?,
            url @ LedgerUrl::Redis(_) => return Err(no_adapter(url)),
        };
        let transport = match &config.broker.url {
            BrokerUrl::Embedded => files.transport().await?,
            BrokerUrl::Amqp(url) => amqp(config, url, clock.clone(), name).await?,
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
        #[cfg(feature = "postgres")]
        LedgerUrl::Postgres(_) => Some(upbeat_shared::ledger::postgres::migrations_sql(&config.namespace)),
        _ => None,
    }
}

fn no_adapter(url: &impl ToString) -> OpenError {
    OpenError::NoAdapter { url: url.to_string() }
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
        limits: config.limits,
        ..ClientOptions::default()
    }
}

#[cfg(feature = "amqp")]
async fn amqp(
    config: &Config,
    url: &ServiceUrl,
    clock: Arc<dyn Clock>,
    name: &str,
) -> Result<Arc<dyn Transport>, OpenError> {
    use upbeat_shared::transport::amqp::AmqpTransport;
    Ok(AmqpTransport::open(amqp_options(config, url, name), clock).await?)
}

/// How RabbitMQ is reached.
#[cfg(feature = "amqp")]
pub(crate) fn amqp_options(
    config: &Config,
    url: &ServiceUrl,
    name: &str,
) -> upbeat_shared::transport::amqp::AmqpOptions {
    let mut options =
        upbeat_shared::transport::amqp::AmqpOptions::new(url.clone(), config.namespace.clone());
    name.clone_into(&mut options.name);
    options.declare = config.broker.declare;
    options.tls = config.broker.tls.clone();
    options
}

#[cfg(not(feature = "amqp"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
async fn amqp(
    _config: &Config,
    url: &ServiceUrl,
    _clock: Arc<dyn Clock>,
    _name: &str,
) -> Result<Arc<dyn Transport>, OpenError> {
    Err(no_adapter(url))
}

#[cfg(feature = "postgres")]
async fn postgres(config: &Config, url: &ServiceUrl, name: &str) -> Result<Store, OpenError> {
    use upbeat_shared::ledger::postgres::PostgresLedger;
    Ok(Store::from_adapter(PostgresLedger::open(postgres_options(config, url, name)).await?))
}

/// How Postgres is reached.
#[cfg(feature = "postgres")]
pub(crate) fn postgres_options(
    config: &Config,
    url: &ServiceUrl,
    name: &str,
) -> upbeat_shared::ledger::postgres::PostgresOptions {
    let mut options =
        upbeat_shared::ledger::postgres::PostgresOptions::new(url.clone(), config.namespace.clone());
    name.clone_into(&mut options.name);
    options.connections = config.ledger.connections;
    options.tls = config.ledger.tls.clone();
    options.stale_after = config.retention.stale_after();
    options
}

#[cfg(not(feature = "postgres"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
async fn postgres(_config: &Config, url: &ServiceUrl, _name: &str) -> Result<Store, OpenError> {
    Err(no_adapter(url))
}
/// Broker and ledger share one file, opened by whichever of them is embedded.
#[cfg(feature = "embedded")]
struct Files<'a> {
    config: &'a Config,
    clock: Arc<dyn Clock>,
    open: Option<Arc<upbeat_shared::sqlite::SqliteFile>>,
}

#[cfg(feature = "embedded")]
impl<'a> Files<'a> {
    fn new(config: &'a Config, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, open: None }
    }

    fn file(&mut self) -> Result<Arc<upbeat_shared::sqlite::SqliteFile>, upbeat_shared::sqlite::SqliteError> {
        if let Some(file) = &self.open {
            return Ok(file.clone());
        }
        let path = Stack::embedded_file(self.config).expect("broker or ledger is embedded");
        let file = upbeat_shared::sqlite::SqliteFile::open(&path, self.clock.clone())?;
        Ok(self.open.insert(file).clone())
    }

    async fn ledger(&mut self) -> Result<Store, LedgerError> {
        use upbeat_shared::ledger::embedded::{EmbeddedLedger, EmbeddedOptions};
        let options = EmbeddedOptions { stale_after: self.config.retention.stale_after() };
        Ok(Store::from_adapter(EmbeddedLedger::open(self.file()?, options).await?))
    }

    async fn transport(&mut self) -> Result<Arc<dyn Transport>, TransportError> {
        Ok(upbeat_shared::transport::embedded::EmbeddedTransport::open(self.file()?).await?)
    }
}

#[cfg(not(feature = "embedded"))]
struct Files;

#[cfg(not(feature = "embedded"))]
#[allow(clippy::unused_async, reason = "called where the build with the adapter waits")]
impl Files {
    fn new(_config: &Config, _clock: Arc<dyn Clock>) -> Self {
        Self
    }

    async fn ledger(&mut self) -> Result<Store, OpenError> {
        Err(no_adapter(&LedgerUrl::Embedded))
    }

    async fn transport(&mut self) -> Result<Arc<dyn Transport>, OpenError> {
        Err(no_adapter(&BrokerUrl::Embedded))
    }
}
