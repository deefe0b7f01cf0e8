//! Time: passes from event to event, and only when the test says so.

use std::time::Duration;

use upbeat::Schedule;
use upbeat::clock::later;
use upbeat::ledger::{Expect, NewSchedule};
use upbeat::name::ScheduleId;
use upbeat::occurrence::OccurrenceRecord;
use upbeat::schedule::CatchUp;
use upbeat::task::TaskState;
use upbeat::testing::{World, assert_published};

use super::{Invoice, Remind, Report, program, publish, world};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn the_clock_stands_still_and_starts_with_2026() {
    let world = world();
    assert_eq!(world.now().to_string(), "2026-01-01T00:00:00Z");
    publish(&world, 7).await;
    world.drain().await.expect_all_succeeded();
    assert_eq!(world.now().to_string(), "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_delayed_task_runs_at_its_instant() {
    let world = world();
    let start = world.now();
    world.client().publish(Invoice { customer: 7, net: 2000 }).await.expect("it is accepted");
    world.drain().await.expect_runs(1).expect_all_succeeded();

    world.advance(HOUR * 23).await.expect_runs(0);
    let drained = world.advance(HOUR * 5).await.expect_all_succeeded();

    assert_eq!(drained.runs[0].at, later(start, HOUR * 24));
    assert_eq!(world.now(), later(start, HOUR * 28));
}

#[tokio::test]
async fn events_come_in_their_order_and_find_their_own_time() {
    let world = world();
    let start = world.now();
    for hours in [5, 1, 3] {
        let task = Invoice { customer: hours, net: 1 };
        let at = later(start, HOUR * u32::try_from(hours).expect("a few"));
        world.client().publish(task).at(at).await.expect("it is accepted");
    }
    let drained = world.advance_to(later(start, HOUR * 4)).await.expect_all_succeeded();
    let at: Vec<_> = drained.runs.iter().map(|run| run.at).collect();
    assert_eq!(at, [later(start, HOUR), later(start, HOUR * 3)]);
}

#[tokio::test]
async fn schedules_fire_at_their_instants_and_are_accounted_for() {
    let (app, _) = program();
    let nightly = Schedule::cron("report.nightly", "30 2 * * *", Report).timezone("Europe/Berlin");
    let world = World::new(app.schedule(nightly));

    let drained = world.advance(HOUR * 24 * 7).await.expect_runs(7).expect_all_succeeded();

    assert_eq!(drained.runs[0].at.to_string(), "2026-01-01T01:30:00Z");
    assert_eq!(drained.runs[6].at.to_string(), "2026-01-07T01:30:00Z");
    let occurrences = world.occurrences("report.nightly");
    assert_eq!(occurrences.len(), 7);
    assert!(
        matches!(&occurrences[0], OccurrenceRecord::Fired { task_id, .. } if *task_id == drained.runs[0].id)
    );
    assert_published!(world, Report, schedule = "report.nightly", queue = "reports", times = 7);
}

#[tokio::test]
async fn the_worker_takes_from_the_queues_of_the_programs_schedules() {
    let (app, _) = program();
    let nightly = Schedule::cron("report.nightly", "30 2 * * *", Report).queue("night-shift");
    let world = World::new(app.schedule(nightly));
    let drained = world.advance(HOUR * 24).await.expect_runs(1).expect_all_succeeded();
    assert_eq!(drained.runs[0].queue.as_str(), "night-shift");
}

#[tokio::test]
async fn a_schedule_that_is_added_later_counts_at_once() {
    let world = world();
    world.advance(HOUR).await.expect_runs(0);
    let text = serde_json::json!({ "every": "10m", "task": { "name": "report", "queue": "reports" } });
    let definition = serde_json::from_value(text).expect("a definition as files have it");
    let id = ScheduleId::new("late").expect("an id");
    let new = NewSchedule { id, definition, source: "the test".to_owned() };
    world.store().catalog.put(new, Expect::Absent).await.expect("the ledger answers");

    world.advance(HOUR).await.expect_runs(6).expect_all_succeeded();
}

#[tokio::test]
async fn a_jump_of_the_clock_makes_schedules_catch_up() {
    let (app, _) = program();
    let hourly = Schedule::every("report.hourly", "1h", Report).catch_up(CatchUp::Latest);
    let world = World::new(app.schedule(hourly));

    world.set_time(later(world.now(), HOUR * 10 + Duration::from_secs(1800)));
    world.drain().await.expect_runs(1).expect_all_succeeded();

    let skipped = |occurrence: &OccurrenceRecord| match occurrence {
        OccurrenceRecord::Skipped(range) => range.count,
        OccurrenceRecord::Fired { .. } | OccurrenceRecord::Merged { .. } => 0,
    };
    assert_eq!(world.occurrences("report.hourly").iter().map(skipped).sum::<u64>(), 9);
}

#[tokio::test]
async fn a_task_that_expired_meanwhile_does_not_run() {
    let world = world();
    world.pause("billing", true);
    let task = Invoice { customer: 7, net: 1 };
    let handle = world.client().publish(task).expires_in(HOUR).await.expect("it is accepted");
    world.advance(HOUR * 2).await.expect_runs(0);
    world.pause("billing", false);
    world.drain().await.expect_runs(0);
    assert_eq!(world.task(handle.id()).expect("it has a row").state, TaskState::Expired);
}

#[tokio::test]
async fn handlers_see_the_worlds_time() {
    use serde::{Deserialize, Serialize};
    use upbeat::prelude::*;

    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "when", timeout = "30s", output = (String, u64))]
    struct When;

    async fn when(_: When, ctx: Context) -> Result<(String, u64), Error> {
        Ok((ctx.now().to_string(), ctx.remaining().as_secs()))
    }

    let world = World::new(App::new().task(when));
    world.advance(HOUR).await.expect_runs(0);
    let (now, remaining) = world.run(When).await.expect("it succeeds");
    assert_eq!((now.as_str(), remaining), ("2026-01-01T01:00:00Z", 30));
}

#[tokio::test]
async fn a_result_that_is_waited_for_is_there() {
    let world = world();
    let handle = publish(&world, 7).await;
    // Nobody drains: whoever waits lets the world go on.
    assert_eq!(handle.result().await.expect("it succeeds"), 700);
}

#[tokio::test]
async fn a_handler_may_wait_for_another_tasks_result() {
    use serde::{Deserialize, Serialize};
    use upbeat::prelude::*;

    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "sum", output = u64)]
    struct Sum(Vec<u64>);

    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "square", output = u64)]
    struct Square(u64);

    async fn square(task: Square) -> Result<u64, Error> {
        Ok(task.0 * task.0)
    }

    async fn sum(task: Sum, ctx: Context) -> Result<u64, Error> {
        let mut sum = 0;
        for handle in ctx.client().publish_all(task.0.into_iter().map(Square)).await? {
            sum += handle.result().await?;
        }
        Ok(sum)
    }

    let world = World::new(App::new().task(sum).task(square));
    assert_eq!(world.run(Sum(vec![1, 2, 3])).await.expect("it succeeds"), 14);
    assert_eq!(world.published::<Square>().len(), 3);
}

#[tokio::test]
async fn somebody_else_may_let_time_pass_for_one_who_waits() {
    let world = world();
    let task = Remind { invoice: 1 };
    let handle = world.client().publish(task).delay(HOUR).await.expect("it is accepted");
    let (result, drained) = tokio::join!(handle.result(), async {
        tokio::task::yield_now().await;
        world.advance(HOUR).await
    });
    let (): () = result.expect("it succeeds");
    drained.expect_runs(1).expect_all_succeeded();
}
