//! A broker under test, asked in few words. An error of the broker fails the test.

use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::id::TaskId;
use upbeat_shared::message::{Message, WireMessage};
use upbeat_shared::name::QueueName;
use upbeat_shared::transport::{Consumer, Delivery, Depth, Outgoing, PublishAnswer, Transport};

use super::TransportWorld;
use crate::message::{message, queue};

/// How long a delivery may take that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing must come where nothing may come.
const SILENCE: Duration = Duration::from_millis(300);

/// Asks one connection.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The port, for what has no short word here.
    pub transport: Arc<dyn Transport>,
}

impl Desk {
    /// Of the world's first process, with the queue `work` declared.
    pub async fn of(world: &impl TransportWorld) -> Self {
        let desk = Self { transport: world.transport() };
        desk.transport.declare(&[work()]).await.expect("the queue can be declared");
        desk
    }

    /// Of a further process.
    pub async fn another(world: &impl TransportWorld) -> Self {
        Self { transport: world.connect().await }
    }

    /// Publishes to the queue `work`; all must be confirmed.
    pub async fn publish(&self, messages: &[Message]) {
        let batch = messages.iter().map(|message| outgoing(&work(), message));
        let answers = self.transport.publish(batch.collect()).await.expect("the broker answers");
        assert_eq!(answers, vec![PublishAnswer::Confirmed; messages.len()]);
    }

    /// Publishes so many new messages to the queue `work`.
    pub async fn publish_new(&self, count: usize) -> Vec<Message> {
        let messages: Vec<Message> = (0..count).map(|_| message()).collect();
        self.publish(&messages).await;
        messages
    }

    /// Takes from the queue `work`.
    pub async fn consume(&self, prefetch: u32) -> Box<dyn Consumer> {
        self.transport.consume(&work(), prefetch).await.expect("the broker lets us consume")
    }

    /// The depth of the queue `work`.
    pub async fn depth(&self) -> Depth {
        let depth = self.transport.depth(&work()).await.expect("the broker answers");
        depth.expect("the queue is declared")
    }
}

/// The queue that most cases use.
pub fn work() -> QueueName {
    queue("work")
}

/// As the client sends it.
pub fn outgoing(queue: &QueueName, message: &Message) -> Outgoing {
    Outgoing { queue: queue.clone(), message: message.encode() }
}

/// Waits for exactly so many deliveries.
pub async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        let next = consumer.next(count - taken.len());
        let next = tokio::time::timeout(PATIENCE, next).await;
        let next = next.unwrap_or_else(|_| panic!("{} of {count} deliveries came", taken.len()));
        taken.extend(next.expect("the consumer lives"));
    }
    assert_eq!(taken.len(), count, "next gives at most what was asked for");
    taken
}

/// Waits a little: no delivery may come.
pub async fn nothing(consumer: &mut dyn Consumer, why: &str) {
    let next = tokio::time::timeout(SILENCE, consumer.next(100)).await;
    assert!(next.is_err(), "{why}, yet this came: {:?}", next.expect("it came in time"));
}

/// The ids of the tasks delivered.
pub fn ids(deliveries: &[Delivery]) -> Vec<TaskId> {
    deliveries.iter().map(|delivery| id(&delivery.message)).collect()
}

/// The ids of messages.
pub fn ids_of(messages: &[Message]) -> Vec<TaskId> {
    messages.iter().map(|message| message.id).collect()
}

fn id(wire: &WireMessage) -> TaskId {
    let id = wire.message_id.as_deref().expect("ours have ids");
    id.parse().expect("ours are UUIDs")
}
