//! Consuming: who gets what, when, and how much of it at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use upbeat_shared::message::{Message, Priority};
use upbeat_shared::transport::Consumer;

use super::desk::{ids, ids_of, nothing, take};
use super::{Desk, TransportWorld};
use crate::conformance::suite;
use crate::harness::eventually;
use crate::message::message;

suite! { $ consume_conformance, TransportWorld, transport::consume:
    the_highest_priority_comes_first,
    equal_priorities_come_in_the_order_published,
    a_consumer_holds_at_most_its_prefetch,
    a_call_gives_at_most_what_was_asked_for,
    a_call_waits_for_the_first_message,
    two_consumers_share_a_queue,
    two_processes_share_a_queue,
    a_dropped_call_loses_nothing,
    a_dropped_consumer_leaves_the_rest_to_others,
    consumers_dropped_at_once_hold_nothing,
}

fn with_priority(priority: u8) -> Message {
    Message { priority: Priority::new(priority).expect("at most 9"), ..message() }
}

async fn the_highest_priority_comes_first(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let [normal, last, first, high] = [4, 0, 9, 7].map(with_priority);
    desk.publish(&[normal.clone(), last.clone(), first.clone(), high.clone()]).await;

    let mut consumer = desk.consume(10).await;

    assert_eq!(ids(&take(&mut *consumer, 4).await), ids_of(&[first, high, normal, last]));
}

async fn equal_priorities_come_in_the_order_published(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let mut messages = desk.publish_new(20).await;
    messages.extend(desk.publish_new(20).await);

    let mut consumer = desk.consume(7).await;

    let mut seen = Vec::new();
    while seen.len() < 40 {
        let deliveries = take(&mut *consumer, 1).await;
        seen.extend(ids(&deliveries));
        let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        consumer.acknowledger().acknowledge(tags).await.expect("the broker takes the acknowledgement");
    }
    assert_eq!(seen, ids_of(&messages));
}

async fn a_consumer_holds_at_most_its_prefetch(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.publish_new(10).await;
    let mut consumer = desk.consume(3).await;

    let held = take(&mut *consumer, 3).await;
    nothing(&mut *consumer, "its prefetch is used up").await;
    assert!(desk.depth().await.unacknowledged.is_none_or(|held| held == 3));
    assert!(desk.depth().await.ready >= 7);

    let acknowledge = consumer.acknowledger();
    acknowledge.acknowledge(vec![held[1].tag]).await.expect("the broker takes the acknowledgement");
    let next = take(&mut *consumer, 1).await;
    nothing(&mut *consumer, "one place was free").await;
    acknowledge.give_back(vec![next[0].tag]).await.expect("the broker takes it back");
    take(&mut *consumer, 1).await;
    nothing(&mut *consumer, "one place was free").await;
}

async fn a_call_gives_at_most_what_was_asked_for(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.publish_new(10).await;
    let mut consumer = desk.consume(10).await;

    let mut seen = BTreeSet::new();
    while seen.len() < 10 {
        let deliveries = consumer.next(4).await.expect("the consumer lives");
        assert!((1..=4).contains(&deliveries.len()), "{}", deliveries.len());
        seen.extend(ids(&deliveries));
    }
}

async fn a_call_waits_for_the_first_message(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let mut consumer = desk.consume(10).await;
    nothing(&mut *consumer, "nothing was published").await;

    let (deliveries, messages) = tokio::join!(take(&mut *consumer, 1), desk.publish_new(1));

    assert_eq!(ids(&deliveries), ids_of(&messages));
}

/// Takes and acknowledges until so many have come altogether, counting in `all`.
async fn take_all(
    consumer: &mut dyn Consumer,
    all: &tokio::sync::watch::Sender<usize>,
    expected: usize,
) -> Vec<upbeat_shared::id::TaskId> {
    let mut seen = Vec::new();
    let mut counted = all.subscribe();
    loop {
        let deliveries = tokio::select! {
            deliveries = consumer.next(10) => deliveries.expect("the consumer lives"),
            // Cancel-safe: a delivery is never lost in a dropped call.
            _ = counted.wait_for(|count| *count >= expected) => return seen,
        };
        seen.extend(ids(&deliveries));
        let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        consumer.acknowledger().acknowledge(tags).await.expect("the broker takes the acknowledgement");
        all.send_modify(|count| *count += deliveries.len());
    }
}

async fn shared(one: &Desk, other: &Desk) {
    let messages = one.publish_new(200).await;
    let (mut first, mut second) = (one.consume(5).await, other.consume(5).await);
    let all = tokio::sync::watch::Sender::new(0);
    let both = async { tokio::join!(take_all(&mut *first, &all, 200), take_all(&mut *second, &all, 200)) };
    let both = tokio::time::timeout(Duration::from_secs(60), both).await;
    let (mut seen, others) = both.unwrap_or_else(|_| panic!("{} of 200 came", *all.borrow()));

    assert!(!seen.is_empty() && !others.is_empty(), "{} and {}", seen.len(), others.len());
    seen.extend(others);
    seen.sort();
    let mut expected = ids_of(&messages);
    expected.sort();
    assert_eq!(seen, expected, "each message went to one of them");
    assert_eq!(one.depth().await.ready, 0);
}

async fn two_consumers_share_a_queue(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    shared(&desk, &desk).await;
}

async fn two_processes_share_a_queue(world: &impl TransportWorld) {
    shared(&Desk::of(world).await, &Desk::another(world).await).await;
}

async fn a_dropped_call_loses_nothing(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let mut consumer = desk.consume(200).await;
    let (sent, done) = (desk.clone(), tokio::sync::watch::Sender::new(false));
    let publishing = async {
        let mut messages = Vec::new();
        for _ in 0..100 {
            messages.extend(sent.publish_new(1).await);
        }
        done.send_replace(true);
        messages
    };
    let mut seen = Vec::new();
    let taking = async {
        while seen.len() < 100 {
            // Most of these calls are dropped while they wait, some just as a message comes.
            let call = tokio::time::timeout(Duration::from_micros(700), consumer.next(3)).await;
            if let Ok(deliveries) = call {
                seen.extend(ids(&deliveries.expect("the consumer lives")));
            }
        }
    };
    let both = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(publishing, taking).0 });
    let messages = both.await.expect("every message comes");
    assert_eq!(seen, ids_of(&messages));
}

async fn a_dropped_consumer_leaves_the_rest_to_others(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let messages = desk.publish_new(10).await;
    let mut first = desk.consume(8).await;
    let held = take(&mut *first, 2).await;
    let acknowledge = first.acknowledger();

    drop(first);

    let mut second = desk.consume(100).await;
    let rest = take(&mut *second, 8).await;
    nothing(&mut *second, "two are held").await;
    // What was delivered stays valid, and can still be acknowledged.
    let tags = held.iter().map(|delivery| delivery.tag).collect();
    acknowledge.acknowledge(tags).await.expect("the broker takes the acknowledgement");
    let mut seen = [ids(&held), ids(&rest)].concat();
    seen.sort();
    let mut expected = ids_of(&messages);
    expected.sort();
    assert_eq!(seen, expected);
}

async fn consumers_dropped_at_once_hold_nothing(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.publish_new(50).await;

    for round in 0..60 {
        let consumer = desk.consume(50).await;
        // Some are dropped before they have taken anything, some while messages are on their way to them.
        tokio::time::sleep(Duration::from_micros(100 * (round % 20))).await;
        drop(consumer);
    }

    eventually("every message is back", Duration::from_secs(20), async || desk.depth().await.ready == 50)
        .await;
}
