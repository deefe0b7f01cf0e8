//! Rows that run are found by a list of what their owner claimed, which forgets what has ended and nothing else.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Token};
use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, Inspect, Ledger as _, Lost};
use upbeat_shared::task::TaskState;
use upbeat_tests::conformance::LedgerWorld;
use upbeat_tests::conformance::ledger::Probe;
use upbeat_tests::conformance::postgres::{Ledger, Space, connect};
use upbeat_tests::message::{heartbeat, message};

#[tokio::test]
async fn what_runs_for_long_is_found_however_much_its_owner_claims() {
    let world = Ledger::create().await;
    let ledger = Probe::of(&world);
    let owner = OwnerId::random();
    let long = ledger.acquire(owner, &message()).await;

    // An hour of short tasks.
    for _ in 0..40 {
        for _ in 0..5 {
            let run = ledger.acquire(owner, &message()).await;
            ledger.succeed(&run).await;
        }
        world.forward(Duration::from_secs(90));
    }

    let mine = ledger.store.ledger.mine(owner).await.expect("it lists");
    assert_eq!(mine, [long.claim]);
    let count = format!("select count(*) from {}.claimed", world.space().schema());
    let left: i64 = connect(&world.space().url).await.query_one(&count, &[]).await.expect("it counts").get(0);
    assert!(left < 20, "what has ended is forgotten: {left} batches are left of 200");
    let report = ledger.reap(owner, 1).await;
    assert_eq!((report.retired.as_slice(), report.rescheduled), ([owner].as_slice(), 1));
    assert_eq!(ledger.state(long.claim.id).await, TaskState::Scheduled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_on_its_way_when_its_owner_is_retired_is_reaped_or_refused() {
    let space = Space::random();
    let ledger = space.open(5).await;
    for _ in 0..20 {
        let owner = OwnerId::random();
        ledger.heartbeat(heartbeat(owner, 1)).await.expect("it is heard");
        let claims: Vec<_> = (0..4)
            .map(|_| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    loop {
                        let requests: Vec<ClaimRequest> =
                            (0..20).map(|_| ClaimRequest::new(message(), Token::random())).collect();
                        let answers = ledger.claim(owner, requests).await.expect("it answers");
                        if answers.contains(&ClaimAnswer::Retired) {
                            return;
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(10)).await;

        let lost = vec![Lost { owner, counter: 1 }];
        let report = upbeat_shared::ledger::Agenda::reap(&*ledger, lost, 3).await.expect("it reaps");

        assert_eq!(report.retired, [owner]);
        for claim in claims {
            claim.await.expect("no claim fails");
        }
        assert_eq!(
            ledger.mine(owner).await.expect("it lists"),
            [],
            "nothing runs in the name of the retired"
        );
        let queues = ledger.queues().await.expect("it counts");
        let running =
            queues.iter().flat_map(|queue| &queue.counts).find(|(state, _)| *state == TaskState::Running);
        assert_eq!(running, None);
    }
}

#[tokio::test]
async fn nobody_waits_for_what_another_counts() {
    let space = Space::random();
    let ledger = space.open(1).await;
    let probe = Probe::over(upbeat_shared::ledger::Store::from_adapter(ledger));
    probe.acquire_any(&message()).await;
    let client = connect(&space.url).await;
    let schema = space.schema();

    // Another process' connection happens to count in the same slot, and takes its time.
    client.batch_execute("begin").await.expect("a transaction begins");
    let taken =
        format!("select pg_advisory_xact_lock(hashtext('{schema}'), slot) from {schema}.tally for update");
    let slots = client.query(&taken, &[]).await.expect("its counts are locked");
    assert!(!slots.is_empty(), "something was counted");
    let message = message();
    let claim = tokio::time::timeout(Duration::from_secs(3), probe.acquire_any(&message));
    claim.await.expect("it counts elsewhere");
    client.batch_execute("commit").await.expect("the counts are free");

    assert_eq!(probe.count(&message.queue, TaskState::Running).await, 2);
}
