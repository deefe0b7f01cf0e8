//! From those who know of an event to the hooks: a bounded queue, and a task that calls.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Dead, Hook, Hooks, Overdue, Retry};
use crate::clock::Clock;
use crate::telemetry;

/// How long one call of a hook may take before it is dropped.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// Events that wait for the hooks, at most.
const WAITING: usize = 1024;

/// Calls at the same time, at most.
const AT_ONCE: usize = 16;

/// Dropped events are told of so often at most.
const QUIET: Duration = Duration::from_secs(60);

/// The events, as metrics call them.
const EVENTS: [&str; 3] = ["retry", "dead", "overdue"];

/// What becomes of a call, as metrics call it; `dropped` is an event that nobody was called for.
const DONE: &str = "done";
const PANICKED: &str = "panicked";
const TIMED_OUT: &str = "timed_out";
const DROPPED: &str = "dropped";

/// Takes events for the hooks, and never waits for them. Cheap to clone.
#[derive(Clone, Default)]
pub struct HookQueue {
    /// `None` where there are no hooks: nothing is made for them.
    open: Option<Arc<Open>>,
}

struct Open {
    events: mpsc::Sender<Event>,
    hooks: Hooks,
    clock: Arc<dyn Clock>,
    dropped: Mutex<Dropped>,
}

/// Events that nobody was told of.
#[derive(Default)]
struct Dropped {
    /// Since it was last told.
    count: u64,
    /// On the monotonic clock.
    told: Option<Duration>,
}

#[derive(Debug)]
enum Event {
    Retry(Box<Retry>),
    Dead(Box<Dead>),
    Overdue(Box<Overdue>),
}

/// Calls the hooks, until it is stopped or dropped.
#[derive(Debug)]
#[must_use = "hooks are called only while this is kept"]
pub struct HookRunner {
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Hooks {
    /// Begins to call these hooks for what comes into the queue. Call it where the recorder of metrics is in place.
    pub fn start(self, clock: Arc<dyn Clock>) -> (HookQueue, HookRunner) {
        self.start_within(clock, HOOK_TIMEOUT)
    }

    /// As [`Hooks::start`], with another bound on each call.
    pub(super) fn start_within(self, clock: Arc<dyn Clock>, limit: Duration) -> (HookQueue, HookRunner) {
        for event in EVENTS {
            for outcome in [DONE, PANICKED, TIMED_OUT, DROPPED] {
                count(event, outcome, 0);
            }
        }
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        if self.is_empty() {
            return (HookQueue::default(), HookRunner { stop, task });
        }
        let (events, waiting) = mpsc::channel(WAITING);
        task.spawn(call_forever(self.clone(), waiting, stop.clone(), limit));
        let open = Open { events, hooks: self, clock, dropped: Mutex::default() };
        (HookQueue { open: Some(Arc::new(open)) }, HookRunner { stop, task })
    }
}

/// Calls the hooks when it is told to: for tests and simulations, where nothing happens by itself.
#[derive(Debug)]
pub struct HookCalls {
    hooks: Hooks,
    waiting: Mutex<mpsc::Receiver<Event>>,
}

impl Hooks {
    /// As [`Hooks::start`], but nothing is called before [`HookCalls::call_waiting`].
    pub fn by_hand(self, clock: Arc<dyn Clock>) -> (HookQueue, HookCalls) {
        let (events, waiting) = mpsc::channel(WAITING);
        let open = Open { events, hooks: self.clone(), clock, dropped: Mutex::default() };
        (HookQueue { open: Some(Arc::new(open)) }, HookCalls { hooks: self, waiting: Mutex::new(waiting) })
    }
}

impl HookCalls {
    /// Calls for every event that waits, one after the other. What a hook panics with is left to the caller.
    pub async fn call_waiting(&self) {
        while let Some(event) = self.next() {
            for call in event.calls(&self.hooks) {
                call.await;
            }
        }
    }

    fn next(&self) -> Option<Event> {
        self.waiting.lock().expect("no holder of the events panics").try_recv().ok()
    }
}

impl HookQueue {
    /// Whether somebody wants to know of dead tasks.
    pub fn wants_dead(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.hooks.dead.is_empty())
    }

    /// Tells of a retry, if somebody wants to know.
    pub fn retry(&self, event: impl FnOnce() -> Retry) {
        if let Some(open) = self.open.as_ref().filter(|open| !open.hooks.retry.is_empty()) {
            open.send(Event::Retry(Box::new(event())));
        }
    }

