//! The story of a task's runs, and who is blamed for a crash.

use std::time::Duration;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{Action, SettleAnswer};
use upbeat_shared::member::MemberInfo;
use upbeat_shared::run::{PastRuns, RunEnd};
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use super::probe::MAX_CRASHES;
use super::{LedgerWorld, Probe, Running};
use crate::conformance::suite;
use crate::message::{failure, message};

suite! { $ runs_conformance, LedgerWorld, ledger::runs:
    a_simple_success_is_told_by_the_row_alone,
    every_end_but_a_success_is_told_in_order,
    a_lost_worker_is_part_of_the_story,
    a_cancelled_run_is_told_as_cancelled,
    the_newest_twenty_runs_are_kept_and_all_are_counted,
    a_dropped_task_has_no_story,
    a_process_that_died_counts_a_crash_and_no_attempt,
    a_process_that_died_too_often_leaves_a_dead_task,
    a_process_that_died_of_a_cancelled_task_ends_it,
    workers_that_run_suspects_alone_may_be_lost_more_often,
    only_their_owner_learns_of_cancels_and_only_while_they_run,
}

/// What a record says of its task's runs.
async fn ends(ledger: &Probe, run: &Running) -> Vec<RunEnd> {
    let (runs, left_out) = ledger.record(run.claim.id).await.runs();
    assert_eq!(left_out, 0);
    runs.iter().map(|run| run.end).collect()
}

/// A worker that runs suspects in processes of their own, or does not.
async fn worker(ledger: &Probe, isolates: bool) -> OwnerId {
    let owner = OwnerId::random();
    let info = MemberInfo { name: "box:7".to_owned(), isolates, ..MemberInfo::default() };
    ledger.introduce(owner, info).await;
    owner
}

fn died() -> RunError {
    RunError::new(RunErrorKind::Crashed, "killed by signal 9; its last output: oh \"no\"\n\u{1F980}")
}

async fn a_simple_success_is_told_by_the_row_alone(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    assert_eq!(ends(&ledger, &run).await, [RunEnd::Running]);

    ledger.succeed(&run).await;

    assert_eq!(ledger.record(run.claim.id).await.past, PastRuns::default(), "nothing was written for it");
    assert_eq!(ends(&ledger, &run).await, [RunEnd::Succeeded]);
}

async fn every_end_but_a_success_is_told_in_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    let verdicts = [
        Verdict::Retry { delay: Duration::ZERO, error: failure("no route to host") },
        Verdict::Snooze { delay: Duration::ZERO },
        Verdict::Released { reason: "shutdown".to_owned() },
    ];
    let before = ledger.now().await;
    for verdict in verdicts {
        let run = ledger.acquire_any(&message).await;
        ledger.settle(&run, verdict).await;
        message = ledger.promoted(message.id).await;
    }
    let run = ledger.acquire_any(&message).await;
    ledger.succeed(&run).await;

    let told = [RunEnd::Retry, RunEnd::Snoozed, RunEnd::Released, RunEnd::Succeeded];
    assert_eq!(ends(&ledger, &run).await, told);
    let (runs, _) = ledger.record(message.id).await.runs();
    assert_eq!(runs.iter().map(|run| run.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(runs[0].error, Some(failure("no route to host")));
    assert_eq!(runs[2].note.as_deref(), Some("shutdown"));
    let now = ledger.now().await;
    for run in runs {
        let (started, ended) = (run.started_at.expect("it started"), run.ended_at.expect("it ended"));
        assert!(before <= started && started <= ended && ended <= now, "{started} {ended}");
    }
}

async fn a_lost_worker_is_part_of_the_story(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let owner = worker(&ledger, false).await;
    let run = ledger.acquire(owner, &message()).await;

    ledger.reap(owner, 1).await;

    assert_eq!(ends(&ledger, &run).await, [RunEnd::Lost]);
    let (runs, _) = ledger.record(run.claim.id).await.runs();
    assert_eq!(runs[0].worker.as_deref(), Some("box:7"));
    assert!(runs[0].note.as_ref().is_some_and(|note| note.contains("box:7")), "{:?}", runs[0].note);
}

async fn a_cancelled_run_is_told_as_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    ledger.cancel(run.claim.id).await;

    ledger.fail(&run, Duration::ZERO).await;

    assert_eq!(ends(&ledger, &run).await, [RunEnd::Cancelled]);
}

