//! The claim: every row of its table, in the table's order.

use std::time::Duration;

use upbeat_shared::clock::{earlier, later};
use upbeat_shared::id::{OwnerId, Seq, Token};
use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest, Due, Retention};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;

use super::probe::granted;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{full_message, message};

suite! { $ claim_conformance, LedgerWorld, ledger::claim:
    an_unknown_task_is_acquired_at_seq_0,
    a_claim_stores_the_whole_message,
    a_task_that_has_ended_is_done,
    the_same_token_gets_the_same_answer_again,
    a_running_task_is_busy_for_every_other_delivery,
    a_message_older_than_the_row_is_stale,
    a_message_past_its_expiry_ends_expired,
    expiry_is_looked_at_after_the_row,
    a_message_older_than_ids_are_kept_ends_stale,
    a_message_without_first_published_is_never_stale,
    an_old_message_with_a_row_is_not_stale,
    a_scheduled_task_is_acquired_before_its_time,
    a_queued_task_is_acquired,
    a_later_claim_has_a_higher_fence,
    fences_grow_though_the_stores_clock_was_set_back,
    a_higher_seq_in_the_message_is_adopted,
    a_row_made_by_a_claim_takes_the_messages_seq,
    twins_in_a_batch_are_busy,
    the_twin_of_a_stale_message_is_judged_by_itself,
    a_repeated_batch_with_a_stale_message_gets_the_same_right_again,
    a_batch_is_answered_in_order,
    the_rows_counts_win_over_the_messages,
    two_processes_never_claim_the_same_task,
}

async fn an_unknown_task_is_acquired_at_seq_0(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let before = ledger.now().await;

    let run = ledger.acquire_any(&message).await;

    assert_eq!(run.granted.seq, Seq(0));
    assert_eq!((run.granted.attempts, run.granted.crashes), (0, 0));
    assert!(!run.granted.cancel_requested);
    assert!(run.granted.fence.0 >= before.as_microsecond(), "a fence is at least the store's microseconds");
    let record = ledger.record(message.id).await;
    assert_eq!(record.state, TaskState::Running);
    assert_eq!(record.owner, Some(run.owner));
    assert_eq!(record.fence, Some(run.granted.fence));
    assert_eq!(record.started_at, Some(run.granted.at));
}

async fn a_claim_stores_the_whole_message(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = full_message();

    let run = ledger.acquire_any(&message).await;
    assert_eq!(ledger.record(message.id).await.message, message);

    // The row alone can run it again.
    ledger.fail(&run, Duration::ZERO).await;
    let again = ledger.only_due().await.message;
    assert_eq!(again, Message { seq: Seq(1), attempts: 1, ..message });
}

async fn a_task_that_has_ended_is_done(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for end in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        let message = ledger.ended(end).await;
        let record = ledger.record(message.id).await;
        let later = Message { seq: Seq(100), ..message.clone() };

        assert_eq!(ledger.claim(OwnerId::random(), &message).await, ClaimAnswer::Done(end));
        assert_eq!(ledger.claim(OwnerId::random(), &later).await, ClaimAnswer::Done(end));
        assert_eq!(ledger.record(message.id).await, record, "nothing was written");
    }
}

async fn the_same_token_gets_the_same_answer_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (owner, message, token) = (OwnerId::random(), message(), Token::random());

    let first = granted(&ledger.claim_as(owner, &message, token).await);
    world.forward(Duration::from_secs(5));
    let again = granted(&ledger.claim_as(owner, &message, token).await);

    assert_eq!(again.fence, first.fence);
    assert_eq!((again.seq, again.attempts, again.crashes), (first.seq, first.attempts, first.crashes));
    assert_eq!(ledger.record(message.id).await.fence, Some(first.fence));
}

async fn a_running_task_is_busy_for_every_other_delivery(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    let record = ledger.record(message.id).await;
    let newer = Message { seq: Seq(7), ..message.clone() };

    assert_eq!(ledger.claim(run.owner, &message).await, ClaimAnswer::Busy, "another token");
    let stranger = OwnerId::random();
    assert_eq!(
        ledger.claim_as(stranger, &message, run.claim.token).await,
        ClaimAnswer::Busy,
        "another owner"
    );
    assert_eq!(ledger.claim(stranger, &newer).await, ClaimAnswer::Busy, "a newer seq");
    assert_eq!(ledger.record(message.id).await, record, "nothing was written");
}

async fn a_message_older_than_the_row_is_stale(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    ledger.fail(&run, Duration::from_secs(60)).await;
    let record = ledger.record(message.id).await;
    assert_eq!(record.seq(), Seq(1));

    assert_eq!(ledger.claim(OwnerId::random(), &message).await, ClaimAnswer::Stale);
    assert_eq!(ledger.record(message.id).await, record, "nothing was written");
}

