//! Unique keys in transactions of the user's own: taken with the commit, free again with a rollback.

use std::time::Duration;

use upbeat_shared::client::{Client, NewTask, TaskHandle};
use upbeat_shared::ledger::Action;
use upbeat_shared::message::Payload;
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;

use super::{End, TransactionWorld, client};
use crate::conformance::ledger::Probe;
use crate::conformance::suite;
use crate::message::task_name;

suite! { $ transaction_unique_conformance, TransactionWorld, transaction::unique:
    a_key_counts_in_and_outside_of_transactions,
    a_rollback_frees_the_key,
    the_end_of_its_task_frees_the_key,
    a_key_is_held_for_its_window_from_the_transaction_on,
    a_waiting_task_is_replaced_by_the_commit_and_not_by_a_rollback,
    a_running_task_is_not_replaced,
    tasks_of_one_transaction_meet_each_other,
    a_dedup_id_is_looked_at_before_the_key,
}

const HOUR: Duration = Duration::from_secs(3600);

fn unique(unique: Unique) -> NewTask {
    let task = NewTask::new(task_name("demo.task"), Payload::json(&7).expect("plain data"));
    NewTask { unique: Some(unique), ..task }
}

fn keyed() -> NewTask {
    unique(Unique::by("customer-7"))
}

fn replacing() -> NewTask {
    unique(Unique::by("customer-7").replacing())
}

async fn one(world: &impl TransactionWorld, client: &Client, task: NewTask, end: End) -> TaskHandle {
    world.publish(client, "published", vec![task], end).await.expect("it is answered").remove(0)
}

async fn a_key_counts_in_and_outside_of_transactions(world: &impl TransactionWorld) {
    let client = client(world);
    let first = one(world, &client, keyed(), End::Commit).await;
    let second = one(world, &client, keyed(), End::Commit).await;
    let outside = client.publish(keyed()).await.expect("it is answered");

    assert_eq!(first.duplicate_of(), None);
    for other in [&second, &outside] {
        assert_eq!((other.id(), other.duplicate_of()), (first.id(), Some(TaskState::Scheduled)));
    }
    assert_eq!(Probe::of(world).due_ids(10).await, [first.id()]);
    let message = first.record().await.expect("the store shows").expect("it was committed").message;
    assert_eq!(message.unique, Some(Unique::by("customer-7")));
}

async fn a_rollback_frees_the_key(world: &impl TransactionWorld) {
    let client = client(world);
    let never = one(world, &client, keyed(), End::Rollback).await;
    let first = one(world, &client, keyed(), End::Commit).await;

    assert_eq!((never.duplicate_of(), first.duplicate_of()), (None, None));
    assert_eq!(Probe::of(world).due_ids(10).await, [first.id()]);
}

async fn the_end_of_its_task_frees_the_key(world: &impl TransactionWorld) {
    let client = client(world);
    let ledger = Probe::of(world);
    let first = one(world, &client, keyed(), End::Commit).await;
    ledger.act(first.id(), Action::Cancel { reason: "a test".into() }).await;

    let second = one(world, &client, keyed(), End::Commit).await;

    assert_eq!(second.duplicate_of(), None);
    assert_eq!(ledger.record(second.id()).await.state, TaskState::Scheduled);
}

async fn a_key_is_held_for_its_window_from_the_transaction_on(world: &impl TransactionWorld) {
    let client = client(world);
    let ledger = Probe::of(world);
    let hourly = || unique(Unique::by("customer-7").within(HOUR));
    one(world, &client, hourly(), End::Rollback).await;
    let first = one(world, &client, hourly(), End::Commit).await;
    ledger.act(first.id(), Action::Cancel { reason: "a test".into() }).await;

    let within = one(world, &client, hourly(), End::Commit).await;
    world.forward(HOUR);
    let after = one(world, &client, hourly(), End::Commit).await;

    assert_eq!((within.id(), within.duplicate_of()), (first.id(), Some(TaskState::Cancelled)));
    assert_eq!(after.duplicate_of(), None);
}

async fn a_waiting_task_is_replaced_by_the_commit_and_not_by_a_rollback(world: &impl TransactionWorld) {
    let client = client(world);
    let ledger = Probe::of(world);
    let first = one(world, &client, keyed(), End::Commit).await;
    one(world, &client, replacing(), End::Rollback).await;
    assert_eq!(ledger.record(first.id()).await.state, TaskState::Scheduled);

    let second = one(world, &client, replacing(), End::Commit).await;

    assert_eq!(second.duplicate_of(), None);
    let replaced = ledger.record(first.id()).await;
    assert_eq!(replaced.state, TaskState::Cancelled);
    let note = format!("replaced by {}, which has the same unique key", second.id());
    assert_eq!(replaced.note, Some(note));
    assert_eq!(ledger.due_ids(10).await, [second.id()]);
    let third = one(world, &client, keyed(), End::Commit).await;
    assert_eq!(third.id(), second.id(), "it has the key");
}

async fn a_running_task_is_not_replaced(world: &impl TransactionWorld) {
    let client = client(world);
    let ledger = Probe::of(world);
    let first = one(world, &client, keyed(), End::Commit).await;
    let message = ledger.promoted(first.id()).await;
    let run = ledger.acquire_any(&message).await;

    let second = one(world, &client, replacing(), End::Commit).await;

    assert_eq!((second.id(), second.duplicate_of()), (first.id(), Some(TaskState::Running)));
    ledger.succeed(&run).await;
    assert_eq!(one(world, &client, replacing(), End::Commit).await.duplicate_of(), None);
}

async fn tasks_of_one_transaction_meet_each_other(world: &impl TransactionWorld) {
    let client = client(world);
    let other = || unique(Unique::by("customer-8"));
    let tasks = vec![keyed(), other(), keyed(), replacing(), other()];
    let handles = world.publish(&client, "published", tasks, End::Commit).await.expect("they are answered");

    let [first, other, again, newest, other_again] = &handles[..] else { panic!("{handles:?}") };
    assert_eq!((again.id(), again.duplicate_of()), (first.id(), Some(TaskState::Scheduled)));
    assert_eq!(other_again.id(), other.id());
    assert_eq!(newest.duplicate_of(), None);
    let ledger = Probe::of(world);
    assert_eq!(ledger.record(first.id()).await.state, TaskState::Cancelled);
    let mut due = ledger.due_ids(10).await;
    let mut expected = [newest.id(), other.id()];
    due.sort();
    expected.sort();
    assert_eq!(due, expected);
}

async fn a_dedup_id_is_looked_at_before_the_key(world: &impl TransactionWorld) {
    let client = client(world);
    let known = one(world, &client, keyed().dedup_id("x"), End::Commit).await;
    Probe::of(world).act(known.id(), Action::Cancel { reason: "a test".into() }).await;
    let holder = one(world, &client, keyed(), End::Commit).await;

    let again = one(world, &client, keyed().dedup_id("x"), End::Commit).await;

    assert_eq!((holder.duplicate_of(), again.id()), (None, known.id()));
    assert_eq!(again.duplicate_of(), Some(TaskState::Cancelled));
}
