//! Beats and workers in this process, each with connections and a clock of its own, over one store on a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use upbeat_broker::beat::{Beat, BeatOptions, apply};
use upbeat_shared::client::{Client, ClientOptions};
use upbeat_shared::clock::{Clock, StoreClock};
use upbeat_shared::ledger::{NewSchedule, Store};
use upbeat_shared::name::Namespace;
use upbeat_shared::occurrence::ScheduleDefinition;
use upbeat_shared::sqlite::SqliteFile;
use upbeat_shared::transport::Transport;
use upbeat_shared::transport::embedded::EmbeddedTransport;
use upbeat_worker::{Registry, Worker, WorkerOptions};

use crate::conformance::embedded::ledger_on;
use crate::message::schedule_id;

/// How long a member's heartbeat may stand still. Short, so that a test that loses a member is soon over.
pub const LEASE: Duration = Duration::from_secs(2);

/// How long a member may take to stop.
const STOP: Duration = Duration::from_secs(20);

/// A store, and what it takes to join it.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    /// The store's clock: the host's, as every process on it sees it.
    clock: Arc<dyn Clock>,
}

/// One member's connections, as a process of its own would open them.
#[derive(Clone, Debug)]
pub struct Connections {
    /// The ledger's ports.
    pub store: Store,
    /// The broker's.
    pub transport: Arc<dyn Transport>,
    /// The store's time, learned with this member's own clock.
    pub clock: Arc<StoreClock>,
}

impl Cluster {
    /// An empty store whose clock is this one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { folder: TempDir::with_prefix("upbeat-cluster-").expect("a folder can be made"), clock }
    }

    /// The store's file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("upbeat.db")
    }

    /// Opens connections for a member with this clock.
    pub async fn connect(&self, own: Arc<dyn Clock>) -> Connections {
        let file = SqliteFile::open(&self.path(), self.clock.clone()).expect("the file can be opened");
        let store = ledger_on(file.clone()).await;
        let transport = EmbeddedTransport::open(file).await.expect("its tables can be made");
        Connections { store, transport, clock: Arc::new(StoreClock::new(own)) }
    }

    /// Starts a beat whose own clock is this one.
    pub async fn beat(&self, own: Arc<dyn Clock>) -> Member {
        let Connections { store, transport, clock } = self.connect(own).await;
        let options = BeatOptions { lease: LEASE, ..BeatOptions::default() };
        let beat = Beat::new(transport.clone(), store, clock, options);
        Member::start(
            transport,
            |stop| async move { beat.run(stop).await.expect("the beat runs to its stop") },
        )
    }

    /// Starts a worker whose own clock is this one.
    pub async fn worker(&self, own: Arc<dyn Clock>, registry: Registry) -> Member {
        let Connections { store, transport, clock } = self.connect(own).await;
        let client = Client::new(transport.clone(), store.clone(), clock.clone(), ClientOptions::default());
        let options = WorkerOptions { lease: LEASE, concurrency: 20, ..WorkerOptions::default() };
        let worker = Worker::new(transport.clone(), store, clock, client, registry, options);
        Member::start(transport, |stop| async move {
            worker.run(stop).await.expect("the worker runs to its stop");
        })
    }

    /// A client whose own clock is this one.
    pub async fn client(&self, own: Arc<dyn Clock>) -> Client {
        let Connections { store, transport, clock } = self.connect(own).await;
        Client::new(transport, store, clock, ClientOptions::default())
    }

    /// Puts one schedule in force, as a configuration file does.
    pub async fn apply(&self, id: &str, definition: ScheduleDefinition) {
        let Connections { store, clock, .. } = self.connect(self.clock.clone()).await;
        let source = "upbeat.toml".to_owned();
        let schedule = NewSchedule { id: schedule_id(id), definition, source: source.clone() };
        apply(&store, &clock, &Namespace::default(), &source, vec![schedule])
            .await
            .expect("it can be applied");
    }
}

/// A running member. Dropped, it ends as if it were killed.
#[derive(Debug)]
pub struct Member {
    transport: Arc<dyn Transport>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Member {
    fn start<F>(transport: Arc<dyn Transport>, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(stop.clone()));
        Self { transport, stop, running }
    }

    /// Stops it in good order; fails the test if it ended badly or does not end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(STOP, &mut self.running).await;
        ended.expect("a member stops in time").expect("a member ends well");
        self.transport.close().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.running.abort();
    }
}
