//! The broker as a member has it: every call goes over the network, and what is delivered may be held up on its way, and
//! overtaken.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use upbeat_shared::id::{Seq, TaskId};
use upbeat_shared::message::{HeaderValue, WireMessage};
use upbeat_shared::name::QueueName;
use upbeat_shared::transport::memory::{MemoryBroker, MemoryTransport};
use upbeat_shared::transport::{
    Acknowledge, Consumer, Delivery, DeliveryTag, Depth, Outgoing, PublishAnswer, Transport, TransportError,
};

use super::history::About;
use super::law::Law;
use super::net::{Kind, Line, Seen};
use crate::testing::chance::Dice;
use crate::testing::world::at_once;

type Answer<T> = Result<T, TransportError>;

/// One process's way to the broker. Its connection may be made anew.
pub(super) struct FarBroker {
    line: Line,
    broker: Arc<MemoryBroker>,
    connection: Mutex<Arc<MemoryTransport>>,
    law: Arc<Law>,
    dice: Mutex<Dice>,
}

impl FarBroker {
    pub(super) fn new(line: Line, broker: Arc<MemoryBroker>, law: Arc<Law>, dice: Dice) -> Arc<Self> {
        let connection = Mutex::new(broker.connect());
        Arc::new(Self { line, broker, connection, law, dice: Mutex::new(dice) })
    }

    /// Its connection ends: consumers are told, and what they held is delivered again.
    pub(super) fn reset(&self) {
        let fresh = self.broker.connect();
        let old = std::mem::replace(&mut *self.connection.lock().expect("no holder panics"), fresh);
        at_once(old.close());
    }

    /// What the broker sees of the process until it notices that it is gone.
    pub(super) fn connection(&self) -> Arc<MemoryTransport> {
        self.connection.lock().expect("no holder panics").clone()
    }

    async fn ask<T: Send + 'static>(
        &self,
        label: &'static str,
        about: About,
        see: fn(&T) -> Seen,
        act: impl FnOnce(&MemoryTransport, bool) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let connection = self.connection();
        let kind = Kind { label, see, away: TransportError::Unavailable };
        self.line.ask(kind, about, move |twice| act(&connection, twice)).await
    }
}

impl fmt::Debug for FarBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FarBroker").finish_non_exhaustive()
    }
}

/// What the broker sees of a task in a message.
fn known(message: &WireMessage) -> Option<(TaskId, Seq)> {
    let id = message.message_id.as_deref()?.parse().ok()?;
    let seq = message.headers.iter().find_map(|(name, value)| match value {
        HeaderValue::Int(seq) if name == "upbeat-seq" => Some(Seq(*seq)),
        HeaderValue::Int(_) | HeaderValue::Text(_) | HeaderValue::Other => None,
    });
    Some((id, seq.unwrap_or(Seq(0))))
}

#[async_trait]
impl Transport for FarBroker {
    async fn declare(&self, queues: &[QueueName]) -> Answer<()> {
        let queues = queues.to_vec();
        self.ask("declare", About::default(), |()| Seen::quiet(), move |raw, _| at_once(raw.declare(&queues)))
            .await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Answer<Vec<PublishAnswer>> {
        let tasks: Vec<_> = batch.iter().map(|outgoing| known(&outgoing.message)).collect();
        let about = About::tasks(tasks.iter().flatten().map(|(id, _)| *id));
        let law = self.law.clone();
        self.ask(
            "publish",
            about,
            |_| Seen::notable("confirmed"),
            move |raw, twice| {
                if twice {
                    at_once(raw.publish(batch.clone()))?;
                }
                let answers = at_once(raw.publish(batch))?;
                for (task, answer) in tasks.iter().zip(&answers) {
                    if let (Some((id, seq)), PublishAnswer::Confirmed) = (task, answer) {
                        law.confirmed(*id, *seq);
                    }
                }
                Ok(answers)
            },
        )
        .await
    }

    async fn consume(&self, queue: &QueueName, prefetch: u32) -> Answer<Box<dyn Consumer>> {
        let name = queue.clone();
        let raw = self.ask(
            "consume",
            About::default(),
            |_| Seen::quiet(),
            move |raw, _| at_once(raw.consume(&name, prefetch)),
        );
        let raw = raw.await?;
        let seed = self.dice.lock().expect("no holder of the dice panics").next();
        let line = self.line.clone();
        Ok(Box::new(FarConsumer { line, raw, held: Vec::new(), dice: Dice::new(seed) }))
    }

    async fn depth(&self, queue: &QueueName) -> Answer<Option<Depth>> {
        let queue = queue.clone();
        self.ask("depth", About::default(), |_| Seen::quiet(), move |raw, _| at_once(raw.depth(&queue))).await
    }

    async fn purge(&self, queue: &QueueName) -> Answer<u64> {
        let queue = queue.clone();
        self.ask(
            "purge",
            About::default(),
            |_| Seen::notable("purged"),
            move |raw, _| at_once(raw.purge(&queue)),
        )
        .await
    }

    async fn ping(&self) -> Answer<()> {
        self.ask("ping", About::default(), |()| Seen::quiet(), |raw, _| at_once(raw.ping())).await
    }

    fn describe(&self) -> String {
        self.connection().describe()
    }

    async fn close(&self) {
        self.connection().close().await;
    }
}

/// A consumer whose deliveries take their time.
struct FarConsumer {
    line: Line,
    raw: Box<dyn Consumer>,
    /// On their way: when they arrive, in milliseconds of the simulation.
    held: Vec<(u64, Delivery)>,
    dice: Dice,
}

impl FarConsumer {
    /// Sends what the broker delivered on its way.
    fn under_way(&mut self, deliveries: Vec<Delivery>) {
        let (now, wind) = (self.line.net.now(), self.line.net.wind());
        for delivery in deliveries {
            let late = if self.dice.permille(wind.overtaken) { self.dice.below(3000) } else { 0 };
            if late > 0 {
                self.line.net.holds_up();
            }
            self.held.push((now + late, delivery));
        }
        if self.held.len() > 1 && self.dice.permille(wind.overtaken) {
            let other = usize::try_from(self.dice.below(self.held.len() as u64)).unwrap_or(0);
            self.held.swap(0, other);
        }
    }

