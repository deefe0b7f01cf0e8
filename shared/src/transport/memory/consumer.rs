//! A consumer's end of a connection.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::connection::Connection;
use super::state::Read;
use crate::name::QueueName;
use crate::transport::{Acknowledge, Consumer, Delivery, DeliveryTag, TransportError};

/// See [`Consumer`].
pub(super) struct MemoryConsumer {
    hands: Arc<Hands>,
    arrived: Arc<Notify>,
}

/// What settles a consumer's deliveries, also after it is gone.
struct Hands {
    connection: Arc<Connection>,
    generation: u64,
}

impl MemoryConsumer {
    /// `None` if there is no such queue.
    pub(super) fn start(connection: Arc<Connection>, queue: &QueueName, prefetch: u32) -> Option<Self> {
        let arrived = Arc::new(Notify::new());
        let prefetch = usize::try_from(prefetch.max(1)).unwrap_or(usize::MAX);
        let number = connection.number();
        let generation =
            connection.broker().with(|state| state.consume(number, queue, prefetch, arrived.clone()))?;
        Some(Self { hands: Arc::new(Hands { connection, generation }), arrived })
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, TransportError> {
        let generation = self.hands.generation;
        loop {
            // Cancel-safe: what is read is answered at once, without another await.
            match self.hands.connection.broker().with(|state| state.read(generation, max.max(1))) {
                Read::Ready(deliveries) => return Ok(deliveries),
                Read::Lost => {
                    return Err(TransportError::ConsumerLost("the transport was closed".into()));
                }
                // What arrived before this is remembered: the wait then ends at once.
                Read::Empty => self.arrived.notified().await,
            }
        }
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledge> {
        self.hands.clone()
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        let generation = self.hands.generation;
        self.hands.connection.broker().with(|state| state.drop_consumer(generation));
    }
}

impl Hands {
    fn settle(&self, tags: &[DeliveryTag], again: bool) {
        self.connection.broker().with(|state| state.settle(self.generation, tags, again));
    }
}

#[async_trait]
impl Acknowledge for Hands {
    async fn acknowledge(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError> {
        self.settle(&tags, false);
        Ok(())
    }

    async fn give_back(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError> {
        self.settle(&tags, true);
        Ok(())
    }
}
