//! The story of a task's runs, and what a run alone counts.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Seq};
use upbeat_shared::ledger::{ActAnswer, Action, Lost, ReapReport, Retention, SettleAnswer};
use upbeat_shared::member::{Heartbeat, MemberInfo};
use upbeat_shared::message::Message;
use upbeat_shared::run::{PastRun, PastRuns, Run, RunEnd};
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use super::probe::{MAX_CRASHES, assert_between};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{failure, heartbeat, message};

suite! { $ runs_conformance, LedgerWorld, ledger::runs:
    a_success_is_told_by_the_row_alone,
    every_other_end_is_kept_with_its_reason,
    a_run_ends_cancelled_if_somebody_had_asked,
    a_lost_worker_is_part_of_the_story,
    what_a_leaving_worker_gives_back_is_part_of_the_story,
    a_run_that_goes_on_is_the_last,
    texts_of_any_kind_are_kept,
    the_newest_runs_are_kept_and_all_are_counted,
    long_errors_leave_room_for_fewer_runs,
    a_refused_settle_tells_nothing,
    the_story_goes_on_after_a_retry_by_hand,
    the_story_goes_with_the_details,
    a_process_that_died_counts_a_crash,
    a_process_that_died_too_often_leaves_its_task_dead,
    a_cancelled_task_whose_process_died_is_cancelled,
    a_suspect_may_lose_more_workers_that_run_it_apart,
    a_worker_that_runs_all_together_may_be_lost_no_more_often,
    where_one_crash_is_too_many_none_follows,
    who_asks_for_cancels_is_told_of_its_own,
}

async fn past(ledger: &Probe, message: &Message) -> PastRuns {
    ledger.record(message.id).await.past
}

async fn only_past(ledger: &Probe, message: &Message) -> PastRun {
    let mut past = past(ledger, message).await;
    assert_eq!((past.count, past.kept.len()), (1, 1), "{past:?}");
    past.kept.remove(0)
}

fn crashed(again: Option<Duration>) -> Verdict {
    Verdict::Crashed { error: died(), again }
}

fn died() -> RunError {
    RunError::new(RunErrorKind::Crashed, "killed by signal 9; its last output: \"out of memory\"")
}

async fn a_success_is_told_by_the_row_alone(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    ledger.succeed(&run).await;

    let record = ledger.record(message.id).await;

    assert_eq!(record.past, PastRuns::default());
    let (runs, left_out) = record.runs();
    let expected = Run {
        number: 1,
        started_at: record.started_at,
        ended_at: record.finished_at,
        worker: Some("host:1".to_owned()),
        end: RunEnd::Succeeded,
        error: None,
        note: None,
    };
    assert_eq!((runs, left_out), (vec![expected], 0));
}

async fn every_other_end_is_kept_with_its_reason(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let delay = Duration::from_secs(60);
    let ends = [
        (
            Verdict::Retry { delay, error: failure("no route") },
            RunEnd::Retry,
            Some(failure("no route")),
            None,
        ),
        (Verdict::Snooze { delay }, RunEnd::Snoozed, None, None),
        (Verdict::Dead { error: failure("enough") }, RunEnd::Dead, Some(failure("enough")), None),
        (Verdict::Cancelled { reason: "by ann".to_owned() }, RunEnd::Cancelled, None, Some("by ann")),
        (Verdict::Released { reason: "shutdown".to_owned() }, RunEnd::Released, None, Some("shutdown")),
        (crashed(Some(delay)), RunEnd::Crashed, Some(died()), None),
        (crashed(None), RunEnd::Crashed, Some(died()), None),
    ];
    for (verdict, end, error, note) in ends {
        let message = message();
        let before = ledger.now().await;
        let run = ledger.acquire_any(&message).await;
        let started = ledger.record(message.id).await.started_at;
        world.forward(Duration::from_secs(5));
        let settled = ledger.now().await;

        ledger.settle(&run, verdict.clone()).await;

        let past = only_past(&ledger, &message).await;
        assert_eq!((past.end, &past.error, past.note.as_deref()), (end, &error, note), "{verdict:?}");
        assert_eq!(past.worker.as_deref(), Some("host:1"));
        assert_eq!(Some(past.started_at), started);
        assert!(past.started_at >= before);
        assert_between("ended_at", Some(past.ended_at), settled, ledger.now().await, Duration::ZERO);
        assert_eq!(ledger.settle(&run, verdict).await, SettleAnswer::AlreadySettled);
        only_past(&ledger, &message).await;
    }
}

async fn a_run_ends_cancelled_if_somebody_had_asked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    ledger.cancel(message.id).await;

    ledger.fail(&run, Duration::ZERO).await;

    let past = only_past(&ledger, &message).await;
    assert_eq!((past.end, past.error), (RunEnd::Cancelled, Some(failure("it failed"))));
    assert_eq!(ledger.record(message.id).await.runs().0.len(), 1, "the row tells of no other run");
}

