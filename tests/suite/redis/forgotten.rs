//! A server that forgets: what it forgot is never taken for something else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use upbeat_shared::id::{Fence, OwnerId, Seq, TaskId, Token};
use upbeat_shared::ledger::{
    ClaimAnswer, ClaimRequest, Inspect, Ledger, OwnedClaim, SettleAnswer, Settlement,
};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::redis::Space;
use upbeat_tests::message::{failure, heartbeat, message};
use upbeat_tests::services::{Kind, Server};

use super::worker::{Worker, insist};

/// A server whose keys nobody else needs.
async fn alone() -> (Server, Space) {
    let server = Server::start(Kind::Redis).await;
    let space = Space::on(server.url().parse().expect("a URL"));
    (server, space)
}

fn flush(space: &Space) {
    space.ask::<()>(&["FLUSHALL"]);
}

#[tokio::test]
async fn a_settle_of_a_forgotten_claim_is_stale_and_makes_nothing() {
    let (_server, space) = alone().await;
    let ledger = space.open(2).await;
    let worker = Worker::new(&ledger).await;
    let claim = worker.claim(&message()).await.expect("nobody else has it");

    flush(&space);

    assert_eq!(worker.succeed(claim).await, SettleAnswer::Stale);
    assert_eq!(ledger.get(vec![claim.id]).await.expect("the store shows"), [None]);
}

#[tokio::test]
async fn a_forgotten_task_runs_again_and_its_old_claim_cannot_end_it() {
    let (_server, space) = alone().await;
    let ledger = space.open(2).await;
    let (first, second) = (Worker::new(&ledger).await, Worker::new(&ledger).await);
    let message = message();
    let old = first.claim(&message).await.expect("nobody else has it");

    flush(&space);

    assert_eq!(second.claim(&message).await, Err(ClaimAnswer::Retired), "nobody that the store knows asks");
    second.beat().await;
    let new = second.claim(&message).await.expect("the store has forgotten the other");
    assert!(new.fence > old.fence, "{:?} after {:?}", new.fence, old.fence);
    assert_eq!(first.succeed(old).await, SettleAnswer::Stale);
    let forged = OwnedClaim { fence: old.fence, ..new };
    assert_eq!(first.succeed(forged).await, SettleAnswer::Stale, "the newest token with an old fence");
    let record = ledger.get(vec![message.id]).await.expect("the store shows").remove(0).expect("it runs");
    assert_eq!((record.state, record.fence), (TaskState::Running, Some(new.fence)));
    assert_eq!(second.succeed(new).await, SettleAnswer::Applied(TaskState::Succeeded));
}

#[tokio::test]
async fn a_message_of_a_forgotten_move_is_adopted_and_older_ones_stay_stale() {
    let (_server, space) = alone().await;
    let ledger = space.open(2).await;
    let worker = Worker::new(&ledger).await;
    let first = message();
    let claim = worker.claim(&first).await.expect("nobody else has it");
    let retry = Verdict::Retry { delay: std::time::Duration::ZERO, error: failure("again") };
    let settlement = Settlement { owner: worker.owner, claim, verdict: retry, then: Vec::new() };
    ledger.settle(vec![settlement]).await.expect("the store settles");
    // The beat published it from this seq, and then the store forgot.
    let promoted = Message { seq: Seq(1), attempts: 1, ..first.clone() };

    flush(&space);
    worker.beat().await;

    let claim = worker.claim(&promoted).await.expect("the store has forgotten the other");
    let retry = Verdict::Retry { delay: std::time::Duration::ZERO, error: failure("again") };
    let settlement = Settlement { owner: worker.owner, claim, verdict: retry, then: Vec::new() };
    ledger.settle(vec![settlement]).await.expect("the store settles");
    let record = ledger.get(vec![first.id]).await.expect("the store shows").remove(0).expect("it waits");
    assert_eq!((record.seq(), record.message.attempts), (Seq(2), 2), "counted on from what the message knew");
    assert_eq!(worker.claim(&first).await, Err(ClaimAnswer::Stale));
    assert_eq!(worker.claim(&promoted).await, Err(ClaimAnswer::Stale));
}

