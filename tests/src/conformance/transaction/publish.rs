//! What a transaction publishes comes with its commit, and never without it.

use std::time::Duration;

use upbeat_shared::client::{
    Client, NewTask, PublishError, PublishLayers, Publishable, TaskHandle, publish_fn,
};
use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::message::{Payload, Priority};
use upbeat_shared::name::QueueName;
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::task::TaskState;

use super::{End, TransactionWorld, client};
use crate::conformance::ledger::Probe;
use crate::conformance::suite;
use crate::message::{queue, task_name};

suite! { $ transaction_publish_conformance, TransactionWorld, transaction::publish:
    what_a_transaction_publishes_is_due_after_its_commit,
    what_a_transaction_publishes_never_comes_if_it_is_rolled_back,
    a_delayed_task_is_due_when_its_delay_is_over,
    a_task_keeps_its_options,
    a_dedup_id_is_one_task_in_and_outside_of_transactions,
    layers_see_what_is_published_in_a_transaction,
    what_no_client_may_publish_is_refused,
}

fn task() -> NewTask {
    NewTask::new(task_name("demo.task"), Payload::json(&[1, 2]).expect("plain data"))
}

async fn one(
    world: &impl TransactionWorld,
    client: &Client,
    task: NewTask,
    end: End,
) -> Result<TaskHandle, PublishError> {
    Ok(world.publish(client, "published", vec![task], end).await?.remove(0))
}

async fn what_a_transaction_publishes_is_due_after_its_commit(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let client = client(world);
    let handles = world.publish(&client, "published", vec![task(), task()], End::Commit).await;

    let mut ids: Vec<_> = handles.expect("it is accepted").iter().map(TaskHandle::id).collect();
    let mut due = ledger.due_ids(10).await;
    ids.sort();
    due.sort();
    assert_eq!(due, ids);
    assert_eq!(ledger.count(&QueueName::default_queue(), TaskState::Scheduled).await, 2);
    assert_eq!(world.effects().await, ["published"]);
}

async fn what_a_transaction_publishes_never_comes_if_it_is_rolled_back(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let handle =
        one(world, &client(world), task().dedup_id("x"), End::Rollback).await.expect("it was written");

    assert_eq!(ledger.find(handle.id()).await, None);
    assert!(ledger.due(10).await.entries.is_empty());
    assert_eq!(ledger.count(&QueueName::default_queue(), TaskState::Scheduled).await, 0);
    assert_eq!(world.effects().await, [""; 0]);
    let again = one(world, &client(world), task().dedup_id("x"), End::Commit).await.expect("it is accepted");
    assert_eq!((again.id(), again.duplicate_of()), (handle.id(), None), "its id is free");
}

async fn a_delayed_task_is_due_when_its_delay_is_over(world: &impl TransactionWorld) {
    let ledger = Probe::of(world);
    let delayed = task().delay(Duration::from_secs(60));
    let handle = one(world, &client(world), delayed, End::Commit).await.expect("it is accepted");

    assert!(ledger.due(10).await.entries.is_empty());
    world.forward(Duration::from_secs(60));
    assert_eq!(ledger.due_ids(10).await, [handle.id()]);
}

async fn a_task_keeps_its_options(world: &impl TransactionWorld) {
    let client = client(world);
    let with_options = || {
        let given = task().tag("a").tag("b").args_version(3).retry(RetryPolicy::default());
        let given = client.publish(given).queue("other").priority(9).timeout(Duration::from_secs(3));
        let given = given
            .expires_in(Duration::from_secs(60))
            .deadline_in(Duration::from_secs(90))
            .dedup_id("with options");
        given.into_new_task().expect("it is well described")
    };
    let handle = one(world, &client, with_options(), End::Commit).await.expect("it is accepted");

    let message = handle.record().await.expect("the store shows").expect("it was committed").message;
    assert_eq!((message.queue, message.priority), (queue("other"), Priority::new(9).expect("at most 9")));
    assert_eq!((message.args, message.tags), (task().args, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!((message.args_version, message.retry), (3, Some(RetryPolicy::default())));
    assert_eq!(message.timeout, Some(Duration::from_secs(3)));
    assert_eq!(message.dedup_id.as_deref(), Some("with options"));
    assert!(message.expires_at > message.first_published && message.first_published.is_some());
    assert!(message.deadline_at > message.expires_at);
}

async fn a_dedup_id_is_one_task_in_and_outside_of_transactions(world: &impl TransactionWorld) {
    let client = client(world);
    let first = one(world, &client, task().dedup_id("x"), End::Commit).await.expect("it is accepted");
    let second = one(world, &client, task().dedup_id("x"), End::Commit).await.expect("it is one more");
    let outside = client.publish(task().dedup_id("x")).await.expect("it is one more");

    assert_eq!((first.duplicate_of(), second.duplicate_of()), (None, Some(TaskState::Scheduled)));
    assert_eq!((second.id(), outside.id()), (first.id(), first.id()));
    assert!(outside.duplicate_of().is_some());
    assert_eq!(Probe::of(world).due_ids(10).await.len(), 1);
}

async fn layers_see_what_is_published_in_a_transaction(world: &impl TransactionWorld) {
    let layers = PublishLayers::new().with(publish_fn(|tasks, next| async move {
        next.publish(tasks.into_iter().map(|task| task.tag("seen")).collect()).await
    }));
    let client = client(world).with_layers(&layers);
    let handle = one(world, &client, task(), End::Commit).await.expect("it is accepted");

    assert_eq!(handle.record().await.expect("the store shows").expect("it is there").message.tags, ["seen"]);
    let refuse = PublishLayers::new()
        .with(publish_fn(|_, _| async { Err(PublishError::Invalid("not on a Friday".into())) }));
    let refused = one(world, &client.with_layers(&refuse), task(), End::Commit).await;
    assert_eq!(refused.expect_err("a layer says no").to_string(), "not on a Friday");
}

async fn what_no_client_may_publish_is_refused(world: &impl TransactionWorld) {
    let client = client(world);
    let large = Payload::json(&"x".repeat(2 << 20)).expect("plain data");
    for refused in [
        task().dedup_id(""),
        task().queue(QueueName::undeliverable()),
        NewTask::new(task_name("demo.task"), large),
    ] {
        one(world, &client, refused, End::Commit).await.expect_err("it breaks a rule");
    }
    let all = client.store().inspect.list(TaskFilter::default(), None, 10).await.expect("the store lists");
    assert_eq!(all.tasks, []);
    assert_eq!(world.effects().await, [""; 0], "the transaction went with it");
}
