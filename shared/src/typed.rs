//! Tasks as Rust types: the arguments' type says which task they are for.

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Payload, PayloadError};
use crate::name::{QueueName, TaskName};
use crate::retry::RetryPolicy;

/// A type that is the arguments of one kind of task. Usually derived, with `#[derive(Task)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no task",
    label = "not a task",
    note = "derive it: `#[derive(Serialize, Deserialize, Task)] #[task(name = \"…\")]`"
)]
pub trait Task: Serialize + DeserializeOwned + Send + 'static {
    /// What its runs return: [`Returns<R>`](Returns), or [`Unsaid`] where the type does not say.
    type Output: Send + 'static;
    /// The task's name; it follows the rules of [`TaskName`].
    const NAME: &'static str;
    /// The queue that publishers use; `default` unless told.
    const QUEUE: Option<&'static str>;
    /// How long one run may take; the worker's setting unless told.
    const TIMEOUT: Option<Duration>;
    /// How often it may run and fail, the first time included, with the delays of [`RetryPolicy::default`]; the worker's
    /// setting unless told.
    const MAX_ATTEMPTS: Option<u32>;
    /// The version of the arguments' shape that this program writes; from 1.
    const VERSION: u32;

    /// Reads arguments of any version that this program knows; older ones become what they would be now.
    fn read(version: u32, args: &Payload) -> Result<Self, ArgsError>;
}

/// The output of a task whose type says it.
#[derive(Debug)]
pub struct Returns<R>(PhantomData<fn() -> R>);

/// The output of a task whose type does not say it: whoever waits for a result says what he expects.
#[derive(Debug)]
pub struct Unsaid(());

/// Which results the runs of a task may have, by its [`Task::Output`].
#[diagnostic::on_unimplemented(
    message = "the task's type says another output than `{R}`",
    label = "`{Self}` is the output that the task's type says",
    note = "return what `#[task(output = …)]` names, or change it there"
)]
pub trait Yields<R> {}

impl<R> Yields<R> for Returns<R> {}

impl<R> Yields<R> for Unsaid {}

/// Why arguments cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// They were written by a newer program.
    #[error("version {version} of the arguments is newer than this program, which reads up to {known}")]
    Newer {
        /// Of the arguments.
        version: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// They are of a version that is no longer known.
    #[error(
        "version {version} of the arguments is no longer read here (the oldest is {oldest}); \
         add it to the task's `from(…)`"
    )]
    Older {
        /// Of the arguments.
        version: u32,
        /// The oldest that is known here.
        oldest: u32,
    },
    /// They are of a known version, and do not fit it.
    #[error(transparent)]
    Invalid(#[from] PayloadError),
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
