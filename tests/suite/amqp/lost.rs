//! Connections that break, and brokers that come back with less than they had.

use std::time::Duration;

use upbeat_shared::transport::{PublishAnswer, TransportError};
use upbeat_tests::conformance::amqp::{Tenant, open};
use upbeat_tests::conformance::transport::Desk;
use upbeat_tests::conformance::transport::desk::{ids, outgoing, take, work};
use upbeat_tests::harness::eventually;
use upbeat_tests::message::{message, queue};
use upbeat_tests::services::amqp::Version;

on_every_version! {
    a_connection_lost_while_publishing_is_made_again_by_itself,
    queues_that_vanished_with_a_connection_are_made_again,
    every_call_works_again_after_both_connections_were_lost,
    more_errors_than_a_connection_has_channels_do_no_harm,
}

async fn desk(tenant: &Tenant) -> Desk {
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work()]).await.expect("the queue can be declared");
    desk
}

async fn a_connection_lost_while_publishing_is_made_again_by_itself(version: Version) {
    let tenant = Tenant::with_a_user(version).await;
    let desk = desk(&tenant).await;
    let mut confirmed = Vec::new();
    // Whether a call meets the loss, or only the next connection, is chance.
    let cut = std::cell::Cell::new(false);
    let publishing = async {
        loop {
            let batch: Vec<_> = (0..50).map(|_| message()).collect();
            let outgoings = batch.iter().map(|message| outgoing(&work(), message)).collect();
            let answered =
                tokio::time::timeout(Duration::from_secs(20), desk.transport.publish(outgoings)).await;
            match answered.expect("a publish never hangs") {
                Ok(_) if cut.get() => return,
                Ok(_) => confirmed.extend(batch.iter().map(|message| message.id)),
                Err(TransportError::Unavailable(_)) => {}
                Err(other) => panic!("a lost connection passes by itself, and is {other:?}"),
            }
        }
    };
    let cutting = async {
        for _ in 0..2 {
            tenant.close_connections(1).await;
            // In the middle of it, not while it is made again.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        cut.set(true);
    };
    tokio::join!(publishing, cutting);

    // What was confirmed is there, each at least once; what was not may be there too.
    let waiting = usize::try_from(desk.depth().await.ready).expect("a few thousand");
    assert!(waiting >= confirmed.len(), "{waiting} of {}", confirmed.len());
    let mut consumer = desk.consume(2000).await;
    let mut seen = std::collections::HashSet::new();
    let mut came = 0;
    while came < waiting {
        let deliveries = consumer.next(500).await.expect("the consumer lives");
        came += deliveries.len();
        seen.extend(ids(&deliveries));
        let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        consumer.acknowledger().acknowledge(tags).await.expect("the broker takes the acknowledgements");
    }
    let lost = confirmed.iter().filter(|id| !seen.contains(id)).count();
    assert_eq!(lost, 0, "of {} that were confirmed", confirmed.len());
}

async fn queues_that_vanished_with_a_connection_are_made_again(version: Version) {
    let tenant = Tenant::with_a_user(version).await;
    let desk = desk(&tenant).await;
    desk.publish_new(1).await;

    // As if its disk were new.
    tenant.management().remove_namespace(tenant.namespace().as_str()).await;
    tenant.close_connections(2).await;

    eventually("it publishes again", Duration::from_secs(10), async || {
        let batch = vec![outgoing(&work(), &message())];
        matches!(desk.transport.publish(batch).await.as_deref(), Ok([PublishAnswer::Confirmed]))
    })
    .await;
}

async fn every_call_works_again_after_both_connections_were_lost(version: Version) {
    let tenant = Tenant::with_a_user(version).await;
    let desk = desk(&tenant).await;
    let messages = desk.publish_new(3).await;

    tenant.close_connections(2).await;

    // An answer may be an error for as long as the loss is not known here; then every call makes its connection.
    eventually("it answers again", Duration::from_secs(10), async || desk.transport.ping().await.is_ok())
        .await;
    assert_eq!(desk.depth().await.ready, 3);
    desk.transport.declare(&[work()]).await.expect("the broker answers");
    let seen = ids(&take(&mut *desk.consume(3).await, 3).await);
    assert_eq!(seen, messages.iter().map(|message| message.id).collect::<Vec<_>>());
    assert_eq!(desk.transport.purge(&work()).await.map_err(|error| error.to_string()), Ok(0));
}

async fn more_errors_than_a_connection_has_channels_do_no_harm(version: Version) {
    let tenant = Tenant::new(version);
    let mut options = tenant.options();
    let url = format!("{}?channel_max=60", options.url.expose());
    options.url = url.parse().expect("a URL");
    let desk = Desk { transport: open(options).await };
    desk.transport.declare(&[work()]).await.expect("the queue can be declared");
    let messages = desk.publish_new(2).await;
    let mut consumer = desk.consume(2).await;
    let held = take(&mut *consumer, 2).await;

    // Each ends its channel.
    let mut refused = 0;
    for _ in 0..150 {
        match desk.transport.depth(&queue("nowhere")).await {
            Ok(depth) => assert_eq!(depth, None),
            Err(TransportError::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }

    assert!(refused <= 3, "{refused} calls found no channel");
    assert_eq!(desk.depth().await.ready, 0);
    assert_eq!(ids(&held), messages.iter().map(|message| message.id).collect::<Vec<_>>());
    let tags = held.iter().map(|delivery| delivery.tag).collect();
    consumer.acknowledger().acknowledge(tags).await.expect("its channel stands");
    desk.publish_new(1).await;
    take(&mut *consumer, 1).await;
}
