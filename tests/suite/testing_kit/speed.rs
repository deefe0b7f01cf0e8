//! Quick: thousands of tasks, and a year of nights.

use std::time::Duration;

use upbeat::Schedule;
use upbeat::clock::{Clock, SystemClock};
use upbeat::testing::World;

use super::{Count, Report, program, world};

/// As long as a test may take, on a machine that has much else to do.
const SECONDS: u64 = 20;

#[tokio::test]
async fn ten_thousand_tasks_run_in_a_moment() {
    let clock = SystemClock::default();
    let world = world();
    world.client().publish_all((0..10_000).map(|_| Count(0))).await.expect("they are accepted");
    world.drain().await.expect_runs(10_000).expect_all_succeeded();
    let took = clock.monotonic();
    assert!(took < Duration::from_secs(SECONDS), "{took:?}");
}

#[tokio::test]
async fn a_year_of_nights_passes_in_a_moment() {
    let clock = SystemClock::default();
    let (app, _) = program();
    let nightly = Schedule::cron("report.nightly", "30 2 * * *", Report).timezone("America/New_York");
    let world = World::new(app.schedule(nightly));
    world.advance(Duration::from_hours(365 * 24)).await.expect_runs(365).expect_all_succeeded();
    let took = clock.monotonic();
    assert!(took < Duration::from_secs(SECONDS), "{took:?}");
}
