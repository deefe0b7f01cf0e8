//! A publish, as its caller describes it before it is made.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

use super::{Client, NewTask, PublishError, TaskHandle};
use crate::ledger::Due;
use crate::message::{Priority, TraceContext};
use crate::name::{QueueName, TaskKey};
use crate::retry::RetryPolicy;
use crate::typed::{Task, Unsaid};
use crate::unique::{OnTaken, Unique};

/// What can be published: a value of a task's type, or a [`NewTask`] by name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no task",
    note = "derive it: `#[derive(Serialize, Deserialize, Task)] #[task(name = \"…\")]`",
    note = "or publish by name: `NewTask::new(name, payload)`"
)]
pub trait Publishable: Send + 'static {
    /// What a run returns, as far as the type says it.
    type Output;
    /// The task to be published, as its type describes it.
    fn into_new_task(self) -> Result<NewTask, PublishError>;
}

impl Publishable for NewTask {
    type Output = Unsaid;
    fn into_new_task(self) -> Result<NewTask, PublishError> {
        Ok(self)
    }
}

impl<T: Task> Publishable for T {
    type Output = T::Output;
    fn into_new_task(self) -> Result<NewTask, PublishError> {
        NewTask::of(&self).map_err(|error| {
            PublishError::Invalid(format!("the arguments of {} cannot be encoded: {error}", T::NAME))
        })
    }
}

/// A publish with its options, to be made by something else than an await: in a transaction, for one.
impl<T: Publishable> Publishable for Publish<T> {
    type Output = T::Output;
    fn into_new_task(self) -> Result<NewTask, PublishError> {
        self.task
    }
}

/// A publish that is made when it is awaited.
///
/// ```no_run
/// # use std::time::Duration;
/// # use upbeat_shared::client::{Client, NewTask, PublishError};
/// # async fn example(client: Client, invoice: NewTask) -> Result<(), PublishError> {
/// let handle = client.publish(invoice).delay(Duration::from_secs(60)).dedup_id("invoice-7").await?;
/// println!("accepted as {}", handle.id());
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is published until it is awaited"]
#[derive(Debug)]
pub struct Publish<T> {
    client: Client,
    task: Result<NewTask, PublishError>,
    published: PhantomData<fn() -> T>,
}

impl Client {
    /// Publishes one task: a value of a task's type, or a [`NewTask`]. Options go in between; nothing happens before the
    /// await.
    pub fn publish<T: Publishable>(&self, task: T) -> Publish<T> {
        Publish { client: self.clone(), task: task.into_new_task(), published: PhantomData }
    }

    /// Publishes many tasks of one type in as few round trips as possible. On an error some of them may be accepted.
    pub async fn publish_all<T: Publishable>(
        &self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Result<Vec<TaskHandle<T>>, PublishError> {
        let tasks: Result<Vec<NewTask>, _> = tasks.into_iter().map(T::into_new_task).collect();
        let published = self.publish_many(tasks?).await?;
        Ok(published.into_iter().map(|published| TaskHandle::new(self.clone(), published)).collect())
    }
}

impl<T> Publish<T> {
    /// Due after this long.
    pub fn delay(self, delay: Duration) -> Self {
        self.with(|task| task.due = Some(Due::In(delay)))
    }

    /// Due at this instant of the store's time.
    pub fn at(self, at: Timestamp) -> Self {
        self.with(|task| task.due = Some(Due::At(at)))
    }

    /// Every task of this name with this dedup id is the same task, while ids are kept (`retention.ids`).
    pub fn dedup_id(self, id: impl Into<String>) -> Self {
        self.with(|task| task.dedup_id = Some(id.into()))
    }

    /// The only unfinished task of its name with this key. Where there is one already, that one is the answer:
    /// [`TaskHandle::id`] is its id, and [`TaskHandle::duplicate_of`] its state.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use upbeat_shared::client::{Client, NewTask, PublishError};
    /// # async fn example(client: Client, sync: NewTask) -> Result<(), PublishError> {
    /// let handle = client.publish(sync).unique("customer-7").await?;
    /// if let Some(state) = handle.duplicate_of() {
    ///     println!("{} does it already, and is {state}", handle.id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn unique(self, unique: impl Into<Unique>) -> Self {
        self.with(|task| task.unique = Some(unique.into()))
    }

