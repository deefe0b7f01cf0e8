//! What each verdict makes of the row.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Seq};
use upbeat_shared::ledger::{ClaimAnswer, SettleAnswer};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::Verdict;

use super::probe::assert_between;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{failure, full_message, message};

suite! { $ verdicts_conformance, LedgerWorld, ledger::verdicts:
    a_success_is_kept_with_its_result,
    a_retry_counts_an_attempt_and_is_due_after_its_delay,
    a_snooze_counts_nothing,
    a_dead_task_keeps_its_arguments_and_its_error,
    a_cancelled_run_ends_cancelled,
    a_released_task_is_due_again_at_once,
    delays_are_counted_from_the_stores_now,
    attempts_add_up_over_runs,
    a_delay_beyond_all_time_is_no_error,
}

/// Runs a message once and settles it; answers the row, which says nothing of the run any more but its worker.
async fn settled(ledger: &Probe, message: &Message, verdict: Verdict, state: TaskState) -> TaskRecord {
    let run = ledger.acquire_any(message).await;
    assert_eq!(ledger.settle(&run, verdict).await, SettleAnswer::Applied(state));
    let record = ledger.record(message.id).await;
    assert_eq!(record.state, state);
    assert_eq!(
        record.fence,
        Some(run.granted.fence),
        "the fence is kept, so that a late settle is recognised"
    );
    assert_eq!(ledger.store.ledger.mine(run.owner).await.expect("the store answers"), []);
    record
}

async fn a_success_is_kept_with_its_result(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = full_message();
    let result = Some(Payload::json(&serde_json::json!({ "sent": true })).expect("plain data"));
    let before = ledger.now().await;

    let verdict = Verdict::Succeeded { result: result.clone() };
    let record = settled(&ledger, &message, verdict, TaskState::Succeeded).await;

    assert_eq!(record.result, result);
    assert_eq!(record.error, None);
    assert_eq!(record.message, message);
    assert_between("finished_at", record.finished_at, before, ledger.now().await, Duration::ZERO);
    world.forward(Duration::from_secs(3600));
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn a_retry_counts_an_attempt_and_is_due_after_its_delay(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (message, delay) = (message(), Duration::from_millis(1500));
    let before = ledger.now().await;

    let verdict = Verdict::Retry { delay, error: failure("no route to host") };
    let record = settled(&ledger, &message, verdict, TaskState::Scheduled).await;

    assert_between("due_at", record.due_at, before, ledger.now().await, delay);
    assert_eq!(record.error, Some(failure("no route to host")));
    assert_eq!(record.finished_at, None);
    assert_eq!(record.message, Message { seq: Seq(1), attempts: 1, ..message.clone() });
    world.forward(delay);
    assert_eq!(ledger.only_due().await.message, record.message);
}

async fn a_snooze_counts_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (message, delay) = (message(), Duration::from_secs(90));
    let before = ledger.now().await;

    let record = settled(&ledger, &message, Verdict::Snooze { delay }, TaskState::Scheduled).await;

    assert_between("due_at", record.due_at, before, ledger.now().await, delay);
    assert_eq!(record.error, None);
    assert_eq!(record.message, Message { seq: Seq(1), ..message });
}

async fn a_dead_task_keeps_its_arguments_and_its_error(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = full_message();
    let before = ledger.now().await;

    let verdict = Verdict::Dead { error: failure("no such customer") };
    let record = settled(&ledger, &message, verdict, TaskState::Dead).await;

    assert_eq!(record.error, Some(failure("no such customer")));
    assert_eq!(record.message.args, message.args);
    assert_eq!((record.message.attempts, record.message.crashes), (1, 0));
    assert_between("finished_at", record.finished_at, before, ledger.now().await, Duration::ZERO);
}

async fn a_cancelled_run_ends_cancelled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);

    let verdict = Verdict::Cancelled { reason: "by ann".to_owned() };
    let record = settled(&ledger, &message(), verdict, TaskState::Cancelled).await;

    assert_eq!(record.message.attempts, 0);
    assert!(record.finished_at.is_some());
    let note = record.note.expect("the record says why");
    assert!(note.contains("by ann"), "{note}");
}

async fn a_released_task_is_due_again_at_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let before = ledger.now().await;

    let verdict = Verdict::Released { reason: "shutdown".to_owned() };
    let record = settled(&ledger, &message, verdict, TaskState::Scheduled).await;

    assert_between("due_at", record.due_at, before, ledger.now().await, Duration::ZERO);
    let again = Message { seq: Seq(1), ..message.clone() };
    assert_eq!(record.message, again, "no attempt and no crash is counted");
    assert_eq!(ledger.only_due().await.message, again);
    assert_eq!(ledger.claim(OwnerId::random(), &message).await, ClaimAnswer::Stale, "releasing is a move");
}

async fn delays_are_counted_from_the_stores_now(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    world.forward(Duration::from_secs(600));
    let before = ledger.now().await;

    ledger.fail(&run, Duration::from_secs(60)).await;

    let due_at = ledger.record(message.id).await.due_at;
    assert_between("due_at", due_at, before, ledger.now().await, Duration::from_secs(60));
    assert_eq!(ledger.due_ids(10).await, []);
    world.forward(Duration::from_secs(60));
    assert_eq!(ledger.due_ids(10).await, [message.id]);
}

async fn attempts_add_up_over_runs(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    let id = message.id;
    for attempts in 0..4 {
        let run = ledger.acquire_any(&message).await;
        assert_eq!(run.granted.attempts, attempts);
        assert_eq!(run.granted.seq, Seq(i64::from(attempts)));
        ledger.fail(&run, Duration::ZERO).await;
        message = ledger.promoted(id).await;
    }
    let run = ledger.acquire_any(&message).await;
    ledger.settle(&run, Verdict::Dead { error: failure("enough") }).await;
    assert_eq!(ledger.record(id).await.message.attempts, 5);
}

async fn a_delay_beyond_all_time_is_no_error(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;

    let answer = ledger.fail(&run, Duration::MAX).await;

    assert_eq!(answer, SettleAnswer::Applied(TaskState::Scheduled));
    world.forward(Duration::from_secs(1000 * 24 * 3600));
    assert_eq!(ledger.due_ids(10).await, []);
}
