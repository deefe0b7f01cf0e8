//! What limits cost: publish to settled with a beat, under each kind of limit.

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use upbeat_shared::client::NewTask;
use upbeat_shared::limit::{FairPolicy, FairQueues, LimitPolicy, Rate};
use upbeat_shared::message::Payload;
use upbeat_shared::name::{QueueName, TaskKey};
use upbeat_worker::{Registry, TaskDefinition};

use super::super::failure::Failure;
use super::measure::{self, BATCH, Load, TASK, Taken};
use super::report::Report;
use super::world::World;
use crate::app::native;

/// Tasks come under so many keys.
const KEYS: usize = 100;
/// Of a key's tasks run at once.
const AT_ONCE: u32 = 4;

/// What tasks are under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nothing,
    /// More slots than the worker has: the ledger counts, and nobody waits.
    Counted,
    /// A tenth of the worker's slots: most wait in line.
    Name,
    /// A few slots for each key.
    Key,
    /// A rate for each key that lets all through.
    Rate,
    Fair,
}

/// Each beside the same tasks without a limit.
pub(super) async fn compare(load: &Load, world: &World, report: &Report<'_>) -> Result<(), Failure> {
    let parts = [
        (Kind::Nothing, "with a beat, no limit"),
        (Kind::Counted, "a limit that nobody meets"),
        (Kind::Name, "a tenth of the slots, by name"),
        (Kind::Key, "4 slots for each of 100 keys"),
        (Kind::Rate, "a rate for each of 100 keys"),
        (Kind::Fair, "a fair queue of 100 tenants"),
    ];
    for (kind, part) in parts {
        let taken = measure(kind, load, world).await?;
        report.rate(part, &taken, None)?;
    }
    Ok(())
}

/// Publishes first, then runs until everything is settled: lines are as long as they can be.
async fn measure(kind: Kind, load: &Load, world: &World) -> Result<Taken, Failure> {
    let goal = world.settled().await? + load.tasks as u64;
    let mut fair = FairQueues::default();
    if kind == Kind::Fair {
        let policy = FairPolicy::new(load.concurrency.saturating_mul(2));
        fair.0.insert(QueueName::default_queue(), policy);
    }
    let stop = CancellationToken::new();
    let mut registry = Registry::new();
    registry.add(task(kind, load)).map_err(failed)?;
    let part = async {
        let beat = tokio::spawn(world.beat(fair.clone()).run(stop.clone()));
        publish(load, world, fair).await?;
        let worker = tokio::spawn(world.worker(registry, load.concurrency).run(stop.clone()));
        let reached = measure::until_settled(world, goal).await;
        stop.cancel();
        worker.await.map_err(failed)?.map_err(failed)?;
        beat.await.map_err(failed)?.map_err(failed)?;
        reached
    };
    measure::taking(world, load.tasks, part).await
}

fn task(kind: Kind, load: &Load) -> TaskDefinition {
    let task = native(TASK, |_: Value, _run| async { Ok(()) });
    let none = LimitPolicy::default();
    match kind {
        Kind::Nothing | Kind::Fair => task,
        Kind::Counted => task.limit(none.running(load.concurrency.saturating_mul(100))),
        Kind::Name => task.limit(none.running(load.concurrency.div_ceil(10))),
        Kind::Key => task.limit_per_key(none.running(AT_ONCE)),
        Kind::Rate => {
            let rate = Rate::new(Rate::MAX_COUNT, std::time::Duration::from_secs(1));
            let rate = rate.expect("it is the highest").with_burst(Rate::MAX_COUNT);
            task.limit_per_key(none.rate(rate))
        }
    }
}

async fn publish(load: &Load, world: &World, fair: FairQueues) -> Result<(), Failure> {
    let body = Payload::json(&"x".repeat(load.payload - 2)).map_err(failed)?;
    let client = world.fair_client(fair);
    let task = |number: usize| {
        let key = TaskKey::new(format!("key-{}", number % KEYS)).expect("letters and digits");
        NewTask::new(measure::name(), body.clone()).key(key)
    };
    for from in (0..load.tasks).step_by(BATCH) {
        let to = load.tasks.min(from + BATCH);
        client.publish_many((from..to).map(task).collect()).await?;
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(error.to_string())
}