    /// Tells of a dead task, if somebody wants to know.
    pub fn dead(&self, event: impl FnOnce() -> Dead) {
        if let Some(open) = self.open.as_ref().filter(|open| !open.hooks.dead.is_empty()) {
            open.send(Event::Dead(Box::new(event())));
        }
    }

    /// Tells of an overdue task, if somebody wants to know.
    pub fn overdue(&self, event: impl FnOnce() -> Overdue) {
        if let Some(open) = self.open.as_ref().filter(|open| !open.hooks.overdue.is_empty()) {
            open.send(Event::Overdue(Box::new(event())));
        }
    }
}

impl fmt::Debug for HookQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookQueue").field("hooks", &self.open.as_ref().map(|open| &open.hooks)).finish()
    }
}

impl Open {
    fn send(&self, event: Event) {
        let name = event.name();
        match self.events.try_send(event) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                count(name, DROPPED, 1);
                self.dropped();
            }
            // Its owner stops, and has no time for more.
            Err(mpsc::error::TrySendError::Closed(_)) => count(name, DROPPED, 1),
        }
    }

    fn dropped(&self) {
        let now = self.clock.monotonic();
        let mut dropped = self.dropped.lock().expect("no holder of the count panics");
        dropped.count += 1;
        if dropped.told.is_some_and(|told| now < told + QUIET) {
            return;
        }
        dropped.told = Some(now);
        let count = std::mem::take(&mut dropped.count);
        tracing::warn!(
            dropped = count,
            "there are more events than the program's hooks can take, and some are dropped: make the hooks quicker, or \
             let them pass on what they get"
        );
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Retry(_) => EVENTS[0],
            Self::Dead(_) => EVENTS[1],
            Self::Overdue(_) => EVENTS[2],
        }
    }

    /// One call for each hook.
    fn calls(self, hooks: &Hooks) -> Vec<BoxFuture<'static, ()>> {
        fn each<E: Clone>(hooks: &[Hook<E>], event: &E) -> Vec<BoxFuture<'static, ()>> {
            hooks.iter().map(|hook| hook(event.clone())).collect()
        }
        match self {
            Self::Retry(event) => each(&hooks.retry, &event),
            Self::Dead(event) => each(&hooks.dead, &event),
            Self::Overdue(event) => each(&hooks.overdue, &event),
        }
    }
}

impl HookRunner {
    /// Takes no more events, and calls for those that wait, for so long at most.
    pub async fn stop(mut self, within: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(within, self.task.join_next()).await.is_err() {
            tracing::warn!("hooks did not end within {within:?}; what waited for them is dropped");
        }
    }
}

async fn call_forever(
    hooks: Hooks,
    mut events: mpsc::Receiver<Event>,
    stop: CancellationToken,
    limit: Duration,
) {
    // Calls are tasks of their own: one that blocks its thread does not keep the others from being called.
    let mut calls = JoinSet::new();
    loop {
        // Each arm is cancel-safe.
        let event = tokio::select! {
            biased;
            () = stop.cancelled(), if !events.is_closed() => {
                events.close();
                continue;
            }
            Some(_) = calls.join_next() => continue,
            event = events.recv() => event,
        };
        let Some(event) = event else { break };
        let name = event.name();
        for hook in event.calls(&hooks) {
            while calls.len() >= AT_ONCE {
                calls.join_next().await;
            }
            calls.spawn(call(name, hook, limit));
        }
    }
    while calls.join_next().await.is_some() {}
}

async fn call(event: &'static str, hook: BoxFuture<'static, ()>, limit: Duration) {
    let called = tokio::time::timeout(limit, AssertUnwindSafe(hook).catch_unwind()).await;
    let outcome = match called {
        Ok(Ok(())) => DONE,
        Ok(Err(panic)) => {
            tracing::error!(event, panic = panic_message(&*panic), "a hook of this program panicked");
            PANICKED
        }
        Err(_) => {
            tracing::error!(event, "a hook of this program took longer than {limit:?} and was dropped");
            TIMED_OUT
        }
    };
    count(event, outcome, 1);
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why")
}

fn count(event: &'static str, outcome: &'static str, by: u64) {
    metrics::counter!(telemetry::HOOK_CALLS, "event" => event, "outcome" => outcome).increment(by);
}
