//! Running every task as it is published.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use upbeat_shared::name::QueueName;
use upbeat_shared::transport::{Consumer, Depth, Outgoing, PublishAnswer, Transport, TransportError};

use super::{Link, World};

impl World {
    /// From now on, whatever is published and due now runs before its publish returns, and so does what it publishes in turn.
    /// What is due later waits for its time all the same; a run that fails is retried in its time, too.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "hello", output = String)] struct Hello { name: String }
    /// # async fn hello(task: Hello) -> Result<String, Error> { Ok(format!("hello, {}", task.name)) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let world = World::new(App::new().task(hello));
    /// world.inline();
    /// let handle = world.client().publish(Hello { name: "you".into() }).await.unwrap();
    /// assert_eq!(world.task(handle.id()).unwrap().state.as_str(), "succeeded");
    /// # }
    /// ```
    pub fn inline(&self) -> &Self {
        self.inner.inline.store(true, Ordering::Relaxed);
        self
    }

    /// From now on, nothing runs before it is told to, as at the beginning.
    pub fn manual(&self) -> &Self {
        self.inner.inline.store(false, Ordering::Relaxed);
        self
    }
}

/// The way that publishers take to the broker.
pub(super) struct InlineTransport {
    broker: Arc<dyn Transport>,
    link: Link,
}

impl InlineTransport {
    pub(super) fn new(broker: Arc<dyn Transport>, link: Link) -> Self {
        Self { broker, link }
    }
}

impl fmt::Debug for InlineTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineTransport").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for InlineTransport {
    async fn declare(&self, queues: &[QueueName]) -> Result<(), TransportError> {
        self.broker.declare(queues).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError> {
        let answers = self.broker.publish(batch).await?;
        let inline = self.link.world().filter(|world| world.inline.load(Ordering::Relaxed));
        if let Some(world) = inline {
            // As a worker that is quicker than the publisher.
            world.run_queued().await;
        }
        Ok(answers)
    }

    async fn consume(&self, queue: &QueueName, prefetch: u32) -> Result<Box<dyn Consumer>, TransportError> {
        self.broker.consume(queue, prefetch).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<Depth>, TransportError> {
        self.broker.depth(queue).await
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, TransportError> {
        self.broker.purge(queue).await
    }

    async fn ping(&self) -> Result<(), TransportError> {
        self.broker.ping().await
    }

    fn describe(&self) -> String {
        self.broker.describe()
    }

    async fn close(&self) {
        self.broker.close().await;
    }
}
