//! Deliveries that wait for a slot, and the slots that queues share. Never talks to the broker or the ledger.
//!
//! A *line* is one queue's deliveries in this worker's hands, not yet claimed. It is bounded by its consumer's prefetch.
//! Whatever is claimed holds a [`Slot`].

mod share;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use metrics::Histogram;
use tokio::sync::{Notify, oneshot};
use upbeat_shared::message::WireMessage;
use upbeat_shared::name::QueueName;
use upbeat_shared::telemetry;
use upbeat_shared::transport::{Acknowledge, Delivery};

use crate::runtime::receipt::Receipt;
use share::Share;

/// The lines of every queue of a worker, and its slots.
pub(crate) struct Queues {
    names: Vec<QueueName>,
    /// How long tasks waited, by line.
    waits: Vec<Histogram>,
    slots: u32,
    state: Mutex<State>,
    /// A delivery came, or a slot was freed while some line had work.
    changed: Notify,
}

struct State {
    free: u32,
    shares: Vec<Share>,
    lines: Vec<Line>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// The consumer stopped because there was no slot, and wants one before it takes anything again.
    asking: Option<oneshot::Sender<Slot>>,
}

impl Line {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.asking.as_ref().is_some_and(|asking| !asking.is_closed())
    }
}

/// A delivery in a line.
pub(crate) struct Waiting {
    pub(crate) message: WireMessage,
    pub(crate) redeliveries: u32,
    pub(crate) receipt: Receipt,
    /// Since when, on the monotonic clock.
    since: Duration,
    /// The slot that was kept for it.
    seat: Option<Slot>,
}

impl Waiting {
    fn with_slot(self, queue: &QueueName, slot: Slot) -> Taken {
        let Self { message, redeliveries, receipt, .. } = self;
        Taken { queue: queue.clone(), message, redeliveries, receipt, slot }
    }
}

/// A delivery with a slot to run in.
pub(crate) struct Taken {
    pub(crate) queue: QueueName,
    pub(crate) message: WireMessage,
    pub(crate) redeliveries: u32,
    pub(crate) receipt: Receipt,
    pub(crate) slot: Slot,
}

/// The right to run one task at a time; given back when dropped.
pub(crate) struct Slot {
    queues: Arc<Queues>,
    line: usize,
}

impl Slot {
    /// Whose turn it was.
    pub(crate) fn line(&self) -> usize {
        self.line
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.queues.lock();
        state.free += 1;
        state.shares[self.line].running -= 1;
        if state.lines.iter().any(Line::has_work) {
            self.queues.changed.notify_one();
        }
    }
}

impl Queues {
    /// Empty lines, free slots.
    pub(crate) fn new(queues: &[(QueueName, u32)], slots: u32) -> Arc<Self> {
        let shares = queues.iter().map(|(_, weight)| Share::new(*weight)).collect();
        let lines = queues.iter().map(|_| Line::default()).collect();
        let wait = |queue: &QueueName| metrics::histogram!(telemetry::QUEUE_WAIT_SECONDS, "queue" => queue.to_string());
        Arc::new(Self {
            waits: queues.iter().map(|(name, _)| wait(name)).collect(),
            names: queues.iter().map(|(name, _)| name.clone()).collect(),
            slots,
            state: Mutex::new(State { free: slots, shares, lines }),
            changed: Notify::new(),
        })
    }

