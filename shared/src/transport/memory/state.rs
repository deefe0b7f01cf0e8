//! What a broker keeps: queues, consumers, and who holds what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use super::queue::{Queue, Spot, Stored};
use crate::name::QueueName;
use crate::transport::{Delivery, DeliveryTag, Depth, Outgoing, PublishAnswer};

/// Everything. Whatever could let a message go to somebody ends with [`State::hand_out`].
#[derive(Debug, Default)]
pub(super) struct State {
    queues: BTreeMap<QueueName, Queue>,
    /// By generation: every consumer is one.
    consumers: BTreeMap<u64, Line>,
    last_message: u64,
    last_generation: u64,
    last_connection: u64,
}

/// A consumer as the broker sees it.
#[derive(Debug)]
struct Line {
    connection: u64,
    queue: QueueName,
    prefetch: usize,
    /// What it holds, by tag.
    held: BTreeMap<u64, (Spot, Stored)>,
    /// Tags of those that wait for its next call.
    unread: VecDeque<u64>,
    last_tag: u64,
    /// It takes no more: what it still holds counts as its successors'.
    dropped: bool,
    /// Raised when there is something to read, or the consumer is lost.
    arrived: Arc<Notify>,
}

/// What a consumer reads.
pub(super) enum Read {
    /// These are ready.
    Ready(Vec<Delivery>),
    /// Nothing yet.
    Empty,
    /// Its connection ended.
    Lost,
}

impl State {
    pub(super) fn connect(&mut self) -> u64 {
        self.last_connection += 1;
        self.last_connection
    }

    pub(super) fn declare(&mut self, queues: &[QueueName]) {
        for queue in queues {
            self.queues.entry(queue.clone()).or_default();
        }
    }

    pub(super) fn publish(&mut self, batch: Vec<Outgoing>) -> Vec<PublishAnswer> {
        let mut answers = Vec::with_capacity(batch.len());
        let mut reached: Vec<QueueName> = Vec::new();
        for Outgoing { queue, message } in batch {
            let Some(found) = self.queues.get_mut(&queue) else {
                answers.push(PublishAnswer::Unroutable);
                continue;
            };
            self.last_message += 1;
            let spot = Spot::of(&message, self.last_message);
            found.ready.insert(spot, Stored { message: Arc::new(message), deliveries: 0 });
            answers.push(PublishAnswer::Confirmed);
            if reached.last() != Some(&queue) {
                reached.push(queue);
            }
        }
        for queue in reached {
            self.hand_out(&queue);
        }
        answers
    }

    /// A new consumer's generation; `None` if there is no such queue.
    pub(super) fn consume(
        &mut self,
        connection: u64,
        queue: &QueueName,
        prefetch: usize,
        arrived: Arc<Notify>,
    ) -> Option<u64> {
        let found = self.queues.get_mut(queue)?;
        self.last_generation += 1;
        let generation = self.last_generation;
        found.turns.push_back(generation);
        let line = Line {
            connection,
            queue: queue.clone(),
            prefetch,
            held: BTreeMap::new(),
            unread: VecDeque::new(),
            last_tag: 0,
            dropped: false,
            arrived,
        };
        self.consumers.insert(generation, line);
        self.hand_out(queue);
        Some(generation)
    }

    /// What waits for a consumer's call, at most `max`.
    pub(super) fn read(&mut self, generation: u64, max: usize) -> Read {
        let Some(line) = self.consumers.get_mut(&generation) else { return Read::Lost };
        let mut deliveries = Vec::new();
        while deliveries.len() < max
            && let Some(tag) = line.unread.pop_front()
        {
            let (_, stored) = &line.held[&tag];
            deliveries.push(Delivery {
                tag: DeliveryTag { generation, tag },
                queue: line.queue.clone(),
                message: (*stored.message).clone(),
                redeliveries: stored.deliveries - 1,
            });
        }
        if deliveries.is_empty() { Read::Empty } else { Read::Ready(deliveries) }
    }

    /// Takes these deliveries from their consumer: to be forgotten, or to wait in their queue again.
    pub(super) fn settle(&mut self, generation: u64, tags: &[DeliveryTag], again: bool) {
        let Some(line) = self.consumers.get_mut(&generation) else { return };
        let queue = line.queue.clone();
        let first_unread = line.unread.front().copied().unwrap_or(u64::MAX);
        let ours = tags.iter().filter(|tag| tag.generation == generation && tag.tag < first_unread);
        let settled: Vec<_> = ours.filter_map(|tag| line.held.remove(&tag.tag)).collect();
        if line.dropped && line.held.is_empty() {
            self.consumers.remove(&generation);
        }
        if again {
            self.put_back(&queue, settled);
        }
        self.hand_out(&queue);
    }

    /// A consumer takes no more. What was read stays in its hands, the rest goes back.
    pub(super) fn drop_consumer(&mut self, generation: u64) {
        let Some(line) = self.consumers.get_mut(&generation) else { return };
        line.dropped = true;
        let queue = line.queue.clone();
        let unread: Vec<_> = line.unread.drain(..).filter_map(|tag| line.held.remove(&tag)).collect();
        if line.held.is_empty() {
            self.consumers.remove(&generation);
        }
        self.leave_turns(&queue, generation);
        self.put_back(&queue, unread);
        self.hand_out(&queue);
    }