async fn a_lost_worker_is_part_of_the_story(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();

    ledger.crash(&message).await;

    let past = only_past(&ledger, &message).await;
    assert_eq!((past.end, past.worker.as_deref()), (RunEnd::Lost, Some("host:1")));
    let note = past.note.expect("it says why");
    assert!(note.contains("host:1"), "{note}");
}

async fn what_a_leaving_worker_gives_back_is_part_of_the_story(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;

    ledger.store.ledger.leave(run.owner).await.expect("a member may leave");

    let past = only_past(&ledger, &message).await;
    assert_eq!((past.end, past.worker.as_deref()), (RunEnd::Released, Some("host:1")));
}

async fn a_run_that_goes_on_is_the_last(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.crash(&message).await;
    let again = ledger.promoted(message.id).await;
    ledger.acquire_any(&again).await;

    let (runs, left_out) = ledger.record(message.id).await.runs();

    let told: Vec<_> = runs.iter().map(|run| (run.number, run.end)).collect();
    assert_eq!((told, left_out), (vec![(1, RunEnd::Lost), (2, RunEnd::Running)], 0));
    assert_eq!(runs[1].ended_at, None);
}

async fn texts_of_any_kind_are_kept(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let odd = "a/b \"quoted\" back\\slash\nline\ttab \u{1F980} \u{7f} </script>";
    let message = message();
    let run = ledger.acquire_any(&message).await;
    ledger.settle(&run, Verdict::Released { reason: odd.to_owned() }).await;
    let again = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&again).await;
    ledger.settle(&run, Verdict::Retry { delay: Duration::ZERO, error: failure(odd) }).await;

    let past = past(&ledger, &message).await;

    assert_eq!(past.kept[0].note.as_deref(), Some(odd));
    assert_eq!(past.kept[1].error, Some(failure(odd)));
}

async fn the_newest_runs_are_kept_and_all_are_counted(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    let id = message.id;
    for run in 1..=PastRuns::MAX + 5 {
        let running = ledger.acquire_any(&message).await;
        let error = failure(&run.to_string());
        ledger.settle(&running, Verdict::Retry { delay: Duration::ZERO, error }).await;
        message = ledger.promoted(id).await;
    }

    let record = ledger.record(id).await;

    assert_eq!((record.past.count, record.past.kept.len()), (25, PastRuns::MAX));
    let (runs, left_out) = record.runs();
    let told: Vec<_> = runs.iter().map(|run| (run.number, run.error.clone().map(|e| e.message))).collect();
    let expected: Vec<_> = (6..=25).map(|run| (run, Some(run.to_string()))).collect();
    assert_eq!((told, left_out), (expected, 5));
}

async fn long_errors_leave_room_for_fewer_runs(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    let id = message.id;
    let long = failure(&"x".repeat(RunError::MAX_BYTES - 200));
    for _ in 0..8 {
        let running = ledger.acquire_any(&message).await;
        ledger.settle(&running, Verdict::Retry { delay: Duration::ZERO, error: long.clone() }).await;
        message = ledger.promoted(id).await;
    }

    let past = past(&ledger, &message).await;

    assert_eq!(past.count, 8);
    assert!((2..=4).contains(&past.kept.len()), "{} runs are kept", past.kept.len());
}

async fn a_refused_settle_tells_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let lost = ledger.crash(&message).await;

    assert_eq!(ledger.fail(&lost, Duration::ZERO).await, SettleAnswer::Stale);

    assert_eq!(only_past(&ledger, &message).await.end, RunEnd::Lost);
}

async fn the_story_goes_on_after_a_retry_by_hand(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Dead).await;
    ledger.act(message.id, Action::Retry).await;
    let again = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&again).await;
    ledger.succeed(&run).await;

    let (runs, _) = ledger.record(message.id).await.runs();

    let told: Vec<_> = runs.iter().map(|run| (run.number, run.end)).collect();
    assert_eq!(told, [(1, RunEnd::Dead), (2, RunEnd::Succeeded)]);
}

async fn the_story_goes_with_the_details(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let dropped = ledger.ended(TaskState::Dead).await;
    assert_eq!(ledger.act(dropped.id, Action::Drop).await, ActAnswer::Applied(TaskState::Cancelled));
    assert_eq!(past(&ledger, &dropped).await, PastRuns::default());

    let message = message();
    ledger.crash(&message).await;
    let again = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&again).await;
    ledger.succeed(&run).await;
    assert_eq!(past(&ledger, &message).await.count, 1);
    let retention = Retention::default();
    world.forward(retention.details + Duration::from_secs(1));
    ledger.store.inspect.purge(retention, 100).await.expect("the store purges");

    let record = ledger.record(message.id).await;
    assert_eq!(record.past, PastRuns::default());
    assert_eq!(record.runs().1, 1, "the row has counted the crash");
}

