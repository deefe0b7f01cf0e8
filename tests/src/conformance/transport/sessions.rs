//! Processes come, go and meet at the broker.

use std::time::Duration;

use tokio::sync::oneshot;
use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::transport::TransportError;

use super::desk::{ids, ids_of, outgoing, take, work};
use super::{Desk, TransportWorld};
use crate::conformance::suite;
use crate::message::message;

suite! { $ sessions_conformance, TransportWorld, transport::sessions:
    what_was_confirmed_survives_the_process,
    deliveries_of_a_closed_process_come_back,
    deliveries_of_a_process_that_vanished_come_back,
    a_closed_transport_refuses_every_use,
    another_process_wakes_a_waiting_consumer_within_200_ms,
    the_same_process_wakes_a_waiting_consumer_at_once,
    a_transport_says_what_it_is,
}

async fn what_was_confirmed_survives_the_process(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let messages = desk.publish_new(5).await;
    desk.transport.close().await;

    let other = Desk::another(world).await;

    assert_eq!(other.depth().await.ready, 5);
    assert_eq!(ids(&take(&mut *other.consume(10).await, 5).await), ids_of(&messages));
}

async fn deliveries_of_a_closed_process_come_back(world: &impl TransportWorld) {
    let (desk, other) = (Desk::of(world).await, Desk::another(world).await);
    let messages = desk.publish_new(6).await;
    let mut consumer = desk.consume(4).await;
    let held = take(&mut *consumer, 2).await;
    let mut others = other.consume(100).await;
    let mut seen = ids(&take(&mut *others, 2).await);

    desk.transport.close().await;

    let returned = take(&mut *others, 4).await;
    for delivery in returned.iter().filter(|delivery| ids(&held).contains(&ids(&[(*delivery).clone()])[0])) {
        assert_eq!(delivery.redeliveries, 1, "it was delivered before");
    }
    seen.extend(ids(&returned));
    seen.sort();
    let mut expected = ids_of(&messages);
    expected.sort();
    assert_eq!(seen, expected);
}

async fn deliveries_of_a_process_that_vanished_come_back(world: &impl TransportWorld) {
    let (desk, gone) = (Desk::of(world).await, Desk::another(world).await);
    let messages = desk.publish_new(3).await;
    let mut consumer = gone.consume(3).await;
    let held = take(&mut *consumer, 3).await;

    // It gives nothing back: its connection is just not there any more.
    drop((consumer, gone));

    let returned = take(&mut *desk.consume(10).await, 3).await;
    let mut seen = ids(&returned);
    seen.sort();
    let mut expected = ids_of(&messages);
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!(held.len(), returned.iter().filter(|delivery| delivery.redeliveries == 1).count());
}

async fn a_closed_transport_refuses_every_use(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let mut consumer = desk.consume(1).await;
    desk.transport.ping().await.expect("it is open");

    desk.transport.close().await;
    desk.transport.close().await;

    let published = desk.transport.publish(vec![outgoing(&work(), &message())]).await;
    assert!(matches!(published, Err(TransportError::Closed)), "{published:?}");
    let refused = desk.transport.consume(&work(), 1).await.err();
    assert!(matches!(refused, Some(TransportError::Closed)), "{refused:?}");
    assert!(matches!(desk.transport.ping().await, Err(TransportError::Closed)));
    let next = tokio::time::timeout(Duration::from_secs(10), consumer.next(1)).await;
    next.expect("it ends at once").expect_err("its consumers end");
}

/// The median of how long a waiting consumer takes to see what `sender` publishes.
async fn median_wake(sender: &Desk, receiver: &Desk) -> Duration {
    const ROUNDS: usize = 9;
    let clock = SystemClock::default();
    let mut consumer = receiver.consume(10).await;
    let mut waits = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (confirmed, at) = oneshot::channel();
        let sending = async {
            // The consumer waits by now: what is measured is the wake, not the call.
            tokio::time::sleep(Duration::from_millis(30)).await;
            sender.publish_new(1).await;
            confirmed.send(clock.monotonic()).expect("the receiver waits");
        };
        let receiving = async {
            let delivery = take(&mut *consumer, 1).await.remove(0);
            let came = clock.monotonic();
            consumer.acknowledger().acknowledge(vec![delivery.tag]).await.expect("it is acknowledged");
            came
        };
        let (came, ()) = tokio::join!(receiving, sending);
        waits.push(came.saturating_sub(at.await.expect("it was confirmed")));
    }
    waits.sort_unstable();
    waits[ROUNDS / 2]
}

async fn another_process_wakes_a_waiting_consumer_within_200_ms(world: &impl TransportWorld) {
    let (desk, other) = (Desk::of(world).await, Desk::another(world).await);
    let wake = median_wake(&other, &desk).await;
    assert!(wake <= Duration::from_millis(200), "half of the wakes take longer than {wake:?}");
}

async fn the_same_process_wakes_a_waiting_consumer_at_once(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    let wake = median_wake(&desk, &desk).await;
    assert!(wake <= Duration::from_millis(50), "half of the wakes take longer than {wake:?}");
}

async fn a_transport_says_what_it_is(world: &impl TransportWorld) {
    let desk = Desk::of(world).await;
    assert!(!desk.transport.describe().is_empty());
}
