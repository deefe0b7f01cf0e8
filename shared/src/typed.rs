//! Tasks as Rust types: the arguments' type says which task they are for, what a run returns, and which versions of the
//! arguments it can read.

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Payload, Priority};
use crate::name::{QueueName, TaskName};
use crate::reaction::{Reaction, Reactions};
use crate::retry::RetryPolicy;

/// A type that is the arguments of one kind of task. Usually derived, with `#[derive(Task)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the arguments of a task",
    label = "does not say which task it is for",
    note = "derive it: `#[derive(Serialize, Deserialize, Task)]` and `#[task(name = \"…\")]` on the type"
)]
pub trait Task: Serialize + DeserializeOwned + Send + 'static {
    /// What a run returns: [`Returns<R>`], or [`Unsaid`] where the type does not say.
    type Output: Send + 'static;
    /// The task's name; it follows the rules of [`TaskName`].
    const NAME: &'static str;
    /// The queue that publishers use; `default` unless told.
    const QUEUE: Option<&'static str>;
    /// How long one run may take; the worker's setting unless told.
    const TIMEOUT: Option<Duration>;
    /// How long it may take before it is told to wind up.
    const SOFT_TIMEOUT: Option<Duration> = None;
    /// What becomes of failures by their code, where it is something else: classes as
    /// [`ErrorClass`](crate::reaction::ErrorClass) reads them.
    const ON: &'static [(&'static str, Reaction)] = &[];
    /// How often it may run and fail, the first time included, with the delays of [`RetryPolicy::DEFAULT`]; the worker's
    /// setting unless told.
    const MAX_ATTEMPTS: Option<u32>;
    /// When it runs again after a failure, where more is to be said than [`Task::MAX_ATTEMPTS`]; the worker's setting unless
    /// told.
    const RETRY: Option<RetryPolicy> = None;
    /// 0 (last) to 9 (first); the middle unless told.
    const PRIORITY: Option<u8> = None;
    /// Acknowledge its deliveries after the claim instead of after the run, for runs that may be longer than the broker lets
    /// a delivery wait.
    const ACK_WHEN_CLAIMED: bool = false;
    /// The version of the arguments' shape that this program writes; from 1.
    const VERSION: u32;
    /// The oldest version that [`Task::read`] still reads, as it reads every one from there to [`Task::VERSION`].
    const OLDEST: u32 = Self::VERSION;

    /// Reads arguments of any version that this program knows; upcasts older ones.
    fn read(version: u32, args: &Payload) -> Result<Self, ArgsError> {
        current(version, args)
    }
}

/// What a run of a task returns, as its type says it. Never a value of anything.
#[derive(Debug)]
pub struct Returns<R>(PhantomData<fn() -> R>);

/// A task's type does not say what its runs return.
#[derive(Debug)]
pub struct Unsaid(());

/// Which results a task's runs may have: `Returns<R>` allows `R` alone, [`Unsaid`] whatever there is.
#[diagnostic::on_unimplemented(
    message = "a run of this task must not return `{R}`: its type says `{Self}`",
    label = "returns something else than the task's type says",
    note = "let the handler return what `output` in `#[task(…)]` names, or change `output`"
)]
pub trait Yields<R> {}

impl<R> Yields<R> for Returns<R> {}
impl<R> Yields<R> for Unsaid {}

/// Why a task's arguments could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// A newer program wrote them. A worker of that program can run the task.
    #[error(
        "the arguments are of version {version}, and this program reads versions up to {known}: the task needs a \
         newer worker"
    )]
    Newer {
        /// What they are.
        version: u32,
        /// The newest that this program reads.
        known: u32,
    },
    /// An older program wrote them, and this one has no way to read that any more.
    #[error(
        "the arguments are of version {version}, and this program reads versions from {oldest} on: add \
         `from({version} = …)` to the task's type, or publish the task again with arguments of today"
    )]
    Older {
        /// What they are.
        version: u32,
        /// The oldest that this program reads.
        oldest: u32,
    },
    /// They are not what their version says they are.
    #[error("the arguments do not fit the handler: {0}")]
    Invalid(String),
}

impl ArgsError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "args-newer",
            Self::Older { .. } => "args-older",
            Self::Invalid(_) => "task-bad-arguments",
        }
    }
}

/// Which versions of a task's arguments a program reads: every one from the oldest to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgsVersions {
    /// The oldest.
    pub oldest: u32,
    /// The newest, which it also writes.
    pub newest: u32,
}

