//! Which tasks a worker knows. Filled before it starts, never changed afterwards.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::limit::{LimitPolicies, LimitPolicy};
use upbeat_shared::message::Priority;
use upbeat_shared::name::{QueueName, TaskName};
use upbeat_shared::reaction::{ErrorClass, Reaction, Reactions};
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::typed::{ArgsVersions, Task, TaskSettings};

use crate::executor::Executor;

/// A task as a worker knows it: what runs it, and its settings where a message has none of its own.
#[derive(Clone)]
pub struct TaskDefinition {
    /// Its name, which messages carry.
    pub name: TaskName,
    /// The queue that its publishers use; a worker takes it from any queue.
    pub queue: Option<QueueName>,
    /// The priority that its publishers use; a message's own counts.
    pub priority: Option<Priority>,
    /// How long one run may take.
    pub timeout: Option<Duration>,
    /// How long a run may go on after it was told to stop.
    pub cancel_grace: Option<Duration>,
    /// How long it may take before it is told to wind up; less than its timeout, or nobody is told.
    pub soft_timeout: Option<Duration>,
    /// When to retry.
    pub retry: Option<RetryPolicy>,
    /// What becomes of failures by their code, where it is something else.
    pub on: Reactions,
    /// How many of these tasks run at once, and how often one starts, over all workers.
    pub limit: LimitPolicy,
    /// The same of each key by itself.
    pub limit_per_key: LimitPolicy,
    /// Which versions of its arguments it reads; every one where nothing is said. A message with a newer one is left to a
    /// newer worker.
    pub args: Option<ArgsVersions>,
    /// What runs it.
    pub executor: Arc<dyn Executor>,
    /// Acknowledge after the claim instead of after the run: for tasks that may run longer than the broker lets a
    /// delivery wait. The claim holds the whole message, so nothing is lost by it.
    pub ack_when_claimed: bool,
}

impl TaskDefinition {
    /// A task with the worker's settings.
    pub fn new(name: TaskName, executor: Arc<dyn Executor>) -> Self {
        Self {
            name,
            queue: None,
            priority: None,
            timeout: None,
            cancel_grace: None,
            soft_timeout: None,
            retry: None,
            on: Reactions::default(),
            limit: LimitPolicy::default(),
            limit_per_key: LimitPolicy::default(),
            args: None,
            executor,
            ack_when_claimed: false,
        }
    }

    /// A task as its type describes it.
    ///
    /// # Panics
    ///
    /// If the type was given a name by hand that breaks the rules of names; a derived one is checked when it is compiled.
    pub fn of<T: Task>(executor: Arc<dyn Executor>) -> Self {
        let TaskSettings { name, queue, priority, timeout, soft_timeout, retry, on, ack_when_claimed, args } =
            TaskSettings::of::<T>();
        let args = Some(args);
        Self {
            queue,
            priority,
            timeout,
            soft_timeout,
            retry,
            on,
            args,
            ack_when_claimed,
            ..Self::new(name, executor)
        }
    }

    /// The queue that its publishers use.
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// How long one run may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long a run may go on after it was told to stop, because its task was cancelled or its time is over; then it is
    /// dropped.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.cancel_grace = Some(grace);
        self
    }

    /// How long a run may take before it is told to wind up: a command by `SIGTERM`, a handler by
    /// [`Context::soft_timeout`](crate::Context::soft_timeout). Less than its timeout, or nobody is told.
    pub fn soft_timeout(mut self, soft_timeout: Duration) -> Self {
        self.soft_timeout = Some(soft_timeout);
        self
    }

    /// What becomes of failures with this code, or of this class of codes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use upbeat_shared::reaction::Reaction;
    /// # use upbeat_worker::executor::native::native;
    /// # let task = native("card.charge".parse().unwrap(), |(): (), _| async { Ok(()) });
    /// let task = task
    ///     .on("card_declined".parse().unwrap(), Reaction::GiveUp)
    ///     .on("timeout".parse().unwrap(), Reaction::RetryAfter(Duration::from_secs(60)));
    /// ```
    pub fn on(mut self, class: ErrorClass, reaction: Reaction) -> Self {
        self.on.set(class, reaction);
        self
    }

    /// When to retry.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    /// How many of these tasks run at once, and how often one starts, over all workers. Every worker of these tasks must
    /// say the same.
    ///
    /// ```
    /// use upbeat_shared::limit::LimitPolicy;
    /// # use upbeat_worker::executor::native::native;
    /// # let task = native("mail.send".parse().unwrap(), |(): (), _| async { Ok(()) });
    /// let task = task.limit(LimitPolicy::default().running(5).rate("10/1m".parse().unwrap()));
    /// ```
    pub fn limit(mut self, limit: LimitPolicy) -> Self {
        self.limit = limit;
        self
    }

    /// The same of each key by itself.
    pub fn limit_per_key(mut self, limit: LimitPolicy) -> Self {
        self.limit_per_key = limit;
        self
    }

    /// Which versions of its arguments it reads.
    pub fn args(mut self, versions: ArgsVersions) -> Self {
        self.args = Some(versions);
        self
    }

    /// Whether these arguments are of a version that is newer than all that it reads, and which is the newest that it reads.
    pub(crate) fn too_new(&self, version: u32) -> Option<u32> {
        self.args.map(|args| args.newest).filter(|newest| version > *newest)
    }

    /// Acknowledge after the claim instead of after the run.
    pub fn ack_when_claimed(mut self) -> Self {
        self.ack_when_claimed = true;
        self
    }
}

impl fmt::Debug for TaskDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskDefinition")
            .field("name", &self.name)
            .field("executor", &self.executor.describe())
            .finish_non_exhaustive()
    }
}

/// Two tasks of one name: messages could not tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task {0} is registered twice; a name chooses one handler")]
pub struct DuplicateName(pub TaskName);

impl DuplicateName {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "task-twice"
    }
}

/// The tasks that a worker knows, by name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    tasks: HashMap<TaskName, Arc<TaskDefinition>>,
}

impl Registry {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task; refuses a name that is taken.
    pub fn add(&mut self, task: TaskDefinition) -> Result<&mut Self, DuplicateName> {
        if self.tasks.contains_key(&task.name) {
            return Err(DuplicateName(task.name));
        }
        self.tasks.insert(task.name.clone(), Arc::new(task));
        Ok(self)
    }

    /// The task of this name.
    pub fn get(&self, name: &TaskName) -> Option<&Arc<TaskDefinition>> {
        self.tasks.get(name)
    }

    /// Every name, sorted.
    pub fn names(&self) -> Vec<TaskName> {
        let mut names: Vec<_> = self.tasks.keys().cloned().collect();
        names.sort();
        names
    }

    /// The limits of its tasks, beside those that are known.
    pub(crate) fn limits(&self, known: LimitPolicies) -> LimitPolicies {
        let mut all = known;
        for task in self.tasks() {
            for (limits, limit) in [(&mut all.tasks, task.limit), (&mut all.keys, task.limit_per_key)] {
                if !limit.is_none() {
                    limits.entry(task.name.clone()).or_insert(limit);
                }
            }
        }
        all
    }

    /// Every task, in no order.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<TaskDefinition>> {
        self.tasks.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::native;

    #[test]
    fn a_name_is_registered_once() {
        let task = || native::native(TaskName::new("a").unwrap(), |(): (), _| async { Ok(()) });
        let mut registry = Registry::new();
        registry.add(task()).unwrap();
        assert_eq!(registry.add(task()).unwrap_err().0.as_str(), "a");
        assert_eq!(registry.names().len(), 1);
    }
}
