//! Editing what ended badly, by those who have seen what they edit.

use std::time::Duration;

use upbeat_shared::id::{Seq, TaskId};
use upbeat_shared::ledger::{
    Action, AddAnswer, AfterEdit, ClaimAnswer, Due, Edit, EditAnswer, Retention, TaskFilter,
};
use upbeat_shared::message::{Message, Payload, Priority};
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::unique::Unique;
use uuid::Uuid;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{full_message, message, queue, task_name};

suite! { $ edit_conformance, LedgerWorld, ledger::edit:
    an_edited_task_stays_dead_with_its_new_message,
    an_edited_task_runs_from_its_new_message,
    a_replayed_task_counts_from_zero_and_never_expires,
    what_is_counted_and_listed_moves_with_the_queue,
    of_two_who_edit_the_same_record_one_is_told,
    a_task_that_died_again_is_not_replayed_by_an_older_look,
    what_is_scheduled_runs_or_has_succeeded_is_not_edited,
    a_task_without_details_is_not_edited,
    a_batch_is_answered_in_the_order_asked,
    a_message_from_before_the_edit_is_stale,
    a_replayed_task_takes_its_unique_key_again,
    a_task_whose_unique_key_is_taken_is_not_replayed,
}

impl Probe {
    async fn edit_all(&self, edits: Vec<Edit>) -> Vec<EditAnswer> {
        self.store.records.edit(edits).await.expect("the store edits")
    }

    async fn edit(&self, edit: Edit) -> EditAnswer {
        self.edit_all(vec![edit]).await[0]
    }
}

/// Of a record as it is shown now.
fn edit(record: &TaskRecord, message: Option<Message>, then: AfterEdit) -> Edit {
    let (id, seq, note) = (record.id(), record.seq(), "edited by hand".to_owned());
    Edit { id, seq, message: message.map(Box::new), then, note }
}

/// Another message for the same task, with something else in each field that may differ.
fn mended(message: &Message) -> Message {
    Message {
        name: task_name("mended"),
        queue: queue("elsewhere"),
        args: Payload::json(&serde_json::json!({ "to": "me@example.org" })).expect("plain data"),
        priority: Priority::new(1).expect("at most 9"),
        tags: vec!["mended".to_owned()],
        args_version: 9,
        timeout: Some(Duration::from_secs(7)),
        ..message.clone()
    }
}

async fn an_edited_task_stays_dead_with_its_new_message(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Dead).await;
    let before = ledger.record(message.id).await;
    let new = Message { id: TaskId(Uuid::now_v7()), attempts: 70, crashes: 7, ..mended(&message) };

    let answer = ledger.edit(edit(&before, Some(new.clone()), AfterEdit::Stays)).await;

    let seq = Seq(before.seq().0 + 1);
    assert_eq!(answer, EditAnswer::Applied { state: TaskState::Dead, seq });
    let after = ledger.record(message.id).await;
    let (attempts, crashes) = (before.message.attempts, before.message.crashes);
    assert_eq!(
        after.message,
        Message { id: message.id, seq, attempts, crashes, ..new },
        "counts are the row's"
    );
    assert_eq!(after.note.as_deref(), Some("edited by hand"));
    let kept = TaskRecord { message: before.message.clone(), note: before.note.clone(), ..after };
    assert_eq!(kept, before, "and nothing else changes");
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn an_edited_task_runs_from_its_new_message(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Dead).await;
    let before = ledger.record(message.id).await;

    let answer = ledger.edit(edit(&before, Some(mended(&message)), AfterEdit::Replays)).await;

    let seq = Seq(before.seq().0 + 1);
    assert_eq!(answer, EditAnswer::Applied { state: TaskState::Scheduled, seq });
    let due = ledger.only_due().await.message;
    assert_eq!(due, Message { seq, attempts: 0, crashes: 0, ..mended(&message) });
    let run = ledger.acquire_any(&due).await;
    ledger.succeed(&run).await;
    assert_eq!(ledger.state(message.id).await, TaskState::Succeeded);
}

