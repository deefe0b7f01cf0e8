//! Unique keys taken from those that wait.

use upbeat_shared::id::{OwnerId, Seq, TaskId};
use upbeat_shared::ledger::{AddAnswer, ClaimAnswer, NewEntry};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;

use super::unique::{HOUR, LATER, NOW, assert_taken, keyed, race, replacing, running};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::entry;

suite! { $ replacement_conformance, LedgerWorld, ledger::replacement:
    a_waiting_task_is_replaced,
    a_queued_task_is_replaced_and_its_message_is_done,
    a_task_that_waits_for_its_retry_is_replaced,
    a_running_task_is_not_replaced,
    replacements_in_a_batch_come_one_after_the_other,
    one_whose_id_exists_replaces_nobody,
    replacing_clients_leave_one_unfinished_task,
}

async fn a_waiting_task_is_replaced(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (first, second) = (keyed(), replacing());
    ledger.add(&first, NOW).await;

    assert_eq!(ledger.add(&second, LATER).await, AddAnswer::Added(Seq(0)));

    let replaced = ledger.record(first.id).await;
    assert_eq!(replaced.state, TaskState::Cancelled);
    let note = replaced.note.expect("the record says why");
    assert_eq!(note, format!("replaced by {}, which has the same unique key", second.id));
    assert_eq!(ledger.due_ids(10).await, []);
    assert_taken(&ledger, &second, TaskState::Scheduled).await;
    assert_eq!(ledger.count(&first.queue, TaskState::Cancelled).await, 1);
    assert_eq!(ledger.count(&first.queue, TaskState::Scheduled).await, 1);
}

async fn a_queued_task_is_replaced_and_its_message_is_done(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (first, second) = (ledger.queued(&keyed()).await, replacing());

    assert_eq!(ledger.add(&second, LATER).await, AddAnswer::Added(Seq(0)));

    let claim = ledger.claim(OwnerId::random(), &first).await;
    assert_eq!(claim, ClaimAnswer::Done(TaskState::Cancelled));
    assert_taken(&ledger, &second, TaskState::Scheduled).await;
}

async fn a_task_that_waits_for_its_retry_is_replaced(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (first, run) = running(&ledger).await;
    ledger.fail(&run, HOUR).await;

    assert_eq!(ledger.add(&replacing(), LATER).await, AddAnswer::Added(Seq(0)));

    assert_eq!(ledger.state(first.id).await, TaskState::Cancelled);
}

async fn a_running_task_is_not_replaced(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (first, run) = running(&ledger).await;

    let answer = ledger.add(&replacing(), LATER).await;

    assert_eq!(answer, AddAnswer::Taken { by: first.id, state: TaskState::Running });
    ledger.succeed(&run).await;
    assert_eq!(ledger.state(first.id).await, TaskState::Succeeded);
}

async fn replacements_in_a_batch_come_one_after_the_other(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (fourth, third, second, first) = (keyed(), replacing(), replacing(), keyed());
    let batch = [&first, &second, &third, &fourth].map(|message| entry(message, LATER));

    let answers = ledger.add_all(batch.to_vec()).await;

    let added = AddAnswer::Added(Seq(0));
    let taken = AddAnswer::Taken { by: third.id, state: TaskState::Scheduled };
    assert_eq!(answers, [added, added, added, taken]);
    for replaced in [&first, &second] {
        assert_eq!(ledger.state(replaced.id).await, TaskState::Cancelled);
    }
    assert_eq!(ledger.state(third.id).await, TaskState::Scheduled);
}

async fn one_whose_id_exists_replaces_nobody(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let done = ledger.ended(TaskState::Succeeded).await;
    let holder = keyed();
    ledger.add(&holder, LATER).await;

    let answer = ledger.add(&Message { id: done.id, ..replacing() }, LATER).await;

    assert_eq!(answer, AddAnswer::Exists(TaskState::Succeeded));
    assert_taken(&ledger, &holder, TaskState::Scheduled).await;
}

async fn replacing_clients_leave_one_unfinished_task(world: &impl LedgerWorld) {
    let entries: Vec<NewEntry> = (0..100).map(|_| entry(&replacing(), LATER)).collect();
    let ids: Vec<TaskId> = entries.iter().map(|entry| entry.message.id).collect();

    let answers = race(world, entries).await;

    assert_eq!(
        answers.iter().filter(|answer| **answer == AddAnswer::Added(Seq(0))).count(),
        100,
        "each got the key in its turn: {answers:?}"
    );
    let ledger = Probe::of(world);
    let found = ledger.store.inspect.get(ids).await.expect("the store shows");
    let unfinished = found.iter().flatten().filter(|record| !record.state.is_terminal());
    assert_eq!(unfinished.count(), 1);
}
