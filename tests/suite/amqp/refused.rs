//! Messages that the broker does not take.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use upbeat_shared::message::{HeaderValue, WireMessage};
use upbeat_shared::transport::{Outgoing, PublishAnswer, TransportError};
use upbeat_tests::conformance::amqp::Tenant;
use upbeat_tests::conformance::transport::Desk;
use upbeat_tests::conformance::transport::desk::{outgoing, take, work};
use upbeat_tests::harness::eventually;
use upbeat_tests::message::{message, queue};
use upbeat_tests::services::amqp::Version;

on_every_version! {
    a_full_queue_refuses_and_the_others_do_not,
    what_amqp_cannot_carry_is_refused_alone,
    where_nothing_was_ever_declared_nothing_is_routable,
}

async fn a_full_queue_refuses_and_the_others_do_not(version: Version) {
    let tenant = Tenant::new(version);
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work(), queue("mail")]).await.expect("the queues can be declared");
    let policy = format!("policies/%2F/{}", tenant.namespace());
    let pattern = format!("^upbeat\\.{}\\.work$", tenant.namespace());
    let body = json!({ "pattern": pattern, "definition": { "max-length": 3 }, "apply-to": "queues" });
    tenant.management().put(&policy, body).await;

    let batch: Vec<Outgoing> = (0..400)
        .map(|number| outgoing(&if number % 2 == 0 { work() } else { queue("mail") }, &message()))
        .collect();
    // The limit is a soft one, and takes a moment to be known.
    let mut answers = Vec::new();
    eventually("the queue is full", Duration::from_secs(20), async || {
        answers = desk.transport.publish(batch.clone()).await.expect("the broker answers");
        answers.iter().any(|answer| matches!(answer, PublishAnswer::Refused(_)))
    })
    .await;
    tenant.management().delete(&policy).await;

    for (outgoing, answer) in batch.iter().zip(&answers) {
        if outgoing.queue == queue("mail") {
            assert_eq!(*answer, PublishAnswer::Confirmed);
        } else if let PublishAnswer::Refused(reason) = answer {
            assert!(reason.starts_with("the queue work is full: "), "{reason}");
        }
    }
}

async fn what_amqp_cannot_carry_is_refused_alone(version: Version) {
    let tenant = Tenant::new(version);
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work()]).await.expect("the queue can be declared");
    let sound = message().encode();
    let large = WireMessage { body: Bytes::from(vec![0; 16 * 1024 * 1024 + 1]), ..message().encode() };
    let largest = WireMessage { body: Bytes::from(vec![0; 16 * 1024 * 1024]), ..message().encode() };
    let long_id = WireMessage { message_id: Some("x".repeat(256)), ..message().encode() };
    let header = ("wide".to_owned(), HeaderValue::Text("x".repeat(200_000)));
    let wide = WireMessage { headers: vec![header], ..message().encode() };
    let batch = [&sound, &large, &long_id, &wide, &largest, &sound]
        .map(|message| Outgoing { queue: work(), message: message.clone() });

    let answers = desk.transport.publish(batch.to_vec()).await.expect("the connection stands");

    let refused = |at: usize, reason: &str| match &answers[at] {
        PublishAnswer::Refused(said) => assert!(said.contains(reason), "{said}"),
        other => panic!("{at}: {other:?}"),
    };
    refused(1, "its body has 16777217 bytes, and the broker takes 16777216 at most");
    refused(2, "its message_id has 256 bytes, and AMQP takes 255 at most");
    refused(3, "and the broker takes 131072 at most");
    for at in [0, 4, 5] {
        assert_eq!(answers[at], PublishAnswer::Confirmed, "{at}");
    }
    let came = take(&mut *desk.consume(10).await, 3).await;
    assert_eq!(came[1].message.body.len(), largest.body.len());
}

async fn where_nothing_was_ever_declared_nothing_is_routable(version: Version) {
    let tenant = Tenant::new(version);
    let desk = Desk { transport: tenant.connect().await };
    for _ in 0..3 {
        let batch: Vec<Outgoing> = (0..300).map(|_| outgoing(&work(), &message())).collect();
        // The broker ends the channel with the first of them, and may end the connection with those that follow it.
        eventually("the broker answers", Duration::from_secs(10), async || {
            match desk.transport.publish(batch.clone()).await {
                Ok(answers) => answers == vec![PublishAnswer::Unroutable; 300],
                Err(TransportError::Unavailable(_)) => false,
                Err(other) => panic!("{other}"),
            }
        })
        .await;
    }
}

/// As much as a frame takes is taken, and no byte more: one byte too many would cost the connection.
#[tokio::test]
async fn headers_may_fill_a_frame_to_the_last_byte() {
    let tenant = Tenant::new(Version::V4_3);
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work()]).await.expect("the queue can be declared");
    let of = |bytes: usize| {
        let header = ("wide".to_owned(), HeaderValue::Text("x".repeat(bytes)));
        let message = WireMessage { headers: vec![header], ..message().encode() };
        vec![Outgoing { queue: work(), message }]
    };
    // Searches for the largest that is taken.
    let (mut taken, mut refused) = (100_000, 200_000);
    while refused - taken > 1 {
        let middle = usize::midpoint(taken, refused);
        let answers = desk.transport.publish(of(middle)).await.expect("the connection stands");
        match answers[0] {
            PublishAnswer::Confirmed => taken = middle,
            _ => refused = middle,
        }
    }
    assert!((130_000..131_072).contains(&taken), "{taken}");
}
