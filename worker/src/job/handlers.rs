//! The registered tasks, each with its metrics made once: making them for every run would cost more than the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use upbeat_shared::name::TaskName;
use upbeat_shared::telemetry;

use super::verdict::LABELS;
use crate::registry::{Registry, TaskDefinition};

/// The registered tasks, by name.
pub(crate) struct Handlers {
    tasks: HashMap<TaskName, Arc<Handler>>,
    running: Gauge,
}

/// A registered task and what is counted of it.
pub(crate) struct Handler {
    pub(crate) task: Arc<TaskDefinition>,
    runs: [Counter; LABELS.len()],
    seconds: Histogram,
}

impl Handlers {
    /// Call it where the recorder of metrics is in place.
    pub(crate) fn new(registry: &Registry) -> Self {
        let handler = |task: &Arc<TaskDefinition>| (task.name.clone(), Arc::new(Handler::new(task.clone())));
        let tasks = registry.tasks().map(handler).collect();
        Self { tasks, running: metrics::gauge!(telemetry::IN_FLIGHT) }
    }

    pub(crate) fn get(&self, name: &TaskName) -> Option<&Arc<Handler>> {
        self.tasks.get(name)
    }

    /// How many tasks run now.
    pub(crate) fn running(&self) -> &Gauge {
        &self.running
    }
}

impl Handler {
    fn new(task: Arc<TaskDefinition>) -> Self {
        let name = task.name.to_string();
        let runs = LABELS
            .map(|outcome| metrics::counter!(telemetry::RUNS, "name" => name.clone(), "outcome" => outcome));
        let seconds = metrics::histogram!(telemetry::RUN_SECONDS, "name" => name);
        Self { task, runs, seconds }
    }

    /// Counts a run that ended; `label` is an index into [`LABELS`].
    pub(crate) fn ended(&self, label: usize, took: Duration) {
        self.runs[label].increment(1);
        self.seconds.record(took.as_secs_f64());
    }
}
