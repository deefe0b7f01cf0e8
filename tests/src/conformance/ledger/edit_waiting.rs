//! Editing what waits: only what does not run, and only as its editor saw it.

use std::time::Duration;

use upbeat_shared::clock::later;
use upbeat_shared::id::{OwnerId, Seq, TaskId};
use upbeat_shared::ledger::{AddAnswer, AfterEdit, ClaimAnswer, Due, Edit, EditAnswer};
use upbeat_shared::message::{Message, Payload, Priority};
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::unique::Unique;
use uuid::Uuid;

use super::limits::slots;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::message;

suite! { $ edit_waiting_conformance, LedgerWorld, ledger::edit_waiting:
    a_scheduled_task_runs_from_its_new_message_when_it_is_due_then,
    a_delay_counts_from_the_edit,
    a_queued_task_is_scheduled_again_and_its_delivery_is_stale,
    counts_and_story_stay,
    what_runs_or_has_ended_is_not_edited_so,
    of_two_who_edit_the_same_record_one_is_told,
    a_client_that_has_not_published_yet_leaves_it_to_the_beat,
    its_unique_key_stays_its_own,
    it_gives_up_its_place_in_a_line,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Probe {
    async fn edit_waiting(&self, record: &TaskRecord, message: Message, due: Due) -> EditAnswer {
        let (id, seq) = (record.id(), record.seq());
        let note = "edited by hand".to_owned();
        let edit = Edit { id, seq, message: Some(Box::new(message)), then: AfterEdit::Waits { due }, note };
        self.store.records.edit(vec![edit]).await.expect("the store edits")[0]
    }
}

/// The same task with other arguments, and first in its queue.
fn changed(message: &Message) -> Message {
    let args = Payload::json(&"changed").expect("plain data");
    Message { args, priority: Priority::new(9).expect("at most 9"), ..message.clone() }
}

fn waits(before: &TaskRecord) -> EditAnswer {
    EditAnswer::Applied { state: TaskState::Scheduled, seq: Seq(before.seq().0 + 1) }
}

async fn a_scheduled_task_runs_from_its_new_message_when_it_is_due_then(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(HOUR * 24)).await;
    let before = ledger.record(message.id).await;
    let at = later(ledger.now().await, HOUR);

    let answer = ledger.edit_waiting(&before, changed(&message), Due::At(at)).await;

    assert_eq!(answer, waits(&before));
    let after = ledger.record(message.id).await;
    assert_eq!((after.due_at, after.note.as_deref()), (Some(at), Some("edited by hand")));
    assert_eq!(ledger.due_ids(10).await, []);
    world.forward(HOUR);
    let due = ledger.only_due().await.message;
    assert_eq!(due, Message { seq: Seq(before.seq().0 + 1), ..changed(&message) });
    let run = ledger.acquire_any(&due).await;
    ledger.succeed(&run).await;
    assert_eq!(ledger.count(&message.queue, TaskState::Succeeded).await, 1);
}

async fn a_delay_counts_from_the_edit(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let before = ledger.record(message.id).await;
    ledger.edit_waiting(&before, message.clone(), Due::In(HOUR)).await;

    assert_eq!(ledger.due_ids(10).await, []);
    world.forward(HOUR);
    assert_eq!(ledger.due_ids(10).await, [message.id]);
}

async fn a_queued_task_is_scheduled_again_and_its_delivery_is_stale(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let queued = ledger.queued(&message()).await;
    let before = ledger.record(queued.id).await;
    assert_eq!(before.state, TaskState::Queued);

    assert_eq!(ledger.edit_waiting(&before, changed(&queued), Due::In(Duration::ZERO)).await, waits(&before));

    assert_eq!(
        ledger.claim(OwnerId::random(), &queued).await,
        ClaimAnswer::Stale,
        "it has the old arguments"
    );
    assert_eq!(ledger.count(&queued.queue, TaskState::Queued).await, 0);
    let due = ledger.only_due().await.message;
    assert_eq!(due.args, changed(&queued).args);
    ledger.acquire_any(&due).await;
}

async fn counts_and_story_stay(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    ledger.fail(&run, HOUR).await;
    let before = ledger.record(run.claim.id).await;
    let new = Message { attempts: 70, crashes: 7, ..changed(&before.message) };

    ledger.edit_waiting(&before, new, Due::In(Duration::ZERO)).await;

    let after = ledger.record(run.claim.id).await;
    assert_eq!((after.message.attempts, after.message.crashes), (1, 0));
    assert_eq!((after.error, after.past), (before.error, before.past));
}

async fn what_runs_or_has_ended_is_not_edited_so(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let running = message();
    ledger.acquire_any(&running).await;
    let mut refused = vec![running];
    for state in [TaskState::Succeeded, TaskState::Dead, TaskState::Cancelled, TaskState::Expired] {
        refused.push(ledger.ended(state).await);
    }
    for message in refused {
        let record = ledger.record(message.id).await;
        let answer = ledger.edit_waiting(&record, changed(&message), Due::In(Duration::ZERO)).await;
        assert_eq!(answer, EditAnswer::Refused(record.state));
        assert_eq!(ledger.record(message.id).await, record);
    }
}

async fn of_two_who_edit_the_same_record_one_is_told(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(HOUR)).await;
    let seen = ledger.record(message.id).await;
    ledger.edit_waiting(&seen, changed(&message), Due::In(HOUR)).await;

    assert_eq!(ledger.edit_waiting(&seen, message.clone(), Due::In(HOUR)).await, EditAnswer::Changed);

    let unknown = TaskRecord { message: crate::message::message(), ..seen };
    assert_eq!(ledger.edit_waiting(&unknown, message.clone(), Due::In(HOUR)).await, EditAnswer::Unknown);
    assert_eq!(ledger.record(message.id).await.message.args, changed(&message).args);
}

async fn a_client_that_has_not_published_yet_leaves_it_to_the_beat(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let before = ledger.record(message.id).await;
    ledger.edit_waiting(&before, changed(&message), Due::In(Duration::ZERO)).await;

    assert!(!ledger.mark(&message).await, "what it published is from before the edit");

    assert_eq!(ledger.only_due().await.message.args, changed(&message).args);
}

async fn its_unique_key_stays_its_own(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = Message { unique: Some(Unique::by("one")), ..message() };
    ledger.add(&message, Due::In(HOUR)).await;
    let before = ledger.record(message.id).await;
    ledger.edit_waiting(&before, changed(&message), Due::In(Duration::ZERO)).await;

    let other = Message { id: TaskId(Uuid::now_v7()), ..message.clone() };
    let answer = ledger.add(&other, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Taken { by: message.id, state: TaskState::Scheduled });
    let run = ledger.acquire_any(&ledger.promoted(message.id).await).await;
    ledger.succeed(&run).await;
    let answer = ledger.add(&other, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Added(Seq(0)), "its end frees the key");
}

async fn it_gives_up_its_place_in_a_line(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let (first, second) = (ledger.in_line(&limits).await, ledger.in_line(&limits).await);
    let before = ledger.record(first.id).await;

    ledger.edit_waiting(&before, changed(&first), Due::In(HOUR)).await;
    ledger.succeed(&run).await;

    assert_eq!(ledger.due_ids(10).await, [second.id]);
    world.forward(HOUR);
    let due = ledger.due_ids(10).await;
    assert!(due.contains(&first.id), "it is due by itself again: {due:?}");
}