async fn a_replayed_task_counts_from_zero_and_never_expires(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Expired).await;
    let before = ledger.record(message.id).await;

    let answer = ledger.edit(edit(&before, None, AfterEdit::Replays)).await;

    assert_eq!(answer, EditAnswer::Applied { state: TaskState::Scheduled, seq: Seq(before.seq().0 + 1) });
    let after = ledger.record(message.id).await;
    assert_eq!((after.message.attempts, after.message.crashes, after.finished_at), (0, 0, None));
    assert_eq!(after.note.as_deref(), Some("edited by hand"));
    let due = ledger.only_due().await.message;
    assert_eq!(due.args, message.args);
    ledger.acquire_any(&due).await;
}

async fn what_is_counted_and_listed_moves_with_the_queue(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Dead).await;
    let record = ledger.record(message.id).await;

    ledger.edit(edit(&record, Some(mended(&message)), AfterEdit::Stays)).await;

    assert_eq!(ledger.count(&message.queue, TaskState::Dead).await, 0);
    assert_eq!(ledger.count(&queue("elsewhere"), TaskState::Dead).await, 1);
    let filter = TaskFilter {
        states: vec![TaskState::Dead],
        queue: Some(queue("elsewhere")),
        name: Some(task_name("mended")),
        tag: Some("mended".to_owned()),
        ..TaskFilter::default()
    };
    let listed = ledger.store.inspect.list(filter, None, 10).await.expect("the store lists");
    assert_eq!(listed.tasks.iter().map(TaskRecord::id).collect::<Vec<_>>(), [message.id]);
    let record = ledger.record(message.id).await;
    ledger.edit(edit(&record, None, AfterEdit::Replays)).await;
    assert_eq!(ledger.count(&queue("elsewhere"), TaskState::Dead).await, 0);
    assert_eq!(ledger.count(&queue("elsewhere"), TaskState::Scheduled).await, 1);
}

async fn of_two_who_edit_the_same_record_one_is_told(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Dead).await;
    let seen = ledger.record(message.id).await;
    let by = |to: &str| Message { name: task_name(to), ..message.clone() };

    let one = ledger.edit(edit(&seen, Some(by("one")), AfterEdit::Stays)).await;
    let two = ledger.edit(edit(&seen, Some(by("two")), AfterEdit::Replays)).await;

    assert!(matches!(one, EditAnswer::Applied { .. }), "{one:?}");
    assert_eq!(two, EditAnswer::Changed);
    let record = ledger.record(message.id).await;
    assert_eq!((record.message.name.as_str(), record.state), ("one", TaskState::Dead));
}

async fn a_task_that_died_again_is_not_replayed_by_an_older_look(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Dead).await;
    let seen = ledger.record(message.id).await;
    ledger.edit(edit(&seen, None, AfterEdit::Replays)).await;
    let due = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&due).await;
    let error = crate::message::failure("it failed again");
    ledger.settle(&run, upbeat_shared::verdict::Verdict::Dead { error }).await;

    assert_eq!(ledger.edit(edit(&seen, None, AfterEdit::Replays)).await, EditAnswer::Changed);

    assert_eq!(ledger.state(message.id).await, TaskState::Dead);
}

async fn what_is_scheduled_runs_or_has_succeeded_is_not_edited(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (scheduled, running) = (full_message(), message());
    ledger.add(&scheduled, Due::In(Duration::from_secs(60))).await;
    ledger.acquire_any(&running).await;
    let succeeded = ledger.ended(TaskState::Succeeded).await;
    for message in [scheduled, running, succeeded] {
        let record = ledger.record(message.id).await;
        let answer = ledger.edit(edit(&record, Some(mended(&message)), AfterEdit::Replays)).await;
        assert_eq!(answer, EditAnswer::Refused(record.state));
        assert_eq!(ledger.record(message.id).await, record);
    }
}

