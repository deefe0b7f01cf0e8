//! What failing tests say: what was expected, what happened instead, and what to do.

use std::time::Duration;

use upbeat::Schedule;
use upbeat::prelude::*;
use upbeat::testing::{World, WorldOptions, assert_not_published, assert_published};

use super::{Count, Invoice, Remind, Report, program, publish, said, said_later, world};

#[tokio::test]
async fn of_a_task_that_was_not_published() {
    let world = world();
    let nothing = said(|| assert_published!(world, Invoice { customer: 7, .. }));
    insta::assert_snapshot!(nothing, @r#"
    `Invoice { customer: 7, .. }` should have been published, and was not.
    Nothing was published.
    "#);

    publish(&world, 8).await;
    let remind = Remind { invoice: 1 };
    world.client().publish(remind).delay(Duration::from_secs(90)).await.expect("it is accepted");
    world.drain().await.expect_all_succeeded();
    let something =
        said(|| assert_published!(world, Invoice { customer: 7, .. }, queue = "billing", times = 2));
    insta::assert_snapshot!(something, @r#"
    `Invoice { customer: 7, .. }`, to the queue billing, should have been published twice, and was never.
    This was published:
      billing.invoice {"customer":8,"net":10} to billing: succeeded
      billing.remind {"invoice":1} to default, due in 90s (at 2026-01-01T00:01:30Z): scheduled
    "#);
    let due = said(|| assert_published!(world, Remind { .. }, due_in = Duration::from_secs(60)));
    insta::assert_snapshot!(due, @r#"
    `Remind { .. }`, due in 60s, should have been published, and was not.
    This was published:
      billing.invoice {"customer":8,"net":10} to billing: succeeded
      billing.remind {"invoice":1} to default, due in 90s (at 2026-01-01T00:01:30Z): scheduled
    "#);
}

#[tokio::test]
async fn of_a_task_that_was_published() {
    let (app, _) = program();
    let world = World::new(app.schedule(Schedule::every("report.hourly", "1h", Report)));
    world.advance(Duration::from_hours(2)).await.expect_all_succeeded();
    let text = said(|| assert_not_published!(world, Report));
    insta::assert_snapshot!(text, @r#"
    `Report` should not have been published, and was twice.
    This was published:
      report null to reports, by the schedule report.hourly: succeeded
      report null to reports, by the schedule report.hourly: succeeded
    "#);
}

#[tokio::test]
async fn of_very_many_tasks() {
    let world = world();
    world.client().publish_all((0..100).map(Count)).await.expect("they are accepted");
    let text = said(|| assert_published!(world, Report));
    assert!(text.contains("… 80 before these …") && text.lines().count() == 23, "{text}");
    let text = said_later(async move { world.drain().await.expect_runs(1) }).await;
    assert!(text.contains("… and 5030 more") && text.lines().count() == 22, "{text}");
}

#[tokio::test]
async fn of_runs_that_failed() {
    let world = world();
    for customer in [7, 0, 666] {
        publish(&world, customer).await;
    }
    let task = Invoice { customer: 13, net: 1 };
    world.client().publish(task).retry(super::every_ten_seconds(2)).await.expect("it is accepted");
    let drained = world.drain().await;
    let text = said(|| drop(drained.clone().expect_all_succeeded()));
    let text = text.split(", runs again in").next().expect("the first part").to_owned();
    insta::assert_snapshot!(text, @r#"
    every run should have succeeded, but these 4 ran:
      billing.invoice {"customer":7,"net":10} at 2026-01-01T00:00:00Z: succeeded
      billing.invoice {"customer":0,"net":10} at 2026-01-01T00:00:00Z: failed for good: failed: there is no customer 0
      billing.invoice {"customer":666,"net":10} at 2026-01-01T00:00:00Z: failed
    "#);
    let text = said(|| drop(drained.expect_runs(5)));
    assert!(text.starts_with("5 runs should have been made, but these 4 ran:"), "{text}");
}

#[tokio::test]
async fn of_nothing_that_ran() {
    let world = world();
    let drained = world.drain().await;
    insta::assert_snapshot!(said(|| drop(drained.expect_all_succeeded())), @"something should have run, but nothing ran");

    let task = world.client().publish(Report).queue("night-shift");
    task.await.expect("it is accepted");
    let drained = world.drain().await;
    insta::assert_snapshot!(said(|| drop(drained.expect_runs(1))), @r#"
    1 run should have been made, but nothing ran
    1 task still waits in the queue night-shift: it is paused, or the program's worker does not take from it, because no task's type names it (name it in `worker.queues` of the configuration)
    "#);
}

#[tokio::test]
async fn of_a_task_that_has_no_end() {
    let mut options = WorldOptions::default();
    options.max_runs = 50;
    for inline in [false, true] {
        let world = World::with(program().0, options.clone());
        if inline {
            world.inline();
        }
        let text = said_later(async move {
            world.client().publish(Count(1000)).await.expect("it is accepted");
            world.drain().await
        })
        .await;
        insta::allow_duplicates! { insta::assert_snapshot!(text, @"50 runs were made, and there is no end to it: does a task publish itself, or fail without a delay? The last was of count. If so many are right, let `WorldOptions::max_runs` be larger"); }
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_run_that_has_no_end() {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "stuck")]
    struct Stuck;

    async fn stuck(_: Stuck) -> Result<(), Error> {
        std::future::pending().await
    }

    let world = World::new(App::new().task(stuck));
    world.client().publish(Stuck).await.expect("it is accepted");
    let text = said_later(async move { world.drain().await }).await;
    insta::assert_snapshot!(text, @"a run of stuck has not ended within 60s: does its handler wait for something that only the test can do, or sleep? Pause tokio's time (`#[tokio::test(start_paused = true)]`), or let `WorldOptions::patience` be longer");
}

#[tokio::test(start_paused = true)]
async fn of_a_result_that_nobody_brings_about() {
    let world = world();
    let remind = Remind { invoice: 1 };
    let handle = world.client().publish(remind).delay(Duration::from_hours(1)).await.expect("it is accepted");
    let text = said_later(async move { handle.result::<()>().await }).await;
    insta::assert_snapshot!(text, @"somebody waits for a task to end, and nothing is due now: the next thing is due at 2026-01-01T01:00:00Z, and it is 2026-01-01T00:00:00Z. Let time pass first (`world.advance(…)`), or see why it does not run (`world.tasks()`)");
    drop(world);
}

#[tokio::test]
async fn of_a_clock_that_would_go_back() {
    let world = world();
    let text = said(|| world.set_time("2025-12-31T23:00:00Z".parse().expect("an instant")));
    insta::assert_snapshot!(text, @"it is 2026-01-01T00:00:00Z, later than 2025-12-31T23:00:00Z: a world's time never goes back");
}
