//! Looking at what was published, and at what became of it.

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{ActAnswer, Action, PageCursor, TaskFilter};
use upbeat_shared::name::{QueueName, ScheduleId, TaskName};
use upbeat_shared::occurrence::OccurrenceRecord;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::typed::Task;

use super::{Inner, World, at_once};

/// Rows in one look.
const PAGE: usize = 1000;

/// A task of a type, as it was published.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Published<T> {
    /// Its arguments.
    pub task: T,
    /// Everything else, and what became of it.
    pub record: TaskRecord,
}

impl World {
    /// Every task that was published, in order, by whomever: the test, a handler, a schedule.
    pub fn tasks(&self) -> Vec<TaskRecord> {
        self.inner.tasks(&TaskFilter::default())
    }

    /// A task by its id, if there is one.
    pub fn task(&self, id: TaskId) -> Option<TaskRecord> {
        self.inner.record(id)
    }

    /// Tasks that failed for good, in the order in which they were published.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "hello", output = String)] struct Hello { name: String }
    /// # async fn hello(task: Hello) -> Result<String, Error> { Ok(format!("hello {}", task.name)) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let world = World::new(App::new().task(hello));
    /// let no_name = serde_json::json!({ "age": 7 });
    /// let args = Payload::json(&no_name).unwrap();
    /// world.client().publish(NewTask::new(TaskName::new("hello").unwrap(), args)).await.unwrap();
    /// assert_eq!(world.drain().await.dead(), 1);
    /// assert!(world.dead()[0].error.as_ref().unwrap().message.contains("missing field `name`"));
    /// # }
    /// ```
    pub fn dead(&self) -> Vec<TaskRecord> {
        self.inner.tasks(&TaskFilter { states: vec![TaskState::Dead], ..TaskFilter::default() })
    }

    /// Every task of a type that was published, in order, with its arguments. For a look at one of them there is
    /// [`assert_published!`](crate::assert_published).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "hello", output = String)] struct Hello { name: String }
    /// # async fn hello(task: Hello) -> Result<String, Error> { Ok(format!("hello {}", task.name)) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let world = World::new(App::new().task(hello));
    /// world.client().publish(Hello { name: "you".to_owned() }).priority(9).await.unwrap();
    /// let published = world.published::<Hello>();
    /// assert_eq!((published.len(), published[0].task.name.as_str()), (1, "you"));
    /// assert_eq!(published[0].record.message.priority.get(), 9);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the arguments of one cannot be read as this type.
    #[track_caller]
    pub fn published<T: Task>(&self) -> Vec<Published<T>> {
        let name = TaskName::new(T::NAME).expect("a task type's name follows the rules of task names");
        let records = self.inner.tasks(&TaskFilter { name: Some(name), ..TaskFilter::default() });
        let read = |record: TaskRecord| {
            let args = &record.message.args;
            match T::read(record.message.args_version, args) {
                Ok(task) => Published { task, record },
                Err(error) => panic!("the task {} was published with {}: {error}", T::NAME, args.to_json()),
            }
        };
        records.into_iter().map(read).collect()
    }

    /// Ends a task that has not started, as `upbeat tasks cancel` does; asks a running one to stop.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "hello", output = String)] struct Hello { name: String }
    /// # async fn hello(task: Hello) -> Result<String, Error> { Ok(format!("hello {}", task.name)) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let world = World::new(App::new().task(hello));
    /// let handle = world.client().publish(Hello { name: "you".to_owned() }).await.unwrap();
    /// world.cancel(handle.id(), "changed my mind");
    /// assert!(world.drain().await.runs.is_empty());
    /// # }
    /// ```
    pub fn cancel(&self, id: TaskId, reason: impl Into<String>) -> ActAnswer {
        let action = Action::Cancel { reason: reason.into() };
        let answers = at_once(self.inner.store.inspect.act(vec![id], action));
        answers.expect("a ledger in memory does not fail").pop().expect("one answer for one task")
    }

    /// Makes a dead, cancelled or expired task due again, as `upbeat dead replay` does; a delayed one due now.
    pub fn retry(&self, id: TaskId) -> ActAnswer {
        let answers = at_once(self.inner.store.inspect.act(vec![id], Action::Retry));
        answers.expect("a ledger in memory does not fail").pop().expect("one answer for one task")
    }

    /// Pauses a queue, as `upbeat queues pause` does, or lets it go on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "hello", output = String)] struct Hello { name: String }
    /// # async fn hello(task: Hello) -> Result<String, Error> { Ok(format!("hello {}", task.name)) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let world = World::new(App::new().task(hello));
    /// world.pause("default", true);
    /// world.client().publish(Hello { name: "you".to_owned() }).await.unwrap();
    /// assert!(world.drain().await.runs.is_empty());
    /// world.pause("default", false);
    /// world.drain().await.expect_all_succeeded();
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If that is no name of a queue.
    #[track_caller]
    pub fn pause(&self, queue: &str, paused: bool) {
        let queue = QueueName::new(queue).unwrap_or_else(|error| panic!("{error}"));
        at_once(self.inner.store.inspect.pause(queue, paused)).expect("a ledger in memory does not fail");
    }

    /// What became of a schedule's instants, the oldest first: fired, or skipped and why.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "hello", output = String)] struct Hello { name: String }
    /// # async fn hello(task: Hello) -> Result<String, Error> { Ok(format!("hello {}", task.name)) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let daily = Schedule::cron("hello.daily", "@daily", Hello { name: "you".to_owned() });
    /// let world = World::new(App::new().task(hello).schedule(daily));
    /// world.advance(Duration::from_hours(72)).await.expect_all_succeeded();
    /// assert_eq!(world.occurrences("hello.daily").len(), 3);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If that is no id of a schedule.
    #[track_caller]
    pub fn occurrences(&self, schedule: &str) -> Vec<OccurrenceRecord> {
        let id = ScheduleId::new(schedule).unwrap_or_else(|error| panic!("{error}"));
        let newest_first = at_once(self.inner.store.catalog.occurrences(id, usize::MAX));
        let mut occurrences = newest_first.expect("a ledger in memory does not fail");
        occurrences.reverse();
        occurrences
    }
}

impl Inner {
    pub(super) fn record(&self, id: TaskId) -> Option<TaskRecord> {
        let records = at_once(self.store.inspect.get(vec![id]));
        records.expect("a ledger in memory does not fail").pop().flatten()
    }

    /// Those that a filter lets through, the oldest first.
    pub(super) fn tasks(&self, filter: &TaskFilter) -> Vec<TaskRecord> {
        let mut tasks = Vec::new();
        let mut after: Option<PageCursor> = None;
        loop {
            let page = at_once(self.store.inspect.list(filter.clone(), after, PAGE));
            let page = page.expect("a ledger in memory does not fail");
            tasks.extend(page.tasks);
            after = page.next;
            if after.is_none() {
                tasks.reverse();
                return tasks;
            }
        }
    }
}
