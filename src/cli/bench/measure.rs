//! The parts of a benchmark, through the real client and the real worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use upbeat_shared::client::{Client, NewTask};
use upbeat_shared::clock::Clock;
use upbeat_shared::message::Payload;
use upbeat_shared::name::TaskName;
use upbeat_worker::Registry;

use super::super::failure::Failure;
use super::world::{World, cpu};
use crate::app::native;

/// Publishers at once, each with batches of [`BATCH`].
const PUBLISHERS: usize = 8;
pub(super) const BATCH: usize = 500;
/// How often the ledger is asked whether everything is settled.
const LOOK: Duration = Duration::from_millis(10);
/// How long nothing may happen before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const TASK: &str = "bench.noop";

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) tasks: usize,
    /// Bytes.
    pub(super) payload: usize,
    /// Tasks a second.
    pub(super) rate: u32,
    pub(super) seconds: Duration,
    pub(super) concurrency: u32,
    /// Whether limits are measured too.
    pub(super) limits: bool,
}

/// What one part took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) tasks: usize,
    pub(super) time: Duration,
    /// Of this process; `None` where the system does not tell.
    pub(super) cpu: Option<Duration>,
}

/// How long tasks took from the call of `publish` to their start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Latency {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) max: Duration,
}

impl Latency {
    /// Of times that are sorted.
    fn of(times: &[Duration]) -> Self {
        let at = |per_mille: usize| {
            let index = (times.len() * per_mille / 1000).min(times.len().saturating_sub(1));
            times.get(index).copied().unwrap_or_default()
        };
        Self { p50: at(500), p99: at(990), max: at(1000) }
    }

    /// By name.
    pub(super) fn shown(&self) -> [(&'static str, Duration); 3] {
        [("p50", self.p50), ("p99", self.p99), ("max", self.max)]
    }
}

/// Runs a part and takes its time.
pub(super) async fn taking(
    world: &World,
    tasks: usize,
    part: impl Future<Output = Result<(), Failure>>,
) -> Result<Taken, Failure> {
    let (started, used) = (world.clock().monotonic(), cpu());
    part.await?;
    let time = world.clock().monotonic().saturating_sub(started);
    let cpu = cpu().zip(used).map(|(now, before)| now.saturating_sub(before));
    Ok(Taken { tasks, time, cpu })
}

/// Publishes, and waits until every task is accepted.
pub(super) async fn publish(load: &Load, world: &World) -> Result<Taken, Failure> {
    taking(world, load.tasks, publish_all(load, world)).await
}

/// Runs what was published, until every task is settled.
pub(super) async fn drain(load: &Load, world: &World) -> Result<Taken, Failure> {
    let settled = world.settled().await?;
    taking(world, load.tasks, run_until(load, world, settled + load.tasks as u64)).await
}

/// Publishes and runs at the same time.
pub(super) async fn both(load: &Load, world: &World) -> Result<Taken, Failure> {
    let goal = world.settled().await? + load.tasks as u64;
    let part = async { tokio::try_join!(publish_all(load, world), run_until(load, world, goal)).map(|_| ()) };
    taking(world, load.tasks, part).await
}

async fn publish_all(load: &Load, world: &World) -> Result<(), Failure> {
    let body =
        Payload::json(&"x".repeat(load.payload - 2)).map_err(|error| Failure::failed(error.to_string()))?;
    let left = Arc::new(AtomicUsize::new(load.tasks));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|_| tokio::spawn(publish_some(world.client().clone(), body.clone(), left.clone())))
        .collect();
    for publisher in publishers {
        publisher.await.map_err(|error| Failure::failed(error.to_string()))??;
    }
    Ok(())
}

/// Takes batches of what is left to publish, until nothing is.
async fn publish_some(client: Client, body: Payload, left: Arc<AtomicUsize>) -> Result<(), Failure> {
    let name = name();
    loop {
        let before = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(BATCH)))
            .unwrap_or_default();
        if before == 0 {
            return Ok(());
        }
        let batch = (0..before.min(BATCH)).map(|_| NewTask::new(name.clone(), body.clone()));
        client.publish_many(batch.collect()).await?;
    }
}

pub(super) fn name() -> TaskName {
    TaskName::new(TASK).expect("it follows the rules")
}

