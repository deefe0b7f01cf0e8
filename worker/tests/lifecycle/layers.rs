//! Layers around the runs of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use upbeat_shared::name::TaskName;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_worker::TaskError;
use upbeat_worker::executor::native::native;
use upbeat_worker::layer::{RunLayer, RunLayers, RunNext, RunResult, run_fn};
use upbeat_worker::{RunContext, WorkerOptions};

use crate::jobs::{counting, stubborn};
use crate::world::World;

/// Counts the runs that came in, and those that left by whichever way.
#[derive(Clone, Default)]
struct Door(Arc<[AtomicUsize; 2]>);

impl Door {
    fn counts(&self) -> [usize; 2] {
        self.0.each_ref().map(|count| count.load(Ordering::SeqCst))
    }
}

struct Leaves(Door);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.0[1].fetch_add(1, Ordering::SeqCst);
    }
}

impl RunLayer for Door {
    async fn run(&self, run: RunContext, next: RunNext) -> RunResult {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        let _leaves = Leaves(self.clone());
        next.run(run).await
    }
}

fn quick(options: &mut WorkerOptions) {
    options.stop_grace = Duration::from_millis(50);
}

#[tokio::test]
async fn a_layers_answer_is_what_becomes_of_the_run() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let layers = RunLayers::new().with(run_fn(|run, next| async move {
        next.run(run).await?;
        Err(TaskError::GiveUp("not good enough".into()))
    }));
    let worker = world.work_with(vec![counting("count", &runs)], |_| {}, |worker| worker.layers(layers));
    let id = world.publish("count", "default").await;
    let record = world.until(id, TaskState::Dead).await;
    assert_eq!((record.error.unwrap().message.as_str(), runs.load(Ordering::SeqCst)), ("not good enough", 1));
    worker.stopped().await;
}

#[tokio::test]
async fn a_panic_goes_through_the_layers_and_is_caught_outside() {
    let world = World::new().await;
    let door = Door::default();
    let layers = RunLayers::new().with(door.clone());
    let panics = native(TaskName::new("panics").unwrap(), |(): (), run| async move {
        assert!(run.attempt > 1, "boom");
        Ok(())
    });
    let worker = world.work_with(vec![panics], |_| {}, |worker| worker.layers(layers));
    let id = world.publish("panics", "default").await;
    let error = world.until(id, TaskState::Scheduled).await.error.unwrap();
    assert_eq!((error.kind, error.message.as_str()), (RunErrorKind::Panicked, "boom"));
    assert_eq!(door.counts(), [1, 1], "the layer was unwound");
    worker.stopped().await;
}

#[tokio::test]
async fn a_run_that_is_dropped_is_dropped_with_its_layers() {
    let world = World::new().await;
    let door = Door::default();
    let layers = RunLayers::new().with(door.clone());
    let slow = stubborn("slow").timeout(Duration::from_millis(50));
    let worker = world.work_with(vec![slow], quick, |worker| worker.layers(layers));
    let id = world.publish("slow", "default").await;
    let error = world.until(id, TaskState::Scheduled).await.error.unwrap();
    assert_eq!((error.kind, door.counts()), (RunErrorKind::TimedOut, [1, 1]));
    worker.stopped().await;
}
