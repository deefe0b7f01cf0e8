//! Mark and postpone: what a beat says of an entry after the broker answered.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Seq, TaskId};
use upbeat_shared::ledger::{ClaimAnswer, Due, Mark};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use uuid::Uuid;

use super::probe::{LEASE, assert_between};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::message;

suite! { $ mark_conformance, LedgerWorld, ledger::mark:
    a_marked_entry_is_queued,
    marking_twice_is_harmless,
    an_entry_that_moved_is_not_marked,
    an_entry_claimed_meanwhile_is_not_marked,
    an_entry_that_ended_is_not_marked,
    an_unknown_entry_is_not_marked,
    an_entry_never_marked_is_due_again_with_the_same_seq,
    a_client_may_mark_its_own_entry_before_any_beat,
    postponing_keeps_the_seq,
    postponing_what_moved_changes_nothing,
    marks_are_answered_in_order,
}

async fn a_marked_entry_is_queued(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let entry = ledger.only_due().await;
    let before = ledger.now().await;

    assert!(ledger.mark(&entry.message).await);

    let record = ledger.record(message.id).await;
    assert_eq!((record.state, record.seq()), (TaskState::Queued, Seq(0)));
    assert_between("enqueued_at", record.enqueued_at, before, ledger.now().await, Duration::ZERO);
    world.forward(LEASE);
    assert_eq!(ledger.due_ids(10).await, [], "the lease ended, but it is queued");
}

async fn marking_twice_is_harmless(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&message()).await;

    // A beat that lost the reply, or one that published again what nobody had claimed.
    assert!(ledger.mark(&message).await);

    assert_eq!(ledger.state(message.id).await, TaskState::Queued);
    ledger.acquire_any(&message).await;
}

async fn an_entry_that_moved_is_not_marked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let leased = ledger.only_due().await.message;
    let run = ledger.acquire_any(&leased).await;
    ledger.fail(&run, Duration::from_secs(60)).await;

    assert!(!ledger.mark(&leased).await, "it was promoted from an older seq");

    let record = ledger.record(message.id).await;
    assert_eq!((record.state, record.seq()), (TaskState::Scheduled, Seq(1)));
    world.forward(Duration::from_secs(60));
    assert_eq!(ledger.due_ids(10).await, [message.id], "the retry is not lost");
}

async fn an_entry_claimed_meanwhile_is_not_marked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let leased = ledger.only_due().await.message;
    // The worker was faster than the beat.
    let run = ledger.acquire_any(&leased).await;

    assert!(!ledger.mark(&leased).await);

    assert_eq!(ledger.state(message.id).await, TaskState::Running);
    ledger.succeed(&run).await;
    assert!(!ledger.mark(&leased).await);
    assert_eq!(ledger.state(message.id).await, TaskState::Succeeded);
}

async fn an_entry_that_ended_is_not_marked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for end in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        let message = ledger.ended(end).await;
        assert!(!ledger.mark(&message).await);
        assert_eq!(ledger.state(message.id).await, end);
    }
}

async fn an_unknown_entry_is_not_marked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();

    assert!(!ledger.mark(&message).await);

    assert_eq!(ledger.find(message.id).await, None, "the row comes with the claim");
}

async fn an_entry_never_marked_is_due_again_with_the_same_seq(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let first = ledger.only_due().await.message;

    // The beat published it and died.
    world.forward(LEASE);
    let second = ledger.only_due().await.message;

    assert_eq!(second, first);
    ledger.acquire_any(&first).await;
    assert_eq!(ledger.claim(OwnerId::random(), &second).await, ClaimAnswer::Busy);
}

async fn a_client_may_mark_its_own_entry_before_any_beat(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;

    assert!(ledger.mark(&message).await, "no lease is needed");

    assert_eq!(ledger.state(message.id).await, TaskState::Queued);
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn postponing_keeps_the_seq(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let leased = ledger.only_due().await.message;
    let due_at = ledger.record(message.id).await.due_at;

    ledger.postpone(&leased, LEASE * 4).await;

    world.forward((LEASE * 4).saturating_sub(Duration::from_secs(1)));
    assert_eq!(ledger.due_ids(10).await, [], "not even after the lease");
    world.forward(Duration::from_secs(1));
    let again = ledger.only_due().await;
    assert_eq!(again.message, leased);
    assert_eq!(Some(again.due_at), due_at, "the record shows when it was due");
}

async fn postponing_what_moved_changes_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::ZERO)).await;
    let leased = ledger.only_due().await.message;
    let run = ledger.acquire_any(&leased).await;
    ledger.fail(&run, Duration::from_secs(60)).await;
    let ended = ledger.ended(TaskState::Succeeded).await;

    ledger.postpone(&leased, Duration::from_secs(3600)).await;
    ledger.postpone(&ended, Duration::ZERO).await;

    world.forward(Duration::from_secs(60));
    assert_eq!(ledger.due_ids(10).await, [message.id]);
}

async fn marks_are_answered_in_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let [one, other] = [(); 2].map(|()| message());
    for message in [&one, &other] {
        ledger.add(message, Due::In(Duration::ZERO)).await;
    }
    let moved = Message { seq: Seq(1), ..one.clone() };
    let unknown = TaskId(Uuid::now_v7());
    let mark = |message: &Message| Mark { id: message.id, seq: message.seq };
    let marks = vec![mark(&other), Mark { id: unknown, seq: Seq(0) }, mark(&moved), mark(&one)];

    let answers = ledger.store.agenda.mark(marks).await.expect("the store marks");

    assert_eq!(answers, [true, false, false, true]);
}
