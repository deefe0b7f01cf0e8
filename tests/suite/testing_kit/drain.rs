//! Draining: everything that is due runs, in order, through the whole of its way.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::prelude::*;
use upbeat::task::TaskState;
use upbeat::testing::{Outcome, World, WorldOptions};
use upbeat::verdict::RunErrorKind;

use super::{Count, Invoice, Report, Unknown, every_ten_seconds, program, publish, world};

#[tokio::test]
async fn nothing_runs_before_it_is_told_to() {
    let (app, mail) = program();
    let world = World::new(app);
    let handle = publish(&world, 7).await;
    assert_eq!((mail.sent(), world.task(handle.id()).expect("it has a row").state), (0, TaskState::Queued));

    let drained = world.drain().await.expect_all_succeeded();

    assert_eq!((drained.runs.len(), mail.sent()), (1, 1));
    let run = &drained.runs[0];
    assert_eq!((run.id, run.name.as_str(), run.queue.as_str()), (handle.id(), "billing.invoice", "billing"));
    assert_eq!((run.attempt, run.at, &run.outcome), (1, world.now(), &Outcome::Succeeded));
    assert_eq!(handle.result().await.expect("it succeeded"), 700);
}

#[tokio::test]
async fn what_tasks_publish_runs_in_the_same_drain() {
    let world = world();
    world.client().publish(Count(3)).await.expect("it is accepted");

    let drained = world.drain().await.expect_all_succeeded();

    assert_eq!(drained.runs.len(), 4);
    assert!(world.drain().await.runs.is_empty(), "nothing is left");
}

#[tokio::test]
async fn tasks_run_by_priority_and_in_the_order_published() {
    let world = world();
    let mut expected = Vec::new();
    for (customer, priority) in [(1, 4), (2, 9), (3, 4), (4, 0)] {
        let task = Invoice { customer, net: 1 };
        let handle = world.client().publish(task).priority(priority).await.expect("it is accepted");
        expected.push((9 - priority, customer, handle.id()));
    }
    expected.sort_unstable();

    let drained = world.drain().await;

    let ids: Vec<_> = drained.runs.iter().map(|run| run.id).collect();
    assert_eq!(ids, expected.into_iter().map(|(_, _, id)| id).collect::<Vec<_>>());
}

#[tokio::test]
async fn queues_take_turns() {
    let world = world();
    for number in 0..3 {
        publish(&world, number + 1).await;
        world.client().publish(Report).await.expect("it is accepted");
    }
    let drained = world.drain().await.expect_all_succeeded();
    let queues: Vec<_> = drained.runs.iter().map(|run| run.queue.as_str()).collect();
    assert_eq!(queues, ["billing", "reports", "billing", "reports", "billing", "reports"]);
}

#[tokio::test]
async fn every_end_of_a_run_is_told_apart() {
    let world = world();
    publish(&world, 7).await;
    let dead = publish(&world, 0).await;
    let retried = publish(&world, 13).await;
    let panicked = publish(&world, 666).await;

    let drained = world.drain().await;

    assert_eq!((drained.succeeded(), drained.dead(), drained.retried()), (1, 1, 2));
    let run = |id| drained.runs.iter().find(|run| run.id == id).expect("it ran");
    let kind = |id| run(id).error.as_ref().expect("a failed run says why").kind;
    assert_eq!(kind(dead.id()), RunErrorKind::Failed);
    assert_eq!(kind(panicked.id()), RunErrorKind::Panicked, "a panic is caught, as in production");
    assert!(matches!(run(retried.id()).outcome, Outcome::Retried { .. }));
    let ids: Vec<_> = world.dead().iter().map(upbeat::task::TaskRecord::id).collect();
    assert_eq!(ids, [dead.id()]);
}

#[tokio::test]
async fn a_retry_waits_for_its_time_and_counts_its_attempts() {
    let world = world();
    let client = world.client();
    let task = Invoice { customer: 13, net: 1 };
    let handle = client.publish(task).retry(every_ten_seconds(3)).await.expect("it is accepted");
    assert_eq!(world.drain().await.expect_runs(1).runs[0].attempt, 1);
    assert!(world.drain().await.runs.is_empty(), "no time has passed");

    let later = world.advance(Duration::from_secs(60)).await;

    let attempts: Vec<_> = later.runs.iter().map(|run| (run.attempt, run.outcome.clone())).collect();
    let delay = Duration::from_secs(10);
    assert_eq!(attempts, [(2, Outcome::Retried { delay }), (3, Outcome::Dead)]);
    assert_eq!(world.task(handle.id()).expect("it has a row").state, TaskState::Dead);
}

#[tokio::test]
async fn a_cancelled_task_does_not_run_and_a_dead_one_can_be_retried() {
    let (app, mail) = program();
    let world = World::new(app);
    let cancelled = publish(&world, 7).await;
    let dead = publish(&world, 0).await;
    world.cancel(cancelled.id(), "not needed");
    assert_eq!(world.drain().await.expect_runs(1).dead(), 1);
    assert_eq!((mail.sent(), world.task(cancelled.id()).expect("a row").state), (0, TaskState::Cancelled));

    world.retry(dead.id());

    assert_eq!(world.drain().await.expect_runs(1).dead(), 1);
}

#[tokio::test]
async fn a_paused_queue_keeps_its_tasks() {
    let world = world();
    world.pause("billing", true);
    publish(&world, 7).await;
    world.client().publish(Report).await.expect("it is accepted");
    let drained = world.drain().await.expect_all_succeeded();
    assert_eq!((drained.runs.len(), drained.runs[0].name.as_str()), (1, "report"));
    assert_eq!(drained.waiting.len(), 1);

    world.pause("billing", false);

    assert_eq!(world.drain().await.expect_all_succeeded().runs.len(), 1);
}

#[tokio::test]
async fn a_task_that_nobody_knows_waits_and_is_dead_after_an_hour() {
    let world = world();
    let handle = world.client().publish(Unknown).await.expect("it is accepted");
    assert!(world.drain().await.runs.is_empty());
    let record = world.task(handle.id()).expect("it has a row");
    assert_eq!(
        (record.state, record.note.as_deref()),
        (TaskState::Scheduled, Some("no worker knows its name"))
    );

    world.advance(Duration::from_hours(2)).await.expect_runs(0);

    assert_eq!(world.dead()[0].error.as_ref().expect("it says why").kind, RunErrorKind::UnknownName);
}

#[tokio::test]
async fn a_repeat_with_the_same_dedup_id_runs_once() {
    let (app, mail) = program();
    let world = World::new(app);
    for _ in 0..3 {
        let task = Invoice { customer: 7, net: 1 };
        world.client().publish(task).dedup_id("may-7").await.expect("it is accepted");
    }
    world.drain().await.expect_runs(1).expect_all_succeeded();
    assert_eq!((mail.sent(), world.published::<Invoice>().len()), (1, 1));
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "flaky")]
struct Flaky;

async fn flaky(_: Flaky) -> Result<(), Error> {
    Err(Error::retry("not today"))
}

#[tokio::test]
async fn settings_of_the_configuration_count_where_a_type_says_nothing() {
    let mut options = WorldOptions::default();
    options.config.worker.retry = every_ten_seconds(1);
    let world = World::with(program().0.task(flaky), options);
    world.client().publish(Flaky).await.expect("it is accepted");
    assert_eq!(world.drain().await.dead(), 1, "one attempt, says the configuration");
    world.client().publish(Invoice { customer: 13, net: 1 }).await.expect("it is accepted");
    assert_eq!(world.drain().await.retried(), 1, "three attempts, says the type");
}
