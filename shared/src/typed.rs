//! Tasks as Rust types: the arguments' type says which task they are for.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::name::{QueueName, TaskName};
use crate::retry::RetryPolicy;

/// A type that is the arguments of one kind of task. Usually derived, with `#[derive(Task)]`.
pub trait Task: Serialize + DeserializeOwned + Send + 'static {
    /// The task's name; it follows the rules of [`TaskName`].
    const NAME: &'static str;
    /// The queue that publishers use; `default` unless told.
    const QUEUE: Option<&'static str>;
    /// How long one run may take; the worker's setting unless told.
    const TIMEOUT: Option<Duration>;
    /// How often it may run and fail, the first time included, with the delays of [`RetryPolicy::default`]; the worker's
    /// setting unless told.
    const MAX_ATTEMPTS: Option<u32>;
}

/// What a task's type says of it, as publishers and handlers use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSettings {
    /// [`Task::NAME`].
    pub name: TaskName,
    /// [`Task::QUEUE`].
    pub queue: Option<QueueName>,
    /// [`Task::TIMEOUT`].
    pub timeout: Option<Duration>,
    /// From [`Task::MAX_ATTEMPTS`].
    pub retry: Option<RetryPolicy>,
}

impl TaskSettings {
    /// The settings of a type.
    ///
    /// # Panics
    ///
    /// If a name that was written by hand breaks the rules of names; a derived one is checked when it is compiled.
    pub fn of<T: Task>() -> Self {
        let name = TaskName::new(T::NAME).expect("a task type's name follows the rules of task names");
        let queue = T::QUEUE.map(|queue| {
            QueueName::new(queue).expect("a task type's queue follows the rules of queue names")
        });
        let retry =
            T::MAX_ATTEMPTS.map(|max_attempts| RetryPolicy { max_attempts, ..RetryPolicy::default() });
        Self { name, queue, timeout: T::TIMEOUT, retry }
    }
}
