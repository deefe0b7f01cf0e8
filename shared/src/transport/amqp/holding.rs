//! The deliveries of one channel that are with this process, and what settles them.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::sync::Notify;

use super::acknowledge::{Outstanding, Settle};
use super::in_time;
use crate::transport::{Acknowledge, DeliveryTag, TransportError};

/// One consuming channel. Its deliveries can be settled for as long as it stands, whatever became of its consumer.
pub(super) struct Holding {
    /// Unique in this process: tags begin anew on every channel.
    pub(super) generation: u64,
    pub(super) channel: Channel,
    outstanding: Mutex<Outstanding>,
    /// Raised whenever nothing is outstanding any more.
    pub(super) settled: Notify,
    /// Shared by the channels of a transport: something was settled.
    any_settled: Arc<AtomicBool>,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Acknowledge,
    GiveBack,
}

type Sending<'a> = Pin<Box<dyn Future<Output = lapin::Result<()>> + Send + 'a>>;

impl Holding {
    pub(super) fn new(generation: u64, channel: Channel, any_settled: Arc<AtomicBool>) -> Self {
        Self { generation, channel, outstanding: Mutex::default(), settled: Notify::new(), any_settled }
    }

    pub(super) fn hand_out(&self, tags: impl Iterator<Item = u64>) {
        let mut outstanding = self.lock();
        tags.for_each(|tag| outstanding.hand_out(tag));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The channel stands: what is outstanding can still be settled.
    pub(super) fn is_up(&self) -> bool {
        self.channel.status().connected()
    }

    pub(super) async fn give_back(&self, tags: Vec<u64>) -> Result<(), TransportError> {
        self.settle(tags, Verb::GiveBack).await
    }

    async fn settle(&self, tags: Vec<u64>, verb: Verb) -> Result<(), TransportError> {
        let sent = self.send(tags, verb);
        let written = async {
            for sending in sent? {
                sending.await?;
            }
            Ok(())
        };
        in_time("settling deliveries", written).await.map_err(|error| {
            TransportError::Unavailable(format!("{error}; what is not settled is delivered again"))
        })
    }

    /// Hands the frames to the connection, in the order in which they were decided: another call's frame in between could
    /// settle what this one is about. So this decides and sends under one lock, and waits for nothing.
    fn send(&self, tags: Vec<u64>, verb: Verb) -> lapin::Result<Vec<Sending<'_>>> {
        let mut outstanding = self.lock();
        let mut sent = Vec::new();
        for frame in outstanding.settle(tags) {
            let mut sending = self.frame(frame, verb);
            // The first poll puts the frame in the connection's queue; the rest waits until it is written.
            match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(written) => written?,
                Poll::Pending => sent.push(sending),
            }
        }
        self.any_settled.store(true, Ordering::Release);
        if outstanding.is_empty() {
            self.settled.notify_waiters();
        }
        Ok(sent)
    }

    fn frame(&self, frame: Settle, verb: Verb) -> Sending<'_> {
        let (tag, multiple) = match frame {
            Settle::One(tag) => (tag, false),
            Settle::UpTo(tag) => (tag, true),
        };
        match verb {
            Verb::Acknowledge => Box::pin(self.channel.basic_ack(tag, BasicAckOptions { multiple })),
            Verb::GiveBack => {
                Box::pin(self.channel.basic_nack(tag, BasicNackOptions { multiple, requeue: true }))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outstanding> {
        self.outstanding.lock().expect("no holder of the tags panics")
    }
}

/// Settles the deliveries of a consumer, which may have come through several channels.
pub(super) struct Desk(pub(super) Vec<Arc<Holding>>);

impl Desk {
    async fn settle(&self, tags: Vec<DeliveryTag>, verb: Verb) -> Result<(), TransportError> {
        if let [holding] = self.0.as_slice() {
            return holding.settle(of_generation(&tags, holding.generation), verb).await;
        }
        let mut worst = Ok(());
        for holding in &self.0 {
            let own = of_generation(&tags, holding.generation);
            if !own.is_empty() {
                // One channel's end does not keep what came through the others.
                worst = holding.settle(own, verb).await.and(worst);
            }
        }
        worst
    }
}

fn of_generation(tags: &[DeliveryTag], generation: u64) -> Vec<u64> {
    tags.iter().filter(|tag| tag.generation == generation).map(|tag| tag.tag).collect()
}

#[async_trait]
impl Acknowledge for Desk {
    async fn acknowledge(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError> {
        self.settle(tags, Verb::Acknowledge).await
    }

    async fn give_back(&self, tags: Vec<DeliveryTag>) -> Result<(), TransportError> {
        self.settle(tags, Verb::GiveBack).await
    }
}
