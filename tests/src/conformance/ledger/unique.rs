//! Unique keys: who gets one, for how long, and who frees it.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Seq, TaskId};
use upbeat_shared::ledger::{ActAnswer, Action, AddAnswer, ClaimAnswer, Due, NewEntry, Park, Retention};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;
use upbeat_shared::verdict::{RunErrorKind, Verdict};

use super::{LedgerWorld, Probe, Running};
use crate::conformance::suite;
use crate::message::{entry, failure, message, task_name};

suite! { $ unique_conformance, LedgerWorld, ledger::unique:
    a_key_is_held_by_one_unfinished_task,
    a_key_belongs_to_a_tasks_name,
    a_key_is_held_through_queue_run_retry_snooze_release_and_crash,
    every_settle_that_ends_a_task_frees_its_key,
    a_settle_that_is_stale_frees_nothing,
    a_cancel_frees_the_key,
    an_expiry_found_by_a_beat_frees_the_key,
    an_expiry_found_by_a_claim_frees_the_key,
    a_crash_too_many_frees_the_key,
    a_cancelled_run_that_is_lost_frees_the_key,
    a_task_parked_for_too_long_frees_the_key,
    whoever_had_the_key_before_frees_it_for_nobody_else,
    a_task_that_came_without_a_row_holds_no_key,
    an_id_that_exists_is_looked_at_before_its_key,
    of_two_in_a_batch_the_first_gets_the_key,
    a_batch_mixes_tasks_with_and_without_keys,
    a_task_retried_by_hand_takes_its_key_again,
    a_task_whose_key_is_taken_is_not_retried,
    of_two_retried_together_one_gets_the_key,
    a_task_that_comes_with_a_verdict_takes_its_key,
    two_hundred_clients_get_one_winner,
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const LATER: Due = Due::In(HOUR);
pub(super) const NOW: Due = Due::In(Duration::ZERO);

pub(super) fn unique(unique: Unique) -> Message {
    Message { unique: Some(unique), ..message() }
}

pub(super) fn keyed() -> Message {
    unique(Unique::by("customer-7"))
}

pub(super) fn replacing() -> Message {
    unique(Unique::by("customer-7").replacing())
}

pub(super) fn windowed(window: Duration) -> Message {
    unique(Unique::by("customer-7").within(window))
}

/// A new task that holds the key, and its run.
pub(super) async fn running(ledger: &Probe) -> (Message, Running) {
    let message = ledger.queued(&keyed()).await;
    let run = ledger.acquire_any(&message).await;
    (message, run)
}

pub(super) async fn assert_taken(ledger: &Probe, by: &Message, state: TaskState) {
    let answer = ledger.add(&keyed(), LATER).await;
    assert_eq!(answer, AddAnswer::Taken { by: by.id, state });
}

pub(super) async fn assert_free(ledger: &Probe) {
    let answer = ledger.add(&keyed(), LATER).await;
    assert_eq!(answer, AddAnswer::Added(Seq(0)), "the key is free");
}

async fn a_key_is_held_by_one_unfinished_task(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (first, second) = (keyed(), keyed());

    assert_eq!(ledger.add(&first, LATER).await, AddAnswer::Added(Seq(0)));
    let answer = ledger.add(&second, LATER).await;

    assert_eq!(answer, AddAnswer::Taken { by: first.id, state: TaskState::Scheduled });
    assert_eq!(ledger.find(second.id).await, None, "nothing was made");
    assert_eq!(ledger.record(first.id).await.message, first, "the record tells the key");
    let other = unique(Unique::by("customer-8"));
    assert_eq!(ledger.add(&other, LATER).await, AddAnswer::Added(Seq(0)));
}

async fn a_key_belongs_to_a_tasks_name(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    ledger.add(&keyed(), LATER).await;

    let other = Message { name: task_name("demo.other"), ..keyed() };

    assert_eq!(ledger.add(&other, LATER).await, AddAnswer::Added(Seq(0)));
}

async fn a_key_is_held_through_queue_run_retry_snooze_release_and_crash(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&keyed()).await;
    assert_taken(&ledger, &message, TaskState::Queued).await;
    let run = ledger.acquire_any(&message).await;
    assert_taken(&ledger, &message, TaskState::Running).await;
    ledger.fail(&run, Duration::ZERO).await;
    assert_taken(&ledger, &message, TaskState::Scheduled).await;

    let run = ledger.acquire_any(&ledger.promoted(message.id).await).await;
    ledger.settle(&run, Verdict::Snooze { delay: Duration::ZERO }).await;
    assert_taken(&ledger, &message, TaskState::Scheduled).await;
    let run = ledger.acquire_any(&ledger.promoted(message.id).await).await;
    ledger.store.ledger.release(run.owner, vec![run.claim]).await.expect("the store releases");
    assert_taken(&ledger, &message, TaskState::Scheduled).await;
    let lost = ledger.promoted(message.id).await;
    ledger.crash(&lost).await;
    assert_taken(&ledger, &message, TaskState::Scheduled).await;
    let again = ledger.promoted(message.id).await;
    ledger.park(&again).await;
    assert_taken(&ledger, &message, TaskState::Scheduled).await;
}

