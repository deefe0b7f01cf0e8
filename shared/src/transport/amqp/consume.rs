//! Consumers: one a channel, several behind one face where the prefetch is more than a broker allows for one.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::holding::{Desk, Holding};
use super::link::Live;
use super::topology::Topology;
use super::{PATIENCE, convert, explain, in_time, in_time_raw};
use crate::name::QueueName;
use crate::transport::{Acknowledge, Consumer, Delivery, DeliveryTag, TransportError};

/// The most that a quorum queue gives to one consumer.
const MAX_PREFETCH: u32 = 2000;
/// A dropped consumer's channel is looked at so often: its end raises nothing.
const LOOK: Duration = Duration::from_secs(5);
/// How long a channel stays open after its last delivery was settled. A quorum queue takes settlements through the channel's
/// own process, a few at a time; those that wait there when the channel is closed are lost, and their messages come again.
const LINGER: Duration = Duration::from_secs(1);
/// The same for a whole connection, whose owner waits for its end.
const SHORT_LINGER: Duration = Duration::from_millis(100);

/// Generations of this process: every channel that consumes is one.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// What consumers leave behind: tasks that end them in order, and the signal that ends those.
#[derive(Clone, Debug, Default)]
pub(super) struct Afterlife {
    pub(super) tasks: TaskTracker,
    pub(super) closed: CancellationToken,
    /// Something was settled on some channel.
    pub(super) settled: Arc<AtomicBool>,
}

impl Afterlife {
    /// Gives the broker time to take what was settled last.
    pub(super) async fn linger(&self) {
        if self.settled.swap(false, Ordering::AcqRel) {
            tokio::time::sleep(SHORT_LINGER).await;
        }
    }
}

/// Starts the consumers that a prefetch takes.
pub(super) async fn start(
    live: &Live,
    topology: &Topology,
    queue: &QueueName,
    prefetch: u32,
    afterlife: Afterlife,
) -> Result<AmqpConsumer, TransportError> {
    let mut consumer =
        AmqpConsumer { queue: queue.clone(), sources: Vec::new(), first: 0, lost: None, afterlife };
    for prefetch in shares(prefetch) {
        // On an error, those that are there already are ended by the drop of what holds them.
        let settled = consumer.afterlife.settled.clone();
        consumer.sources.push(start_one(live, topology, queue, prefetch, settled).await?);
    }
    Ok(consumer)
}

/// A prefetch in parts that the broker takes, as even as can be.
fn shares(prefetch: u32) -> impl Iterator<Item = u16> {
    let prefetch = prefetch.max(1);
    let parts = prefetch.div_ceil(MAX_PREFETCH);
    (0..parts).map(move |part| {
        let share = prefetch / parts + u32::from(part < prefetch % parts);
        u16::try_from(share).expect("a part is at most 2,000")
    })
}

