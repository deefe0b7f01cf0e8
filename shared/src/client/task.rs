//! A task to be published, as its publisher describes it.

use std::time::Duration;

use crate::ledger::Due;
use crate::message::{Payload, PayloadError, Planned, Priority, TraceContext};
use crate::name::{QueueName, TaskKey, TaskName};
use crate::retry::RetryPolicy;
use crate::typed::{Task, TaskSettings};
use crate::unique::Unique;

/// Name, arguments and options.
///
/// ```
/// use std::time::Duration;
/// use upbeat_shared::client::NewTask;
/// use upbeat_shared::message::Payload;
/// use upbeat_shared::name::TaskName;
///
/// let args = Payload::json(&serde_json::json!({ "customer": 7 }))?;
/// let task = NewTask::new(TaskName::new("billing.invoice")?, args)
///     .dedup_id("invoice-2026-05-7")
///     .delay(Duration::from_secs(300));
/// # let _ = task;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Chooses the handler.
    pub name: TaskName,
    /// What the handler gets.
    pub args: Payload,
    /// Where it waits for a worker.
    pub queue: QueueName,
    /// 0 (last) to 9 (first).
    pub priority: Priority,
    /// When it is due; `None` for now.
    pub due: Option<Due>,
    /// Every task of this name with this dedup id is the same task.
    pub dedup_id: Option<String>,
    /// The key that one task of this name holds at a time. Where another one holds it, that one is the answer. With a dedup
    /// id too, the id is looked at first.
    pub unique: Option<Unique>,
    /// After this it must not start.
    pub expires: Option<Due>,
    /// By this it must have ended.
    pub deadline: Option<Due>,
    /// How long one run may take.
    pub timeout: Option<Duration>,
    /// When to retry.
    pub retry: Option<RetryPolicy>,
    /// Free labels.
    pub tags: Vec<String>,
    /// Whose it is: limits by key count it under this.
    pub key: Option<TaskKey>,
    /// The version of the arguments' shape; workers that read only older ones leave the task to newer workers.
    pub args_version: u32,
    /// The schedule that it was triggered for by hand, if any.
    pub planned: Option<Planned>,
    /// The publisher's trace; `None` for the client's own.
    pub trace: Option<TraceContext>,
}

impl NewTask {
    /// A task for the queue `default`, due now.
    pub fn new(name: TaskName, args: Payload) -> Self {
        Self {
            name,
            args,
            queue: QueueName::default_queue(),
            priority: Priority::default(),
            due: None,
            dedup_id: None,
            unique: None,
            expires: None,
            deadline: None,
            timeout: None,
            retry: None,
            tags: Vec::new(),
            key: None,
            args_version: 1,
            planned: None,
            trace: None,
        }
    }

    /// A task of this type: its name, its queue, its priority and its version of the arguments. How long it may take and
    /// how often it is tried is the worker's business, where the type's own settings and the configuration's are known.
    ///
    /// # Panics
    ///
    /// If the type was given a name or a priority by hand that breaks its rules; a derived one is checked when it is compiled.
    pub fn of<T: Task>(args: &T) -> Result<Self, PayloadError> {
        let TaskSettings { name, queue, priority, .. } = TaskSettings::of::<T>();
        let task = Self::new(name, Payload::msgpack(args)?);
        let queue = queue.unwrap_or_else(QueueName::default_queue);
        Ok(Self { queue, priority: priority.unwrap_or_default(), args_version: T::VERSION, ..task })
    }

    /// Where it waits for a worker.
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = queue;
        self
    }

    /// 0 (last) to 9 (first).
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Due after this long.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.due = Some(Due::In(delay));
        self
    }

    /// Due at this instant of the store's time.
    pub fn at(mut self, at: jiff::Timestamp) -> Self {
        self.due = Some(Due::At(at));
        self
    }

    /// Every task of this name with this dedup id is the same task, while ids are kept.
    pub fn dedup_id(mut self, id: impl Into<String>) -> Self {
        self.dedup_id = Some(id.into());
        self
    }

    /// The only unfinished task of this name with this key; [`Unique`] says what else it may be.
    pub fn unique(mut self, unique: impl Into<Unique>) -> Self {
        self.unique = Some(unique.into());
        self
    }

    /// A label to find it by; it may have several.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Whose it is: a customer, an account, whatever limits count by.
    pub fn key(mut self, key: TaskKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The version of the arguments' shape; 1 unless told.
    pub fn args_version(mut self, version: u32) -> Self {
        self.args_version = version;
        self
    }

    /// How long one run may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// So long from now it must have ended, its retries too.
    pub fn deadline_in(mut self, after: Duration) -> Self {
        self.deadline = Some(Due::In(after));
        self
    }

    /// By this instant of the store's time it must have ended, its retries too.
    pub fn deadline_at(mut self, at: jiff::Timestamp) -> Self {
        self.deadline = Some(Due::At(at));
        self
    }

    /// Continues this trace in every run of the task.
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// When to retry.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }
}
