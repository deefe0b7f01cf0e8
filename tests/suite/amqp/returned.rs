//! A message that no queue took comes back with whichever message of its channel is confirmed next. Each must get its own
//! answer.

use upbeat_shared::message::{Message, WireMessage};
use upbeat_shared::name::QueueName;
use upbeat_shared::transport::amqp::{AmqpOptions, QueueType};
use upbeat_shared::transport::{Outgoing, PublishAnswer};
use upbeat_tests::conformance::amqp::{Tenant, open};
use upbeat_tests::conformance::transport::Desk;
use upbeat_tests::conformance::transport::desk::{ids, outgoing, take, work};
use upbeat_tests::message::{message, queue};
use upbeat_tests::services::amqp::Version;

on_every_version! {
    each_message_of_a_pipelined_batch_gets_its_own_answer,
    messages_without_ids_and_twins_get_their_own_answers,
    a_batch_after_a_dropped_one_gets_its_own_answers,
}

/// `work` and `mail` are there, the others are not.
async fn desk(tenant: &Tenant) -> Desk {
    let desk = Desk { transport: tenant.connect().await };
    desk.transport.declare(&[work(), queue("mail")]).await.expect("the queues can be declared");
    desk
}

fn expected(name: &QueueName) -> PublishAnswer {
    match name.as_str() {
        "work" | "mail" => PublishAnswer::Confirmed,
        _ => PublishAnswer::Unroutable,
    }
}

async fn each_message_of_a_pipelined_batch_gets_its_own_answer(version: Version) {
    let tenant = Tenant::new(version);
    mixed(&desk(&tenant).await).await;
    // Classic queues confirm sooner, and in other company.
    let tenant = Tenant::new(version);
    let options = AmqpOptions { queue_type: QueueType::Classic, ..tenant.options() };
    let desk = Desk { transport: open(options).await };
    desk.transport.declare(&[work(), queue("mail")]).await.expect("the queues can be declared");
    mixed(&desk).await;
}

async fn mixed(desk: &Desk) {
    // Enough that the first are confirmed while later ones are still on their way back.
    const MESSAGES: usize = 6000;
    let places = ["work", "nowhere", "mail", "work", "away", "nowhere", "work"].map(queue);
    let messages: Vec<Message> = (0..MESSAGES).map(|_| message()).collect();
    let addressed = || messages.iter().zip(places.iter().cycle());
    let batch: Vec<Outgoing> = addressed().map(|(message, queue)| outgoing(queue, message)).collect();
    let expected: Vec<PublishAnswer> = batch.iter().map(|outgoing| expected(&outgoing.queue)).collect();

    let answers = desk.transport.publish(batch).await.expect("the broker answers");

    let wrong = (0..MESSAGES).filter(|place| answers[*place] != expected[*place]).count();
    assert_eq!(wrong, 0, "of {MESSAGES}");
    let of_work = addressed().filter(|(_, queue)| **queue == work());
    let of_work: Vec<_> = of_work.map(|(message, _)| message.id).collect();
    let mut consumer = desk.transport.consume(&work(), 4000).await.expect("the broker lets us consume");
    let mut came = ids(&take(&mut *consumer, of_work.len()).await);
    came.sort();
    assert_eq!(came, of_work);
}

async fn messages_without_ids_and_twins_get_their_own_answers(version: Version) {
    let tenant = Tenant::new(version);
    let desk = desk(&tenant).await;
    let (twin, other) = (message().encode(), message().encode());
    let nameless = WireMessage { message_id: None, ..message().encode() };
    let batch = [
        ("nowhere", &twin),
        ("work", &twin),
        ("work", &nameless),
        ("nowhere", &other),
        ("away", &nameless),
        ("mail", &twin),
        ("work", &nameless),
    ];
    let batch = batch.map(|(name, message)| Outgoing { queue: queue(name), message: message.clone() });
    let expected = batch.each_ref().map(|outgoing| expected(&outgoing.queue));

    let answers = desk.transport.publish(batch.to_vec()).await.expect("the broker answers");

    assert_eq!(answers, expected);
    let came = take(&mut *desk.consume(10).await, 3).await;
    let came: Vec<Option<&str>> =
        came.iter().map(|delivery| delivery.message.message_id.as_deref()).collect();
    assert_eq!(came, [twin.message_id.as_deref(), None, None]);
}

async fn a_batch_after_a_dropped_one_gets_its_own_answers(version: Version) {
    let tenant = Tenant::new(version);
    let desk = desk(&tenant).await;
    for _ in 0..20 {
        let lost: Vec<Outgoing> = (0..200).map(|_| outgoing(&queue("nowhere"), &message())).collect();
        // The caller goes away with everything on its way: what comes back must not be taken for another's.
        let call = tokio::time::timeout(std::time::Duration::from_micros(500), desk.transport.publish(lost));
        drop(call.await);
        desk.publish_new(5).await;
    }
}