/// A worker, until the ledger has settled so many tasks of this world.
async fn run_until(load: &Load, world: &World, goal: u64) -> Result<(), Failure> {
    let mut registry = Registry::new();
    registry
        .add(native(TASK, |_: Value, _run| async { Ok(()) }))
        .map_err(|error| Failure::failed(error.to_string()))?;
    let stop = CancellationToken::new();
    let worker = world.worker(registry, load.concurrency);
    let running = tokio::spawn(worker.run(stop.clone()));
    let reached = until_settled(world, goal).await;
    stop.cancel();
    let ended = running.await.map_err(|error| Failure::failed(error.to_string()))?;
    reached?;
    ended.map(drop).map_err(|error| Failure::failed(error.to_string()))
}

pub(super) async fn until_settled(world: &World, goal: u64) -> Result<(), Failure> {
    let mut last = (0, world.clock().monotonic());
    loop {
        let settled = world.settled().await?;
        let now = world.clock().monotonic();
        if settled >= goal {
            return Ok(());
        }
        if settled != last.0 {
            last = (settled, now);
        } else if now.saturating_sub(last.1) > PATIENCE {
            return Err(Failure::failed(format!("{} tasks were not settled for a minute", goal - settled)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Publishes at a fixed rate, one by one, and measures for each how long it took from the call of `publish` to the start
/// of its run.
pub(super) async fn latency(load: &Load, world: &World) -> Result<Latency, Failure> {
    let count = latencies(load);
    let starts: Arc<Vec<AtomicU64>> = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
    let mut registry = Registry::new();
    let (clock, noted) = (world.clock().clone(), starts.clone());
    let note = native(TASK, move |index: usize, _run| {
        if let Some(start) = noted.get(index) {
            start.store(nanos(&*clock), Ordering::Relaxed);
        }
        async { Ok(()) }
    });
    registry.add(note).map_err(|error| Failure::failed(error.to_string()))?;
    let goal = world.settled().await? + count as u64;
    let stop = CancellationToken::new();
    let running = tokio::spawn(world.worker(registry, load.concurrency).run(stop.clone()));
    let published = publish_at_rate(load, world, count).await;
    let settled = match published {
        Ok(_) => until_settled(world, goal).await,
        Err(_) => Ok(()),
    };
    stop.cancel();
    running
        .await
        .map_err(|error| Failure::failed(error.to_string()))?
        .map_err(|error| Failure::failed(error.to_string()))?;
    let published = published?;
    settled?;
    let mut times: Vec<Duration> = published
        .iter()
        .zip(starts.iter())
        .map(|(published, start)| {
            Duration::from_nanos(start.load(Ordering::Relaxed).saturating_sub(*published))
        })
        .collect();
    times.sort_unstable();
    Ok(Latency::of(&times))
}

/// How many tasks the rate makes in the time; at least one.
fn latencies(load: &Load) -> usize {
    let count = load.seconds.as_millis() * u128::from(load.rate) / 1000;
    usize::try_from(count).unwrap_or(usize::MAX).clamp(1, 1_000_000)
}

async fn publish_at_rate(load: &Load, world: &World, count: usize) -> Result<Vec<u64>, Failure> {
    // The first tasks would measure the worker's start.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut every = tokio::time::interval(Duration::from_secs(1) / load.rate);
    let mut calls = Vec::with_capacity(count);
    let mut published = Vec::with_capacity(count);
    for index in 0..count {
        every.tick().await;
        let body = Payload::json(&index).map_err(|error| Failure::failed(error.to_string()))?;
        let client = world.client().clone();
        published.push(nanos(&**world.clock()));
        // Not one after the other: a slow confirmation must not slow the rate down.
        calls.push(tokio::spawn(async move { client.publish(NewTask::new(name(), body)).await }));
    }
    for call in calls {
        call.await.map_err(|error| Failure::failed(error.to_string()))??;
    }
    Ok(published)
}

fn nanos(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let millis = Duration::from_millis;
        assert_eq!(Latency::of(&times), Latency { p50: millis(51), p99: millis(100), max: millis(100) });
        assert_eq!(Latency::of(&times[..1]), Latency { p50: millis(1), p99: millis(1), max: millis(1) });
        assert_eq!(Latency::of(&[]), Latency::default());
    }
}