    /// A connection is gone, and its consumers with it: whatever they hold goes back.
    pub(super) fn end_connection(&mut self, connection: u64) {
        let its = self.consumers.iter().filter(|(_, line)| line.connection == connection);
        let its: Vec<u64> = its.map(|(generation, _)| *generation).collect();
        let mut queues = Vec::with_capacity(its.len());
        for generation in its {
            let Some(line) = self.consumers.remove(&generation) else { continue };
            line.arrived.notify_one();
            self.leave_turns(&line.queue, generation);
            self.put_back(&line.queue, line.held.into_values());
            queues.push(line.queue);
        }
        // When all of it is back: what came first is handed out first.
        for queue in queues {
            self.hand_out(&queue);
        }
    }

    pub(super) fn depth(&self, queue: &QueueName) -> Option<Depth> {
        let found = self.queues.get(queue)?;
        let held = self.consumers.values().filter(|line| line.queue == *queue);
        let held: usize = held.map(|line| line.held.len()).sum();
        Some(Depth {
            ready: found.ready.len() as u64,
            unacknowledged: Some(held as u64),
            consumers: Some(found.turns.len() as u64),
            rates: None,
        })
    }

    pub(super) fn purge(&mut self, queue: &QueueName) -> u64 {
        self.queues.get_mut(queue).map_or(0, |queue| std::mem::take(&mut queue.ready).len() as u64)
    }

    fn put_back(&mut self, queue: &QueueName, messages: impl IntoIterator<Item = (Spot, Stored)>) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.ready.extend(messages);
        }
    }

    fn leave_turns(&mut self, queue: &QueueName, generation: u64) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.turns.retain(|turn| *turn != generation);
        }
    }

    /// Gives what waits to the consumers that have room, one message a turn.
    fn hand_out(&mut self, name: &QueueName) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        if queue.ready.is_empty() {
            return;
        }
        let mut room = rooms(&self.consumers, name);
        while let Some(turn) = queue.turns.iter().position(|generation| room[generation] > 0) {
            let Some((spot, stored)) = queue.ready.pop_first() else { return };
            queue.turns.rotate_left(turn);
            let generation = queue.turns[0];
            queue.turns.rotate_left(1);
            room.entry(generation).and_modify(|room| *room -= 1);
            let line = self.consumers.get_mut(&generation).expect("whose turn it is, is there");
            line.take(spot, stored);
        }
    }
}

/// How much more each consumer of a queue may hold: its own deliveries count, and those that earlier consumers of its
/// connection left. Replacing a consumer must not take more.
fn rooms(consumers: &BTreeMap<u64, Line>, queue: &QueueName) -> BTreeMap<u64, usize> {
    let of_queue = || consumers.iter().filter(|(_, line)| line.queue == *queue);
    let mut left: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, line) in of_queue().filter(|(_, line)| line.dropped) {
        *left.entry(line.connection).or_default() += line.held.len();
    }
    let room = |line: &Line| {
        let left = left.get(&line.connection).copied().unwrap_or(0);
        line.prefetch.saturating_sub(line.held.len() + left)
    };
    of_queue().map(|(generation, line)| (*generation, room(line))).collect()
}

impl Line {
    fn take(&mut self, spot: Spot, stored: Stored) {
        self.last_tag += 1;
        let deliveries = stored.deliveries.saturating_add(1);
        self.held.insert(self.last_tag, (spot, Stored { deliveries, ..stored }));
        self.unread.push_back(self.last_tag);
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::WireMessage;

    /// A queue with so many messages, each named by its number, and consumers with these prefetches.
    fn broker(messages: u64, prefetches: &[usize]) -> (State, Vec<u64>) {
        let (mut state, queue) = (State::default(), QueueName::default_queue());
        state.declare(std::slice::from_ref(&queue));
        let connection = state.connect();
        let consumers = prefetches.iter().map(|prefetch| {
            let consumer = state.consume(connection, &queue, *prefetch, Arc::default());
            consumer.expect("the queue was declared")
        });
        let consumers = consumers.collect();
        let named = |number: u64| WireMessage { kind: Some(number.to_string()), ..WireMessage::default() };
        let batch = (1..=messages).map(|number| Outgoing { queue: queue.clone(), message: named(number) });
        state.publish(batch.collect());
        (state, consumers)
    }

    fn read(state: &mut State, consumer: u64) -> Vec<Delivery> {
        match state.read(consumer, 100) {
            Read::Ready(deliveries) => deliveries,
            Read::Empty => Vec::new(),
            Read::Lost => panic!("its connection lives"),
        }
    }

    fn names(deliveries: &[Delivery]) -> String {
        let names = deliveries.iter().filter_map(|delivery| delivery.message.kind.clone());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn messages_are_handed_out_in_turn_as_far_as_each_consumer_has_room() {
        let (mut state, consumers) = broker(7, &[1, 10, 2]);
        let got: Vec<String> = consumers.iter().map(|consumer| names(&read(&mut state, *consumer))).collect();
        assert_eq!(got, ["1", "2 4 6 7", "3 5"]);
    }

    #[test]
    fn what_was_not_read_yet_cannot_be_settled() {
        let (mut state, consumers) = broker(2, &[2]);
        let generation = consumers[0];
        state.settle(
            generation,
            &[DeliveryTag { generation, tag: 1 }, DeliveryTag { generation, tag: 2 }],
            false,
        );
        assert_eq!(names(&read(&mut state, generation)), "1 2");
    }
}
