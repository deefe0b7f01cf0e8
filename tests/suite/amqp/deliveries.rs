//! Deliveries across channels and connections: tags begin anew on each, and so must what they mean.

use std::time::Duration;

use upbeat_shared::transport::{Consumer, Delivery, DeliveryTag, TransportError};
use upbeat_tests::conformance::amqp::Tenant;
use upbeat_tests::conformance::transport::Desk;
use upbeat_tests::conformance::transport::desk::{ids, ids_of, nothing, take, work};
use upbeat_tests::harness::eventually;
use upbeat_tests::services::amqp::Version;

on_every_version! {
    a_tag_of_a_lost_connection_acknowledges_nothing_on_the_next,
    the_prefetch_is_in_force_after_the_connection_was_lost,
    a_prefetch_above_what_one_consumer_may_have_is_split,
    redeliveries_are_counted_across_lost_connections,
}

fn tags(deliveries: &[Delivery]) -> Vec<DeliveryTag> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

async fn desk(tenant: &Tenant) -> Desk {
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work()]).await.expect("the queue can be declared");
    desk
}

/// Closes the connection that a consumer is on, and the other one, and waits until the consumer says so.
async fn cut(tenant: &Tenant, consumer: &mut dyn Consumer) {
    tenant.close_connections(2).await;
    let lost = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match consumer.next(100).await {
                // What was on its way already.
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    });
    let lost = lost.await.expect("a consumer without a connection ends");
    assert!(matches!(&lost, TransportError::ConsumerLost(reason) if !reason.is_empty()), "{lost:?}");
    let again = consumer.next(1).await.expect_err("what is lost stays lost");
    assert!(matches!(again, TransportError::ConsumerLost(_)), "{again:?}");
}

