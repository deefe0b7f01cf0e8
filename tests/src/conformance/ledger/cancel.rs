//! Acting on tasks: cancel, retry, drop.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Seq, TaskId};
use upbeat_shared::ledger::{ActAnswer, Action, AddAnswer, ClaimAnswer, Due, SettleAnswer};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;
use uuid::Uuid;

use super::probe::{LEASE, assert_between};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{failure, full_message, message};

suite! { $ cancel_conformance, LedgerWorld, ledger::cancel:
    a_scheduled_task_is_cancelled_at_once,
    a_queued_task_is_cancelled_and_its_message_is_done,
    cancelling_what_has_no_row_leaves_a_tombstone,
    a_running_task_is_asked_to_stop,
    a_success_stands_though_it_was_cancelled,
    every_other_end_of_a_cancelled_run_is_cancelled,
    a_cancelled_run_that_is_released_ends_cancelled,
    a_repeated_claim_tells_of_the_cancel,
    a_task_that_has_ended_refuses_to_be_cancelled,
    a_dead_task_is_retried_from_zero,
    a_cancelled_or_expired_task_is_retried,
    a_retried_task_forgets_that_it_was_cancelled,
    a_scheduled_task_is_made_due_now,
    what_runs_succeeded_or_is_unknown_is_not_retried,
    a_dropped_task_stays_known,
    only_dead_tasks_are_dropped,
    answers_come_in_the_order_asked,
}

async fn a_scheduled_task_is_cancelled_at_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let before = ledger.now().await;

    assert_eq!(ledger.cancel(message.id).await, ActAnswer::Applied(TaskState::Cancelled));

    let record = ledger.record(message.id).await;
    assert_eq!(record.state, TaskState::Cancelled);
    assert_between("finished_at", record.finished_at, before, ledger.now().await, Duration::ZERO);
    let note = record.note.expect("the record says why");
    assert!(note.contains("not needed"), "{note}");
    assert_eq!(ledger.due_ids(10).await, []);
    assert!(!ledger.mark(&message).await, "a beat that had leased it comes too late");
    assert_eq!(ledger.state(message.id).await, TaskState::Cancelled);
}

async fn a_queued_task_is_cancelled_and_its_message_is_done(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&message()).await;

    assert_eq!(ledger.cancel(message.id).await, ActAnswer::Applied(TaskState::Cancelled));

    let answer = ledger.claim(OwnerId::random(), &message).await;
    assert_eq!(answer, ClaimAnswer::Done(TaskState::Cancelled));
}

async fn cancelling_what_has_no_row_leaves_a_tombstone(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    // Its message is on its way, and the row comes with the claim.
    let message = message();

    assert_eq!(ledger.cancel(message.id).await, ActAnswer::Applied(TaskState::Cancelled));

    assert_eq!(ledger.state(message.id).await, TaskState::Cancelled);
    let answer = ledger.claim(OwnerId::random(), &message).await;
    assert_eq!(answer, ClaimAnswer::Done(TaskState::Cancelled));
    let answer = ledger.add(&message, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Exists(TaskState::Cancelled));
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn a_running_task_is_asked_to_stop(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (owner, stranger) = (OwnerId::random(), OwnerId::random());
    let [run, spared] = [ledger.acquire(owner, &message()).await, ledger.acquire(owner, &message()).await];
    ledger.acquire(stranger, &message()).await;
    assert_eq!(ledger.beat(owner, 1).await.cancels, []);

    assert_eq!(ledger.cancel(run.claim.id).await, ActAnswer::Requested);
    assert_eq!(ledger.cancel(run.claim.id).await, ActAnswer::Requested, "asking again is harmless");

    let record = ledger.record(run.claim.id).await;
    assert!(record.cancel_requested);
    assert_eq!(record.state, TaskState::Running, "nobody but its worker ends it");
    assert!(!ledger.record(spared.claim.id).await.cancel_requested);
    assert_eq!(ledger.beat(owner, 2).await.cancels, [run.claim.id]);
    assert_eq!(ledger.beat(owner, 3).await.cancels, [run.claim.id], "until it ends");
    assert_eq!(ledger.beat(stranger, 1).await.cancels, []);
    ledger.succeed(&run).await;
    assert_eq!(ledger.beat(owner, 4).await.cancels, []);
}

async fn a_success_stands_though_it_was_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    ledger.cancel(run.claim.id).await;

    assert_eq!(ledger.succeed(&run).await, SettleAnswer::Applied(TaskState::Succeeded));
}