/// Reads arguments that have the shape of the type itself: of its own version, or refused.
pub fn current<T: Task>(version: u32, args: &Payload) -> Result<T, ArgsError> {
    if version > T::VERSION {
        return Err(ArgsError::Newer { version, known: T::VERSION });
    }
    if version < T::VERSION {
        return Err(ArgsError::Older { version, oldest: T::OLDEST });
    }
    args.decode().map_err(|error| ArgsError::Invalid(error.to_string()))
}

/// Reads arguments that have the shape of an older version, and makes them what they are today.
pub fn older<Old: DeserializeOwned, T: From<Old>>(args: &Payload) -> Result<T, ArgsError> {
    let old: Old = args.decode().map_err(|error| ArgsError::Invalid(error.to_string()))?;
    Ok(old.into())
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
    /// [`Task::SOFT_TIMEOUT`].
    pub soft_timeout: Option<Duration>,
    /// [`Task::ON`].
    pub on: Reactions,
    /// [`Task::RETRY`], or the default with [`Task::MAX_ATTEMPTS`].
    pub retry: Option<RetryPolicy>,
    /// [`Task::PRIORITY`].
    pub priority: Option<Priority>,
    /// [`Task::ACK_WHEN_CLAIMED`].
    pub ack_when_claimed: bool,
    /// [`Task::OLDEST`] to [`Task::VERSION`].
    pub args: ArgsVersions,
}

impl TaskSettings {
    /// The settings of a type.
    ///
    /// # Panics
    ///
    /// If a name, a priority or an error's class that was written by hand breaks its rules; a derived one is checked when it is compiled.
    pub fn of<T: Task>() -> Self {
        let name = TaskName::new(T::NAME).expect("a task type's name follows the rules of task names");
        let queue = T::QUEUE.map(|queue| {
            QueueName::new(queue).expect("a task type's queue follows the rules of queue names")
        });
        let attempts = |max_attempts| RetryPolicy { max_attempts, ..RetryPolicy::DEFAULT };
        let priority = T::PRIORITY.map(|priority| {
            Priority::new(priority).expect("a task type's priority follows the rules of priorities")
        });
        Self {
            name,
            queue,
            timeout: T::TIMEOUT,
            soft_timeout: T::SOFT_TIMEOUT,
            on: T::ON
                .iter()
                .map(|(class, reaction)| {
                    let class = class.parse().expect("a task type's error classes follow their rules");
                    (class, *reaction)
                })
                .collect(),
            retry: T::RETRY.or_else(|| T::MAX_ATTEMPTS.map(attempts)),
            priority,
            ack_when_claimed: T::ACK_WHEN_CLAIMED,
            args: ArgsVersions { oldest: T::OLDEST, newest: T::VERSION },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct First {
        customer: u64,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Invoice {
        customer: String,
    }

    impl From<First> for Invoice {
        fn from(first: First) -> Self {
            Self { customer: first.customer.to_string() }
        }
    }

    impl Task for Invoice {
        type Output = Unsaid;
        const NAME: &'static str = "billing.invoice";
        const QUEUE: Option<&'static str> = None;
        const TIMEOUT: Option<Duration> = None;
        const MAX_ATTEMPTS: Option<u32> = None;
        const VERSION: u32 = 3;
        const OLDEST: u32 = 2;

        fn read(version: u32, args: &Payload) -> Result<Self, ArgsError> {
            match version {
                2 => older::<First, Self>(args),
                _ => current(version, args),
            }
        }
    }

    fn payload(value: &serde_json::Value) -> Payload {
        Payload::json(value).unwrap()
    }

    #[test]
    fn todays_arguments_and_older_ones_become_the_same_type() {
        let expected = Ok(Invoice { customer: "7".into() });
        assert_eq!(Invoice::read(3, &payload(&serde_json::json!({ "customer": "7" }))), expected);
        assert_eq!(Invoice::read(2, &payload(&serde_json::json!({ "customer": 7 }))), expected);
    }

    #[test]
    fn other_versions_are_told_apart() {
        let args = payload(&serde_json::json!({ "customer": "7" }));
        assert_eq!(Invoice::read(4, &args), Err(ArgsError::Newer { version: 4, known: 3 }));
        assert_eq!(Invoice::read(1, &args), Err(ArgsError::Older { version: 1, oldest: 2 }));
        assert_eq!(Invoice::read(0, &args), Err(ArgsError::Older { version: 0, oldest: 2 }));
        let misfit = Invoice::read(2, &args).unwrap_err();
        assert!(matches!(&misfit, ArgsError::Invalid(text) if text.contains("expected u64")), "{misfit}");
    }
}
