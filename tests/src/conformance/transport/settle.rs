//! Settling deliveries: acknowledged is forgotten, given back comes again, and old tags mean nothing.

use std::time::Duration;

use upbeat_shared::transport::{Delivery, DeliveryTag};

use super::desk::{ids, ids_of, nothing, take};
use super::{Desk, TransportWorld};
use crate::conformance::suite;
use crate::harness::eventually;

suite! { $ deliveries_conformance, TransportWorld, transport::settle:
    an_acknowledged_message_is_forgotten,
    a_message_given_back_comes_again_and_is_counted,
    a_message_given_back_comes_in_its_old_place,
    a_tag_settled_twice_is_ignored,
    a_tag_never_given_is_ignored,
    a_tag_of_an_older_generation_is_ignored,
    another_consumers_tag_is_ignored,
    nothing_unacknowledged_is_purged,
}

fn tags(deliveries: &[Delivery]) -> Vec<DeliveryTag> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

async fn an_acknowledged_message_is_forgotten(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.publish_new(3).await;
    let mut consumer = desk.consume(10).await;
    let deliveries = take(&mut *consumer, 3).await;

    let acknowledged = consumer.acknowledger().acknowledge(tags(&deliveries)).await;
    acknowledged.expect("the broker takes the acknowledgement");

    drop(consumer);
    desk.transport.close().await;
    let other = Desk::another(world).await;
    let depth = other.depth().await;
    assert_eq!(depth.ready + depth.unacknowledged.unwrap_or(0), 0);
}

async fn a_message_given_back_comes_again_and_is_counted(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let messages = desk.publish_new(1).await;
    let mut consumer = desk.consume(1).await;
    for redeliveries in 0..4 {
        let deliveries = take(&mut *consumer, 1).await;
        assert_eq!(ids(&deliveries), ids_of(&messages));
        assert_eq!(deliveries[0].redeliveries, redeliveries);
        consumer.acknowledger().give_back(tags(&deliveries)).await.expect("the broker takes it back");
    }
}

async fn a_message_given_back_comes_in_its_old_place(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let messages = desk.publish_new(4).await;
    let mut consumer = desk.consume(2).await;
    let held = take(&mut *consumer, 2).await;

    consumer.acknowledger().give_back(tags(&held)).await.expect("the broker takes it back");

    let mut seen = ids(&take(&mut *consumer, 2).await);
    seen.sort();
    let mut first = ids_of(&messages[..2]);
    first.sort();
    assert_eq!(seen, first, "not behind those that were published later");
}

async fn a_tag_settled_twice_is_ignored(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let messages = desk.publish_new(3).await;
    let mut consumer = desk.consume(2).await;
    let acknowledge = consumer.acknowledger();
    let held = take(&mut *consumer, 2).await;

    acknowledge.acknowledge(vec![held[0].tag, held[0].tag]).await.expect("twice is harmless");
    acknowledge.acknowledge(vec![held[0].tag]).await.expect("twice is harmless");
    acknowledge.give_back(vec![held[0].tag]).await.expect("too late is harmless");

    // Twice freed is not two places: the second delivery still holds one.
    assert_eq!(ids(&take(&mut *consumer, 1).await), ids_of(&messages[2..]));
    nothing(&mut *consumer, "an acknowledged message never comes back").await;
}

async fn a_tag_never_given_is_ignored(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.publish_new(1).await;
    let mut consumer = desk.consume(1).await;
    let held = take(&mut *consumer, 1).await;
    let unknown = DeliveryTag { tag: held[0].tag.tag + 1000, ..held[0].tag };

    consumer.acknowledger().acknowledge(vec![unknown]).await.expect("it is ignored");
    consumer.acknowledger().give_back(vec![unknown]).await.expect("it is ignored");

    nothing(&mut *consumer, "its delivery is still held").await;
}

async fn a_tag_of_an_older_generation_is_ignored(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.publish_new(1).await;
    let mut first = desk.consume(1).await;
    let old = take(&mut *first, 1).await;
    let old_acknowledge = first.acknowledger();
    old_acknowledge.give_back(tags(&old)).await.expect("the broker takes it back");
    drop(first);
    let mut second = desk.consume(1).await;
    let new = take(&mut *second, 1).await;

    // The slow end of the first delivery, to whichever consumer it is told.
    old_acknowledge.acknowledge(tags(&old)).await.expect("it is ignored");
    second.acknowledger().acknowledge(tags(&old)).await.expect("it is ignored");
    let older = DeliveryTag { generation: old[0].tag.generation, ..new[0].tag };
    second.acknowledger().acknowledge(vec![older]).await.expect("it is ignored");

    drop(second);
    desk.transport.close().await;
    let other = Desk::another(world).await;
    let again = take(&mut *other.consume(1).await, 1).await;
    assert_eq!(ids(&again), ids(&new), "the message is still there");
}

async fn another_consumers_tag_is_ignored(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.publish_new(2).await;
    let (mut one, mut other) = (desk.consume(1).await, desk.consume(1).await);
    let (held, others) = (take(&mut *one, 1).await, take(&mut *other, 1).await);

    one.acknowledger().acknowledge(tags(&others)).await.expect("it is ignored");

    nothing(&mut *other, "its own delivery is still held").await;
    other.acknowledger().give_back(tags(&others)).await.expect("the broker takes it back");
    let again = take(&mut *other, 1).await;
    assert_eq!(ids(&again), ids(&others));
    drop(held);
}

async fn nothing_unacknowledged_is_purged(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let messages = desk.publish_new(5).await;
    let mut consumer = desk.consume(2).await;
    let held = take(&mut *consumer, 2).await;

    assert_eq!(desk.transport.purge(&super::desk::work()).await.expect("the broker purges"), 3);

    consumer.acknowledger().give_back(tags(&held)).await.expect("the broker takes it back");
    let again = take(&mut *consumer, 2).await;
    let mut seen = ids(&again);
    seen.sort();
    let mut expected = ids_of(&messages[..2]);
    expected.sort();
    assert_eq!(seen, expected);
    consumer.acknowledger().acknowledge(tags(&again)).await.expect("the broker takes the acknowledgement");
    eventually("the queue is empty", Duration::from_secs(10), async || {
        let depth = desk.depth().await;
        depth.ready + depth.unacknowledged.unwrap_or(0) == 0
    })
    .await;
}