async fn every_other_end_of_a_cancelled_run_is_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let ends = [
        Verdict::Retry { delay: Duration::ZERO, error: failure("stopped") },
        Verdict::Snooze { delay: Duration::ZERO },
        Verdict::Dead { error: failure("stopped") },
        Verdict::Cancelled { reason: "asked".to_owned() },
        Verdict::Released { reason: "shutdown".to_owned() },
    ];
    for verdict in ends {
        let run = ledger.acquire_any(&message()).await;
        ledger.cancel(run.claim.id).await;

        let answer = ledger.settle(&run, verdict.clone()).await;

        assert_eq!(answer, SettleAnswer::Applied(TaskState::Cancelled), "{verdict:?}");
        assert_eq!(ledger.state(run.claim.id).await, TaskState::Cancelled, "{verdict:?}");
        assert_eq!(ledger.settle(&run, verdict).await, SettleAnswer::AlreadySettled);
    }
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn a_cancelled_run_that_is_released_ends_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let [released, left] = [ledger.acquire_any(&message()).await, ledger.acquire_any(&message()).await];
    ledger.cancel(released.claim.id).await;
    ledger.cancel(left.claim.id).await;

    ledger.store.ledger.release(released.owner, vec![released.claim]).await.expect("the store releases");
    ledger.store.ledger.leave(left.owner).await.expect("a member may leave");

    assert_eq!(ledger.state(released.claim.id).await, TaskState::Cancelled);
    assert_eq!(ledger.state(left.claim.id).await, TaskState::Cancelled);
}

async fn a_repeated_claim_tells_of_the_cancel(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    ledger.cancel(message.id).await;

    let again = ledger.claim_as(run.owner, &message, run.claim.token).await;

    assert!(super::probe::granted(&again).cancel_requested);
}

async fn a_task_that_has_ended_refuses_to_be_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for end in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        let message = ledger.ended(end).await;
        let record = ledger.record(message.id).await;
        assert_eq!(ledger.cancel(message.id).await, ActAnswer::Refused(end));
        assert_eq!(ledger.record(message.id).await, record);
    }
}

async fn a_dead_task_is_retried_from_zero(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = full_message();
    let first = ledger.crash(&message).await;
    let again = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&again).await;
    ledger.settle(&run, Verdict::Dead { error: failure("enough") }).await;
    let before = ledger.now().await;

    assert_eq!(ledger.act(message.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));

    let record = ledger.record(message.id).await;
    assert_between("due_at", record.due_at, before, ledger.now().await, Duration::ZERO);
    assert_eq!(record.finished_at, None);
    let entry = ledger.only_due().await;
    assert_eq!((entry.message.attempts, entry.message.crashes), (0, 0));
    assert!(entry.message.seq > Seq(1), "what was published of it before is stale now");
    assert_eq!(entry.message.args, message.args);
    let rerun = ledger.acquire_any(&entry.message).await;
    assert!(rerun.granted.fence > run.granted.fence && run.granted.fence > first.granted.fence);
    assert_eq!(ledger.succeed(&rerun).await, SettleAnswer::Applied(TaskState::Succeeded));
}

async fn a_cancelled_or_expired_task_is_retried(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Cancelled).await;

    assert_eq!(ledger.act(message.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));
    assert_eq!(ledger.promoted(message.id).await.id, message.id);

    let expired = ledger.ended(TaskState::Expired).await;
    assert_eq!(ledger.act(expired.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));
    // Asked for by hand, it runs, or it would expire again at once.
    let again = ledger.promoted(expired.id).await;
    ledger.acquire_any(&again).await;
}

