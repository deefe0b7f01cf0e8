//! Inline: what is published runs before its publish returns.

use std::time::Duration;

use upbeat::task::TaskState;
use upbeat::testing::{World, assert_published};

use super::{Count, Invoice, Remind, program, publish, world};

#[tokio::test]
async fn a_task_has_run_when_its_publish_returns() {
    let (app, mail) = program();
    let world = World::new(app);
    world.inline();

    let handle = publish(&world, 7).await;

    assert_eq!(mail.sent(), 1);
    assert_eq!(world.task(handle.id()).expect("it has a row").state, TaskState::Succeeded);
    assert!(world.drain().await.runs.is_empty());
}

#[tokio::test]
async fn what_it_publishes_runs_within_it() {
    let world = world();
    world.inline();
    world.client().publish(Count(5)).await.expect("it is accepted");
    assert_eq!(world.tasks().len(), 6);
    assert!(world.tasks().iter().all(|task| task.state == TaskState::Succeeded));
}

#[tokio::test]
async fn delays_are_waited_for_all_the_same() {
    let world = world();
    world.inline();
    world.client().publish(Invoice { customer: 7, net: 2000 }).await.expect("it is accepted");
    assert_published!(world, Remind { invoice: 700 }, state = TaskState::Scheduled);
    world.advance(Duration::from_hours(24)).await.expect_runs(1).expect_all_succeeded();
}

#[tokio::test]
async fn a_failure_is_no_failure_of_the_publish() {
    let world = world();
    world.inline();
    publish(&world, 0).await;
    publish(&world, 666).await;
    assert_eq!(world.dead().len(), 1);
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let (app, mail) = program();
    let world = World::new(app);
    world.inline().manual();
    publish(&world, 7).await;
    assert_eq!(mail.sent(), 0);
}
