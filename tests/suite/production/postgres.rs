//! Postgres comes and goes under load: nobody is blamed, nothing is lost or doubled, and work goes on soon after.

use std::time::Duration;

use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{eventually, tasks};

use super::producer::Producer;
use super::scene::{PATIENCE, Scene};

/// How soon work must go on after the ledger is back.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_restarted_and_away_for_a_minute_loses_and_doubles_nothing() {
    let mut scene = Scene::new().await;
    let members = [scene.beat(), scene.worker(), scene.worker()];
    let stack = scene.stack().await;
    let producer = Producer::start(&stack.client);
    // Some run while it goes.
    let naps = scene.world.run(&["publish", "nap", "--args", "3000", "--count", "8"]).await.ok();
    let naps: Vec<TaskId> = naps.out.lines().map(|line| line.parse().expect("an id a line")).collect();
    eventually("work is done", PATIENCE, async || scene.runs("work").len() > 500).await;

    let clock = SystemClock::default();
    for away in [Duration::ZERO, Duration::from_secs(60)] {
        scene.postgres.stop_immediately().await;
        tokio::time::sleep(away).await;
        let done = scene.runs("work").len();
        scene.postgres.start_again().await;
        let back = clock.monotonic();
        eventually("work goes on", PATIENCE, async || scene.runs("work").len() > done).await;
        let after = clock.monotonic().saturating_sub(back);
        assert!(after < SOON, "work went on after {after:?}");
    }

    let accepted = producer.stop().await;
    scene.succeeded(&stack, accepted.len() + naps.len(), PATIENCE).await;
    scene.each_ran_once("work", &accepted);
    let all = tasks(&stack.store, TaskFilter::default()).await;
    let blamed: Vec<_> = all.iter().filter(|task| task.message.crashes > 0).collect();
    assert!(blamed.is_empty(), "no worker was lost, and yet: {blamed:?}");
    assert!(all.iter().all(|task| task.state == TaskState::Succeeded));
    for member in members {
        member.stop().await;
    }
}