async fn every_settle_that_ends_a_task_frees_its_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let ends = [
        Verdict::Succeeded { result: None },
        Verdict::Dead { error: failure("it failed") },
        Verdict::Cancelled { reason: "not needed".to_owned() },
    ];
    for verdict in ends {
        let (message, run) = running(&ledger).await;
        ledger.settle(&run, verdict).await;
        assert!(ledger.state(message.id).await.is_terminal());
    }
    // What would go on is over, too, if somebody asked for it.
    let goes_on = [
        Verdict::Retry { delay: HOUR, error: failure("it failed") },
        Verdict::Snooze { delay: HOUR },
        Verdict::Released { reason: "the worker stops".to_owned() },
    ];
    for verdict in goes_on {
        let (message, run) = running(&ledger).await;
        ledger.cancel(message.id).await;
        assert_taken(&ledger, &message, TaskState::Running).await;
        ledger.settle(&run, verdict).await;
        assert_eq!(ledger.state(message.id).await, TaskState::Cancelled);
    }
    assert_free(&ledger).await;
}

async fn a_settle_that_is_stale_frees_nothing(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&keyed()).await;
    let straggler = ledger.crash(&message).await;
    let again = ledger.promoted(message.id).await;
    ledger.acquire_any(&again).await;

    ledger.succeed(&straggler).await;

    assert_taken(&ledger, &message, TaskState::Running).await;
}

async fn a_cancel_frees_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let scheduled = keyed();
    ledger.add(&scheduled, LATER).await;
    ledger.cancel(scheduled.id).await;
    let queued = ledger.queued(&keyed()).await;
    ledger.cancel(queued.id).await;

    assert_free(&ledger).await;
}

async fn an_expiry_found_by_a_beat_frees_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let expires_at = Some(upbeat_shared::clock::later(ledger.now().await, Duration::from_secs(60)));
    let message = Message { expires_at, ..keyed() };
    ledger.add(&message, Due::In(Duration::from_secs(61))).await;
    world.forward(Duration::from_secs(61));

    assert_eq!(ledger.due_ids(10).await, []);

    assert_eq!(ledger.state(message.id).await, TaskState::Expired);
    assert_free(&ledger).await;
}

async fn an_expiry_found_by_a_claim_frees_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let expires_at = Some(upbeat_shared::clock::later(ledger.now().await, Duration::from_secs(60)));
    let message = ledger.queued(&Message { expires_at, ..keyed() }).await;
    world.forward(Duration::from_secs(61));

    let answer = ledger.claim(OwnerId::random(), &message).await;

    assert_eq!(answer, ClaimAnswer::Ended(TaskState::Expired));
    assert_free(&ledger).await;
}

async fn a_crash_too_many_frees_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = ledger.queued(&keyed()).await;
    for crash in 1..=super::probe::MAX_CRASHES {
        ledger.crash(&message).await;
        if crash < super::probe::MAX_CRASHES {
            assert_taken(&ledger, &message, TaskState::Scheduled).await;
            message = ledger.promoted(message.id).await;
        }
    }

    assert_eq!(ledger.state(message.id).await, TaskState::Dead);
    assert_free(&ledger).await;
}