async fn a_retried_task_forgets_that_it_was_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    ledger.cancel(run.claim.id).await;
    ledger.fail(&run, Duration::ZERO).await;
    assert_eq!(ledger.state(run.claim.id).await, TaskState::Cancelled);

    ledger.act(run.claim.id, Action::Retry).await;
    let again = ledger.promoted(run.claim.id).await;
    let rerun = ledger.acquire_any(&again).await;

    assert!(!rerun.granted.cancel_requested);
    assert_eq!(ledger.fail(&rerun, Duration::ZERO).await, SettleAnswer::Applied(TaskState::Scheduled));
}

async fn a_scheduled_task_is_made_due_now(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::from_secs(3600))).await;
    assert_eq!(ledger.due_ids(10).await, []);

    assert_eq!(ledger.act(message.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));

    assert_eq!(ledger.due_ids(10).await, [message.id]);
}

async fn what_runs_succeeded_or_is_unknown_is_not_retried(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    let done = ledger.ended(TaskState::Succeeded).await;
    let unknown = TaskId(Uuid::now_v7());

    let refused = ActAnswer::Refused(TaskState::Running);
    assert_eq!(ledger.act(run.claim.id, Action::Retry).await, refused);
    let refused = ActAnswer::Refused(TaskState::Succeeded);
    assert_eq!(ledger.act(done.id, Action::Retry).await, refused);
    assert_eq!(ledger.act(unknown, Action::Retry).await, ActAnswer::Unknown);
    assert_eq!(ledger.find(unknown).await, None);
    assert_eq!(ledger.succeed(&run).await, SettleAnswer::Applied(TaskState::Succeeded));
}

async fn a_dropped_task_stays_known(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Dead).await;

    let answer = ledger.act(message.id, Action::Drop).await;

    assert!(matches!(answer, ActAnswer::Applied(state) if state.is_terminal()), "{answer:?}");
    let claim = ledger.claim(OwnerId::random(), &message).await;
    assert!(matches!(claim, ClaimAnswer::Done(_)), "a repeat is recognised: {claim:?}");
    let added = ledger.add(&message, Due::In(Duration::ZERO)).await;
    assert!(matches!(added, AddAnswer::Exists(_)), "{added:?}");
    assert_eq!(ledger.due_ids(10).await, []);
    let retry = ledger.act(message.id, Action::Retry).await;
    assert!(matches!(retry, ActAnswer::Refused(_)), "nothing is left to run: {retry:?}");
}

async fn only_dead_tasks_are_dropped(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let scheduled = message();
    ledger.add(&scheduled, Due::In(Duration::from_secs(60))).await;
    let running = ledger.acquire_any(&message()).await.claim.id;
    let done = ledger.ended(TaskState::Succeeded).await.id;

    for id in [scheduled.id, running, done] {
        let record = ledger.record(id).await;
        assert_eq!(ledger.act(id, Action::Drop).await, ActAnswer::Refused(record.state));
        assert_eq!(ledger.record(id).await, record);
    }
    assert_eq!(ledger.act(TaskId(Uuid::now_v7()), Action::Drop).await, ActAnswer::Unknown);
}

async fn answers_come_in_the_order_asked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (running, done) = (ledger.acquire_any(&message()).await, ledger.ended(TaskState::Succeeded).await);
    let scheduled: Message = message();
    ledger.add(&scheduled, Due::In(LEASE)).await;
    // Stores sort a batch by id; the caller's order is another.
    let ids = vec![scheduled.id, done.id, running.claim.id];

    let action = Action::Cancel { reason: "all of it".to_owned() };
    let answers = ledger.store.inspect.act(ids, action).await.expect("the store acts");

    let refused = ActAnswer::Refused(TaskState::Succeeded);
    assert_eq!(answers, [ActAnswer::Applied(TaskState::Cancelled), refused, ActAnswer::Requested]);
}
