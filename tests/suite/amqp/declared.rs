//! Exchange and queues: what is made, and what is left alone.

use serde_json::{Value, json};
use upbeat_shared::transport::{PublishAnswer, Transport, TransportError};
use upbeat_tests::conformance::amqp::{Tenant, open};
use upbeat_tests::conformance::transport::Desk;
use upbeat_tests::conformance::transport::desk::{ids, outgoing, take, work};
use upbeat_tests::message::{message, queue};
use upbeat_tests::services::amqp::Version;

on_every_version! {
    queues_are_made_so_that_nothing_is_dropped,
    a_queue_that_is_otherwise_is_explained_and_left_alone,
    an_exchange_that_is_otherwise_is_explained,
    without_the_right_to_declare_nothing_is_made,
    without_the_right_to_declare_what_somebody_else_made_is_used,
    what_is_delivered_too_often_goes_to_the_undeliverable_queue,
}

fn refusal(result: Result<(), TransportError>) -> String {
    match result {
        Err(TransportError::Refused(reason)) => reason,
        other => panic!("it should be refused, and is {other:?}"),
    }
}

async fn described(tenant: &Tenant, queue: &str) -> Option<Value> {
    tenant.management().get(&format!("queues/%2F/upbeat.{}.{queue}", tenant.namespace())).await
}