async fn start_one(
    live: &Live,
    topology: &Topology,
    queue: &QueueName,
    prefetch: u16,
    settled: Arc<AtomicBool>,
) -> Result<Source, TransportError> {
    let channel = live.channel().await?;
    let doing = format!("consuming from the queue {}", topology.queue(queue));
    // Before the consumer: it counts for those that start after it.
    in_time(&doing, channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
    let consuming = channel.basic_consume(
        topology.queue(queue).into(),
        format!("upbeat-{generation}").into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    match in_time_raw(&doing, consuming).await? {
        Ok(stream) => Ok(Source { stream, holding: Arc::new(Holding::new(generation, channel, settled)) }),
        Err(error) if explain::is_missing(&error) => Err(topology.missing(queue)),
        Err(error) => Err(explain::call(&error, &doing)),
    }
}

/// One consumer of the broker's.
struct Source {
    stream: lapin::Consumer,
    holding: Arc<Holding>,
}

/// See [`Consumer`].
pub(super) struct AmqpConsumer {
    queue: QueueName,
    sources: Vec<Source>,
    /// Whose turn it is to be looked at first.
    first: usize,
    /// Why it ended, once it has.
    lost: Option<String>,
    afterlife: Afterlife,
}

impl AmqpConsumer {
    /// Takes what is ready. Takes nothing and answers pending, or hands everything out that it took.
    fn poll(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Vec<Delivery>, TransportError>> {
        let mut ready = Vec::new();
        if self.lost.is_none() {
            let count = self.sources.len();
            for turn in 0..count {
                let source = &mut self.sources[(self.first + turn) % count];
                if let Err(reason) = source.poll(cx, &self.queue, max, &mut ready) {
                    self.lost = Some(reason);
                }
            }
            self.first = (self.first + 1) % count;
        }
        match &self.lost {
            _ if !ready.is_empty() => Poll::Ready(Ok(ready)),
            Some(reason) => Poll::Ready(Err(TransportError::ConsumerLost(reason.clone()))),
            None => Poll::Pending,
        }
    }
}

impl Source {
    /// Adds to `ready` until it holds `max`; `Err` with the reason once the consumer has ended.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        queue: &QueueName,
        max: usize,
        ready: &mut Vec<Delivery>,
    ) -> Result<(), String> {
        let before = ready.len();
        let mut ended = Ok(());
        while ready.len() < max {
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(delivery))) => ready.push(self.delivery(queue, delivery)),
                Poll::Ready(Some(Err(error))) => {
                    ended = Err(explain::reason(&error));
                    break;
                }
                Poll::Ready(None) => {
                    ended = Err(self.cancelled());
                    break;
                }
            }
        }
        if ready.len() > before {
            self.holding.hand_out(ready[before..].iter().map(|delivery| delivery.tag.tag));
        }
        ended
    }

    fn delivery(&self, queue: &QueueName, delivery: lapin::message::Delivery) -> Delivery {
        let (message, redeliveries) =
            convert::message(&delivery.properties, delivery.data, delivery.redelivered);
        let tag = DeliveryTag { generation: self.holding.generation, tag: delivery.delivery_tag };
        Delivery { tag, queue: queue.clone(), message, redeliveries }
    }

    fn cancelled(&self) -> String {
        if self.holding.is_up() {
            "the broker cancelled it: the queue was deleted, is not to be reached, or a delivery was held for longer than \
             its consumer timeout"
                .to_owned()
        } else {
            "the connection was closed".to_owned()
        }
    }
}

#[async_trait]
impl Consumer for AmqpConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, TransportError> {
        std::future::poll_fn(|cx| self.poll(cx, max.max(1))).await
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledge> {
        Arc::new(Desk(self.sources.iter().map(|source| source.holding.clone()).collect()))
    }
}

impl Drop for AmqpConsumer {
    fn drop(&mut self) {
        // Without a runtime the program is ending, and its connections with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for source in self.sources.drain(..) {
            let closed = self.afterlife.closed.clone();
            let ending = async move {
                tokio::select! {
                    // The connections go, and with them everything that is left here.
                    () = closed.cancelled() => {}
                    () = source.end() => {}
                }
            };
            self.afterlife.tasks.spawn_on(ending, &runtime);
        }
    }
}

impl Source {
    /// Stops the taking, gives back what nobody has seen, and keeps the channel until the rest is settled.
    async fn end(self) {
        let Self { stream, holding } = self;
        if let Err(error) = stop(stream, &holding).await {
            tracing::debug!(%error, "a consumer ended with its channel; what it held is delivered again");
        }
        while holding.is_up() && !holding.is_empty() {
            // Made before the look, so that nothing is settled unseen between the two.
            let settled = holding.settled.notified();
            if !holding.is_empty() {
                let _ = tokio::time::timeout(LOOK, settled).await;
            }
        }
        tokio::time::sleep(LINGER).await;
        // Closed here and not by a drop, whose errors would end the whole connection.
        if holding.is_up()
            && let Err(error) = in_time("closing a channel", holding.channel.close(200, "done".into())).await
        {
            tracing::debug!(%error, "a consumer's channel was gone already");
        }
    }
}

async fn stop(mut stream: lapin::Consumer, holding: &Holding) -> Result<(), TransportError> {
    let tag: ShortString = stream.tag();
    in_time("cancelling a consumer", holding.channel.basic_cancel(tag, BasicCancelOptions::default()))
        .await?;
    // The broker sends nothing after its answer, so that the stream ends.
    let mut unseen = VecDeque::new();
    while let Ok(Some(Ok(delivery))) = tokio::time::timeout(PATIENCE, stream.next()).await {
        unseen.push_back(delivery.delivery_tag);
    }
    holding.hand_out(unseen.iter().copied());
    holding.give_back(unseen.into()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefetch_is_split_into_even_parts_that_the_broker_takes() {
        let shares = |prefetch| shares(prefetch).collect::<Vec<u16>>();
        assert_eq!(shares(0), [1]);
        assert_eq!(shares(64), [64]);
        assert_eq!(shares(2000), [2000]);
        assert_eq!(shares(2001), [1001, 1000]);
        assert_eq!(shares(5000), [1667, 1667, 1666]);
    }
}
