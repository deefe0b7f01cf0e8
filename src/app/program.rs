//! What a program brings along, whatever the type of its state.

use std::collections::BTreeSet;

use upbeat_shared::client::PublishLayers;
use upbeat_shared::config::{Config, KnownTask};
use upbeat_shared::hook::Hooks;
use upbeat_shared::name::QueueName;
use upbeat_worker::suspect::SuspectProgram;
use upbeat_worker::{Registry, RunLayers, TaskDefinition};

#[cfg(feature = "beat")]
use super::schedule::{Schedule, ScheduleError};
use crate::executors::{self, RegistryError};

/// A program's own tasks and schedules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// What it is called in its help.
    pub(crate) name: Option<String>,
    /// Its own tasks.
    pub(crate) tasks: Vec<TaskDefinition>,
    /// Around every run.
    pub(crate) run_layers: RunLayers,
    /// Around every publish.
    pub(crate) publish_layers: PublishLayers,
    /// What is called when.
    pub(crate) hooks: Hooks,
    /// In which suspects run alone, if there is a way.
    pub(crate) suspects: Option<SuspectProgram>,
    /// Its own schedules.
    #[cfg(feature = "beat")]
    pub(crate) schedules: Vec<Schedule>,
}

impl Program {
    /// Its tasks as a configuration takes them into account.
    pub(crate) fn known(&self) -> Vec<KnownTask> {
        let known = |task: &TaskDefinition| KnownTask {
            queue: task.queue.clone(),
            priority: task.priority,
            timeout: task.timeout,
            soft_timeout: task.soft_timeout,
            retry: task.retry,
            args: task.args,
            ..KnownTask::new(task.name.clone())
        };
        self.tasks.iter().map(known).collect()
    }

    /// The queues that a worker takes work from: those that the configuration names, or else all that tasks and schedules
    /// are sent to.
    pub(crate) fn queues(&self, config: &Config) -> Vec<(QueueName, u32)> {
        if !config.worker.queues.is_empty() {
            return config.worker.queues.clone();
        }
        let mut all = BTreeSet::from([QueueName::default_queue()]);
        all.extend(config.queues.keys().cloned());
        all.extend(config.tasks.values().map(|task| task.queue.clone()));
        all.extend(config.schedules.iter().map(|schedule| schedule.definition.task.queue.clone()));
        all.extend(config.hooks.tasks().map(|(_, webhook)| webhook.queue.clone()));
        all.extend(self.tasks.iter().filter_map(|task| task.queue.clone()));
        #[cfg(feature = "beat")]
        all.extend(self.schedules.iter().filter_map(Schedule::sent_to));
        let weight = |queue: &QueueName| config.queues.get(queue).and_then(|queue| queue.weight).unwrap_or(1);
        all.into_iter().map(|queue| (queue.clone(), weight(&queue))).collect()
    }

    /// Its tasks and the configuration's.
    pub(crate) fn registry(&self, config: &Config) -> Result<Registry, RegistryError> {
        executors::registry(config, &self.tasks)
    }

    /// Its schedules, checked, as the catalog keeps them.
    #[cfg(feature = "beat")]
    pub(crate) fn schedules(&self) -> Result<Vec<upbeat_shared::ledger::NewSchedule>, ScheduleError> {
        let source = self.source();
        self.schedules.iter().map(|schedule| schedule.checked(&source)).collect()
    }

    /// Where its schedules are written, as the catalog says it. Programs of one namespace are told apart by their names:
    /// each removes from the catalog what it no longer has, and nobody else's.
    #[cfg(feature = "beat")]
    pub(crate) fn source(&self) -> String {
        let executable = || std::env::current_exe().ok()?.file_stem()?.to_str().map(str::to_owned);
        let name = self.name.clone().or_else(executable).unwrap_or_else(|| "upbeat".to_owned());
        format!("program {name}")
    }
}