async fn queues_are_made_so_that_nothing_is_dropped(version: Version) {
    let tenant = Tenant::new(version);
    let transport = tenant.connect().await;
    transport.declare(&[work()]).await.expect("the queue can be declared");

    let made = described(&tenant, "work").await.expect("it is there");
    assert_eq!((&made["type"], &made["durable"]), (&json!("quorum"), &json!(true)));
    let exchange = format!("upbeat.{}", tenant.namespace());
    let arguments = json!({
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-delivery-limit": 10_000,
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-routing-key": "undeliverable",
        "x-dead-letter-strategy": "at-least-once",
    });
    assert_eq!(made["arguments"], arguments);
    let made = described(&tenant, "undeliverable").await.expect("it comes with the first queue");
    let arguments = json!({ "x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 1_000_000_000 });
    assert_eq!(made["arguments"], arguments, "from there, nothing is laid aside");
    let made = tenant.management().get(&format!("exchanges/%2F/{exchange}")).await.expect("it is there");
    assert_eq!((&made["type"], &made["durable"]), (&json!("direct"), &json!(true)));
    assert_eq!(made["arguments"], json!({}), "an alternate exchange would hide what no queue took");
}

async fn a_queue_that_is_otherwise_is_explained_and_left_alone(version: Version) {
    let tenant = Tenant::new(version);
    let name = format!("upbeat.{}.work", tenant.namespace());
    let path = format!("queues/%2F/{name}");
    let arguments = json!({
        "x-queue-type": "classic",
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": format!("upbeat.{}", tenant.namespace()),
        "x-dead-letter-routing-key": "undeliverable",
    });
    let classic = json!({ "durable": true, "arguments": arguments });
    tenant.management().put(&path, classic).await;
    let transport = tenant.connect().await;

    let reason = refusal(transport.declare(&[queue("mail"), work()]).await);

    let expected = format!(
        "the queue {name} is there already, and otherwise: its x-queue-type is `classic`, and must be `quorum`; "
    );
    assert!(reason.starts_with(&expected), "{reason}");
    assert_eq!(described(&tenant, "work").await.expect("it is left alone")["type"], "classic");

    tenant.management().delete(&path).await;
    let unlimited = json!({ "durable": true, "arguments": { "x-queue-type": "quorum" } });
    tenant.management().put(&path, unlimited).await;
    let reason = refusal(transport.declare(&[work()]).await);
    assert!(reason.contains(" is none, and must be "), "{reason}");
    transport.declare(&[queue("mail")]).await.expect("the others can still be used");
}

async fn an_exchange_that_is_otherwise_is_explained(version: Version) {
    let tenant = Tenant::new(version);
    let path = format!("exchanges/%2F/upbeat.{}", tenant.namespace());
    tenant.management().put(&path, json!({ "type": "fanout", "durable": true })).await;
    let transport = tenant.connect().await;

    let reason = refusal(transport.declare(&[work()]).await);

    assert!(reason.contains("is there already, and not a durable one of type direct"), "{reason}");
}

async fn without_the_right_to_declare_nothing_is_made(version: Version) {
    let tenant = Tenant::new(version);
    let mut options = tenant.options();
    options.declare = false;
    let transport = open(options).await;

    let reason = refusal(transport.declare(&[work()]).await);
    assert!(reason.contains("the exchange upbeat."), "{reason}");
    let path = format!("exchanges/%2F/upbeat.{}", tenant.namespace());
    tenant.management().put(&path, json!({ "type": "direct", "durable": true })).await;
    let reason = refusal(transport.declare(&[work()]).await);
    assert!(reason.contains("undeliverable is missing"), "{reason}");

    let reason = refusal(transport.consume(&work(), 1).await.map(drop));
    assert!(reason.contains("work is missing, and nothing may be declared"), "{reason}");
    assert!(reason.contains("x-dead-letter-strategy=at-least-once"), "{reason}");
    assert!(described(&tenant, "work").await.is_none());
    assert!(described(&tenant, "undeliverable").await.is_none());
    let answers = transport.publish(vec![outgoing(&work(), &message())]).await;
    assert_eq!(answers.expect("the broker answers"), [PublishAnswer::Unroutable]);
}

async fn without_the_right_to_declare_what_somebody_else_made_is_used(version: Version) {
    let tenant = Tenant::new(version);
    tenant.connect().await.declare(&[work()]).await.expect("the queue can be declared");
    let mut options = tenant.options();
    options.declare = false;
    let desk = Desk { transport: open(options).await };

    desk.transport.declare(&[work()]).await.expect("everything is there");

    let messages = desk.publish_new(1).await;
    assert_eq!(ids(&take(&mut *desk.consume(1).await, 1).await), [messages[0].id]);
}

async fn what_is_delivered_too_often_goes_to_the_undeliverable_queue(version: Version) {
    let tenant = Tenant::new(version);
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work()]).await.expect("the queue can be declared");
    let policy = format!("policies/%2F/{}", tenant.namespace());
    let pattern = format!("^upbeat\\.{}\\.work$", tenant.namespace());
    let body = json!({ "pattern": pattern, "definition": { "delivery-limit": 1 }, "apply-to": "queues" });
    tenant.management().put(&policy, body).await;
    let messages = desk.publish_new(1).await;

    let undeliverable = queue("undeliverable");
    let mut there = desk.transport.consume(&undeliverable, 1).await.expect("it was made too");
    // Processes that vanish count on every version.
    let vanishing = async {
        loop {
            let other = Desk { transport: tenant.connect().await };
            let mut consumer = other.consume(1).await;
            let taken = tokio::time::timeout(std::time::Duration::from_secs(2), consumer.next(1)).await;
            drop((taken, consumer));
            other.transport.close().await;
        }
    };
    let laid_aside = tokio::select! {
        laid_aside = take(&mut *there, 1) => laid_aside,
        () = vanishing => unreachable!("it goes on for ever"),
    };

    tenant.management().delete(&policy).await;
    assert_eq!(ids(&laid_aside), [messages[0].id]);
    // Published again, it carries nothing of its way: a broker would take it for one that goes in circles.
    let mut again = laid_aside[0].message.clone();
    assert!(again.headers.iter().any(|(name, _)| name == "x-death"), "{:?}", again.headers);
    again.message_id = Some(message().id.to_string());
    let outgoing = upbeat_shared::transport::Outgoing { queue: work(), message: again };
    let answers = desk.transport.publish(vec![outgoing]).await.expect("the broker answers");
    assert_eq!(answers, [PublishAnswer::Confirmed]);
    let delivery = take(&mut *desk.consume(1).await, 1).await.remove(0);
    let death = |name: &str| name == "x-death" || name.contains("-death-");
    assert!(!delivery.message.headers.iter().any(|(name, _)| death(name)), "{:?}", delivery.message.headers);
}
