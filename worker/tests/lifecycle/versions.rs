//! Arguments of other versions than the handler's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat_shared::client::NewTask;
use upbeat_shared::id::TaskId;
use upbeat_shared::message::Payload;
use upbeat_shared::name::TaskName;
use upbeat_shared::task::TaskState;
use upbeat_shared::typed::{self, ArgsError, ArgsVersions, Task, Unsaid};
use upbeat_shared::verdict::RunErrorKind;
use upbeat_worker::{IntoTask, TaskError, UnknownName, WorkerOptions};

use crate::jobs::counting;
use crate::world::{World, until};

/// Version 3; version 2 had a number.
#[derive(Serialize, Deserialize)]
struct Invoice {
    customer: String,
}

#[derive(Deserialize)]
struct Second {
    customer: u64,
}

impl From<Second> for Invoice {
    fn from(second: Second) -> Self {
        Self { customer: second.customer.to_string() }
    }
}

impl Task for Invoice {
    type Output = Unsaid;
    const NAME: &'static str = "invoice";
    const QUEUE: Option<&'static str> = None;
    const TIMEOUT: Option<Duration> = None;
    const MAX_ATTEMPTS: Option<u32> = None;
    const VERSION: u32 = 3;
    const OLDEST: u32 = 2;

    fn read(version: u32, args: &Payload) -> Result<Self, ArgsError> {
        match version {
            2 => typed::older::<Second, Self>(args),
            _ => typed::current(version, args),
        }
    }
}

async fn customer(invoice: Invoice) -> Result<String, TaskError> {
    Ok(invoice.customer)
}

async fn publish(world: &World, args: serde_json::Value, version: u32) -> TaskId {
    let name = TaskName::new("invoice").unwrap();
    let task = NewTask::new(name, Payload::json(&args).unwrap()).args_version(version);
    world.client.publish(task).await.unwrap().id()
}

/// Parks at short intervals, and gives up at once on a name that it does not know.
fn impatient(options: &mut WorkerOptions) {
    let at_once = Duration::from_millis(1);
    options.unknown_name = UnknownName { delay: at_once, max_delay: at_once, dead_after: Duration::ZERO };
}

#[tokio::test]
async fn a_task_with_newer_arguments_waits_for_a_newer_worker_however_long_that_takes() {
    let world = World::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let old = counting("invoice", &runs).args(ArgsVersions { oldest: 1, newest: 2 });
    let old = world.work(vec![old], impatient);
    let id = publish(&world, serde_json::json!({ "customer": "7" }), 3).await;
    let mut parked = 0;
    while parked < 4 {
        let record = world.until(id, TaskState::Scheduled).await;
        let note = "needs a worker that reads version 3 of its arguments; this one reads up to 2";
        assert_eq!(record.note.as_deref(), Some(note));
        parked += world.promote().await;
    }
    world.until(id, TaskState::Scheduled).await;
    old.stopped().await;
    let new = world.work(vec![customer.into_task(&())], |_| {});
    while world.promote().await == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let record = world.until(id, TaskState::Succeeded).await;
    assert_eq!(record.result.unwrap().decode::<String>().unwrap(), "7");
    assert_eq!((runs.load(Ordering::SeqCst), record.message.attempts), (0, 0));
    new.stopped().await;
}

#[tokio::test]
async fn older_arguments_become_what_they_are_today() {
    let world = World::new().await;
    let worker = world.work(vec![customer.into_task(&())], |_| {});
    let id = publish(&world, serde_json::json!({ "customer": 7 }), 2).await;
    let record = world.until(id, TaskState::Succeeded).await;
    assert_eq!(record.result.unwrap().decode::<String>().unwrap(), "7");
    worker.stopped().await;
}

#[tokio::test]
async fn a_task_with_arguments_that_nobody_reads_any_more_is_dead_at_once() {
    let world = World::new().await;
    let worker = world.work(vec![customer.into_task(&())], |_| {});
    let id = publish(&world, serde_json::json!({ "client": 7 }), 1).await;
    let record = world.until(id, TaskState::Dead).await;
    let error = record.error.unwrap();
    assert_eq!(error.kind, RunErrorKind::BadArguments);
    let expected = "the arguments are of version 1, and this program reads versions from 2 on: add `from(1 = …)` to the \
                    task's type, or publish the task again with arguments of today";
    assert_eq!(error.message, expected);
    until("a worker that is well", || worker.health.ready()).await;
    worker.stopped().await;
}
