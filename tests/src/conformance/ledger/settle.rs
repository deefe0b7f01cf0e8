//! The settle: only the newest claim's verdict counts, and only once.

use std::time::Duration;

use upbeat_shared::id::{Fence, OwnerId, TaskId, Token};
use upbeat_shared::ledger::{Due, OwnedClaim, SettleAnswer, Settlement};
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;
use uuid::Uuid;

use super::{LedgerWorld, Probe, Running};
use crate::conformance::suite;
use crate::message::{entry, failure, message};

suite! { $ settle_conformance, LedgerWorld, ledger::settle:
    a_verdict_applies_once,
    a_retry_settled_twice_is_counted_once,
    a_settle_with_another_token_is_refused,
    a_settle_with_an_older_fence_is_refused,
    a_settle_with_a_fence_never_given_is_refused,
    a_reaped_workers_settle_is_refused_though_nobody_claimed_since,
    a_reaped_workers_settle_is_refused_after_another_settled,
    a_released_claims_settle_is_refused,
    a_settle_of_an_unknown_task_is_refused,
    a_task_cancelled_while_queued_refuses_older_settles,
    entries_come_with_the_verdict_that_applies,
    entries_of_a_refused_verdict_never_come,
    entries_of_a_verdict_that_a_cancel_overrules_never_come,
    a_batch_is_answered_in_order,
}

/// The verdicts, one of each kind, all with something to write.
fn verdicts() -> Vec<Verdict> {
    vec![
        Verdict::Succeeded { result: None },
        Verdict::Retry { delay: Duration::from_secs(60), error: failure("again") },
        Verdict::Snooze { delay: Duration::from_secs(60) },
        Verdict::Dead { error: failure("enough") },
        Verdict::Cancelled { reason: "no".to_owned() },
        Verdict::Released { reason: "shutdown".to_owned() },
    ]
}

/// Settles with every kind of verdict, each of which must be refused and change nothing.
async fn refused(ledger: &Probe, run: &Running, why: &str) {
    let before = ledger.find(run.claim.id).await;
    for verdict in verdicts() {
        let answer = ledger.settle(run, verdict.clone()).await;
        assert_eq!(answer, SettleAnswer::Stale, "{why}: {verdict:?}");
        assert_eq!(ledger.find(run.claim.id).await, before, "{why}: {verdict:?} changed the row");
    }
}

async fn a_verdict_applies_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for verdict in verdicts() {
        let run = ledger.acquire_any(&message()).await;
        let first = ledger.settle(&run, verdict.clone()).await;
        assert!(matches!(first, SettleAnswer::Applied(_)), "{verdict:?}: {first:?}");
        let record = ledger.record(run.claim.id).await;

        assert_eq!(ledger.settle(&run, verdict.clone()).await, SettleAnswer::AlreadySettled, "{verdict:?}");
        // Its worker lost the reply and decided anew.
        assert_eq!(ledger.succeed(&run).await, SettleAnswer::AlreadySettled, "{verdict:?}");
        assert_eq!(ledger.record(run.claim.id).await, record);
    }
}

async fn a_retry_settled_twice_is_counted_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let twice = || run.settlement(Verdict::Retry { delay: Duration::ZERO, error: failure("again") });

    let answers = ledger.settle_all(vec![twice(), twice()]).await;

    assert_eq!(answers, [SettleAnswer::Applied(TaskState::Scheduled), SettleAnswer::AlreadySettled]);
    assert_eq!(ledger.record(run.claim.id).await.message.attempts, 1);
    ledger.promoted(run.claim.id).await;
    assert_eq!(ledger.settle_all(vec![twice()]).await, [SettleAnswer::AlreadySettled], "after the promotion");
    assert_eq!(ledger.state(run.claim.id).await, TaskState::Queued);
}

async fn a_settle_with_another_token_is_refused(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let forged = Running { claim: OwnedClaim { token: Token::random(), ..run.claim }, ..run };

    refused(&ledger, &forged, "another token").await;

    ledger.succeed(&run).await;
    refused(&ledger, &forged, "another token, after the end").await;
}

async fn a_settle_with_an_older_fence_is_refused(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let old = ledger.acquire_any(&message()).await;
    ledger.fail(&old, Duration::ZERO).await;
    let again = ledger.promoted(old.claim.id).await;
    let new = ledger.acquire_any(&again).await;

    refused(&ledger, &old, "an older fence").await;
    let old_fence = Running { claim: OwnedClaim { fence: old.claim.fence, ..new.claim }, ..new };
    refused(&ledger, &old_fence, "an older fence with the newest token").await;

    assert_eq!(ledger.succeed(&new).await, SettleAnswer::Applied(TaskState::Succeeded));
    refused(&ledger, &old, "an older fence, after the end").await;
}

async fn a_settle_with_a_fence_never_given_is_refused(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let forged = OwnedClaim { fence: Fence(run.claim.fence.0 + 1), ..run.claim };

    refused(&ledger, &Running { claim: forged, ..run }, "a fence from the future").await;
}

