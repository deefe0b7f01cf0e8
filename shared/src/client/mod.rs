//! Publishing tasks and waiting for them. Bounded in flight; an accepted task is never lost.

mod handle;
mod layer;
mod look;
#[cfg(any(feature = "embedded", feature = "postgres"))]
mod outbox;
mod publish;
mod request;
mod room;
mod task;
mod wait;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::StoreClock;
use crate::ledger::Store;
use crate::limit::FairQueues;
use crate::message::{Limits, TraceContext};
use crate::name::{Namespace, QueueName};
use crate::transport::Transport;
use room::Room;

pub use handle::{ResultError, TaskHandle};
pub use layer::{PublishLayer, PublishLayers, PublishNext, publish_fn};
pub use publish::{PublishError, Published};
pub use request::{Publish, Publishable};
pub use task::NewTask;
pub use wait::WaitError;

/// When a row is made for a task that is published now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// With the claim: publishing is one broker write.
    Claim,
    /// Before the publish: queued tasks can be listed and cancelled, and publishing works while the broker is down.
    #[default]
    Publish,
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Whose world it publishes to.
    pub namespace: Namespace,
    /// When rows are made, where a queue has no setting of its own.
    pub record: Record,
    /// Queues with a setting of their own.
    pub record_by_queue: HashMap<QueueName, Record>,
    /// Which queues are fair: their tasks are recorded first, and handed to the broker when it is their turn.
    pub fair: FairQueues,
    /// What a task may cost.
    pub limits: Limits,
    /// Tasks published and not yet confirmed, at most; further calls wait.
    pub in_flight: usize,
    /// How long one publish may take.
    pub timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            record: Record::default(),
            record_by_queue: HashMap::new(),
            fair: FairQueues::default(),
            limits: Limits::default(),
            in_flight: 10_000,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Publishes tasks. Cheap to clone; clones share the bound on what is in flight.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
    /// Which trace its tasks belong to that name none.
    trace: Option<TraceContext>,
    /// Around every publish.
    layers: PublishLayers,
}

#[derive(Debug)]
struct Inner {
    transport: Arc<dyn Transport>,
    store: Store,
    clock: Arc<StoreClock>,
    options: ClientOptions,
    in_flight: Semaphore,
    /// Where those sit who wait for a task to end.
    room: Arc<Room>,
}

impl Client {
    /// A client over these ports.
    pub fn new(
        transport: Arc<dyn Transport>,
        store: Store,
        clock: Arc<StoreClock>,
        options: ClientOptions,
    ) -> Self {
        let in_flight = Semaphore::new(options.in_flight.max(1));
        let room = Arc::new(Room::new(Arc::clone(&store.inspect), Arc::clone(clock.clock())));
        let inner = Arc::new(Inner { transport, store, clock, options, in_flight, room });
        Self { inner, trace: None, layers: PublishLayers::default() }
    }

    /// The same client, whose tasks continue this trace unless they name one of their own.
    pub fn continuing(&self, trace: Option<TraceContext>) -> Self {
        Self { inner: self.inner.clone(), trace, layers: self.layers.clone() }
    }

    /// The ledger's ports, for looking at what was published.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// How it behaves.
    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }
}
