//! Broker and ledger, opened as the configuration says. The one place that knows which adapters there are.

use std::path::PathBuf;
use std::sync::Arc;

use upbeat_shared::client::{Client, ClientOptions, Record};
use upbeat_shared::clock::{Clock, StoreClock};
use upbeat_shared::config::{BrokerUrl, Config, LedgerUrl};
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

impl Stack {
    /// Opens what the configuration names. Makes the data directory and the file, if they are embedded and missing.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let mut files = Files::new(config, clock.clone());
        let store = match &config.ledger.url {
            LedgerUrl::Embedded => files.ledger().await?,
            url @ (LedgerUrl::Postgres(_) | LedgerUrl::Redis(_)) => return Err(no_adapter(url)),
        };
        let transport = match &config.broker.url {
            BrokerUrl::Embedded => files.transport().await?,
            url @ BrokerUrl::Amqp(_) => return Err(no_adapter(url)),
        };
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