async fn a_tag_of_a_lost_connection_acknowledges_nothing_on_the_next(version: Version) {
    let tenant = Tenant::with_a_user(version).await;
    let desk = desk(&tenant).await;
    let messages = desk.publish_new(4).await;
    let mut first = desk.consume(4).await;
    let old = take(&mut *first, 4).await;
    let old_acknowledge = first.acknowledger();
    cut(&tenant, &mut *first).await;

    let mut second = desk.consume(4).await;
    let new = take(&mut *second, 4).await;
    assert_eq!(tags(&old).iter().map(|tag| tag.tag).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(tags(&new).iter().map(|tag| tag.tag).collect::<Vec<_>>(), [1, 2, 3, 4], "they begin anew");
    // The slow ends of the first deliveries, to whichever consumer they are told. Through the old one they cannot be told.
    let gone = tokio::time::timeout(Duration::from_secs(5), old_acknowledge.acknowledge(tags(&old))).await;
    let gone = gone.expect("it never hangs");
    assert!(matches!(gone, Err(TransportError::Unavailable(_))), "{gone:?}");
    second.acknowledger().acknowledge(tags(&old)).await.expect("it is ignored");
    second.acknowledger().give_back(tags(&old)).await.expect("it is ignored");
    nothing(&mut *second, "all four are still held").await;

    desk.transport.close().await;
    let other = Desk { transport: tenant.connect().await };
    let mut back = ids(&take(&mut *other.consume(10).await, 4).await);
    back.sort();
    let mut expected = ids_of(&messages);
    expected.sort();
    assert_eq!(back, expected, "none was acknowledged");
}

async fn the_prefetch_is_in_force_after_the_connection_was_lost(version: Version) {
    let tenant = Tenant::with_a_user(version).await;
    let desk = desk(&tenant).await;
    desk.publish_new(50).await;
    let mut consumer = desk.consume(5).await;
    take(&mut *consumer, 5).await;
    cut(&tenant, &mut *consumer).await;
    drop(consumer);

    let mut consumer = desk.consume(5).await;
    let held = take(&mut *consumer, 5).await;
    nothing(&mut *consumer, "its prefetch is used up").await;
    // By the broker's own count too: nothing waits unseen in this process.
    let depth = desk.depth().await;
    assert_eq!((depth.ready, depth.consumers), (45, Some(1)));

    consumer.acknowledger().acknowledge(tags(&held)).await.expect("the broker takes the acknowledgement");
    take(&mut *consumer, 5).await;
    nothing(&mut *consumer, "its prefetch is used up again").await;
}

async fn a_prefetch_above_what_one_consumer_may_have_is_split(version: Version) {
    let tenant = Tenant::new(version);
    let desk = desk(&tenant).await;
    let mut expected = ids_of(&desk.publish_new(4600).await);
    let mut consumer = desk.consume(4500).await;
    assert_eq!(desk.depth().await.consumers, Some(3));

    let first = take(&mut *consumer, 4500).await;
    nothing(&mut *consumer, "its prefetch is used up").await;
    let generations: std::collections::BTreeSet<u64> =
        first.iter().map(|delivery| delivery.tag.generation).collect();
    assert_eq!(generations.len(), 3, "each is a channel of its own");
    consumer.acknowledger().acknowledge(tags(&first)).await.expect("the broker takes the acknowledgements");
    let rest = take(&mut *consumer, 100).await;
    consumer.acknowledger().acknowledge(tags(&rest)).await.expect("the broker takes the acknowledgements");

    let mut seen = [ids(&first), ids(&rest)].concat();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    drop(consumer);
    desk.transport.close().await;
    let other = Desk { transport: tenant.connect().await };
    assert_eq!(other.depth().await.ready, 0, "every one was acknowledged");
}

async fn redeliveries_are_counted_across_lost_connections(version: Version) {
    let tenant = Tenant::with_a_user(version).await;
    let desk = desk(&tenant).await;
    desk.publish_new(1).await;
    for redeliveries in 0..4 {
        desk.transport.ping().await.expect("both connections stand");
        let mut consumer = desk.consume(1).await;
        let delivery = take(&mut *consumer, 1).await.remove(0);
        assert_eq!(delivery.redeliveries, redeliveries);
        let counters = ["x-acquired-count", "x-delivery-count"];
        assert!(!delivery.message.headers.iter().any(|(name, _)| counters.contains(&name.as_str())));
        // By turns: given back, and lost with the connection.
        if redeliveries % 2 == 0 {
            let acknowledge = consumer.acknowledger();
            // First, or it would be delivered to this consumer again.
            drop(consumer);
            desk.depth().await;
            acknowledge.give_back(vec![delivery.tag]).await.expect("the broker takes it back");
        } else {
            cut(&tenant, &mut *consumer).await;
        }
        eventually("it waits again", Duration::from_secs(10), async || desk.depth().await.ready == 1).await;
    }
}

/// Two calls at once: the frames of one must not settle what the other is about. In threads, or they would take turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_settled_from_many_sides_at_once_becomes_what_each_of_them_said() {
    let tenant = Tenant::new(Version::V4_3);
    let desk = desk(&tenant).await;
    for _ in 0..3 {
        desk.publish_new(2000).await;
        let mut consumer = desk.consume(2000).await;
        let deliveries = take(&mut *consumer, 2000).await;
        // Nothing comes again while they are settled.
        let acknowledge = consumer.acknowledger();
        drop(consumer);
        let mut back = Vec::new();
        let mut sides = tokio::task::JoinSet::new();
        for (number, some) in deliveries.chunks(4).enumerate() {
            let (acknowledge, tags) = (acknowledge.clone(), tags(some));
            if number % 2 == 0 {
                sides.spawn(async move { acknowledge.acknowledge(tags).await });
            } else {
                back.extend(ids(some));
                sides.spawn(async move { acknowledge.give_back(tags).await });
            }
        }
        while let Some(settled) = sides.join_next().await {
            settled.expect("it does not panic").expect("its channel stands");
        }

        let mut consumer = desk.consume(2000).await;
        let again = take(&mut *consumer, back.len()).await;
        nothing(&mut *consumer, "the rest was acknowledged").await;
        let mut came = ids(&again);
        came.sort();
        back.sort();
        assert_eq!(came, back);
        consumer
            .acknowledger()
            .acknowledge(tags(&again))
            .await
            .expect("the broker takes the acknowledgement");
    }
}
