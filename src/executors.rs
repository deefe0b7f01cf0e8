//! Tasks as the configuration describes them, as a worker takes them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::config::{Ack, Config, ExecutorConfig, HttpTarget, Secret, TaskConfig, WebhookConfig};
use upbeat_shared::name::TaskName;
use upbeat_worker::{Executor, Registry, TaskDefinition};

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

impl RegistryError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Duplicate(_) => "task-twice",
            Self::NoHandler(_) => "task-without-handler",
            Self::Executor { .. } => "executor-invalid",
        }
    }
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
            (_, None) => settings(described(config, name, task)?, task),
        };
        add(&mut registry, definition)?;
    }
    for native in handlers.into_values() {
        add(&mut registry, native)?;
    }
    for (name, webhook) in config.hooks.tasks() {
        add(&mut registry, notice(name, webhook)?)?;
    }
    Ok(registry)
}

fn add(registry: &mut Registry, task: TaskDefinition) -> Result<(), RegistryError> {
    registry.add(task).map(|_| ()).map_err(|error| RegistryError::Duplicate(error.0))
}

fn settings(definition: TaskDefinition, task: &TaskConfig) -> TaskDefinition {
    let definition = definition.queue(task.queue.clone()).timeout(task.timeout).retry(task.retry);
    let mut definition = definition;
    definition.soft_timeout = task.soft_timeout.or(definition.soft_timeout);
    for (class, reaction) in task.on.iter() {
        definition.on.set(class.clone(), reaction);
    }
    let definition = if task.limit.is_none() { definition } else { definition.limit(task.limit) };
    let per_key = task.limit_per_key;
    let definition = if per_key.is_none() { definition } else { definition.limit_per_key(per_key) };
    let definition = match task.cancel_grace {
        Some(grace) => definition.cancel_grace(grace),
        None => definition,
    };
    match task.ack {
        // What the program itself says of its task stands.
        Ack::Settled => definition,
        Ack::Claimed => definition.ack_when_claimed(),
    }
}

fn described(config: &Config, name: &TaskName, task: &TaskConfig) -> Result<TaskDefinition, RegistryError> {
    let executor = match &task.executor {
        ExecutorConfig::Command { program, args, env, cwd, output_limit } => {
            let grace = task.cancel_grace.unwrap_or(config.worker.cancel_grace);
            command(program, args, env, cwd.as_ref(), (*output_limit, grace))
        }
        ExecutorConfig::Http(target) => http(target, task.timeout),
        ExecutorConfig::Native => return Err(RegistryError::NoHandler(name.clone())),
    };
    let executor = executor.map_err(|reason| RegistryError::Executor { name: name.clone(), reason })?;
    Ok(TaskDefinition::new(name.clone(), executor))
}

/// A task of Upbeat's own, which tells an endpoint of an event.
fn notice(name: &'static str, webhook: &WebhookConfig) -> Result<TaskDefinition, RegistryError> {
    let name = TaskName::new(name).expect("a constant that is a name");
    let executor = http(&webhook.target, webhook.timeout)
        .map_err(|reason| RegistryError::Executor { name: name.clone(), reason })?;
    let WebhookConfig { queue, timeout, retry, .. } = webhook;
    Ok(TaskDefinition::new(name, executor).queue(queue.clone()).timeout(*timeout).retry(*retry))
}

#[cfg(feature = "executor-command")]
#[allow(clippy::unnecessary_wraps, reason = "a build without this executor refuses")]
fn command(
    program: &str,
    args: &[String],
    env: &BTreeMap<String, Secret>,
    cwd: Option<&PathBuf>,
    (output_limit, cancel_grace): (usize, Duration),
) -> Result<Arc<dyn Executor>, String> {
    let mut command = upbeat_worker::executor::command::CommandTask::new(program);
    command.args = args.to_vec();
    command.env = env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    command.cwd = cwd.cloned();
    command.output_limit = output_limit;
    command.kill_grace = cancel_grace;
    Ok(Arc::new(command))
}

#[cfg(not(feature = "executor-command"))]
fn command(
    _program: &str,
    _args: &[String],
    _env: &BTreeMap<String, Secret>,
    _cwd: Option<&PathBuf>,
    _bounds: (usize, Duration),
) -> Result<Arc<dyn Executor>, String> {
    Err("this build runs no commands (feature executor-command)".to_owned())
}

#[cfg(feature = "executor-http")]
fn http(target: &HttpTarget, timeout: Duration) -> Result<Arc<dyn Executor>, String> {
    let HttpTarget { url, headers, secret } = target;
    let text = |error: upbeat_worker::executor::http::HttpTaskError| error.to_string();
    let mut http = upbeat_worker::executor::http::HttpTask::new(url.expose(), timeout).map_err(text)?;
    for (name, value) in headers {
        http = http.header(name, value.expose()).map_err(text)?;
    }
    if let Some(secret) = secret {
        http = http.secret(secret.expose());
    }
    Ok(Arc::new(http))
}

#[cfg(not(feature = "executor-http"))]
fn http(_target: &HttpTarget, _timeout: Duration) -> Result<Arc<dyn Executor>, String> {
    Err("this build sends no requests (feature executor-http)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native;

    fn config(text: &str, natives: &[TaskDefinition]) -> Config {
        use upbeat_shared::config::{KnownTask, Overrides, Sources, load};
        let known: Vec<KnownTask> = natives.iter().map(|task| KnownTask::new(task.name.clone())).collect();
        let flags = Overrides { config: Some("test.toml".into()), ..Overrides::default() };
        let sources = Sources { flags, env: &|_| None, read: &|_| Ok(text.to_owned()), known: &known };
        load(sources).unwrap().config
    }

    fn hello() -> TaskDefinition {
        native("hello", |(): (), _| async { Ok(()) })
    }

    #[test]
    fn a_file_and_the_program_bring_tasks_together() {
        let config = config("[tasks.report]\ncommand = [\"true\"]\n", &[hello()]);
        let names = registry(&config, &[hello()]).unwrap().names();
        assert_eq!(names.iter().map(TaskName::as_str).collect::<Vec<_>>(), ["hello", "report"]);
    }

    #[cfg(feature = "executor-http")]
    #[test]
    fn endpoints_that_are_told_of_events_are_tasks() {
        let config = config("[hooks.dead]\nurl = \"http://127.0.0.1:1/\"\nqueue = \"hooks\"\n", &[]);
        let registry = registry(&config, &[]).unwrap();
        let task = registry.get(&TaskName::new("upbeat.hook.dead").unwrap()).unwrap();
        assert_eq!(task.queue.as_ref().unwrap().as_str(), "hooks");
        assert_eq!((registry.names().len(), task.timeout), (1, Some(Duration::from_secs(30))));
    }

    #[test]
    fn two_tasks_of_one_name_are_refused() {
        let error = registry(&Config::default(), &[hello(), hello()]).unwrap_err();
        assert!(matches!(error, RegistryError::Duplicate(name) if name.as_str() == "hello"));
        let config = config("[tasks.hello]\ncommand = [\"true\"]\n", &[]);
        assert!(matches!(registry(&config, &[hello()]), Err(RegistryError::Duplicate(_))));
    }
}
