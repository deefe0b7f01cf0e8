//! Publishing: confirmed means durable, and each message gets its own answer.

use bytes::Bytes;
use upbeat_shared::message::{HeaderValue, Message, WireMessage};
use upbeat_shared::transport::{Depth, Outgoing, PublishAnswer, TransportError};

use super::desk::{ids, ids_of, outgoing, take, work};
use super::{Desk, TransportWorld};
use crate::conformance::suite;
use crate::message::{full_message, message, queue};

suite! { $ publish_conformance, TransportWorld, transport::publish:
    a_message_arrives_as_it_was_sent,
    what_any_client_may_send_arrives_as_it_was_sent,
    a_confirmed_message_waits_in_its_queue,
    a_message_for_no_queue_is_unroutable_and_the_others_are_not,
    declaring_twice_keeps_what_waits,
    messages_go_to_their_own_queue,
    the_same_message_twice_is_two_deliveries,
    a_large_message_and_a_large_batch_arrive,
    purging_removes_what_waits_and_only_there,
    a_queue_that_was_never_declared_has_no_depth,
    consuming_from_no_queue_is_refused,
}

/// The order of headers means nothing, and a broker may change it. Nothing else.
fn in_order(message: &WireMessage) -> WireMessage {
    let mut headers = message.headers.clone();
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    WireMessage { headers, ..message.clone() }
}

async fn a_message_arrives_as_it_was_sent(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let sent = full_message().encode();
    let batch = vec![Outgoing { queue: work(), message: sent.clone() }];
    let answers = desk.transport.publish(batch).await.expect("the broker answers");
    assert_eq!(answers, [PublishAnswer::Confirmed]);

    let delivery = take(&mut *desk.consume(1).await, 1).await.remove(0);

    assert_eq!(in_order(&delivery.message), in_order(&sent));
    assert_eq!(delivery.queue, work());
    assert_eq!(delivery.redeliveries, 0);
}

async fn what_any_client_may_send_arrives_as_it_was_sent(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let bare = WireMessage { kind: Some("hello".to_owned()), ..WireMessage::default() };
    let odd = WireMessage {
        message_id: Some("order/17 ü".to_owned()),
        content_type: Some("text/plain; charset=utf-8".to_owned()),
        headers: vec![
            ("x-theirs".to_owned(), HeaderValue::Text("é".to_owned())),
            ("upbeat-seq".to_owned(), HeaderValue::Int(i64::MIN)),
        ],
        body: Bytes::from_static(b"\x00\xff not ours"),
        ..WireMessage::default()
    };
    let sent = [bare, odd];
    let batch = sent.iter().map(|message| Outgoing { queue: work(), message: message.clone() });
    desk.transport.publish(batch.collect()).await.expect("the broker answers");

    let deliveries = take(&mut *desk.consume(10).await, 2).await;

    for (delivery, sent) in deliveries.iter().zip(sent) {
        let priority = delivery.message.priority.or(sent.priority);
        assert_eq!(in_order(&delivery.message), in_order(&WireMessage { priority, ..sent }));
    }
}

async fn a_confirmed_message_waits_in_its_queue(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    assert_eq!(desk.depth().await.ready, 0);

    desk.publish_new(3).await;

    assert_eq!(desk.depth().await.ready, 3);
    let mut consumer = desk.consume(10).await;
    let held = take(&mut *consumer, 2).await;
    let Depth { ready, unacknowledged, .. } = desk.depth().await;
    // A broker may hand over ahead of the calls; nothing is lost from sight.
    assert!(unacknowledged.is_none_or(|held| ready + held == 3), "{ready} and {unacknowledged:?}");
    drop(held);
}

async fn a_message_for_no_queue_is_unroutable_and_the_others_are_not(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let (one, lost, other) = (message(), message(), message());
    let batch = vec![outgoing(&work(), &one), outgoing(&queue("nowhere"), &lost), outgoing(&work(), &other)];

    let answers = desk.transport.publish(batch).await.expect("the broker answers");

    assert_eq!(answers, [PublishAnswer::Confirmed, PublishAnswer::Unroutable, PublishAnswer::Confirmed]);
    assert_eq!(ids(&take(&mut *desk.consume(10).await, 2).await), ids_of(&[one, other]));
    desk.transport.declare(&[queue("nowhere")]).await.expect("the queue can be declared");
    let again = desk.transport.publish(vec![outgoing(&queue("nowhere"), &lost)]).await;
    assert_eq!(again.expect("the broker answers"), [PublishAnswer::Confirmed]);
}

async fn declaring_twice_keeps_what_waits(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let messages = desk.publish_new(2).await;

    desk.transport.declare(&[work(), queue("other"), work()]).await.expect("declaring again is harmless");

    assert_eq!(ids(&take(&mut *desk.consume(10).await, 2).await), ids_of(&messages));
}

async fn messages_go_to_their_own_queue(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.transport.declare(&[queue("mail")]).await.expect("the queue can be declared");
    let (for_work, for_mail) = (message(), message());
    let batch = vec![outgoing(&queue("mail"), &for_mail), outgoing(&work(), &for_work)];
    desk.transport.publish(batch).await.expect("the broker answers");

    let delivery = take(&mut *desk.consume(10).await, 1).await.remove(0);
    assert_eq!(ids(&[delivery]), [for_work.id]);

    let mut mail = desk.transport.consume(&queue("mail"), 10).await.expect("the broker lets us consume");
    assert_eq!(ids(&take(&mut *mail, 1).await), [for_mail.id]);
}

async fn the_same_message_twice_is_two_deliveries(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let message = message();
    // Which of them runs is the ledger's to say.
    desk.publish(&[message.clone(), message.clone()]).await;

    let deliveries = take(&mut *desk.consume(10).await, 2).await;

    assert_eq!(ids(&deliveries), [message.id, message.id]);
    assert_ne!(deliveries[0].tag, deliveries[1].tag);
}

async fn a_large_message_and_a_large_batch_arrive(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let mut large: Message = message();
    large.args.bytes = Bytes::from(vec![b'x'; 1024 * 1024]);
    desk.publish(std::slice::from_ref(&large)).await;
    let messages = desk.publish_new(1500).await;

    let mut consumer = desk.consume(2000).await;
    let deliveries = take(&mut *consumer, 1501).await;

    assert_eq!(deliveries[0].message.body, large.args.bytes);
    assert_eq!(ids(&deliveries[1..]), ids_of(&messages));
}

async fn purging_removes_what_waits_and_only_there(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    desk.transport.declare(&[queue("mail")]).await.expect("the queue can be declared");
    let kept = message();
    desk.publish_new(5).await;
    desk.transport.publish(vec![outgoing(&queue("mail"), &kept)]).await.expect("the broker answers");

    assert_eq!(desk.transport.purge(&work()).await.expect("the broker purges"), 5);
    assert_eq!(desk.transport.purge(&work()).await.expect("the broker purges"), 0);

    assert_eq!(desk.depth().await.ready, 0);
    let mail = desk.transport.depth(&queue("mail")).await.expect("the broker answers");
    assert_eq!(mail.expect("it is declared").ready, 1);
}

async fn a_queue_that_was_never_declared_has_no_depth(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let depth = desk.transport.depth(&queue("nowhere")).await.expect("the broker answers");
    assert_eq!(depth, None);
}

async fn consuming_from_no_queue_is_refused(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let refused = desk.transport.consume(&queue("nowhere"), 1).await.err();
    assert!(matches!(refused, Some(TransportError::Refused(_))), "{refused:?}");
}