async fn the_newest_twenty_runs_are_kept_and_all_are_counted(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    for number in 1..=25 {
        let run = ledger.acquire_any(&message).await;
        let error = failure(&format!("failure {number}"));
        ledger.settle(&run, Verdict::Retry { delay: Duration::ZERO, error }).await;
        message = ledger.promoted(message.id).await;
    }

    let (runs, left_out) = ledger.record(message.id).await.runs();

    assert_eq!((runs.len(), left_out, runs[0].number), (20, 5, 6));
    let last = runs.last().and_then(|run| run.error.clone());
    assert_eq!(last, Some(failure("failure 25")));
}

async fn a_dropped_task_has_no_story(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let dead = ledger.ended(TaskState::Dead).await;
    assert_eq!(ledger.record(dead.id).await.past.count, 1);

    ledger.act(dead.id, Action::Drop).await;

    assert_eq!(ledger.record(dead.id).await.past, PastRuns::default());
}

async fn a_process_that_died_counts_a_crash_and_no_attempt(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;

    let verdict = Verdict::Crashed { error: died(), again: Some(Duration::ZERO) };
    assert_eq!(ledger.settle(&run, verdict.clone()).await, SettleAnswer::Applied(TaskState::Scheduled));
    assert_eq!(ledger.settle(&run, verdict).await, SettleAnswer::AlreadySettled);

    let record = ledger.record(run.claim.id).await;
    assert_eq!((record.message.attempts, record.message.crashes), (0, 1));
    assert_eq!(ends(&ledger, &run).await, [RunEnd::Crashed]);
    assert_eq!(record.past.kept[0].error, Some(died()), "with its last output");
    let again = ledger.promoted(run.claim.id).await;
    assert_eq!(ledger.acquire_any(&again).await.granted.crashes, 1);
}

async fn a_process_that_died_too_often_leaves_a_dead_task(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;

    let answer = ledger.settle(&run, Verdict::Crashed { error: died(), again: None }).await;

    assert_eq!(answer, SettleAnswer::Applied(TaskState::Dead));
    let record = ledger.record(run.claim.id).await;
    assert_eq!((record.message.crashes, record.error), (1, Some(died())));
    assert_eq!(ends(&ledger, &run).await, [RunEnd::Crashed]);
}

async fn a_process_that_died_of_a_cancelled_task_ends_it(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    ledger.cancel(run.claim.id).await;

    let answer = ledger.settle(&run, Verdict::Crashed { error: died(), again: Some(Duration::ZERO) }).await;

    assert_eq!(answer, SettleAnswer::Applied(TaskState::Cancelled));
    assert_eq!(ledger.due_ids(10).await, [], "it does not run again");
}

async fn workers_that_run_suspects_alone_may_be_lost_more_often(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for (isolates, most) in [(false, MAX_CRASHES), (true, MAX_CRASHES * 3)] {
        let mut message = message();
        for crashes in 1..=most {
            let owner = worker(&ledger, isolates).await;
            ledger.acquire(owner, &message).await;
            ledger.reap(owner, 1).await;
            let record = ledger.record(message.id).await;
            assert_eq!(record.message.crashes, crashes);
            let dead = record.state == TaskState::Dead;
            assert_eq!(dead, crashes == most, "after {crashes} crashes, isolates: {isolates}");
            if !dead {
                message = ledger.promoted(message.id).await;
            }
        }
    }
}

async fn only_their_owner_learns_of_cancels_and_only_while_they_run(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (worker(&ledger, false).await, worker(&ledger, false).await);
    let cancels = async |owner| ledger.store.ledger.cancels(owner).await.expect("it tells");
    let (asked, quiet) = (ledger.acquire(one, &message()).await, ledger.acquire(other, &message()).await);
    assert_eq!(cancels(one).await, []);

    ledger.cancel(asked.claim.id).await;

    assert_eq!((cancels(one).await, cancels(other).await), (vec![asked.claim.id], vec![]));
    ledger.succeed(&asked).await;
    ledger.succeed(&quiet).await;
    assert_eq!(cancels(one).await, []);
}
