//! The transport in memory: a broker as a value, and connections to it.
//!
//! For tests and simulations. It behaves as a broker on a wire does: messages are handed to consumers ahead of their
//! calls, as far as their prefetch allows and each consumer in turn; what a connection held when it ended comes back. It
//! starts no task, reads no clock and draws no random number: the same calls get the same answers, in the same order.

mod connection;
mod consumer;
mod queue;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Consumer, Depth, Outgoing, PublishAnswer, Transport, TransportError};
use crate::name::QueueName;

use connection::Connection;
use consumer::MemoryConsumer;
use state::State;

/// A broker in memory. It lasts as long as somebody holds it or a connection to it.
///
/// ```
/// use upbeat_shared::name::QueueName;
/// use upbeat_shared::transport::Transport;
/// use upbeat_shared::transport::memory::MemoryBroker;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let broker = MemoryBroker::new();
/// let (one, other) = (broker.connect(), broker.connect());
/// one.declare(&[QueueName::default_queue()]).await?;
/// assert_eq!(other.depth(&QueueName::default_queue()).await?.map(|depth| depth.ready), Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct MemoryBroker {
    state: Mutex<State>,
}

impl MemoryBroker {
    /// One without any queue.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A connection of its own, as each process has one.
    pub fn connect(self: &Arc<Self>) -> Arc<MemoryTransport> {
        Arc::new(MemoryTransport { connection: Connection::open(self.clone()) })
    }

    /// Runs one operation on the state, alone.
    fn with<T>(&self, operation: impl FnOnce(&mut State) -> T) -> T {
        operation(&mut self.state.lock().expect("no holder of the state panics"))
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBroker").finish_non_exhaustive()
    }
}

/// A connection to a broker in memory.
pub struct MemoryTransport {
    connection: Arc<Connection>,
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn declare(&self, queues: &[QueueName]) -> Result<(), TransportError> {
        self.connection.check_open()?;
        self.connection.broker().with(|state| state.declare(queues));
        Ok(())
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError> {
        self.connection.check_open()?;
        Ok(self.connection.broker().with(|state| state.publish(batch)))
    }

    async fn consume(&self, queue: &QueueName, prefetch: u32) -> Result<Box<dyn Consumer>, TransportError> {
        self.connection.check_open()?;
        let consumer = MemoryConsumer::start(self.connection.clone(), queue, prefetch);
        let consumer = consumer
            .ok_or_else(|| TransportError::Refused(format!("there is no queue {queue}; declare it first")))?;
        Ok(Box::new(consumer))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<Depth>, TransportError> {
        Ok(self.connection.broker().with(|state| state.depth(queue)))
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, TransportError> {
        Ok(self.connection.broker().with(|state| state.purge(queue)))
    }

    async fn ping(&self) -> Result<(), TransportError> {
        self.connection.check_open()
    }

    fn describe(&self) -> String {
        "this process's memory; nothing of it is kept".to_owned()
    }

    async fn close(&self) {
        self.connection.close();
    }
}