async fn a_task_without_details_is_not_edited(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (purged, tombstone) = (ledger.ended(TaskState::Cancelled).await.id, TaskId(Uuid::now_v7()));
    world.forward(Duration::from_secs(60));
    let retention = Retention { details: Duration::from_secs(1), ..Retention::default() };
    ledger.store.inspect.purge(retention, 10).await.expect("the store purges");
    let dropped = ledger.ended(TaskState::Dead).await.id;
    ledger.act(dropped, Action::Drop).await;
    ledger.cancel(tombstone).await;
    for id in [purged, dropped, tombstone] {
        let record = ledger.record(id).await;
        assert!(record.forgotten, "{record:?}");
        let answer = ledger.edit(edit(&record, Some(message()), AfterEdit::Replays)).await;
        assert_eq!(answer, EditAnswer::Refused(TaskState::Cancelled));
    }
}

async fn a_batch_is_answered_in_the_order_asked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let dead = ledger.record(ledger.ended(TaskState::Dead).await.id).await;
    let cancelled = ledger.record(ledger.ended(TaskState::Cancelled).await.id).await;
    let unknown = TaskRecord { message: message(), ..dead.clone() };
    let succeeded = ledger.record(ledger.ended(TaskState::Succeeded).await.id).await;
    assert!(!dead.forgotten && !cancelled.forgotten);

    let edits = [&succeeded, &cancelled, &unknown, &dead, &dead];
    let edits = edits.map(|record| edit(record, None, AfterEdit::Replays));
    let answers = ledger.edit_all(edits.to_vec()).await;

    let applied = |record: &TaskRecord| EditAnswer::Applied {
        state: TaskState::Scheduled,
        seq: Seq(record.seq().0 + 1),
    };
    let expected = [
        EditAnswer::Refused(TaskState::Succeeded),
        applied(&cancelled),
        EditAnswer::Unknown,
        applied(&dead),
        EditAnswer::Changed,
    ];
    assert_eq!(answers, expected);
}

async fn a_message_from_before_the_edit_is_stale(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Dead).await;
    let record = ledger.record(message.id).await;
    ledger.edit(edit(&record, Some(mended(&message)), AfterEdit::Replays)).await;

    let owner = upbeat_shared::id::OwnerId::random();
    assert_eq!(ledger.claim(owner, &record.message).await, ClaimAnswer::Stale);
}

/// A dead task that held a unique key.
async fn keyed(ledger: &Probe) -> Message {
    let message = Message { unique: Some(Unique::by("one")), ..message() };
    let queued = ledger.queued(&message).await;
    let run = ledger.acquire_any(&queued).await;
    let error = crate::message::failure("it failed");
    ledger.settle(&run, upbeat_shared::verdict::Verdict::Dead { error }).await;
    message
}

async fn a_replayed_task_takes_its_unique_key_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = keyed(&ledger).await;
    let record = ledger.record(message.id).await;
    ledger.edit(edit(&record, Some(record.message.clone()), AfterEdit::Replays)).await;

    let other = Message { id: TaskId(Uuid::now_v7()), ..message.clone() };
    let answer = ledger.add(&other, Due::In(Duration::ZERO)).await;

    assert_eq!(answer, AddAnswer::Taken { by: message.id, state: TaskState::Scheduled });
    ledger.cancel(message.id).await;
    let answer = ledger.add(&other, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Added(Seq(0)), "its end frees the key");
}

async fn a_task_whose_unique_key_is_taken_is_not_replayed(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = keyed(&ledger).await;
    let other = Message { id: TaskId(Uuid::now_v7()), ..message.clone() };
    ledger.add(&other, Due::In(Duration::from_secs(60))).await;
    let record = ledger.record(message.id).await;

    let replay = edit(&record, Some(mended(&message)), AfterEdit::Replays);
    assert_eq!(ledger.edit(replay).await, EditAnswer::KeyTaken { by: other.id });

    assert_eq!(ledger.record(message.id).await, record, "nothing changed");
    let stays = edit(&record, Some(mended(&message)), AfterEdit::Stays);
    assert!(matches!(ledger.edit(stays).await, EditAnswer::Applied { .. }), "it may be mended meanwhile");
}