    fn arrived(&mut self, max: usize) -> Vec<Delivery> {
        let now = self.line.net.now();
        let mut arrived = Vec::new();
        let mut still = Vec::with_capacity(self.held.len());
        for (at, delivery) in self.held.drain(..) {
            if at <= now && arrived.len() < max.max(1) {
                arrived.push(delivery);
            } else {
                still.push((at, delivery));
            }
        }
        self.held = still;
        arrived
    }
}

#[async_trait]
impl Consumer for FarConsumer {
    async fn next(&mut self, max: usize) -> Answer<Vec<Delivery>> {
        loop {
            // Cancel-safe: what was read is held here until it is answered, and answered without another await.
            let arrived = self.arrived(max);
            if let Some(first) = arrived.first() {
                let first = known(&first.message).map(|(id, _)| id);
                let about = About { first, more: arrived.len() - 1, text: None };
                self.line.note("gets", "deliveries", about);
                return Ok(arrived);
            }
            let next = self.held.iter().map(|(at, _)| *at).min();
            let wait = next.map_or(0, |at| at.saturating_sub(self.line.net.now()).max(1));
            let read = tokio::select! {
                biased;
                read = self.raw.next(max) => Some(read?),
                () = tokio::time::sleep(Duration::from_millis(wait)), if next.is_some() => None,
            };
            if let Some(read) = read {
                self.under_way(read);
            }
        }
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledge> {
        Arc::new(FarHands { line: self.line.clone(), raw: self.raw.acknowledger() })
    }
}

impl Drop for FarConsumer {
    /// What nobody was given goes back.
    fn drop(&mut self) {
        let tags: Vec<DeliveryTag> = self.held.drain(..).map(|(_, delivery)| delivery.tag).collect();
        if !tags.is_empty() {
            at_once(self.raw.acknowledger().give_back(tags)).expect("a broker in memory does not fail");
        }
    }
}

/// What settles a consumer's deliveries.
struct FarHands {
    line: Line,
    raw: Arc<dyn Acknowledge>,
}

impl FarHands {
    async fn settle(&self, label: &'static str, tags: Vec<DeliveryTag>, again: bool) -> Answer<()> {
        let raw = self.raw.clone();
        let kind = Kind { label, see: |()| Seen::notable(""), away: TransportError::Unavailable };
        let about = About { more: tags.len().saturating_sub(1), ..About::default() };
        self.line
            .ask(kind, about, move |_| {
                if again { at_once(raw.give_back(tags)) } else { at_once(raw.acknowledge(tags)) }
            })
            .await
    }
}

#[async_trait]
impl Acknowledge for FarHands {
    async fn acknowledge(&self, tags: Vec<DeliveryTag>) -> Answer<()> {
        self.settle("acknowledge", tags, false).await
    }

    async fn give_back(&self, tags: Vec<DeliveryTag>) -> Answer<()> {
        self.settle("give_back", tags, true).await
    }
}