async fn a_reaped_workers_settle_is_refused_though_nobody_claimed_since(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.crash(&message()).await;

    // Its token and fence are still the newest, but the row does not run.
    refused(&ledger, &run, "reaped, scheduled").await;
    ledger.promoted(run.claim.id).await;
    refused(&ledger, &run, "reaped, queued").await;
}

async fn a_reaped_workers_settle_is_refused_after_another_settled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let lost = ledger.crash(&message()).await;
    let again = ledger.promoted(lost.claim.id).await;
    let other = ledger.acquire_any(&again).await;
    refused(&ledger, &lost, "while another runs it").await;

    assert_eq!(ledger.succeed(&other).await, SettleAnswer::Applied(TaskState::Succeeded));

    refused(&ledger, &lost, "after another settled it").await;
    let record = ledger.record(lost.claim.id).await;
    assert_eq!((record.message.attempts, record.message.crashes), (0, 1));
    assert_eq!(record.owner, Some(other.owner));
}

async fn a_released_claims_settle_is_refused(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let released = ledger.store.ledger.release(run.owner, vec![run.claim]).await.expect("the store releases");
    assert_eq!(released, 1);

    refused(&ledger, &run, "released").await;
}

async fn a_settle_of_an_unknown_task_is_refused(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let unknown = OwnedClaim { id: TaskId(Uuid::now_v7()), ..run.claim };

    refused(&ledger, &Running { claim: unknown, ..run }, "no such task").await;
    assert_eq!(ledger.find(unknown.id).await, None);
}

async fn a_task_cancelled_while_queued_refuses_older_settles(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.crash(&message()).await;
    ledger.cancel(run.claim.id).await;

    refused(&ledger, &run, "cancelled").await;
    assert_eq!(ledger.state(run.claim.id).await, TaskState::Cancelled);
}

async fn entries_come_with_the_verdict_that_applies(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (run, next) = (ledger.acquire_any(&message()).await, message());
    let settlement = || Settlement {
        then: vec![entry(&next, Due::In(Duration::from_secs(60)))],
        ..run.settlement(Verdict::Succeeded { result: None })
    };

    let answers = ledger.settle_all(vec![settlement(), settlement()]).await;
    assert_eq!(answers, [SettleAnswer::Applied(TaskState::Succeeded), SettleAnswer::AlreadySettled]);

    assert_eq!(ledger.state(next.id).await, TaskState::Scheduled);
    world.forward(Duration::from_secs(60));
    assert_eq!(ledger.only_due().await.message, next);
}

async fn entries_of_a_refused_verdict_never_come(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (lost, next) = (ledger.crash(&message()).await, message());
    let settlement = Settlement {
        then: vec![entry(&next, Due::In(Duration::ZERO))],
        ..lost.settlement(Verdict::Succeeded { result: None })
    };

    assert_eq!(ledger.settle_all(vec![settlement]).await, [SettleAnswer::Stale]);

    assert_eq!(ledger.find(next.id).await, None);
}

async fn entries_of_a_verdict_that_a_cancel_overrules_never_come(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut next = Vec::new();
    for (verdict, state) in [
        (Verdict::Dead { error: failure("no") }, TaskState::Cancelled),
        (Verdict::Retry { delay: Duration::ZERO, error: failure("no") }, TaskState::Cancelled),
        // What was asked for is what came to be.
        (Verdict::Cancelled { reason: "told to".into() }, TaskState::Cancelled),
        // A success stands.
        (Verdict::Succeeded { result: None }, TaskState::Succeeded),
    ] {
        let (run, entry_of) = (ledger.acquire_any(&message()).await, message());
        ledger.cancel(run.claim.id).await;
        let then = vec![entry(&entry_of, Due::In(Duration::ZERO))];
        let settlement = Settlement { then, ..run.settlement(verdict) };
        assert_eq!(ledger.settle_all(vec![settlement]).await, [SettleAnswer::Applied(state)]);
        next.push(ledger.find(entry_of.id).await.is_some());
    }

    assert_eq!(next, [false, false, true, true]);
}

async fn a_batch_is_answered_in_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    let (mut batch, mut expected) = (Vec::new(), Vec::new());
    for round in 0..12 {
        let run = ledger.acquire(owner, &message()).await;
        let (verdict, answer) = match round % 3 {
            0 => (Verdict::Succeeded { result: None }, SettleAnswer::Applied(TaskState::Succeeded)),
            1 => (Verdict::Dead { error: failure("no") }, SettleAnswer::Applied(TaskState::Dead)),
            _ => {
                ledger.succeed(&run).await;
                (Verdict::Snooze { delay: Duration::ZERO }, SettleAnswer::AlreadySettled)
            }
        };
        // Stores sort a batch by id; the caller's order is another.
        batch.insert(0, run.settlement(verdict));
        expected.insert(0, answer);
    }

    assert_eq!(ledger.settle_all(batch).await, expected);
}
