//! Deadlines: what a ledger does with tasks that still wait then. Those that run are stopped by their workers.

use std::time::Duration;

use upbeat_shared::clock::later;
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{ActAnswer, Action, ClaimAnswer, Due};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::message;

suite! { $ deadline_conformance, LedgerWorld, ledger::deadline:
    a_message_past_its_deadline_ends_expired,
    an_entry_past_its_deadline_expires_instead,
    the_earlier_one_of_expiry_and_deadline_counts,
    what_waits_for_another_run_at_its_deadline_expires_and_keeps_its_error,
    what_a_lost_worker_ran_is_not_started_after_its_deadline,
    a_running_task_is_not_ended_by_the_ledger,
    a_retry_by_hand_takes_the_deadline_away,
}

const MINUTE: Duration = Duration::from_secs(60);

/// A task whose deadline is in a minute.
async fn in_a_minute(ledger: &Probe) -> Message {
    Message { deadline_at: Some(later(ledger.now().await, MINUTE)), ..message() }
}

async fn a_message_past_its_deadline_ends_expired(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let unknown = in_a_minute(&ledger).await;
    let in_time = in_a_minute(&ledger).await;
    let queued = ledger.queued(&in_a_minute(&ledger).await).await;
    assert!(queued.deadline_at.is_some(), "it travels along");
    ledger.acquire_any(&in_time).await;

    world.forward(MINUTE);

    for message in [unknown, queued] {
        let answer = ledger.claim(OwnerId::random(), &message).await;
        assert_eq!(answer, ClaimAnswer::Ended(TaskState::Expired));
        let record = ledger.record(message.id).await;
        assert_eq!((record.state, record.message.deadline_at), (TaskState::Expired, message.deadline_at));
    }
}

async fn an_entry_past_its_deadline_expires_instead(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let [in_time, late] = [in_a_minute(&ledger).await, in_a_minute(&ledger).await];
    ledger.add(&in_time, Due::In(MINUTE / 2)).await;
    ledger.add(&late, Due::In(MINUTE * 2)).await;

    world.forward(MINUTE / 2);
    assert_eq!(ledger.promoted(in_time.id).await, in_time);
    world.forward(MINUTE * 2);

    assert_eq!(ledger.due_ids(10).await, []);
    assert_eq!(ledger.state(late.id).await, TaskState::Expired);
}

async fn the_earlier_one_of_expiry_and_deadline_counts(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let now = ledger.now().await;
    let (soon, late) = (Some(later(now, MINUTE)), Some(later(now, MINUTE * 10)));
    let by_expiry = Message { expires_at: soon, deadline_at: late, ..message() };
    let by_deadline = Message { expires_at: late, deadline_at: soon, ..message() };
    for message in [&by_expiry, &by_deadline] {
        ledger.add(message, Due::In(MINUTE)).await;
        assert_eq!(ledger.record(message.id).await.message, *message, "both are kept as they were given");
    }

    world.forward(MINUTE);

    assert_eq!(ledger.due_ids(10).await, []);
    for message in [by_expiry, by_deadline] {
        assert_eq!(ledger.state(message.id).await, TaskState::Expired);
    }
}

async fn what_waits_for_another_run_at_its_deadline_expires_and_keeps_its_error(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = in_a_minute(&ledger).await;
    let run = ledger.acquire_any(&message).await;
    ledger.fail(&run, MINUTE / 2).await;

    world.forward(MINUTE);

    assert_eq!(ledger.due_ids(10).await, []);
    let record = ledger.record(message.id).await;
    assert_eq!((record.state, record.message.attempts), (TaskState::Expired, 1));
    assert!(record.error.is_some(), "why it failed is kept");
}

async fn what_a_lost_worker_ran_is_not_started_after_its_deadline(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = in_a_minute(&ledger).await;
    ledger.crash(&message).await;
    assert_eq!(ledger.state(message.id).await, TaskState::Scheduled);

    world.forward(MINUTE);

    assert_eq!(ledger.due_ids(10).await, []);
    let record = ledger.record(message.id).await;
    assert_eq!((record.state, record.message.crashes), (TaskState::Expired, 1));
}

async fn a_running_task_is_not_ended_by_the_ledger(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = in_a_minute(&ledger).await;
    let run = ledger.acquire_any(&message).await;

    world.forward(MINUTE * 2);

    assert_eq!(ledger.due_ids(10).await, []);
    assert_eq!(ledger.claim(OwnerId::random(), &message).await, ClaimAnswer::Busy);
    ledger.succeed(&run).await;
    assert_eq!(ledger.state(message.id).await, TaskState::Succeeded, "a late success stands");
}

async fn a_retry_by_hand_takes_the_deadline_away(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message =
        Message { expires_at: Some(later(ledger.now().await, MINUTE * 10)), ..in_a_minute(&ledger).await };
    ledger.add(&message, Due::In(MINUTE)).await;
    world.forward(MINUTE);
    assert_eq!(ledger.due_ids(10).await, []);

    assert_eq!(ledger.act(message.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));

    let record = ledger.record(message.id).await;
    assert_eq!((record.message.expires_at, record.message.deadline_at), (None, None));
    // Or its worker would stop it at once.
    let promoted = ledger.promoted(message.id).await;
    assert_eq!((promoted.expires_at, promoted.deadline_at), (None, None));
    ledger.acquire_any(&promoted).await;
}
