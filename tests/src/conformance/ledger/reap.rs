//! Reaping: a lost worker's tasks run again, and the lost worker can do nothing any more.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Seq, Token};
use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, Lost, ReapReport, SettleAnswer};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;

use super::probe::{MAX_CRASHES, assert_between};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{full_message, message};

suite! { $ reap_conformance, LedgerWorld, ledger::reap:
    a_lost_workers_task_is_due_again_with_a_crash_counted,
    the_row_alone_can_run_it_again,
    a_worker_that_beat_meanwhile_is_not_reaped,
    a_worker_that_was_not_judged_keeps_its_tasks,
    a_retired_incarnation_can_claim_nothing,
    a_retired_incarnation_learns_it_from_its_heartbeat,
    a_retired_incarnation_stays_retired_when_it_beats,
    an_owner_without_a_heartbeat_can_claim_nothing,
    after_too_many_crashes_a_task_is_dead,
    the_dead_are_told_apart_from_those_that_go_on,
    attempts_and_crashes_are_counted_apart,
    a_task_asked_to_stop_ends_cancelled,
    every_task_of_a_lost_worker_comes_back,
    reaping_twice_counts_one_crash,
    reaping_nobody_does_nothing,
}

async fn a_lost_workers_task_is_due_again_with_a_crash_counted(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (owner, message) = (OwnerId::random(), message());
    ledger.beat(owner, 7).await;
    ledger.acquire(owner, &message).await;
    let before = ledger.now().await;

    let report = ledger.reap(owner, 7).await;

    assert_eq!(report, ReapReport { retired: vec![owner], rescheduled: 1, dead: vec![], cancelled: 0 });
    let record = ledger.record(message.id).await;
    assert_eq!((record.state, record.seq()), (TaskState::Scheduled, Seq(1)));
    assert_eq!((record.message.attempts, record.message.crashes), (0, 1));
    assert_between("due_at", record.due_at, before, ledger.now().await, Duration::ZERO);
    assert_eq!(ledger.claim(OwnerId::random(), &message).await, ClaimAnswer::Stale, "its old message");
    let again = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&again).await;
    assert_eq!((run.granted.attempts, run.granted.crashes), (0, 1));
}

async fn the_row_alone_can_run_it_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = full_message();

    // Acknowledged after the claim: the broker has forgotten it.
    ledger.crash(&message).await;

    let again = ledger.only_due().await.message;
    assert_eq!(again, Message { seq: Seq(1), crashes: 1, ..message });
}

async fn a_worker_that_beat_meanwhile_is_not_reaped(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    ledger.beat(owner, 1).await;
    let run = ledger.acquire(owner, &message()).await;

    // Between the beat's judgement and its transaction, the worker woke up.
    ledger.beat(owner, 2).await;
    let report = ledger.reap(owner, 1).await;

    assert_eq!(report, ReapReport::default());
    assert_eq!(ledger.state(run.claim.id).await, TaskState::Running);
    assert!(!ledger.beat(owner, 3).await.retired);
    assert_eq!(ledger.succeed(&run).await, SettleAnswer::Applied(TaskState::Succeeded));
}

async fn a_worker_that_was_not_judged_keeps_its_tasks(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (lost, alive) = (OwnerId::random(), OwnerId::random());
    ledger.beat(lost, 1).await;
    ledger.beat(alive, 1).await;
    ledger.acquire(lost, &message()).await;
    let run = ledger.acquire(alive, &message()).await;
    world.forward(Duration::from_secs(24 * 3600));

    // However long ago its heartbeat: the store's clock judges nobody.
    let report = ledger.reap(lost, 1).await;

    assert_eq!((report.retired.as_slice(), report.rescheduled), ([lost].as_slice(), 1));
    assert_eq!(ledger.state(run.claim.id).await, TaskState::Running);
    ledger.acquire(alive, &message()).await;
}

async fn a_retired_incarnation_can_claim_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let lost = ledger.crash(&message()).await;
    let again = ledger.promoted(lost.claim.id).await;
    let (new, known, ended) =
        (message(), ledger.queued(&message()).await, ledger.ended(TaskState::Succeeded).await);

    let answers =
        ledger.claim_all(lost.owner, &[new.clone(), known.clone(), ended, again.clone(), new.clone()]).await;

    assert_eq!(answers, vec![ClaimAnswer::Retired; 5]);
    assert_eq!(ledger.find(new.id).await, None, "nothing was written");
    assert_eq!(ledger.state(known.id).await, TaskState::Queued);
    // Its own claim, asked for again after the reply was lost.
    let own = ledger.claim_as(lost.owner, &message(), lost.claim.token).await;
    assert_eq!(own, ClaimAnswer::Retired);
    ledger.acquire_any(&again).await;
}

async fn a_retired_incarnation_learns_it_from_its_heartbeat(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let lost = ledger.crash(&message()).await;

    let answer = ledger.beat(lost.owner, 2).await;

    assert!(answer.retired);
    assert_eq!(answer.cancels, []);
    assert!(answer.pulses.iter().all(|pulse| pulse.owner != lost.owner), "nobody judges it again");
}

