//! Layers around the runs of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use upbeat_shared::client::{NewTask, PublishError, PublishLayers, PublishNext, Published, publish_fn};
use upbeat_shared::message::Payload;
use upbeat_shared::name::TaskName;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_worker::TaskError;
use upbeat_worker::executor::native::native;
use upbeat_worker::layer::{RunLayer, RunLayers, RunNext, run_fn};
use upbeat_worker::{RunContext, RunResult, WorkerOptions};

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
    options.cancel_grace = Duration::from_millis(50);
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

/// Written backwards: whoever reads it in the ledger sees nothing of it.
fn sealed(payload: &Payload) -> Payload {
    let bytes: Vec<u8> = payload.bytes.iter().rev().copied().collect();
    Payload { bytes: bytes.into(), ..payload.clone() }
}

#[tokio::test]
async fn what_is_sealed_when_it_is_published_is_opened_for_the_handler_alone() {
    let mut world = World::new().await;
    let seal = publish_fn(|tasks, next| {
        let seal = |task: NewTask| NewTask { args: sealed(&task.args), ..task };
        next.publish(tasks.into_iter().map(seal).collect())
    });
    world.client = world.client.with_layers(&PublishLayers::new().with(seal));
    let open = run_fn(|run: RunContext, next: RunNext| {
        let opened = sealed(&run.message.args);
        next.run(run.with_args(opened))
    });
    let echo = native(TaskName::new("echo").unwrap(), |text: String, _| async move { Ok(text) });
    let layers = RunLayers::new().with(open);
    let worker = world.work_with(vec![echo], |_| {}, |worker| worker.layers(layers));
    let plain = Payload::json(&"4111 1111").unwrap();
    let task = NewTask::new(TaskName::new("echo").unwrap(), plain.clone());
    let id = world.client.publish(task).await.unwrap().id();
    let record = world.until(id, TaskState::Succeeded).await;
    assert_eq!(record.message.args, sealed(&plain));
    assert_eq!(record.result.unwrap().decode::<String>().unwrap(), "4111 1111");
    worker.stopped().await;
}

tokio::task_local! {
    static TENANT: String;
}

/// Tags what is published with the tenant for whom something runs.
async fn tag_with_tenant(mut tasks: Vec<NewTask>, next: PublishNext) -> Result<Vec<Published>, PublishError> {
    if let Ok(tenant) = TENANT.try_with(String::clone) {
        for task in &mut tasks {
            task.tags.push(format!("tenant:{tenant}"));
        }
    }
    next.publish(tasks).await
}

/// Runs a task for the tenant that its tag names.
async fn run_for_tenant(run: RunContext, next: RunNext) -> RunResult {
    let tenant = run.message.tags.iter().find_map(|tag| tag.strip_prefix("tenant:")).map(str::to_owned);
    let Some(tenant) = tenant else { return Err(TaskError::GiveUp("it names no tenant".into())) };
    TENANT.scope(tenant, next.run(run)).await
}

#[tokio::test]
async fn a_tenant_goes_with_a_task_and_with_what_its_handler_publishes() {
    let mut world = World::new().await;
    world.client = world.client.with_layers(&PublishLayers::new().with(tag_with_tenant));
    let task = |name| NewTask::new(TaskName::new(name).unwrap(), Payload::json(&()).unwrap());
    let parent = native(TaskName::new("parent").unwrap(), move |(): (), run: RunContext| async move {
        let child = run.client.unwrap().publish(task("child")).await?;
        Ok(child.id())
    });
    let child = native(TaskName::new("child").unwrap(), |(): (), _| async { Ok(TENANT.get()) });
    let layers = RunLayers::new().with(run_for_tenant);
    let worker = world.work_with(vec![parent, child], |_| {}, |worker| worker.layers(layers));

    let publish = async { world.client.publish(task("parent")).await.unwrap().id() };
    let id = TENANT.scope("acme".into(), publish).await;

    let parent = world.until(id, TaskState::Succeeded).await;
    let child = world.until(parent.result.unwrap().decode().unwrap(), TaskState::Succeeded).await;
    assert_eq!(child.message.tags, ["tenant:acme"]);
    assert_eq!(child.result.unwrap().decode::<String>().unwrap(), "acme");
    let nobodys = world.client.publish(task("child")).await.unwrap().id();
    assert_eq!(world.until(nobodys, TaskState::Dead).await.error.unwrap().message, "it names no tenant");
    worker.stopped().await;
}
