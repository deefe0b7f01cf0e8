//! A consumer that the broker ends: its stream just stops, while its channel stays open. It must be noticed.

use std::time::Duration;

use serde_json::json;
use upbeat_shared::transport::TransportError;
use upbeat_tests::conformance::amqp::Tenant;
use upbeat_tests::conformance::transport::Desk;
use upbeat_tests::conformance::transport::desk::{ids, ids_of, nothing, outgoing, take, work};
use upbeat_tests::message::{message, queue};
use upbeat_tests::services::amqp::Version;

on_every_version! {
    a_consumer_whose_queue_is_deleted_ends_at_once_and_can_be_made_again,
    one_consumers_end_does_not_touch_another,
    a_queue_purged_in_the_middle_goes_on,
}

async fn desk(tenant: &Tenant) -> Desk {
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work()]).await.expect("the queue can be declared");
    desk
}

async fn delete(tenant: &Tenant, queue: &str) {
    tenant.management().delete(&format!("queues/%2F/upbeat.{}.{queue}", tenant.namespace())).await;
}

async fn a_consumer_whose_queue_is_deleted_ends_at_once_and_can_be_made_again(version: Version) {
    let tenant = Tenant::new(version);
    let desk = desk(&tenant).await;
    desk.publish_new(2).await;
    let mut consumer = desk.consume(1).await;
    let held = take(&mut *consumer, 1).await;

    delete(&tenant, "work").await;

    let end = tokio::time::timeout(Duration::from_secs(5), consumer.next(1)).await;
    let end = end.expect("it ends at once").expect_err("its queue is gone");
    assert!(matches!(&end, TransportError::ConsumerLost(reason) if reason.contains("deleted")), "{end:?}");
    let acknowledge = consumer.acknowledger();
    let settle = acknowledge.acknowledge(vec![held[0].tag]);
    let settled = tokio::time::timeout(Duration::from_secs(5), settle).await;
    drop(settled.expect("what it held can be forgotten, or not, but never hangs"));
    let refused = desk.transport.consume(&work(), 1).await.err();
    assert!(matches!(&refused, Some(TransportError::Refused(_))), "{refused:?}");

    desk.transport.declare(&[work()]).await.expect("it can be made again");
    let messages = desk.publish_new(1).await;
    assert_eq!(ids(&take(&mut *desk.consume(1).await, 1).await), ids_of(&messages));
}

async fn one_consumers_end_does_not_touch_another(version: Version) {
    let tenant = Tenant::new(version);
    let desk = desk(&tenant).await;
    desk.transport.declare(&[queue("mail")]).await.expect("the queue can be declared");
    let mut mail = desk.transport.consume(&queue("mail"), 1).await.expect("the broker lets us consume");
    let mut consumer = desk.consume(10).await;
    let messages = desk.publish_new(5).await;
    let held = take(&mut *consumer, 5).await;

    delete(&tenant, "mail").await;
    let end = tokio::time::timeout(Duration::from_secs(5), mail.next(1)).await;
    end.expect("it ends at once").expect_err("its queue is gone");
    drop(mail);
    // Errors of other channels, too, are those channels' own.
    assert_eq!(desk.transport.depth(&queue("mail")).await.expect("the broker answers"), None);
    assert!(desk.transport.consume(&queue("mail"), 1).await.is_err());

    assert_eq!(ids(&held), ids_of(&messages));
    let tags = held.iter().map(|delivery| delivery.tag).collect();
    consumer.acknowledger().acknowledge(tags).await.expect("its channel stands");
    let messages = desk.publish_new(1).await;
    assert_eq!(ids(&take(&mut *consumer, 1).await), ids_of(&messages));
}

async fn a_queue_purged_in_the_middle_goes_on(version: Version) {
    let tenant = Tenant::new(version);
    let desk = desk(&tenant).await;
    desk.publish_new(10).await;
    let mut consumer = desk.consume(2).await;
    let held = take(&mut *consumer, 2).await;

    assert_eq!(desk.transport.purge(&work()).await.expect("the broker purges"), 8);

    let tags = held.iter().map(|delivery| delivery.tag).collect();
    consumer.acknowledger().acknowledge(tags).await.expect("what is held is not purged");
    nothing(&mut *consumer, "the rest was purged").await;
    let last = message();
    desk.transport.publish(vec![outgoing(&work(), &last)]).await.expect("the broker answers");
    assert_eq!(ids(&take(&mut *consumer, 1).await), [last.id]);
}

/// Only here: older brokers look once a minute.
#[tokio::test]
async fn a_consumer_that_holds_a_delivery_for_too_long_is_told_so() {
    let tenant = Tenant::new(Version::V4_3);
    let desk = desk(&tenant).await;
    let policy = format!("policies/%2F/{}", tenant.namespace());
    let pattern = format!("^upbeat\\.{}\\.work$", tenant.namespace());
    let definition = json!({ "consumer-timeout": 1000 });
    let body = json!({ "pattern": pattern, "definition": definition, "apply-to": "queues" });
    tenant.management().put(&policy, body).await;
    let messages = desk.publish_new(1).await;
    let mut consumer = desk.consume(1).await;
    let held = take(&mut *consumer, 1).await;

    let end = tokio::time::timeout(Duration::from_secs(30), consumer.next(1)).await;

    tenant.management().delete(&policy).await;
    let end = end.expect("it is told").expect_err("it held a delivery for longer than it may");
    assert!(matches!(&end, TransportError::ConsumerLost(reason) if reason.contains("timeout")), "{end:?}");
    drop(consumer);
    let again = take(&mut *desk.consume(1).await, 1).await;
    assert_eq!(ids(&again), ids_of(&messages), "it is delivered again");
    assert!(held[0].tag.generation != again[0].tag.generation);
}