async fn a_message_past_its_expiry_ends_expired(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let expires_at = Some(later(ledger.now().await, Duration::from_secs(60)));
    let [in_time, late, queued_late] = [(), (), ()].map(|()| Message { expires_at, ..message() });
    let queued_late = ledger.queued(&queued_late).await;

    ledger.acquire_any(&in_time).await;
    world.forward(Duration::from_secs(61));

    for message in [late, queued_late] {
        let answer = ledger.claim(OwnerId::random(), &message).await;
        assert_eq!(answer, ClaimAnswer::Ended(TaskState::Expired));
        assert_eq!(ledger.state(message.id).await, TaskState::Expired);
        let again = ledger.claim(OwnerId::random(), &message).await;
        assert_eq!(again, ClaimAnswer::Done(TaskState::Expired));
    }
}

async fn expiry_is_looked_at_after_the_row(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let expires_at = Some(later(ledger.now().await, Duration::from_secs(60)));
    let [running, moved] = [(), ()].map(|()| Message { expires_at, ..message() });
    ledger.acquire_any(&running).await;
    let run = ledger.acquire_any(&moved).await;
    ledger.fail(&run, Duration::ZERO).await;
    world.forward(Duration::from_secs(61));

    assert_eq!(ledger.claim(OwnerId::random(), &running).await, ClaimAnswer::Busy);
    assert_eq!(ledger.claim(OwnerId::random(), &moved).await, ClaimAnswer::Stale);
    assert_eq!(ledger.state(running.id).await, TaskState::Running);
    assert_eq!(ledger.state(moved.id).await, TaskState::Scheduled);
}

async fn a_message_older_than_ids_are_kept_ends_stale(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let bound = earlier(ledger.now().await, Retention::default().stale_after());
    let young = Message { first_published: Some(later(bound, Duration::from_secs(60))), ..message() };
    let old = Message { first_published: Some(earlier(bound, Duration::from_secs(60))), ..message() };

    ledger.acquire_any(&young).await;
    let answer = ledger.claim(OwnerId::random(), &old).await;

    assert_eq!(answer, ClaimAnswer::Ended(TaskState::Dead));
    let record = ledger.record(old.id).await;
    assert_eq!(record.state, TaskState::Dead);
    assert_eq!(record.error.expect("a dead task says why").kind, RunErrorKind::Stale);
    assert_eq!(ledger.claim(OwnerId::random(), &old).await, ClaimAnswer::Done(TaskState::Dead));
}

async fn a_message_without_first_published_is_never_stale(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    assert_eq!(message.first_published, None);

    world.forward(Retention::default().ids * 100);

    ledger.acquire_any(&message).await;
}

async fn an_old_message_with_a_row_is_not_stale(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = Message { first_published: Some(ledger.now().await), ..message() };
    ledger.add(&message, Due::In(Duration::from_secs(30 * 24 * 3600))).await;

    world.forward(Duration::from_secs(30 * 24 * 3600));

    let message = ledger.promoted(message.id).await;
    ledger.acquire_any(&message).await;
}

async fn a_scheduled_task_is_acquired_before_its_time(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::In(Duration::from_secs(3600))).await;

    // Its client published it itself and died before it could mark the row.
    let run = ledger.acquire_any(&message).await;

    assert_eq!(run.granted.seq, Seq(0));
    assert_eq!(ledger.state(message.id).await, TaskState::Running);
    world.forward(Duration::from_secs(3601));
    assert_eq!(ledger.due_ids(10).await, [], "a running task is not on the agenda");
}

async fn a_queued_task_is_acquired(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&message()).await;
    assert_eq!(message.seq, Seq(0), "promotion leaves the seq");
    assert_eq!(ledger.state(message.id).await, TaskState::Queued);

    let run = ledger.acquire_any(&message).await;

    assert_eq!(run.granted.seq, Seq(0));
    assert_eq!(ledger.state(message.id).await, TaskState::Running);
}

async fn a_later_claim_has_a_higher_fence(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = ledger.acquire_any(&message()).await;
    ledger.fail(&first, Duration::ZERO).await;

    // The store's clock may not have moved by a microsecond.
    let again = ledger.promoted(first.claim.id).await;
    let second = ledger.acquire_any(&again).await;

    assert!(second.granted.fence > first.granted.fence);
    assert_eq!((second.granted.seq, second.granted.attempts), (Seq(1), 1));
}

async fn fences_grow_though_the_stores_clock_was_set_back(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = ledger.acquire_any(&message()).await;
    ledger.fail(&first, Duration::ZERO).await;
    let again = ledger.promoted(first.claim.id).await;
    drop(ledger);

    world.set_back(Duration::from_secs(24 * 3600)).await;

    let second = Probe::of(world).acquire_any(&again).await;
    assert!(second.granted.at < first.granted.at, "the clock was set back");
    assert!(second.granted.fence > first.granted.fence);
}

async fn a_higher_seq_in_the_message_is_adopted(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&message()).await;
    let newer = Message { seq: Seq(5), ..message.clone() };

    let run = ledger.acquire_any(&newer).await;
    assert_eq!(run.granted.seq, Seq(5));
    assert_eq!(ledger.record(message.id).await.seq(), Seq(5));

    ledger.fail(&run, Duration::ZERO).await;
    assert_eq!(ledger.record(message.id).await.seq(), Seq(6));
    assert_eq!(ledger.claim(OwnerId::random(), &newer).await, ClaimAnswer::Stale);
}