async fn a_cancelled_run_that_is_lost_frees_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&keyed()).await;
    let owner = OwnerId::random();
    ledger.beat(owner, 1).await;
    ledger.acquire(owner, &message).await;
    ledger.cancel(message.id).await;

    ledger.reap(owner, 1).await;

    assert_eq!(ledger.state(message.id).await, TaskState::Cancelled);
    assert_free(&ledger).await;
}

async fn a_task_parked_for_too_long_frees_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&keyed()).await;
    let park = |message: Message| Park {
        message,
        note: "no worker knows it".to_owned(),
        delay: Duration::from_secs(60),
        max_delay: HOUR,
        dead_after: Some((Duration::from_secs(30), RunErrorKind::UnknownName)),
    };
    ledger.park_as(park(message.clone())).await;
    assert_taken(&ledger, &message, TaskState::Scheduled).await;
    world.forward(Duration::from_secs(60));

    ledger.park_as(park(ledger.promoted(message.id).await)).await;

    assert_eq!(ledger.state(message.id).await, TaskState::Dead);
    assert_free(&ledger).await;
}

async fn whoever_had_the_key_before_frees_it_for_nobody_else(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (dead, run) = running(&ledger).await;
    ledger.settle(&run, Verdict::Dead { error: failure("it failed") }).await;
    let holder = keyed();
    ledger.add(&holder, LATER).await;

    ledger.act(dead.id, Action::Drop).await;
    world.forward(Retention::default().ids * 2);
    ledger.store.inspect.purge(Retention::default(), 1000).await.expect("the store purges");

    assert_eq!(ledger.find(dead.id).await, None);
    assert_taken(&ledger, &holder, TaskState::Scheduled).await;
}

async fn a_task_that_came_without_a_row_holds_no_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let foreign = keyed();
    let run = ledger.acquire_any(&foreign).await;
    let holder = keyed();
    assert_eq!(ledger.add(&holder, LATER).await, AddAnswer::Added(Seq(0)));

    ledger.settle(&run, Verdict::Dead { error: failure("it failed") }).await;
    assert_taken(&ledger, &holder, TaskState::Scheduled).await;

    let retried = ledger.act(foreign.id, Action::Retry).await;
    assert_eq!(retried, ActAnswer::Applied(TaskState::Scheduled), "it needs none");
    ledger.cancel(foreign.id).await;
    assert_taken(&ledger, &holder, TaskState::Scheduled).await;
}

async fn an_id_that_exists_is_looked_at_before_its_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (first, run) = running(&ledger).await;
    assert_eq!(ledger.add(&first, NOW).await, AddAnswer::Exists(TaskState::Running));
    ledger.succeed(&run).await;
    let second = keyed();
    ledger.add(&second, LATER).await;

    let answer = ledger.add(&first, NOW).await;

    assert_eq!(answer, AddAnswer::Exists(TaskState::Succeeded), "and not that the key is taken");
    assert_taken(&ledger, &second, TaskState::Scheduled).await;
}

async fn of_two_in_a_batch_the_first_gets_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    // The first has the highest id: stores sort a batch by id.
    let (third, second, first) = (keyed(), keyed(), keyed());
    let batch = [&first, &second, &third, &first].map(|message| entry(message, LATER));

    let answers = ledger.add_all(batch.to_vec()).await;

    let taken = AddAnswer::Taken { by: first.id, state: TaskState::Scheduled };
    let exists = AddAnswer::Exists(TaskState::Scheduled);
    assert_eq!(answers, [AddAnswer::Added(Seq(0)), taken, taken, exists]);
}

async fn a_batch_mixes_tasks_with_and_without_keys(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let holder = keyed();
    ledger.add(&holder, LATER).await;
    let (one, other) = (message(), message());
    let new = unique(Unique::by("customer-8"));
    let batch = [&other, &keyed(), &new, &one].map(|message| entry(message, LATER));

    let answers = ledger.add_all(batch.to_vec()).await;

    let added = AddAnswer::Added(Seq(0));
    let taken = AddAnswer::Taken { by: holder.id, state: TaskState::Scheduled };
    assert_eq!(answers, [added, taken, added, added]);
}

