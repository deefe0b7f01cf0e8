//! The port to a broker: publish confirmed, consume with a prefetch, acknowledge.
//!
//! A transport carries messages; what they mean is decided by the ledger, which it never sees. It may deliver a message
//! twice, never lose one that it confirmed.

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "memory")]
pub mod memory;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::message::WireMessage;
use crate::name::QueueName;

/// Why a transport could not do it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The broker cannot be reached or cannot write now; the same call may succeed later.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The broker is not as it must be (a queue declared otherwise, no permission); a person must act.
    #[error("the broker refuses: {0}")]
    Refused(String),
    /// The consumer ended and must be made again.
    #[error("the consumer ended: {0}")]
    ConsumerLost(String),
    /// This transport was closed by its own process.
    #[error("the transport is closed")]
    Closed,
}

impl TransportError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "broker-unavailable",
            Self::Refused(_) => "broker-refuses",
            Self::ConsumerLost(_) => "consumer-lost",
            Self::Closed => "transport-closed",
        }
    }
}

/// A message and the queue it goes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Where to.
    pub queue: QueueName,
    /// What.
    pub message: WireMessage,
}

/// What became of one message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishAnswer {
    /// The broker holds it durably.
    Confirmed,
    /// There is no such queue.
    Unroutable,
    /// The broker would not take it: the queue is full, or as it says.
    Refused(String),
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Depth {
    /// Waiting.
    pub ready: u64,
    /// With a consumer, unacknowledged; `None` where the broker does not tell.
    pub unacknowledged: Option<u64>,
    /// Consumers that take from it, of any process; `None` where the broker does not tell.
    pub consumers: Option<u64>,
    /// How fast it fills and drains; `None` where the broker does not tell.
    pub rates: Option<Rates>,
}

/// How fast a queue fills and drains, in messages a second over the broker's last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Published to it.
    pub published: f64,
    /// Delivered from it.
    pub delivered: f64,
    /// Acknowledged.
    pub acknowledged: f64,
}

/// Names one delivery. A tag of an older generation is dropped, never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryTag {
    /// The consumer's connection it came through.
    pub generation: u64,
    /// The broker's number for it, within the generation.
    pub tag: u64,
}

/// A message in this process's hands until it is acknowledged or given back.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What to acknowledge.
    pub tag: DeliveryTag,
    /// Where it came from.
    pub queue: QueueName,
    /// What came.
    pub message: WireMessage,
    /// How often it was delivered before.
    pub redeliveries: u32,
}

/// A broker.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Makes sure that the queues exist.
    async fn declare(&self, queues: &[QueueName]) -> Result<(), TransportError>;

    /// Publishes a batch; answers when the broker confirmed or refused each, in the order given. On an error nothing is
    /// known of any of them.
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError>;

    /// Starts to take messages from a queue, at most `prefetch` of them unacknowledged at a time.
    async fn consume(&self, queue: &QueueName, prefetch: u32) -> Result<Box<dyn Consumer>, TransportError>;

    /// How many messages a queue holds; `None` if there is no such queue.
    async fn depth(&self, queue: &QueueName) -> Result<Option<Depth>, TransportError>;

    /// Removes every waiting message of a queue; answers how many.
    async fn purge(&self, queue: &QueueName) -> Result<u64, TransportError>;

    /// Answers when the broker can be used.
    async fn ping(&self) -> Result<(), TransportError>;

    /// For `doctor` and logs: kind, version and address, without secrets.
    fn describe(&self) -> String;

    /// Gives back what this process holds and ends its consumers.
    async fn close(&self);
}

/// Takes messages from one queue. Dropping it stops the taking; deliveries already made stay valid and can still be
/// acknowledged.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for at least one delivery and answers those that are ready, at most `max`. Cancel-safe: a delivery is never
    /// lost in a dropped future. Any error means that the consumer must be made again.
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, TransportError>;

    /// Settles this consumer's deliveries; lives on after it.
    fn acknowledger(&self) -> Arc<dyn Acknowledge>;
}

/// Settles deliveries.
#[async_trait]
pub trait Acknowledge: Send + Sync {
    /// Done with them: the broker forgets them. Unknown and older tags are ignored.
    async fn acknowledge(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError>;

    /// Not now: the broker delivers them again, to anyone.
    async fn give_back(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError>;
}
