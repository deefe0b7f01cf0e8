//! The library alone, without anything of ours around it: what a broker does on this machine when nobody counts
//! deliveries, recognises returned messages or keeps a namespace apart. For comparison in benchmarks; no part of Upbeat's
//! own way to a broker.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, PublisherConfirm};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::link::{Link, Live, Role};
use super::topology::Topology;
use super::{AmqpOptions, explain, tls_connector};
use crate::clock::Clock;
use crate::name::QueueName;
use crate::transport::TransportError;

/// Deliveries acknowledged together in a drain.
const TOGETHER: u64 = 50;

/// A queue of its own, declared as Upbeat's queues are, with a connection for publishing and one for consuming.
pub struct RawQueue {
    publishing: Arc<Live>,
    consuming: Arc<Live>,
    queue: ShortString,
    clock: Arc<dyn Clock>,
}

/// How messages are published.
#[derive(Clone, Copy, Debug)]
pub struct RawLoad {
    /// How many.
    pub messages: u64,
    /// Bytes of each body.
    pub payload_bytes: usize,
    /// Messages that wait for their confirmation at a time, over all tasks.
    pub window: usize,
    /// Tasks that share the channel.
    pub tasks: usize,
}

/// How fast it went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawReport {
    /// How many messages.
    pub messages: u64,
    /// From the first to the last.
    pub elapsed: Duration,
}

/// How long messages were on their way, from the call that publishes to the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLatency {
    /// How many messages.
    pub messages: u64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// One in a hundred took longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

impl RawReport {
    /// Messages a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64()
    }
}

impl RawQueue {
    /// Connects, and makes an empty queue. [`remove`](Self::remove) it afterwards: it is durable.
    pub async fn open(options: &AmqpOptions, clock: Arc<dyn Clock>) -> Result<Self, TransportError> {
        let address = Arc::new(super::Address::parse(&options.url)?);
        let tls = tls_connector(&address, &options.tls)?;
        let closed = CancellationToken::new();
        let connect = async |role| {
            let (address, closed) = (address.clone(), closed.clone());
            Link::new(role, &options.name, address, tls.clone(), clock.clone(), closed).live().await
        };
        let (publishing, consuming) = (connect(Role::Publish).await?, connect(Role::Consume).await?);
        let queue = format!("upbeat.{}.raw-{:016x}", options.namespace, fastrand::u64(..));
        let raw = Self { publishing, consuming, queue: queue.into(), clock: clock.clone() };
        let topology = Topology::new(options.namespace.clone(), options.queue_type, true);
        let arguments = topology.table(&QueueName::default_queue());
        let options = QueueDeclareOptions::durable();
        let channel = raw.consuming.channel().await?;
        channel.queue_declare(raw.queue.clone(), options, arguments).await.map_err(failed)?;
        Ok(raw)
    }

