//! What is expected to have been published, and what failing tests say.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::typed::Task;

use super::World;
use super::look::Published;

/// Tasks that a failing test shows, at most.
const SHOWN: usize = 20;

/// What [`assert_published!`](crate::assert_published) and [`assert_not_published!`](crate::assert_not_published) look for:
/// the conditions behind the pattern are calls of these methods.
#[must_use]
pub struct Expectation<T> {
    matches: fn(&T) -> bool,
    /// As it is written.
    pattern: &'static str,
    conditions: Vec<Condition>,
    times: Option<usize>,
}

/// One thing more that must be so.
struct Condition {
    said: String,
    holds: Box<dyn Fn(&TaskRecord) -> bool>,
}

impl<T: Task> Expectation<T> {
    /// A task whose arguments match.
    pub fn new(pattern: &'static str, matches: fn(&T) -> bool) -> Self {
        Self { matches, pattern, conditions: Vec::new(), times: None }
    }

    /// `queue = "billing"`: it was sent to this queue.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        let queue = queue.into();
        let said = format!("to the queue {queue}");
        self.when(said, move |record| record.message.queue.as_str() == queue)
    }

    /// `due_in = Duration::from_secs(60)`: it was due so long after it was published.
    pub fn due_in(self, delay: Duration) -> Self {
        let in_time = move |record: &TaskRecord| {
            let published = record.message.first_published?;
            Some(upbeat_shared::clock::later(published, delay) == record.due_at?)
        };
        self.when(format!("due in {delay:?}"), move |record| in_time(record).unwrap_or(false))
    }

    /// `due_at = "2026-01-02T09:00:00Z".parse().unwrap()`: it is, or was, due at this instant.
    pub fn due_at(self, at: Timestamp) -> Self {
        self.when(format!("due at {at}"), move |record| record.due_at == Some(at))
    }

    /// `priority = 9`: it has this priority.
    pub fn priority(self, priority: u8) -> Self {
        self.when(format!("of priority {priority}"), move |record| record.message.priority.get() == priority)
    }

    /// `tag = "eu"`: it has this label.
    pub fn tag(self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        self.when(format!("labelled {tag}"), move |record| record.message.tags.contains(&tag))
    }

    /// `dedup_id = "may-7"`: it was published with this dedup id.
    pub fn dedup_id(self, id: impl Into<String>) -> Self {
        let id = id.into();
        let said = format!("with the dedup id {id}");
        self.when(said, move |record| record.message.dedup_id.as_deref() == Some(&*id))
    }

    /// `schedule = "report.nightly"`: this schedule made it.
    pub fn schedule(self, id: impl Into<String>) -> Self {
        let id = id.into();
        let said = format!("made by the schedule {id}");
        self.when(said, move |record| {
            record.message.occurrence.as_ref().is_some_and(|planned| planned.schedule_id.as_str() == id)
        })
    }

    /// `state = TaskState::Dead`: it is in this state now.
    pub fn state(self, state: TaskState) -> Self {
        self.when(format!("{state} now"), move |record| record.state == state)
    }

    /// `times = 2`: so many are, no more and no fewer. At least one, unless told.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    fn when(mut self, said: String, holds: impl Fn(&TaskRecord) -> bool + 'static) -> Self {
        self.conditions.push(Condition { said, holds: Box::new(holds) });
        self
    }

    /// They were published.
    ///
    /// # Panics
    ///
    /// If not, with what was published instead.
    #[track_caller]
    pub fn published(self, world: &World) {
        let found = self.count(world);
        let expected = match self.times {
            None if found > 0 => return,
            Some(times) if found == times => return,
            None => "should have been published, and was not".to_owned(),
            Some(times) => format!("should have been published {}, and was {}", often(times), often(found)),
        };
        panic!("{} {expected}.\n{}", self.said(), listing(world));
    }

    /// None was published.
    ///
    /// # Panics
    ///
    /// If one was, with all that was published.
    #[track_caller]
    pub fn not_published(self, world: &World) {
        let found = self.count(world);
        let problem = match self.times {
            None if found == 0 => return,
            Some(times) if found != times => return,
            _ => format!("should not have been published, and was {}", often(found)),
        };
        panic!("{} {problem}.\n{}", self.said(), listing(world));
    }

    #[track_caller]
    fn count(&self, world: &World) -> usize {
        let holds = |published: &Published<T>| {
            (self.matches)(&published.task)
                && self.conditions.iter().all(|condition| (condition.holds)(&published.record))
        };
        world.published::<T>().iter().filter(|published| holds(published)).count()
    }

    fn said(&self) -> String {
        let mut said = format!("`{}`", self.pattern);
        for condition in &self.conditions {
            let _ = write!(said, ", {}", condition.said);
        }
        if !self.conditions.is_empty() {
            said.push(',');
        }
        said
    }
}