#[tokio::test]
async fn tasks_in_whose_middle_everything_is_forgotten_are_all_done_by_their_newest_claim() {
    let (_server, space) = alone().await;
    let ledger = space.open(4).await;
    let failures = AtomicU32::new(0);
    let messages: Vec<Message> = (0..400).map(|_| message()).collect();
    let mut applied: HashMap<TaskId, Vec<Fence>> = HashMap::new();
    let mut stragglers: Vec<Settlement> = Vec::new();
    let mut stale = 0;

    for round in 0..6 {
        // The broker delivers everything again that was not acknowledged.
        let owner = OwnerId::random();
        insist(&failures, async || ledger.heartbeat(heartbeat(owner, 1)).await).await;
        let requests: Vec<ClaimRequest> =
            messages.iter().map(|message| ClaimRequest::new(message.clone(), Token::random())).collect();
        let answers = ledger.claim(owner, requests.clone()).await.expect("the store answers");
        let mut settlements = Vec::new();
        for (request, answer) in requests.iter().zip(answers) {
            let ClaimAnswer::Acquired(claim) = answer else { continue };
            let claim = OwnedClaim { id: request.message.id, fence: claim.fence, token: request.token };
            let verdict = Verdict::Succeeded { result: None };
            settlements.push(Settlement { owner, claim, verdict, then: Vec::new() });
        }
        // Half of them are still running when the store forgets; their settles come in the next round.
        let late = settlements.split_off(settlements.len() / 2);
        settlements.append(&mut stragglers);
        let answers = ledger.settle(settlements.clone()).await.expect("the store answers");
        for (settlement, answer) in settlements.iter().zip(answers) {
            match answer {
                SettleAnswer::Applied(_) => {
                    applied.entry(settlement.claim.id).or_default().push(settlement.claim.fence);
                }
                SettleAnswer::Stale => stale += 1,
                SettleAnswer::AlreadySettled => panic!("it was settled once: {settlement:?}"),
            }
        }
        stragglers = late;
        if round < 3 {
            flush(&space);
        }
    }

    let answers = ledger.settle(stragglers.clone()).await.expect("the store answers");
    for (settlement, answer) in stragglers.iter().zip(answers) {
        assert!(matches!(answer, SettleAnswer::Applied(_)), "{answer:?}");
        applied.entry(settlement.claim.id).or_default().push(settlement.claim.fence);
    }
    assert_eq!(applied.len(), messages.len(), "every task is done");
    assert!(stale > 0, "no claim was forgotten: the test shows nothing");
    for (id, fences) in &applied {
        assert!(fences.is_sorted_by(|one, next| one < next), "{id} was ended by an old claim: {fences:?}");
        let record = ledger.get(vec![*id]).await.expect("the store shows").remove(0).expect("it is known");
        assert_eq!(record.state, TaskState::Succeeded);
        assert_eq!(record.fence.as_ref(), fences.last());
    }
    assert_eq!(failures.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_server_that_keeps_every_write_forgets_nothing_when_it_is_killed() {
    let files = [("extra.conf", "appendonly yes\nappendfsync always\n")];
    let mut server = Server::start_with(Kind::Redis, &files).await;
    let space = Space::on(server.url().parse().expect("a URL"));
    let ledger = space.open(2).await;
    let worker = Worker::new(&ledger).await;
    let [running, done] = [message(), message()];
    let claim = worker.claim(&running).await.expect("nobody else has it");
    let ended = worker.claim(&done).await.expect("nobody else has it");
    worker.succeed(ended).await;

    server.kill().await;
    server.start_again().await;

    let failures = AtomicU32::new(0);
    let records = insist(&failures, async || ledger.get(vec![running.id, done.id]).await).await;
    let states: Vec<_> = records.into_iter().map(|record| record.expect("it is known").state).collect();
    assert_eq!(states, [TaskState::Running, TaskState::Succeeded]);
    assert_eq!(worker.succeed(claim).await, SettleAnswer::Applied(TaskState::Succeeded));
    assert_eq!(worker.claim(&done).await, Err(ClaimAnswer::Done(TaskState::Succeeded)));
}
