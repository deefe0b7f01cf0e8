//! What a task costs in memory: Redis keeps everything there.

use std::time::Duration;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::Retention;
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::ledger::{LedgerWorld, Probe};
use upbeat_tests::conformance::redis::Redis8;
use upbeat_tests::message::message;

const TASKS: usize = 5000;

#[tokio::test]
async fn a_task_costs_no_more_than_its_message_and_some_hundred_bytes() {
    let world = Redis8::create().await;
    let ledger = Probe::of(&world);
    let owner = OwnerId::random();
    let args = || Payload::json(&"x".repeat(254)).expect("plain data");
    let per_task = |world: &Redis8| world.space().bytes() / TASKS;

    let messages: Vec<Message> = (0..TASKS).map(|_| Message { args: args(), ..message() }).collect();
    let mut settlements = Vec::new();
    for messages in messages.chunks(500) {
        for message in messages {
            settlements
                .push(ledger.acquire(owner, message).await.settlement(Verdict::Succeeded { result: None }));
        }
    }
    let running = per_task(&world);
    ledger.settle_all(settlements).await;
    let ended = per_task(&world);
    world.forward(Retention::default().details + Duration::from_secs(1));
    ledger.store.inspect.purge(Retention::default(), TASKS).await.expect("the store purges");
    let known = per_task(&world);

    println!("bytes a task of 256 bytes: running {running}, ended {ended}, only its id known {known}");
    assert!(running < 1000, "{running} bytes a running task");
    assert!(ended < 900, "{ended} bytes a task that has ended");
    assert!(known < 260, "{known} bytes a task of which only the id is known");
}