    /// Publishes persistent messages, and waits until each is confirmed.
    pub async fn publish(&self, load: RawLoad) -> Result<RawReport, TransportError> {
        let channel = self.confirming().await?;
        let tasks = load.tasks.clamp(1, load.window.max(1));
        let payload: Arc<[u8]> = vec![b'x'; load.payload_bytes].into();
        let started = self.clock.monotonic();
        let mut running = JoinSet::new();
        for task in 0..tasks as u64 {
            let (channel, queue, payload) = (channel.clone(), self.queue.clone(), payload.clone());
            let share = load.messages / tasks as u64 + u64::from(task < load.messages % tasks as u64);
            running.spawn(publish_share(channel, queue, payload, share, load.window / tasks));
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|error| TransportError::Unavailable(error.to_string()))?.map_err(failed)?;
        }
        Ok(RawReport { messages: load.messages, elapsed: self.clock.monotonic().saturating_sub(started) })
    }

    /// Takes so many messages, and acknowledges 50 at a time.
    pub async fn drain(&self, messages: u64, prefetch: u16) -> Result<RawReport, TransportError> {
        let channel = self.consuming.channel().await?;
        let started = self.clock.monotonic();
        let mut consumer = self.consume(&channel, prefetch).await?;
        for number in 1..=messages {
            let delivery = next(&mut consumer).await?;
            if number % TOGETHER == 0 || number == messages {
                let options = BasicAckOptions { multiple: true };
                channel.basic_ack(delivery.delivery_tag, options).await.map_err(failed)?;
            }
        }
        Ok(RawReport { messages, elapsed: self.clock.monotonic().saturating_sub(started) })
    }

    /// Publishes at a fixed rate, so many a second, and receives beside it; each acknowledgement is waited for.
    pub async fn latency(&self, rate: u32, seconds: u32) -> Result<RawLatency, TransportError> {
        let messages = u64::from(rate.max(1)) * u64::from(seconds.max(1));
        let (publisher, channel) = (self.confirming().await?, self.consuming.channel().await?);
        let mut consumer = self.consume(&channel, 200).await?;
        let publishing = async {
            let mut tick = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
            let mut sent = VecDeque::new();
            for _ in 0..messages {
                tick.tick().await;
                let now = self.clock.monotonic().as_nanos().to_be_bytes();
                sent.push_back(send(&publisher, &self.queue, &now).await.map_err(failed)?);
            }
            confirm_down_to(&mut sent, 0).await.map_err(failed)
        };
        let receiving = async {
            let mut waits = Vec::new();
            for _ in 0..messages {
                let delivery = next(&mut consumer).await?;
                let now = self.clock.monotonic().as_nanos();
                let sent = delivery.data.as_slice().try_into().map_or(now, u128::from_be_bytes);
                waits.push(Duration::from_nanos(u64::try_from(now.saturating_sub(sent)).unwrap_or(u64::MAX)));
                channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()).await.map_err(failed)?;
            }
            Ok(waits)
        };
        let ((), mut waits) = tokio::try_join!(publishing, receiving)?;
        waits.sort_unstable();
        let at = |hundredths: usize| waits[(waits.len() - 1) * hundredths / 100];
        Ok(RawLatency { messages, p50: at(50), p99: at(99), max: at(100) })
    }

    /// Deletes the queue with what is left in it.
    pub async fn remove(self) -> Result<(), TransportError> {
        let channel = self.consuming.channel().await?;
        channel.queue_delete(self.queue.clone(), QueueDeleteOptions::default()).await.map_err(failed)?;
        Ok(())
    }

    async fn confirming(&self) -> Result<Channel, TransportError> {
        let channel = self.publishing.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
        Ok(channel)
    }

    async fn consume(&self, channel: &Channel, prefetch: u16) -> Result<lapin::Consumer, TransportError> {
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(self.queue.clone(), "".into(), options, FieldTable::default());
        consuming.await.map_err(failed)
    }
}

impl fmt::Debug for RawQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawQueue").field("queue", &self.queue).finish_non_exhaustive()
    }
}

async fn publish_share(
    channel: Channel,
    queue: ShortString,
    payload: Arc<[u8]>,
    share: u64,
    window: usize,
) -> lapin::Result<()> {
    let mut sent = VecDeque::with_capacity(window);
    for _ in 0..share {
        confirm_down_to(&mut sent, window.saturating_sub(1)).await?;
        sent.push_back(send(&channel, &queue, &payload).await?);
    }
    confirm_down_to(&mut sent, 0).await
}

async fn send(channel: &Channel, queue: &ShortString, payload: &[u8]) -> lapin::Result<PublisherConfirm> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish("".into(), queue.clone(), BasicPublishOptions::default(), payload, properties).await
}

async fn confirm_down_to(sent: &mut VecDeque<PublisherConfirm>, limit: usize) -> lapin::Result<()> {
    while sent.len() > limit {
        if let Some(confirm) = sent.pop_front() {
            confirm.await?;
        }
    }
    Ok(())
}

async fn next(consumer: &mut lapin::Consumer) -> Result<lapin::message::Delivery, TransportError> {
    match consumer.next().await {
        Some(delivery) => delivery.map_err(failed),
        None => Err(TransportError::ConsumerLost("the broker cancelled it".to_owned())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where errors are mapped")]
fn failed(error: lapin::Error) -> TransportError {
    explain::call(&error, "measuring the library alone")
}
