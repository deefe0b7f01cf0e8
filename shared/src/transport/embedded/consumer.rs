//! Consumers: a pump takes messages while the prefetch allows, and hands them on through a bounded channel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::message::{self, Taken};
use super::session::Session;
use crate::name::QueueName;
use crate::sqlite::{SqliteError, SqliteFile, Topic};
use crate::transport::{Acknowledge, Consumer, Delivery, DeliveryTag, TransportError};

/// A look at the queue even if nothing woke us: a signal is never relied upon for ever.
const LOOK: Duration = Duration::from_secs(5);

/// Generations of this process: every consumer is one.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

pub(super) fn start(
    file: Arc<SqliteFile>,
    session: Arc<Session>,
    queue: QueueName,
    number: i64,
    prefetch: u32,
) -> EmbeddedConsumer {
    let prefetch = usize::try_from(prefetch.max(1)).unwrap_or(usize::MAX);
    let (sender, receiver) = mpsc::channel(prefetch);
    let stopped = session.closed.child_token();
    let holding = Arc::new(Holding {
        generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
        file,
        session,
        queue: number,
        next_tag: AtomicU64::new(1),
        held: Mutex::default(),
    });
    let pump = Pump { holding: holding.clone(), queue, number, prefetch, stopped: stopped.clone() };
    tokio::spawn(pump.run(sender));
    EmbeddedConsumer { holding, receiver, stopped }
}

/// The deliveries that are with this process, by tag.
struct Holding {
    generation: u64,
    file: Arc<SqliteFile>,
    session: Arc<Session>,
    queue: i64,
    next_tag: AtomicU64,
    held: Mutex<Held>,
}

/// By tag, the message's number.
#[derive(Default)]
struct Held {
    deliveries: HashMap<u64, i64>,
    /// The consumer is gone; what is left counts as its successor's.
    ended: bool,
}

impl Holding {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of the deliveries panics")
    }

    /// Its own deliveries, and those that earlier consumers of this process left: replacing one must not take more.
    fn count(&self) -> usize {
        self.lock().deliveries.len() + self.session.leftovers.of(self.queue)
    }

    fn end(&self) {
        let mut held = self.lock();
        held.ended = true;
        self.session.leftovers.add(self.queue, held.deliveries.len());
    }

    fn hold(&self, queue: &QueueName, taken: Taken) -> Delivery {
        let tag = self.next_tag.fetch_add(1, Ordering::Relaxed);
        let mut held = self.lock();
        held.deliveries.insert(tag, taken.number);
        if held.ended {
            self.session.leftovers.add(self.queue, 1);
        }
        drop(held);
        Delivery {
            tag: DeliveryTag { generation: self.generation, tag },
            queue: queue.clone(),
            message: taken.message,
            redeliveries: taken.redeliveries,
        }
    }

    /// Numbers of those tags that are still held; they are kept until [`Holding::forget`].
    fn numbers(&self, tags: &[DeliveryTag]) -> Vec<i64> {
        let held = self.lock();
        let ours = tags.iter().filter(|tag| tag.generation == self.generation);
        ours.filter_map(|tag| held.deliveries.get(&tag.tag).copied()).collect()
    }

    fn forget(&self, tags: &[DeliveryTag]) {
        let mut held = self.lock();
        let ours = tags.iter().filter(|tag| tag.generation == self.generation);
        let forgotten = ours.filter(|tag| held.deliveries.remove(&tag.tag).is_some()).count();
        if held.ended {
            self.session.leftovers.remove(self.queue, forgotten);
        }
        drop(held);
        self.session.freed.send_replace(());
    }
}

