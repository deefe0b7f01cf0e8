//! Layers by themselves, around a handler that needs no worker.

use std::sync::Mutex;

use upbeat_shared::id::TaskId;
use upbeat_shared::message::Message;
use upbeat_shared::name::{Namespace, QueueName, TaskName};

use super::*;
use crate::executor::TaskError;
use crate::executor::native::native;

/// What happened, in order.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Notes when a run comes by and when it ends.
struct Noting(&'static str, Notes);

impl RunLayer for Noting {
    async fn run(&self, run: RunContext, next: RunNext) -> RunResult {
        self.1.add(format!("{} begins", self.0));
        let result = next.run(run).await;
        self.1.add(format!("{} ends", self.0));
        result
    }
}

fn a_run() -> RunContext {
    let id = TaskId::from_foreign(&Namespace::default(), "a");
    let args = Payload::json(&7).unwrap();
    RunContext::detached(Message::new(id, TaskName::new("a").unwrap(), QueueName::default_queue(), args))
}

/// Doubles its argument, and notes that it ran.
fn doubling(notes: &Notes) -> Arc<dyn Executor> {
    let notes = notes.clone();
    let task = native(TaskName::new("a").unwrap(), move |number: u32, _| {
        notes.add("runs");
        async move { Ok(number * 2) }
    });
    task.executor
}

fn number(result: RunResult) -> u32 {
    result.unwrap().unwrap().decode().unwrap()
}

#[tokio::test]
async fn the_first_layer_is_the_outermost() {
    let notes = Notes::default();
    let layers = RunLayers::new().with(Noting("first", notes.clone())).with(Noting("second", notes.clone()));
    assert_eq!(number(layers.around(doubling(&notes)).run(a_run()).await), 14);
    assert_eq!(notes.all(), ["first begins", "second begins", "runs", "second ends", "first ends"]);
}

#[tokio::test]
async fn a_layer_can_change_what_the_handler_is_given() {
    let layers =
        RunLayers::new().with(run_fn(|run, next| next.run(run.with_args(Payload::json(&50).unwrap()))));
    let run = a_run();
    assert_eq!(number(layers.around(doubling(&Notes::default())).run(run.clone()).await), 100);
    assert_eq!(run.message.args, Payload::json(&7).unwrap(), "what was published stays as it was");
}

#[tokio::test]
async fn a_layer_can_answer_in_the_handlers_place() {
    let notes = Notes::default();
    let layers = RunLayers::new()
        .with(Noting("outer", notes.clone()))
        .with(run_fn(|_, _| async { Err(TaskError::Cancel("not today".into())) }));
    let result = layers.around(doubling(&notes)).run(a_run()).await;
    assert_eq!(result, Err(TaskError::Cancel("not today".into())));
    assert_eq!(notes.all(), ["outer begins", "outer ends"]);
}

#[tokio::test]
async fn a_function_is_a_layer() {
    async fn hides_errors(run: RunContext, next: RunNext) -> RunResult {
        next.run(run).await.or(Ok(None))
    }
    let fails = native(TaskName::new("a").unwrap(), |_: u32, _| async { Err::<(), _>("no".into()) });
    assert_eq!(RunLayers::new().with(hides_errors).around(fails.executor).run(a_run()).await, Ok(None));
}

#[tokio::test]
async fn without_layers_the_handler_runs_alone() {
    let layers = RunLayers::default();
    assert!(layers.is_empty());
    assert_eq!(number(layers.around(doubling(&Notes::default())).run(a_run()).await), 14);
}
