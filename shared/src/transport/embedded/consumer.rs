//! Consumers: a pump takes messages while the prefetch allows, and hands them on through a bounded channel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};
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
        next_tag: AtomicU64::new(1),
        held: Mutex::default(),
        room: Notify::new(),
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
    next_tag: AtomicU64,
    held: Mutex<HashMap<u64, i64>>,
    room: Notify,
}

impl Holding {
    fn count(&self) -> usize {
        self.held.lock().expect("no holder of the deliveries panics").len()
    }

    fn hold(&self, queue: &QueueName, taken: Taken) -> Delivery {
        let tag = self.next_tag.fetch_add(1, Ordering::Relaxed);
        self.held.lock().expect("no holder of the deliveries panics").insert(tag, taken.number);
        Delivery {
            tag: DeliveryTag { generation: self.generation, tag },
            queue: queue.clone(),
            message: taken.message,
            redeliveries: taken.redeliveries,
        }
    }

    /// Numbers of those tags that are still held; they are kept until [`Holding::forget`].
    fn numbers(&self, tags: &[DeliveryTag]) -> Vec<i64> {
        let held = self.held.lock().expect("no holder of the deliveries panics");
        let ours = tags.iter().filter(|tag| tag.generation == self.generation);
        ours.filter_map(|tag| held.get(&tag.tag).copied()).collect()
    }

    fn forget(&self, tags: &[DeliveryTag]) {
        let mut held = self.held.lock().expect("no holder of the deliveries panics");
        for tag in tags.iter().filter(|tag| tag.generation == self.generation) {
            held.remove(&tag.tag);
        }
        drop(held);
        self.room.notify_one();
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
            for one in taken {
                let delivery = self.holding.hold(&self.queue, one);
                if let Err(unsent) = sender.send(Ok(delivery)).await {
                    self.return_unsent(unsent.0).await;
                }
            }
            if self.stopped.is_cancelled() {
                return;
            }
            if !found {
                self.idle(&mut signal, room).await;
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

    async fn idle(&self, signal: &mut tokio::sync::watch::Receiver<u64>, room: usize) {
        tokio::select! {
            () = self.stopped.cancelled() => {}
            () = self.holding.room.notified() => {}
            _ = signal.changed(), if room > 0 => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }

    async fn return_unsent(&self, unsent: Result<Delivery, TransportError>) {
        let Ok(delivery) = unsent else { return };
        if let Err(error) = self.holding.give_back(vec![delivery.tag]).await {
            tracing::warn!(%error, "could not give a delivery back; it is delivered again when this process ends");
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
