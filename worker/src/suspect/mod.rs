//! Suspects: tasks that were running when a worker was lost, twice. The next time they run alone, each in a process of its
//! own, so that those beside them are not blamed for them, nor they for those.
//!
//! The process is the worker's own program, started for this one task: whoever starts first thing looks whether it is such a
//! process ([`SuspectChild::enter`]). The worker keeps claim and heartbeat, and judges: it sends message and context through a
//! pipe, and gets progress and the outcome back. A process that dies before it has told its outcome is the outcome, with its
//! last output. A process whose worker has died ends itself, and whatever it has started.
//!
//! At most [`WorkerOptions::suspects`](crate::WorkerOptions::suspects) run at once; the others wait on the agenda for their turn.

#[cfg(unix)]
mod child;
#[cfg(unix)]
mod parent;
mod program;
#[cfg(unix)]
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[cfg(unix)]
pub use child::SuspectChild;
#[cfg(unix)]
pub(crate) use parent::Alone;
pub use program::SuspectProgram;

/// Where suspects run, and how many of them do.
pub(crate) struct Suspects {
    program: Option<SuspectProgram>,
    turns: Arc<Semaphore>,
    /// That there is no way to run one alone was said.
    said: AtomicBool,
}

/// The right to run one more suspect.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Suspects {
    pub(crate) fn new(program: Option<SuspectProgram>, at_once: u32) -> Self {
        let turns = Arc::new(Semaphore::new(at_once.max(1) as usize));
        Self { program: program.filter(|_| cfg!(unix)), turns, said: AtomicBool::new(false) }
    }

    /// What they run in, if there is a way to run one alone.
    pub(crate) fn program(&self) -> Option<&SuspectProgram> {
        self.program.as_ref()
    }

    /// The right to run one more, if there is room.
    pub(crate) fn turn(&self) -> Option<Turn> {
        self.turns.clone().try_acquire_owned().ok()
    }

    /// Says, once, that suspects run among the others here.
    pub(crate) fn say_that_there_is_no_way(&self) {
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a task that was running in lost workers runs again, and not alone: this program has not said how it is started \
                 for one task. Call `App::main`, or `upbeat::suspect::main` first thing, so that such a task runs in a process \
                 of its own"
            );
        }
    }
}