async fn a_row_made_by_a_claim_takes_the_messages_seq(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    // The store forgot this row: the message is all that is left of its history.
    let message = Message { seq: Seq(3), attempts: 2, crashes: 1, ..message() };

    let run = ledger.acquire_any(&message).await;

    assert_eq!((run.granted.seq, run.granted.attempts, run.granted.crashes), (Seq(3), 2, 1));
    assert_eq!(ledger.record(message.id).await.message, message);
}

async fn twins_in_a_batch_are_busy(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (new, ended, alone) = (message(), ledger.ended(TaskState::Succeeded).await, message());
    let batch = [&new, &ended, &new, &alone, &ended, &new].map(Clone::clone);

    let answers = ledger.claim_all(OwnerId::random(), &batch).await;

    granted(&answers[0]);
    assert_eq!(answers[1], ClaimAnswer::Done(TaskState::Succeeded));
    assert_eq!(answers[2], ClaimAnswer::Busy);
    granted(&answers[3]);
    assert_eq!(answers[4], ClaimAnswer::Busy);
    assert_eq!(answers[5], ClaimAnswer::Busy);
}

async fn the_twin_of_a_stale_message_is_judged_by_itself(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let stale = message();
    let run = ledger.acquire_any(&stale).await;
    ledger.fail(&run, Duration::ZERO).await;
    let promoted = ledger.only_due().await.message;

    let answers = ledger.claim_all(OwnerId::random(), &[stale, promoted.clone(), promoted]).await;

    assert_eq!(answers[0], ClaimAnswer::Stale);
    granted(&answers[1]);
    assert_eq!(answers[2], ClaimAnswer::Busy);
}

async fn a_repeated_batch_with_a_stale_message_gets_the_same_right_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let stale = message();
    let run = ledger.acquire_any(&stale).await;
    ledger.fail(&run, Duration::ZERO).await;
    let promoted = ledger.only_due().await.message;
    let batch = [stale, promoted].map(|message| ClaimRequest::new(message, Token::random()));
    let owner = OwnerId::random();
    let first = ledger.claim_batch(owner, batch.to_vec()).await;

    let second = ledger.claim_batch(owner, batch.to_vec()).await;

    assert_eq!(first[0], ClaimAnswer::Stale);
    assert_eq!(second[0], ClaimAnswer::Busy, "the newer message runs");
    assert_eq!(granted(&second[1]).fence, granted(&first[1]).fence);
}

async fn a_batch_is_answered_in_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut batch = Vec::new();
    for _ in 0..20 {
        batch.push(message());
        batch.push(ledger.ended(TaskState::Cancelled).await);
    }
    // Stores sort a batch by id; the caller's order is another.
    batch.sort_by_key(|message| std::cmp::Reverse(message.id));
    let owner = OwnerId::random();

    let answers = ledger.claim_all(owner, &batch).await;

    for (message, answer) in batch.iter().zip(&answers) {
        let record = ledger.record(message.id).await;
        match answer {
            ClaimAnswer::Acquired(claim) => assert_eq!(record.fence, Some(claim.fence)),
            answer => assert_eq!(*answer, ClaimAnswer::Done(record.state)),
        }
    }
    assert_eq!(ledger.store.ledger.mine(owner).await.expect("the store answers").len(), 20);
}

async fn the_rows_counts_win_over_the_messages(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&message()).await;
    ledger.fail(&run, Duration::ZERO).await;
    let message = ledger.promoted(run.claim.id).await;

    let claimed = ledger.acquire_any(&Message { attempts: 9, crashes: 9, ..message }).await;

    assert_eq!((claimed.granted.attempts, claimed.granted.crashes), (1, 0));
    let stored = ledger.record(run.claim.id).await.message;
    assert_eq!((stored.attempts, stored.crashes), (1, 0));
}

async fn two_processes_never_claim_the_same_task(world: &impl LedgerWorld) {
    let (one, other) = (Probe::of(world), Probe::another(world).await);
    let messages: Vec<Message> = (0..100).map(|_| message()).collect();
    let backwards: Vec<Message> = messages.iter().rev().cloned().collect();
    let (owner, stranger) = (OwnerId::random(), OwnerId::random());

    let in_batches = |probe: Probe, owner: OwnerId, messages: Vec<Message>| async move {
        let mut acquired = Vec::new();
        for batch in messages.chunks(7) {
            let requests: Vec<ClaimRequest> =
                batch.iter().map(|message| ClaimRequest::new(message.clone(), Token::random())).collect();
            let answers = probe.claim_batch(owner, requests).await;
            let won = batch.iter().zip(answers).filter(|(_, it)| matches!(it, ClaimAnswer::Acquired(_)));
            acquired.extend(won.map(|(message, _)| message.id));
        }
        acquired
    };
    let (mut won, others) =
        tokio::join!(in_batches(one, owner, messages.clone()), in_batches(other, stranger, backwards));

    won.extend(others);
    won.sort();
    let mut all: Vec<_> = messages.iter().map(|message| message.id).collect();
    all.sort();
    assert_eq!(won, all, "each task is acquired by exactly one of the two");
}