impl<T> std::fmt::Debug for Expectation<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expectation").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

fn often(times: usize) -> String {
    match times {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        times => format!("{times} times"),
    }
}

/// Everything that was published, a line each; the newest if there is too much.
fn listing(world: &World) -> String {
    let tasks = world.tasks();
    let Some(skipped) = tasks.len().checked_sub(SHOWN).or((!tasks.is_empty()).then_some(0)) else {
        return "Nothing was published.".to_owned();
    };
    let mut text = "This was published:".to_owned();
    if skipped > 0 {
        let _ = write!(text, "\n  … {skipped} before these …");
    }
    for record in &tasks[skipped..] {
        let _ = write!(text, "\n  {}", line(record));
    }
    text
}

fn line(record: &TaskRecord) -> String {
    let message = &record.message;
    let mut line = format!("{} {} to {}", message.name, message.args.to_json(), message.queue);
    if let (Some(published), Some(due_at)) = (message.first_published, record.due_at)
        && due_at > published
    {
        let _ = write!(line, ", due in {:?} (at {due_at})", upbeat_shared::clock::until(published, due_at));
    }
    if let Some(planned) = &message.occurrence {
        let _ = write!(line, ", by the schedule {}", planned.schedule_id);
    }
    let _ = write!(line, ": {}", record.state);
    line
}

/// Asserts that a task was published in a world: by the test, by a handler or by a schedule, whatever became of it since.
///
/// What is looked for is a pattern of the task's type, perhaps with an `if`. Conditions on the rest may follow; each is a
/// method of [`Expectation`](crate::testing::Expectation).
///
/// ```
/// # use std::time::Duration;
/// # use serde::{Deserialize, Serialize};
/// # use upbeat::prelude::*;
/// use upbeat::testing::{World, assert_not_published, assert_published};
///
/// # #[derive(Serialize, Deserialize, Task)] #[task(name = "billing.invoice", queue = "billing")]
/// # struct Invoice { customer: u64, net: u64 }
/// # #[derive(Serialize, Deserialize, Task)] #[task(name = "billing.close")]
/// # struct CloseMonth;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let world = World::new(App::new());
/// world.client().publish(Invoice { customer: 7, net: 1200 }).delay(Duration::from_secs(60)).await.unwrap();
///
/// assert_published!(world, Invoice { customer: 7, .. });
/// assert_published!(world, Invoice { net, .. } if *net > 1000);
/// assert_published!(world, Invoice { .. }, queue = "billing", due_in = Duration::from_secs(60), times = 1);
/// assert_not_published!(world, Invoice { customer: 8, .. });
/// assert_not_published!(world, CloseMonth);
/// # }
/// ```
///
/// A failing one says what was published instead.
#[macro_export]
macro_rules! assert_published {
    ($world:expr, $($rest:tt)+) => {
        $crate::__expect_published!(published, $world, $($rest)+)
    };
}

/// Asserts that no such task was published in a world. Takes what [`assert_published!`](crate::assert_published) takes.
#[macro_export]
macro_rules! assert_not_published {
    ($world:expr, $($rest:tt)+) => {
        $crate::__expect_published!(not_published, $world, $($rest)+)
    };
}

/// The pattern's type, the pattern, and the conditions, told apart.
#[doc(hidden)]
#[macro_export]
macro_rules! __expect_published {
    ($check:ident, $world:expr, $($type:ident)::+ { $($fields:tt)* } $(if $guard:expr)? $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::__expect_published!(@ $check, $world, ($($type)::+), ($($type)::+ { $($fields)* } $(if $guard)?), $($key = $value),*)
    };
    ($check:ident, $world:expr, $($type:ident)::+ ( $($fields:tt)* ) $(if $guard:expr)? $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::__expect_published!(@ $check, $world, ($($type)::+), ($($type)::+ ( $($fields)* ) $(if $guard)?), $($key = $value),*)
    };
    ($check:ident, $world:expr, $($type:ident)::+ $(if $guard:expr)? $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::__expect_published!(@ $check, $world, ($($type)::+), ($($type)::+ $(if $guard)?), $($key = $value),*)
    };
    (@ $check:ident, $world:expr, ($type:ty), ($($pattern:tt)+), $($key:ident = $value:expr),*) => {
        $crate::testing::Expectation::<$type>::new(
            ::core::stringify!($($pattern)+),
            |task: &$type| ::core::matches!(task, $($pattern)+),
        )
        $(.$key($value))*
        .$check(&$world)
    };
}
