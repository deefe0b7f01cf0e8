//! What ran, as the handlers themselves wrote it down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock::Clock;
use upbeat_shared::id::TaskId;
use upbeat_worker::executor::native::native;
use upbeat_worker::{Registry, RunContext, TaskError};

use crate::message::task_name;

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Of which task.
    pub id: TaskId,
    /// The instant that the task is, if a schedule made it.
    pub planned_at: Option<Timestamp>,
    /// From 1.
    pub attempt: u32,
    /// When it began, by the clock of the test.
    pub at: Timestamp,
}

/// The runs of some workers, in the order they began.
#[derive(Clone, Debug)]
pub struct Runs {
    clock: Arc<dyn Clock>,
    notes: Arc<Mutex<Vec<Run>>>,
}

impl Runs {
    /// None yet. Their times are read from this clock, not from the workers'.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, notes: Arc::default() }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Run> {
        self.notes.lock().expect("no holder panics").clone()
    }

    /// Those of planned instants.
    pub fn planned(&self) -> Vec<(Timestamp, Run)> {
        self.all().into_iter().filter_map(|run| Some((run.planned_at?, run))).collect()
    }

    /// How often each task ran.
    pub fn by_task(&self) -> HashMap<TaskId, usize> {
        let mut counts = HashMap::new();
        for run in self.all() {
            *counts.entry(run.id).or_default() += 1;
        }
        counts
    }

    /// A registry whose handlers write here: `demo.task` succeeds, `fails.once` fails the first time, `takes.long`
    /// takes as many milliseconds as its argument says.
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::new();
        let add = |registry: &mut Registry, task| {
            registry.add(task).expect("each name once");
        };
        let runs = self.clone();
        add(
            &mut registry,
            native(task_name("demo.task"), move |_: serde_json::Value, run| {
                runs.note(&run);
                async { Ok(()) }
            }),
        );
        let runs = self.clone();
        add(
            &mut registry,
            native(task_name("fails.once"), move |_: serde_json::Value, run: RunContext| {
                runs.note(&run);
                async move { if run.attempt == 1 { Err(TaskError::Retry("as told".to_owned())) } else { Ok(()) } }
            }),
        );
        let runs = self.clone();
        add(
            &mut registry,
            native(task_name("takes.long"), move |millis: u64, run| {
                runs.note(&run);
                async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    Ok(())
                }
            }),
        );
        registry
    }

    fn note(&self, run: &RunContext) {
        let planned_at = run.message.occurrence.as_ref().map(|planned| planned.planned_at);
        let note = Run { id: run.id(), planned_at, attempt: run.attempt, at: self.clock.wall() };
        self.notes.lock().expect("no holder panics").push(note);
    }
}
