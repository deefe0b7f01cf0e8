//! A run that settles itself: its effect and its end are committed together, or not at all.

use std::time::Duration;

use upbeat_shared::id::{Fence, Token};
use upbeat_shared::ledger::{CommitError, OwnedClaim, SettleAnswer};
use upbeat_shared::message::Payload;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;

use super::TransactionWorld;
use crate::conformance::ledger::{Probe, Running};
use crate::conformance::suite;
use crate::message::{failure, message};

suite! { $ transaction_settle_conformance, TransactionWorld, transaction::settle:
    effect_and_end_are_committed_together,
    a_straggler_writes_nothing,
    a_run_whose_task_another_worker_has_writes_nothing,
    a_claim_that_was_never_given_writes_nothing,
    a_transaction_that_is_repeated_writes_nothing_twice,
    a_transaction_after_the_runs_own_verdict_writes_nothing,
    the_workers_verdict_after_a_commit_is_told_so,
    a_task_that_was_asked_to_stop_stands_as_what_it_was,
    a_transaction_elsewhere_is_refused,
}

fn success() -> Verdict {
    Verdict::Succeeded { result: None }
}

async fn effect_and_end_are_committed_together(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let result = Some(Payload::msgpack(&7).expect("a number"));
    let settlement = run.settlement(Verdict::Succeeded { result: result.clone() });

    world.commit(&ledger.store, "charged", &settlement).await.expect("it has the claim");

    let record = ledger.record(run.claim.id).await;
    assert_eq!((record.state, record.result), (TaskState::Succeeded, result));
    assert_eq!(world.effects().await, ["charged"]);
    for (state, tasks) in [(TaskState::Running, 0), (TaskState::Succeeded, 1)] {
        assert_eq!(ledger.count(&QueueName::default_queue(), state).await, tasks, "{state}");
    }
}

/// Commits with a claim that must be refused.
async fn refused(world: &impl TransactionWorld, ledger: &Probe, run: &Running, why: &str) {
    let before = ledger.find(run.claim.id).await;
    let refused = world.commit(&ledger.store, "charged", &run.settlement(success())).await;
    let error = refused.expect_err("it is not the newest claim");
    assert!(matches!(error, CommitError::Stale(_)), "{why}: {error}");
    assert_eq!(ledger.find(run.claim.id).await, before, "{why}: the row changed");
    assert_eq!(world.effects().await, [""; 0], "{why}");
}

async fn a_straggler_writes_nothing(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let lost = ledger.crash(&message()).await;
    refused(world, &ledger, &lost, "reaped, scheduled").await;
    let again = ledger.promoted(lost.claim.id).await;
    refused(world, &ledger, &lost, "reaped, queued").await;
    let other = ledger.acquire_any(&again).await;
    refused(world, &ledger, &lost, "while another runs it").await;
    ledger.succeed(&other).await;
    refused(world, &ledger, &lost, "after another settled it").await;
}

async fn a_run_whose_task_another_worker_has_writes_nothing(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let old = ledger.acquire_any(&message()).await;
    ledger.fail(&old, Duration::ZERO).await;
    let again = ledger.promoted(old.claim.id).await;
    let new = ledger.acquire_any(&again).await;

    refused(world, &ledger, &old, "an older fence").await;

    world.commit(&ledger.store, "charged", &new.settlement(success())).await.expect("it has the claim");
    assert_eq!(world.effects().await, ["charged"]);
}

async fn a_claim_that_was_never_given_writes_nothing(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let with = |claim| Running { claim, ..run };
    let forged = OwnedClaim { token: Token::random(), ..run.claim };
    refused(world, &ledger, &with(forged), "another token").await;
    let forged = OwnedClaim { fence: Fence(run.claim.fence.0 + 1), ..run.claim };
    refused(world, &ledger, &with(forged), "a fence from the future").await;
    let unknown = OwnedClaim { id: message().id, ..run.claim };
    refused(world, &ledger, &with(unknown), "no such task").await;
}

async fn a_transaction_that_is_repeated_writes_nothing_twice(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let commit = async || world.commit(&ledger.store, "charged", &run.settlement(success())).await;

    commit().await.expect("it has the claim");
    // The answer to the commit was lost, and the whole is done again.
    let error = commit().await.expect_err("it is done");

    assert!(matches!(error, CommitError::AlreadySettled), "{error}");
    assert_eq!(world.effects().await, ["charged"]);
}

async fn a_transaction_after_the_runs_own_verdict_writes_nothing(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    for verdict in
        [success(), Verdict::Dead { error: failure("no") }, Verdict::Snooze { delay: Duration::ZERO }]
    {
        let run = ledger.acquire_any(&message()).await;
        ledger.settle(&run, verdict).await;
        let refused = world.commit(&ledger.store, "charged", &run.settlement(success())).await;
        assert!(matches!(refused, Err(CommitError::AlreadySettled)), "{refused:?}");
    }
    assert_eq!(world.effects().await, [""; 0]);
}

async fn the_workers_verdict_after_a_commit_is_told_so(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    world.commit(&ledger.store, "charged", &run.settlement(success())).await.expect("it has the claim");
    let committed = ledger.record(run.claim.id).await;

    let late = [success(), Verdict::Retry { delay: Duration::ZERO, error: failure("the answer was lost") }];
    for verdict in late {
        assert_eq!(ledger.settle(&run, verdict).await, SettleAnswer::AlreadySettled);
    }
    assert_eq!(ledger.record(run.claim.id).await, committed);
    assert_eq!(committed.fence, Some(run.claim.fence), "by which a worker knows whose success it is");
}

async fn a_task_that_was_asked_to_stop_stands_as_what_it_was(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    ledger.cancel(run.claim.id).await;

    world.commit(&ledger.store, "charged", &run.settlement(success())).await.expect("it has the claim");

    assert_eq!(ledger.state(run.claim.id).await, TaskState::Succeeded);
    assert_eq!(world.effects().await, ["charged"]);
}

async fn a_transaction_elsewhere_is_refused<W: TransactionWorld>(world: &W) {
    let ledger = Probe::of(world);
    let other = W::create().await;
    let (run, theirs) = (ledger.acquire_any(&message()).await, Probe::of(&other));

    let refused = other.commit(&theirs.store, "charged", &run.settlement(success())).await;
    assert!(matches!(refused, Err(CommitError::Stale(_))), "another namespace's ledger: {refused:?}");

    assert_eq!(other.effects().await, [""; 0]);
    assert_eq!(ledger.state(run.claim.id).await, TaskState::Running);
}