async fn a_task_retried_by_hand_takes_its_key_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (message, run) = running(&ledger).await;
    ledger.settle(&run, Verdict::Dead { error: failure("it failed") }).await;

    assert_eq!(ledger.act(message.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));

    assert_taken(&ledger, &message, TaskState::Scheduled).await;
    // Asked for again, it is due now, and nothing else changes.
    assert_eq!(ledger.act(message.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));
    let run = ledger.acquire_any(&ledger.promoted(message.id).await).await;
    ledger.succeed(&run).await;
    assert_free(&ledger).await;
}

async fn a_task_whose_key_is_taken_is_not_retried(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (dead, run) = running(&ledger).await;
    ledger.settle(&run, Verdict::Dead { error: failure("it failed") }).await;
    let record = ledger.record(dead.id).await;
    let holder = keyed();
    ledger.add(&holder, LATER).await;

    assert_eq!(ledger.act(dead.id, Action::Retry).await, ActAnswer::KeyTaken { by: holder.id });
    assert_eq!(ledger.record(dead.id).await, record, "it is left as it was");

    ledger.cancel(holder.id).await;
    assert_eq!(ledger.act(dead.id, Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));
    assert_eq!(ledger.act(holder.id, Action::Retry).await, ActAnswer::KeyTaken { by: dead.id });
}

async fn of_two_retried_together_one_gets_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (keyed(), keyed());
    for message in [&one, &other] {
        ledger.add(message, LATER).await;
        ledger.cancel(message.id).await;
    }

    let ids = vec![one.id, other.id];
    let answers = ledger.store.inspect.act(ids, Action::Retry).await.expect("the store acts");

    let expected = [ActAnswer::Applied(TaskState::Scheduled), ActAnswer::KeyTaken { by: one.id }];
    assert_eq!(answers, expected);
}

async fn a_task_that_comes_with_a_verdict_takes_its_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (first, run) = running(&ledger).await;
    let (next, second) = (keyed(), keyed());
    let mut settlement = run.settlement(Verdict::Succeeded { result: None });
    settlement.then = [&next, &second].map(|message| entry(message, LATER)).to_vec();

    ledger.settle_all(vec![settlement]).await;

    assert_eq!(ledger.state(first.id).await, TaskState::Succeeded);
    assert_taken(&ledger, &next, TaskState::Scheduled).await;
    assert_eq!(ledger.find(second.id).await, None);
}

/// Publishes from four processes at once, one task a call.
pub(super) async fn race(world: &impl LedgerWorld, entries: Vec<NewEntry>) -> Vec<AddAnswer> {
    let mut clients = vec![Probe::of(world)];
    for _ in 1..4 {
        clients.push(Probe::another(world).await);
    }
    let calls = entries.into_iter().enumerate().map(|(at, entry)| {
        let client = clients[at % clients.len()].clone();
        tokio::spawn(async move { client.add_all(vec![entry]).await[0] })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.expect("no call panics"));
    }
    answers
}

async fn two_hundred_clients_get_one_winner(world: &impl LedgerWorld) {
    let entries: Vec<NewEntry> = (0..200).map(|_| entry(&keyed(), LATER)).collect();
    let ids: Vec<TaskId> = entries.iter().map(|entry| entry.message.id).collect();

    let answers = race(world, entries).await;

    let won = |answer: &AddAnswer| *answer == AddAnswer::Added(Seq(0));
    let winners: Vec<TaskId> = ids.iter().zip(&answers).filter(|(_, a)| won(a)).map(|(id, _)| *id).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    let taken = AddAnswer::Taken { by: winners[0], state: TaskState::Scheduled };
    assert!(answers.iter().filter(|answer| !won(answer)).all(|answer| *answer == taken), "{answers:?}");
    let ledger = Probe::of(world);
    let found = ledger.store.inspect.get(ids).await.expect("the store shows");
    assert_eq!(found.iter().flatten().count(), 1);
}
