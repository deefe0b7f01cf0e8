//! The registered tasks, each with its metrics made once: making them for every run would cost more than the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use upbeat_shared::name::TaskName;
use upbeat_shared::telemetry;
use upbeat_shared::verdict::Verdict;

use super::claim;
use super::verdict::{self, FAILURES, LABELS};
use crate::executor::blocking::{Pool, Seat};
use crate::registry::{Registry, TaskDefinition};

/// The registered tasks, by name.
pub(crate) struct Handlers {
    tasks: HashMap<TaskName, Arc<Handler>>,
    /// The threads of those that block; `None` where there is no such task.
    threads: Option<Pool>,
    running: Gauge,
    slots: Gauge,
}

/// A registered task and what is counted of it.
pub(crate) struct Handler {
    pub(crate) task: Arc<TaskDefinition>,
    running: AtomicU32,
    runs: [Counter; LABELS.len()],
    failures: [Counter; FAILURES.len()],
    seconds: Histogram,
}

impl Handlers {
    /// Call it where the recorder of metrics is in place.
    pub(crate) fn new(registry: &Registry, threads: Option<Pool>) -> Self {
        let handler = |task: &Arc<TaskDefinition>| (task.name.clone(), Arc::new(Handler::new(task.clone())));
        let tasks = registry.tasks().map(handler).collect();
        for answer in claim::LABELS {
            metrics::counter!(telemetry::CLAIMS, "answer" => answer).increment(0);
        }
        claim::show_limited();
        Self {
            tasks,
            threads,
            running: metrics::gauge!(telemetry::IN_FLIGHT),
            slots: metrics::gauge!(telemetry::SLOTS),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether any of them runs within this process, so that it may run alone. Commands and endpoints run apart anyway.
    pub(crate) fn any_within(&self) -> bool {
        self.tasks.values().any(|handler| !handler.task.executor.runs_apart())
    }

    pub(crate) fn get(&self, name: &TaskName) -> Option<&Arc<Handler>> {
        self.tasks.get(name)
    }

    /// Waits for the thread of a task that blocks it.
    pub(crate) async fn seat(&self) -> Arc<Seat> {
        self.threads.as_ref().expect("a worker with blocking handlers has threads for them").seat().await
    }

    /// The names of the tasks that run now and how many of each: most first, at most `max` names.
    pub(crate) fn running_now(&self, max: usize) -> Vec<(TaskName, u32)> {
        let running =
            self.tasks.iter().map(|(name, handler)| (name, handler.running.load(Ordering::Relaxed)));
        let mut running: Vec<_> = running.filter(|(_, count)| *count > 0).collect();
        running.sort_by(|(a, most), (b, more)| more.cmp(most).then_with(|| a.cmp(b)));
        running.into_iter().take(max).map(|(name, count)| (name.clone(), count)).collect()
    }

    /// How many tasks may run at once. Added and taken away: another worker of this process has slots, too.
    pub(crate) fn slots(&self) -> &Gauge {
        &self.slots
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
        let failures = FAILURES.map(|kind| {
            metrics::counter!(telemetry::RUN_FAILURES, "name" => name.clone(), "kind" => kind.as_str())
        });
        let seconds = metrics::histogram!(telemetry::RUN_SECONDS, "name" => name);
        Self { task, running: AtomicU32::new(0), runs, failures, seconds }
    }

    /// Counts a run that begins.
    pub(crate) fn began(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a run that ended.
    pub(crate) fn ended(&self, verdict: &Verdict, took: Duration) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        self.runs[verdict::label(verdict)].increment(1);
        if let Some(failure) = verdict::failure(verdict) {
            self.failures[failure].increment(1);
        }
        self.seconds.record(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::native;

    #[test]
    fn what_runs_is_told_by_name_most_first_and_no_more_names_than_asked_for() {
        let mut registry = Registry::new();
        for name in ["c", "b", "a", "idle"] {
            let task = native::native(TaskName::new(name).unwrap(), |(): (), _| async { Ok(()) });
            registry.add(task).unwrap();
        }
        let handlers = Handlers::new(&registry, None);
        for name in ["a", "b", "c", "b"] {
            handlers.get(&TaskName::new(name).unwrap()).unwrap().began();
        }
        let told = |max| {
            let running = handlers.running_now(max).into_iter();
            running.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>()
        };
        assert_eq!(told(8), ["b 2", "a 1", "c 1"]);
        assert_eq!(told(2), ["b 2", "a 1"]);
        handlers
            .get(&TaskName::new("b").unwrap())
            .unwrap()
            .ended(&Verdict::Succeeded { result: None }, Duration::ZERO);
        assert_eq!(told(8), ["a 1", "b 1", "c 1"]);
    }
}