    /// The queues, by line.
    pub(crate) fn names(&self) -> &[QueueName] {
        &self.names
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Counts how long a task of a line waited.
    pub(crate) fn waited(&self, line: usize, waited: Duration) {
        self.waits[line].record(waited.as_secs_f64());
    }

    /// Puts deliveries at the end of a line. The first of them gets the seat, if there is one.
    pub(crate) fn push(
        &self,
        line: usize,
        deliveries: Vec<Delivery>,
        acknowledge: &Arc<dyn Acknowledge>,
        since: Duration,
        mut seat: Option<Slot>,
    ) {
        let mut state = self.lock();
        for delivery in deliveries {
            let Delivery { tag, message, redeliveries, .. } = delivery;
            let receipt = Receipt::new(tag, acknowledge.clone());
            let seat = seat.take();
            state.lines[line].waiting.push_back(Waiting { message, redeliveries, receipt, since, seat });
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Empties a line: what was in it has not been claimed.
    pub(crate) fn drain(&self, line: usize) -> Vec<Waiting> {
        self.lock().lines[line].waiting.drain(..).collect()
    }

    /// Whether every slot is taken and a line's first delivery has waited since before `patience`.
    pub(crate) fn starved(&self, line: usize, patience: Duration) -> bool {
        let state = self.lock();
        state.free == 0 && state.lines[line].waiting.front().is_some_and(|first| first.since < patience)
    }

    /// Whether a line is empty and would get a slot, sooner or later, for more deliveries than it has.
    pub(crate) fn has_room(&self, line: usize) -> bool {
        let state = self.lock();
        let below_share = share::is_below(&state.shares, line, self.slots);
        state.lines[line].waiting.is_empty() && (state.free > 0 || below_share)
    }

    /// The next turn at a slot, among lines that have work outside of this worker; `None` if nobody has, or no slot is free.
    #[cfg(feature = "testing")]
    pub(crate) fn next_turn(self: &Arc<Self>, has_work: impl Fn(usize) -> bool) -> Option<Slot> {
        let mut state = self.lock();
        if state.free == 0 {
            return None;
        }
        let line = share::grant(&mut state.shares, self.slots, has_work)?;
        state.free -= 1;
        Some(Slot { queues: self.clone(), line })
    }

    /// Waits for this line's turn at a slot without having a delivery for it.
    pub(crate) async fn ask(&self, line: usize) -> Slot {
        let (asking, granted) = oneshot::channel();
        self.lock().lines[line].asking = Some(asking);
        self.changed.notify_one();
        granted.await.expect("only a line's own consumer asks for it, one question at a time")
    }

    /// Waits for deliveries that have a slot, and takes at most `max` of them, by weight. Cancel-safe: nothing is taken
    /// before the answer. For one caller at a time.
    pub(crate) async fn take(self: &Arc<Self>, max: usize) -> Vec<Taken> {
        loop {
            let taken = self.take_ready(max);
            if !taken.is_empty() {
                return taken;
            }
            // A change since the look above left a permit here.
            self.changed.notified().await;
        }
    }

    fn take_ready(self: &Arc<Self>, max: usize) -> Vec<Taken> {
        let mut taken = Vec::new();
        let mut asked = Vec::new();
        let mut state = self.lock();
        let State { free, shares, lines } = &mut *state;
        for (line, queue) in lines.iter_mut().zip(&self.names) {
            if let Some(slot) = line.waiting.front_mut().and_then(|first| first.seat.take()) {
                let first = line.waiting.pop_front().expect("its front was just looked at");
                taken.push(first.with_slot(queue, slot));
            }
        }
        while taken.len() < max && *free > 0 {
            let Some(line) = share::grant(shares, self.slots, |line| lines[line].has_work()) else { break };
            *free -= 1;
            let slot = Slot { queues: self.clone(), line };
            match lines[line].waiting.pop_front() {
                Some(first) => taken.push(first.with_slot(&self.names[line], slot)),
                None => asked.extend(lines[line].asking.take().map(|asking| (asking, slot))),
            }
        }
        // A slot locks the state when it is dropped, as happens where the asker is gone by now.
        drop(state);
        for (asking, slot) in asked {
            drop(asking.send(slot));
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lines panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use futures_util::FutureExt;
    use upbeat_shared::transport::{DeliveryTag, TransportError};

    struct Nobody;

    #[async_trait]
    impl Acknowledge for Nobody {
        async fn acknowledge(&self, _: Vec<DeliveryTag>) -> Result<(), TransportError> {
            Ok(())
        }
        async fn give_back(&self, _: Vec<DeliveryTag>) -> Result<(), TransportError> {
            Ok(())
        }
    }

    fn queues(weights: &[(&str, u32)], slots: u32) -> Arc<Queues> {
        let names: Vec<_> =
            weights.iter().map(|(name, weight)| (QueueName::new(name).unwrap(), *weight)).collect();
        Queues::new(&names, slots)
    }

    fn push(queues: &Queues, line: usize, count: u64, seat: Option<Slot>) {
        let nobody: Arc<dyn Acknowledge> = Arc::new(Nobody);
        let queue = &queues.names()[line];
        let deliveries = (0..count).map(|tag| Delivery {
            tag: DeliveryTag { generation: 1, tag },
            queue: queue.clone(),
            message: WireMessage::default(),
            redeliveries: 0,
        });
        queues.push(line, deliveries.collect(), &nobody, Duration::ZERO, seat);
    }

    #[tokio::test]
    async fn no_more_are_taken_than_there_are_slots() {
        let queues = queues(&[("a", 1)], 2);
        push(&queues, 0, 5, None);
        let taken = queues.take(100).await;
        assert_eq!((taken.len(), queues.lock().free), (2, 0));
        assert!(queues.take(100).now_or_never().is_none());
        drop(taken);
        assert_eq!(queues.take(100).await.len(), 2);
    }

    #[tokio::test]
    async fn a_free_slot_wakes_the_one_who_waits_for_it() {
        let queues = queues(&[("a", 1)], 1);
        push(&queues, 0, 2, None);
        let first = queues.take(1).await;
        let next = tokio::spawn({
            let queues = queues.clone();
            async move { queues.take(1).await.len() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(next.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_line_that_asks_gets_its_turn_although_others_have_deliveries() {
        let queues = queues(&[("busy", 1), ("asks", 1)], 1);
        push(&queues, 0, 10, None);
        let first = queues.take(1).await;
        let mut asked = Box::pin(queues.ask(1));
        assert!((&mut asked).now_or_never().is_none());
        drop(first);
        // Its turn comes at once, and the busy line gets nothing while the slot is kept.
        assert!(queues.take(1).now_or_never().is_none());
        let seat = asked.await;
        push(&queues, 1, 1, Some(seat));
        let taken = queues.take(1).await;
        assert_eq!(taken[0].queue.as_str(), "asks");
    }

    #[tokio::test]
    async fn a_slot_kept_for_nothing_goes_to_the_others() {
        let queues = queues(&[("busy", 1), ("asks", 1)], 1);
        let mut asked = Box::pin(queues.ask(1));
        assert!((&mut asked).now_or_never().is_none());
        push(&queues, 0, 1, None);
        assert!(queues.take(1).await[0].queue.as_str() == "busy");
        assert!(queues.take(1).now_or_never().is_none());
        // The asker goes away with its slot unused, or before it was given any.
        drop(asked);
        push(&queues, 0, 1, None);
        assert_eq!(queues.take(1).await.len(), 1);
        assert_eq!(queues.lock().free, 1);
    }
}