async fn a_process_that_died_counts_a_crash(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    let before = ledger.now().await;
    let delay = Duration::from_secs(3);

    let answer = ledger.settle(&run, crashed(Some(delay))).await;

    assert_eq!(answer, SettleAnswer::Applied(TaskState::Scheduled));
    let record = ledger.record(message.id).await;
    assert_between("due_at", record.due_at, before, ledger.now().await, delay);
    assert_eq!(record.error, Some(died()));
    assert_eq!(record.message, Message { seq: Seq(1), crashes: 1, ..message });
}

async fn a_process_that_died_too_often_leaves_its_task_dead(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;

    assert_eq!(ledger.settle(&run, crashed(None)).await, SettleAnswer::Applied(TaskState::Dead));

    let record = ledger.record(message.id).await;
    assert_eq!(record.error, Some(died()));
    assert_eq!((record.message.attempts, record.message.crashes), (0, 1));
    assert!(record.finished_at.is_some());
    assert_eq!(ledger.count(&message.queue, TaskState::Dead).await, 1);
    assert_eq!(ledger.act(message.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));
}

async fn a_cancelled_task_whose_process_died_is_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for again in [Some(Duration::ZERO), None] {
        let message = message();
        let run = ledger.acquire_any(&message).await;
        ledger.cancel(message.id).await;

        let answer = ledger.settle(&run, crashed(again)).await;

        assert_eq!(answer, SettleAnswer::Applied(TaskState::Cancelled));
        let record = ledger.record(message.id).await;
        assert_eq!((record.message.crashes, record.error), (1, Some(died())));
        assert_eq!(record.past.kept[0].end, RunEnd::Cancelled);
    }
    assert_eq!(ledger.due_ids(10).await, []);
}

/// Loses a worker that runs suspects apart, in the middle of this task.
async fn lose_isolating(ledger: &Probe, message: &Message, max_crashes: u32) -> ReapReport {
    let owner = OwnerId::random();
    // Introduces it to the probe, which beats before a first claim.
    ledger.beat(owner, 1).await;
    let info = MemberInfo { isolates: true, ..heartbeat(owner, 2).info };
    let beat = Heartbeat { info, ..heartbeat(owner, 2) };
    ledger.store.ledger.heartbeat(beat).await.expect("the store answers");
    ledger.acquire(owner, message).await;
    let lost = vec![Lost { owner, counter: 2 }];
    ledger.store.agenda.reap(lost, max_crashes).await.expect("the store reaps")
}

async fn a_suspect_may_lose_more_workers_that_run_it_apart(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    let id = message.id;
    for crashes in 1..MAX_CRASHES * 3 {
        let report = lose_isolating(&ledger, &message, MAX_CRASHES).await;
        assert_eq!((report.rescheduled, report.dead), (1, vec![]), "{crashes}");
        message = ledger.promoted(id).await;
        assert_eq!(message.crashes, crashes);
    }

    let report = lose_isolating(&ledger, &message, MAX_CRASHES).await;

    assert_eq!(report.dead, [id], "it is bounded all the same");
    assert_eq!(past(&ledger, &message).await.count, MAX_CRASHES * 3);
}

async fn a_worker_that_runs_all_together_may_be_lost_no_more_often(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    let id = message.id;
    for _ in 1..MAX_CRASHES {
        lose_isolating(&ledger, &message, MAX_CRASHES).await;
        message = ledger.promoted(id).await;
    }
    let run = ledger.acquire_any(&message).await;

    let report = ledger.reap(run.owner, 1).await;

    assert_eq!(report.dead, [id]);
}

async fn where_one_crash_is_too_many_none_follows(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();

    assert_eq!(lose_isolating(&ledger, &message, 1).await.dead, [message.id]);
}

async fn who_asks_for_cancels_is_told_of_its_own(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (owner, stranger) = (OwnerId::random(), OwnerId::random());
    let cancels = async |owner| ledger.store.ledger.cancels(owner).await.expect("the store answers");
    let [run, spared] = [ledger.acquire(owner, &message()).await, ledger.acquire(owner, &message()).await];
    ledger.acquire(stranger, &message()).await;
    assert_eq!(cancels(owner).await, []);

    ledger.cancel(run.claim.id).await;

    assert_eq!(cancels(owner).await, [run.claim.id], "before any heartbeat");
    assert_eq!(cancels(owner).await, [run.claim.id], "until it ends");
    assert_eq!(cancels(stranger).await, []);
    ledger.fail(&run, Duration::ZERO).await;
    assert_eq!(cancels(owner).await, []);
    ledger.cancel(spared.claim.id).await;
    ledger.succeed(&spared).await;
    assert_eq!(cancels(owner).await, []);
    assert_eq!(ledger.beat(owner, 2).await.cancels, []);
}