async fn a_retired_incarnation_stays_retired_when_it_beats(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let lost = ledger.crash(&message()).await;

    for counter in 2..5 {
        assert!(ledger.beat(lost.owner, counter).await.retired);
        assert_eq!(ledger.claim(lost.owner, &message()).await, ClaimAnswer::Retired);
    }
    ledger.store.ledger.leave(lost.owner).await.expect("a member may leave");
    assert_eq!(ledger.claim(lost.owner, &message()).await, ClaimAnswer::Retired, "even after it left");
}

async fn an_owner_without_a_heartbeat_can_claim_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let request = ClaimRequest::new(message.clone(), Token::random());

    // The first reap would take it away again.
    let answers = ledger.store.ledger.claim(OwnerId::random(), vec![request]).await.expect("it answers");

    assert_eq!(answers, [ClaimAnswer::Retired]);
    assert_eq!(ledger.find(message.id).await, None);
}

async fn after_too_many_crashes_a_task_is_dead(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = full_message();
    for crashes in 1..MAX_CRASHES {
        ledger.crash(&message).await;
        message = ledger.promoted(message.id).await;
        assert_eq!(message.crashes, crashes);
    }
    let owner = OwnerId::random();
    ledger.beat(owner, 1).await;
    ledger.acquire(owner, &message).await;

    let report = ledger.reap(owner, 1).await;

    assert_eq!(
        report,
        ReapReport { retired: vec![owner], rescheduled: 0, dead: vec![message.id], cancelled: 0 }
    );
    let record = ledger.record(message.id).await;
    assert_eq!((record.state, record.message.crashes), (TaskState::Dead, MAX_CRASHES));
    assert_eq!(record.message.args, message.args);
    assert!(record.finished_at.is_some());
    assert_eq!(record.error.expect("a dead task says why").kind, RunErrorKind::Crashed);
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn the_dead_are_told_apart_from_those_that_go_on(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    let mut doomed = Vec::new();
    for _ in 0..3 {
        let mut message = message();
        for _ in 1..MAX_CRASHES {
            ledger.crash(&message).await;
            message = ledger.promoted(message.id).await;
        }
        doomed.push(message);
    }
    ledger.beat(owner, 1).await;
    let fresh = message();
    ledger.claim_all(owner, &[doomed.clone(), vec![fresh.clone()]].concat()).await;

    let mut report = ledger.reap(owner, 1).await;

    let mut expected: Vec<_> = doomed.iter().map(|message| message.id).collect();
    expected.sort_unstable();
    report.dead.sort_unstable();
    assert_eq!((report.dead, report.rescheduled), (expected, 1));
    assert_eq!(ledger.state(fresh.id).await, TaskState::Scheduled);
}

async fn attempts_and_crashes_are_counted_apart(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    ledger.fail(&run, Duration::ZERO).await;
    let again = ledger.promoted(message.id).await;
    ledger.crash(&again).await;
    let again = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&again).await;
    ledger.fail(&run, Duration::ZERO).await;

    let record = ledger.record(message.id).await;

    assert_eq!((record.message.attempts, record.message.crashes), (2, 1));
}

async fn a_task_asked_to_stop_ends_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    ledger.beat(owner, 1).await;
    let run = ledger.acquire(owner, &message()).await;
    ledger.cancel(run.claim.id).await;

    let report = ledger.reap(owner, 1).await;

    assert_eq!(report, ReapReport { retired: vec![owner], rescheduled: 0, dead: vec![], cancelled: 1 });
    let record = ledger.record(run.claim.id).await;
    assert_eq!(record.state, TaskState::Cancelled);
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn every_task_of_a_lost_worker_comes_back(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = OwnerId::random();
    ledger.beat(owner, 1).await;
    let messages: Vec<Message> = (0..300).map(|_| message()).collect();
    ledger.claim_all(owner, &messages).await;

    let report = ledger.reap(owner, 1).await;

    assert_eq!(report.rescheduled, 300);
    assert_eq!(ledger.due_ids(1000).await.len(), 300);
    assert_eq!(ledger.store.ledger.mine(owner).await.expect("the store answers"), []);
}

async fn reaping_twice_counts_one_crash(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (owner, message) = (OwnerId::random(), message());
    ledger.beat(owner, 1).await;
    ledger.acquire(owner, &message).await;
    let lost = Lost { owner, counter: 1 };

    // Two beats came to the same judgement.
    let first = ledger.reap_all(vec![lost, lost]).await;
    let second = ledger.reap_all(vec![lost]).await;

    assert_eq!(first.rescheduled, 1);
    assert_eq!((second.rescheduled, second.dead, second.cancelled), (0, vec![], 0));
    assert_eq!(ledger.record(message.id).await.message.crashes, 1);
}

async fn reaping_nobody_does_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let stranger = OwnerId::random();

    let report = ledger.reap(stranger, 1).await;

    assert_eq!((report.rescheduled, report.dead, report.cancelled), (0, vec![], 0));
    assert_eq!(ledger.reap_all(vec![]).await, ReapReport::default());
}
