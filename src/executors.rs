//! Tasks as the configuration describes them, as a worker takes them.

use std::collections::BTreeMap;

use upbeat_shared::config::{Config, ExecutorConfig, TaskConfig};
use upbeat_shared::name::TaskName;
use upbeat_worker::{Registry, TaskDefinition};

/// Why a worker cannot be given its tasks.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two tasks of one name.
    #[error("there are two tasks named {0}: one of them must get another name")]
    Duplicate(TaskName),
    /// This program has no handler for it.
    #[error("the task {0} is to be run by a handler of this program, which has none of that name")]
    NoHandler(TaskName),
    /// It cannot be run as it is described, or this build cannot run it.
    #[error("the task {name}: {reason}")]
    Executor {
        /// Which.
        name: TaskName,
        /// What is wrong.
        reason: String,
    },
}

/// The configuration's tasks and the program's own. What the configuration says of a program's own task wins.
pub fn registry(config: &Config, natives: &[TaskDefinition]) -> Result<Registry, RegistryError> {
    let mut handlers = BTreeMap::new();
    for task in natives {
        if handlers.insert(task.name.clone(), task.clone()).is_some() {
            return Err(RegistryError::Duplicate(task.name.clone()));
        }
    }
    let mut registry = Registry::new();
    for (name, task) in &config.tasks {
        let definition = match (&task.executor, handlers.remove(name)) {
            (ExecutorConfig::Native, Some(native)) => settings(native, task),
            (ExecutorConfig::Native, None) => return Err(RegistryError::NoHandler(name.clone())),
            (_, Some(_)) => return Err(RegistryError::Duplicate(name.clone())),
            (executor, None) => settings(described(name, executor)?, task),
        };
        add(&mut registry, definition)?;
    }
    for native in handlers.into_values() {
        add(&mut registry, native)?;
    }
    Ok(registry)
}

fn add(registry: &mut Registry, task: TaskDefinition) -> Result<(), RegistryError> {
    registry.add(task).map(|_| ()).map_err(|error| RegistryError::Duplicate(error.0))
}

fn settings(definition: TaskDefinition, task: &TaskConfig) -> TaskDefinition {
    definition.queue(task.queue.clone()).timeout(task.timeout).retry(task.retry)
}

fn described(name: &TaskName, executor: &ExecutorConfig) -> Result<TaskDefinition, RegistryError> {
    let _ = executor;
    Err(RegistryError::Executor { name: name.clone(), reason: "not yet".to_owned() })
}