#[async_trait]
impl Acknowledge for Holding {
    async fn acknowledge(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError> {
        let numbers = self.numbers(&tags);
        let session = self.session.number;
        self.file.write(move |write| message::acknowledge(write, session, &numbers)).await?;
        self.forget(&tags);
        Ok(())
    }

    async fn give_back(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError> {
        let numbers = self.numbers(&tags);
        let session = self.session.number;
        self.file.write(move |write| message::give_back(write, session, &numbers)).await?;
        self.forget(&tags);
        Ok(())
    }
}

/// Takes messages ahead of the consumer's calls, so that dropping one of those calls loses nothing.
struct Pump {
    holding: Arc<Holding>,
    queue: QueueName,
    number: i64,
    prefetch: usize,
    stopped: CancellationToken,
}

impl Pump {
    async fn run(self, sender: mpsc::Sender<Result<Delivery, TransportError>>) {
        let mut signal = self.holding.file.signals().subscribe(Topic::Queue);
        loop {
            let freed = self.holding.session.freed.subscribe();
            let room = self.prefetch.saturating_sub(self.holding.count());
            signal.mark_unchanged();
            let taken = if room == 0 {
                Vec::new()
            } else {
                match self.take(room).await {
                    Ok(taken) => taken,
                    Err(error) => {
                        // The receiver being gone is the same end.
                        drop(sender.send(Err(error.into())).await);
                        return;
                    }
                }
            };
            let found = !taken.is_empty();
            let mut unsent = Vec::new();
            for one in taken {
                let delivery = self.holding.hold(&self.queue, one);
                let tag = delivery.tag;
                if sender.send(Ok(delivery)).await.is_err() {
                    unsent.push(tag);
                }
            }
            if !unsent.is_empty() {
                self.give_back(unsent).await;
            }
            if self.stopped.is_cancelled() {
                return;
            }
            if !found {
                self.idle(&mut signal, freed, room).await;
            }
        }
    }

    async fn take(&self, room: usize) -> Result<Vec<Taken>, SqliteError> {
        let (queue, session) = (self.number, self.holding.session.number);
        let stopped = self.stopped.clone();
        let take = self.holding.file.write(move |write| {
            // Stopped while it waited for the writer: what it took now would only go back again.
            if stopped.is_cancelled() { Ok(Vec::new()) } else { message::take(write, queue, session, room) }
        });
        take.await
    }

    async fn idle(&self, signal: &mut watch::Receiver<u64>, mut freed: watch::Receiver<()>, room: usize) {
        tokio::select! {
            () = self.stopped.cancelled() => {}
            _ = freed.changed() => {}
            _ = signal.changed(), if room > 0 => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }

    async fn give_back(&self, unsent: Vec<DeliveryTag>) {
        if let Err(error) = self.holding.give_back(unsent).await {
            tracing::warn!(%error, "could not give deliveries back; they come again when this process ends");
        }
    }
}

/// See [`Consumer`].
pub(super) struct EmbeddedConsumer {
    holding: Arc<Holding>,
    receiver: mpsc::Receiver<Result<Delivery, TransportError>>,
    stopped: CancellationToken,
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, TransportError> {
        // Cancel-safe: `recv` takes nothing unless it completes, and nothing is awaited after it.
        let first = self.receiver.recv().await;
        let first =
            first.ok_or_else(|| TransportError::ConsumerLost("the transport was closed".into()))??;
        let mut deliveries = vec![first];
        while deliveries.len() < max {
            match self.receiver.try_recv() {
                Ok(Ok(delivery)) => deliveries.push(delivery),
                // The error comes once more at the next call: the channel has ended then.
                Ok(Err(_)) | Err(_) => break,
            }
        }
        Ok(deliveries)
    }

    fn acknowledger(&self) -> Arc<dyn Acknowledge> {
        self.holding.clone()
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        self.stopped.cancel();
        self.holding.end();
        self.receiver.close();
        let mut unread = Vec::new();
        while let Ok(Ok(delivery)) = self.receiver.try_recv() {
            unread.push(delivery.tag);
        }
        let holding = self.holding.clone();
        // Without a runtime the process is ending, and its session gives everything back.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !unread.is_empty()
        {
            runtime.spawn(async move {
                if let Err(error) = holding.give_back(unread).await {
                    tracing::warn!(%error, "could not give deliveries back; they come again when this process ends");
                }
            });
        }
    }
}
