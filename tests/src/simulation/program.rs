//! A program whose handlers write down what they did, where no fault reaches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::id::TaskId;
use upbeat::prelude::*;
use upbeat::retry::{Backoff, Jitter};

/// How often a task may fail, and how soon it runs again.
pub(super) const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 4,
    backoff: Backoff::Exponential,
    delay: Duration::from_millis(400),
    max_delay: Duration::from_secs(3),
    jitter: Jitter::Full,
};

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Does {
    /// Its work, at once.
    Work,
    /// Its work, after so many milliseconds.
    Sleep(u64),
    /// Fails so many times, then works.
    Fail(u32),
    /// Asks for another time once, then works.
    Snooze,
    /// Fails for ever.
    Doom,
    /// Publishes a task, under a dedup id, then works.
    Child,
}

/// The one kind of task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Task)]
#[task(name = "sim.work")]
pub struct Work {
    /// Which one.
    pub number: u64,
    /// What it does.
    pub does: Does,
}

/// How often each task's work was done.
#[derive(Clone, Debug, Default)]
pub struct Effects(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    done: BTreeMap<TaskId, u64>,
    snoozed: BTreeMap<TaskId, u64>,
}

impl Effects {
    /// How often the work of a task was done.
    pub fn of(&self, id: TaskId) -> u64 {
        self.pages().done.get(&id).copied().unwrap_or(0)
    }

    fn add(&self, id: TaskId) {
        *self.pages().done.entry(id).or_default() += 1;
    }

    fn snooze(&self, id: TaskId) -> bool {
        let mut pages = self.pages();
        let count = pages.snoozed.entry(id).or_default();
        *count += 1;
        *count == 1
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().expect("no holder of the pages panics")
    }
}

async fn work(task: Work, ctx: Context<Effects>) -> Result<(), Error> {
    let effects = ctx.state();
    match task.does {
        Does::Sleep(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Does::Fail(times) if ctx.attempt() <= times => return Err(Error::retry("not yet")),
        Does::Snooze if effects.snooze(ctx.id()) => return Err(Error::snooze(Duration::from_millis(700))),
        Does::Work | Does::Fail(_) | Does::Snooze => {}
        Does::Doom => return Err(Error::retry("never")),
        Does::Child => {
            let child = Work { number: 1000 + task.number, does: Does::Work };
            ctx.client().publish(child).dedup_id(format!("child of {}", task.number)).await?;
        }
    }
    effects.add(ctx.id());
    Ok(())
}

/// The program, over this journal of its effects.
pub(super) fn app(effects: &Effects) -> App<Effects> {
    App::new().named("simulated").state(effects.clone()).task(work)
}