    /// The only task of its name with this key within this time from when it was accepted, however soon it ends.
    pub fn unique_within(self, key: impl Into<String>, window: Duration) -> Self {
        self.unique(Unique::by(key).within(window))
    }

    /// Takes the place of the task that holds its unique key, if that does not run yet: the other one is cancelled, and says
    /// so. Goes behind [`Publish::unique`] or [`Publish::unique_within`].
    pub fn replacing(mut self) -> Self {
        match &mut self.task {
            Ok(NewTask { unique: Some(unique), .. }) => unique.on_taken = OnTaken::Replace,
            Ok(_) => {
                return self.refuse(
                    "replacing() goes behind unique(…): without a key there is nothing to replace".into(),
                );
            }
            Err(_) => {}
        }
        self
    }

    /// Where it waits for a worker, in place of its type's own queue.
    pub fn queue(self, queue: &str) -> Self {
        match QueueName::new(queue) {
            Ok(queue) => self.with(|task| task.queue = queue),
            Err(error) => self.refuse(error.to_string()),
        }
    }

    /// 0 (last) to 9 (first); 4 unless told.
    pub fn priority(self, priority: u8) -> Self {
        match Priority::new(priority) {
            Some(priority) => self.with(|task| task.priority = priority),
            None => self.refuse(format!("a priority is 0 to {}, and {priority} is none", Priority::MAX)),
        }
    }

    /// It must not start later than this from now; it is expired instead.
    pub fn expires_in(self, after: Duration) -> Self {
        self.with(|task| task.expires = Some(Due::In(after)))
    }

    /// It must not start after this instant of the store's time; it is expired instead.
    pub fn expires_at(self, at: Timestamp) -> Self {
        self.with(|task| task.expires = Some(Due::At(at)))
    }

    /// So long from now it must have ended, its retries too: a run is stopped then, and no retry is put off until later.
    ///
    /// Expiry says until when it may start, and lets what has started run on; a deadline says when all of it is over.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use upbeat_shared::client::{Client, NewTask, PublishError};
    /// # async fn example(client: Client, quote: NewTask) -> Result<(), PublishError> {
    /// client.publish(quote).deadline_in(Duration::from_secs(30)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn deadline_in(self, after: Duration) -> Self {
        self.with(|task| task.deadline = Some(Due::In(after)))
    }

    /// By this instant of the store's time it must have ended, its retries too.
    pub fn deadline_at(self, at: Timestamp) -> Self {
        self.with(|task| task.deadline = Some(Due::At(at)))
    }

    /// How long one run may take, in place of the worker's setting for this task.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|task| task.timeout = Some(timeout))
    }

    /// When to retry, in place of the worker's setting for this task.
    pub fn retry(self, retry: RetryPolicy) -> Self {
        self.with(|task| task.retry = Some(retry))
    }

    /// A label to find it by; it may have several.
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.with(|task| task.tags.push(tag.into()))
    }

    /// Whose it is: a customer, an account, whatever limits count by. See [`TaskKey`] for what it may hold.
    pub fn key(self, key: impl AsRef<str>) -> Self {
        match TaskKey::new(key) {
            Ok(key) => self.with(|task| task.key = Some(key)),
            Err(error) => self.refuse(error.to_string()),
        }
    }

    /// Continues this trace in every run of the task.
    pub fn trace(self, trace: TraceContext) -> Self {
        self.with(|task| task.trace = Some(trace))
    }

    fn with(mut self, change: impl FnOnce(&mut NewTask)) -> Self {
        if let Ok(task) = &mut self.task {
            change(task);
        }
        self
    }

    /// The first mistake is the one that is told.
    fn refuse(mut self, message: String) -> Self {
        if self.task.is_ok() {
            self.task = Err(PublishError::Invalid(message));
        }
        self
    }

    async fn send(self) -> Result<TaskHandle<T>, PublishError> {
        let mut published = self.client.publish_many(vec![self.task?]).await?;
        let published = published.pop().expect("a batch of one has one answer");
        Ok(TaskHandle::new(self.client, published))
    }
}

impl<T: 'static> IntoFuture for Publish<T> {
    type Output = Result<TaskHandle<T>, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
