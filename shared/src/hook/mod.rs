//! Hooks: what a program does when a task is to be retried, is dead, or is overdue. Never decides anything: when a hook is
//! called, the ledger has it already.
//!
//! ```
//! use upbeat_shared::hook::Hooks;
//!
//! let hooks = Hooks::new()
//!     .on_retry(|retry| async move { println!("{} again in {:?}", retry.message.name, retry.delay) })
//!     .on_dead(|dead| async move { println!("{} {}: {}", dead.message.name, dead.id(), dead.error.message) })
//!     .on_overdue(|overdue| async move { println!("{} is late by {:?}", overdue.schedule, overdue.late_by) });
//! # let _ = hooks;
//! ```
//!
//! Hooks are called beside the work, in no particular order, a few at a time. One that panics or takes longer than
//! [`HOOK_TIMEOUT`] is logged and dropped. When there are more events than hooks can take, events are dropped, counted and
//! logged: nothing waits for a hook. What must not be lost belongs into a task; `[hooks.dead]` of the configuration makes
//! one of every dead task.
//!
//! | event | who tells | when |
//! |---|---|---|
//! | retry | the worker | a run's verdict `retry` was settled |
//! | dead | the worker | a run's verdict `dead` was settled; a message was too old; nobody knew a task's name for too long |
//! | dead | the beat | too many workers were lost while it ran; a message could not be understood |
//! | overdue | the beat | the task of an occurrence has not started long after its instant |
//!
//! A process that dies between the ledger's answer and the hook has told nobody.

mod event;
mod notice;
mod queue;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

pub use event::{Dead, Overdue, Retry};
pub use notice::{DEAD_NOTICE, MAX_NOTICE_BYTES, Notices, OVERDUE_NOTICE, is_notice};
pub use queue::{HOOK_TIMEOUT, HookCalls, HookQueue, HookRunner};

type Hook<E> = Arc<dyn Fn(E) -> BoxFuture<'static, ()> + Send + Sync>;

/// What is called when. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hooks {
    retry: Vec<Hook<Retry>>,
    dead: Vec<Hook<Dead>>,
    overdue: Vec<Hook<Overdue>>,
}

impl Hooks {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls this when a run failed and its task runs again.
    pub fn on_retry<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Retry) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.retry.push(boxed(hook));
        self
    }

    /// Calls this when a task is dead.
    pub fn on_dead<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Dead) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.dead.push(boxed(hook));
        self
    }

    /// Calls this when an occurrence's task has not started long after its instant.
    pub fn on_overdue<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Overdue) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.overdue.push(boxed(hook));
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.retry.is_empty() && self.dead.is_empty() && self.overdue.is_empty()
    }
}

fn boxed<E, F, Fut>(hook: F) -> Hook<E>
where
    E: Send + 'static,
    F: Fn(E) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let hook = Arc::new(hook);
    // Called within the future, so that a panic before the first await is caught like any other.
    Arc::new(move |event| {
        let hook = Arc::clone(&hook);
        async move { hook(event).await }.boxed()
    })
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("retry", &self.retry.len())
            .field("dead", &self.dead.len())
            .field("overdue", &self.overdue.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
