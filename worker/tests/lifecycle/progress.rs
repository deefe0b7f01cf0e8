//! What runs say of how far they have come.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use upbeat_shared::id::TaskId;
use upbeat_shared::member::MemberInfo;
use upbeat_shared::name::TaskName;
use upbeat_shared::progress::Progress;
use upbeat_shared::task::TaskState;
use upbeat_worker::executor::native::native;
use upbeat_worker::{RunContext, TaskDefinition};

use crate::world::World;

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What tells a run to go on, once for each of its steps.
#[derive(Clone, Default)]
struct Steps(Arc<Notify>);

impl Steps {
    /// Says `1 of 2`, then with the first step `2 of 2`, and ends with the second.
    fn task(&self) -> TaskDefinition {
        let steps = self.0.clone();
        native(TaskName::new("steps").unwrap(), move |(): (), run: RunContext| {
            let steps = steps.clone();
            async move {
                for step in 1..=2 {
                    run.progress(step, Some(2), "walking");
                    steps.notified().await;
                }
                Ok(())
            }
        })
    }
}

/// What the members' records say.
async fn told(world: &World) -> Vec<(TaskId, Progress)> {
    let members = world.truth.inspect.members().await.unwrap();
    members.into_iter().flat_map(|member| member.info.progress).collect()
}

/// Waits until the records say this; answers how long that took, by the store's clock.
async fn until_told(world: &World, holds: impl Fn(&[(TaskId, Progress)]) -> bool) -> Duration {
    let before = world.truth.ledger.now().await.unwrap();
    let waits = async {
        while !holds(&told(world).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("it is told");
    upbeat_shared::clock::until(before, world.truth.ledger.now().await.unwrap())
}

#[tokio::test]
async fn the_first_is_told_soon_the_rest_with_the_heartbeats_and_nothing_after_the_run() {
    let world = World::new().await;
    let steps = Steps::default();
    let worker = world.work(vec![steps.task()], |options| options.lease = Duration::from_secs(15));
    let id = world.publish("steps", "default").await;
    world.until(id, TaskState::Running).await;
    let said = |step: u64| vec![(id, Progress::new(step, Some(2), "walking"))];
    // A heartbeat is due every three seconds.
    let took = until_told(&world, |told| *told == said(1)).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    steps.0.notify_one();
    until_told(&world, |told| *told == said(2)).await;
    steps.0.notify_one();
    world.until(id, TaskState::Succeeded).await;
    until_told(&world, <[_]>::is_empty).await;
    worker.stopped().await;
}

#[tokio::test]
async fn many_runs_with_news_bring_no_more_than_a_heartbeat_a_second_and_fill_no_more_than_their_place() {
    let world = World::new().await;
    let steps = Steps::default();
    let runs = MemberInfo::MAX_PROGRESS + 20;
    let worker = world.work(vec![steps.task()], |options| {
        options.lease = Duration::from_secs(20);
        options.concurrency = u32::try_from(runs).unwrap();
    });
    let began = world.truth.ledger.now().await.unwrap();
    for _ in 0..runs {
        world.publish("steps", "default").await;
    }
    until_told(&world, |told| told.len() == MemberInfo::MAX_PROGRESS).await;
    let took = upbeat_shared::clock::until(began, world.truth.ledger.now().await.unwrap());
    let heartbeats = world.heartbeats().await;
    // The first of all, the one that was due, and one for each second of news.
    assert!(heartbeats <= 3 + took.as_secs(), "{heartbeats} heartbeats in {took:?}");
    while worker.health.running() > 0 {
        steps.0.notify_waiters();
        tokio::task::yield_now().await;
    }
    worker.stopped().await;
}
