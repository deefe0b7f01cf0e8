//! What a drain did, and what it is expected to have done.

use std::fmt;

use upbeat_shared::name::QueueName;

use super::runs::{Outcome, Run};

/// Runs that a failing test shows, at most.
const SHOWN: usize = 20;

/// What was run until nothing was due any more.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use upbeat::prelude::*;
/// use upbeat::testing::{Outcome, World};
///
/// # #[derive(Serialize, Deserialize, Task)] #[task(name = "call", output = ())] struct Call;
/// # async fn call(_: Call) -> Result<(), Error> {
/// #     Err(Error::retry_after(std::time::Duration::from_secs(9), "nobody answers"))
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let world = World::new(App::new().task(call));
/// # world.client().publish(Call).await.unwrap();
/// let drained = world.drain().await.expect_runs(1);
/// assert_eq!((drained.succeeded(), drained.retried(), drained.dead()), (0, 1, 0));
/// assert!(matches!(drained.runs[0].outcome, Outcome::Retried { delay } if delay.as_secs() == 9));
/// assert_eq!(drained.runs[0].error.as_ref().unwrap().message, "nobody answers");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Drained {
    /// Every run, in order. A task that ran again at once is in it twice.
    pub runs: Vec<Run>,
    /// Queues in which tasks still wait, and how many: paused, or none that the program's worker takes from.
    pub waiting: Vec<(QueueName, u64)>,
}

impl Drained {
    /// Runs that succeeded.
    pub fn succeeded(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Succeeded)
    }

    /// Runs that failed, and whose tasks run again.
    pub fn retried(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Retried { .. }))
    }

    /// Runs that asked to be made again later.
    pub fn snoozed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Snoozed { .. }))
    }

    /// Runs that failed for good.
    pub fn dead(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Dead)
    }

    /// Runs that ended cancelled.
    pub fn cancelled(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Cancelled { .. }))
    }

    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.runs.iter().filter(|run| which(&run.outcome)).count()
    }

    /// Something ran, and all of it succeeded.
    ///
    /// # Panics
    ///
    /// If not, with what ran instead.
    #[track_caller]
    pub fn expect_all_succeeded(self) -> Self {
        assert!(!self.runs.is_empty(), "something should have run, but {self}");
        assert!(self.succeeded() == self.runs.len(), "every run should have succeeded, but {self}");
        self
    }

    /// So many runs were made, however they ended.
    ///
    /// # Panics
    ///
    /// If not, with what ran instead.
    #[track_caller]
    pub fn expect_runs(self, expected: usize) -> Self {
        assert!(self.runs.len() == expected, "{} should have been made, but {self}", runs(expected));
        self
    }
}

fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

/// As failing tests show it: what ran, a line each.
impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.runs.len() {
            0 => f.write_str("nothing ran")?,
            1 => f.write_str("this is what ran:")?,
            count => write!(f, "these {count} ran:")?,
        }
        for run in self.runs.iter().take(SHOWN) {
            write!(f, "\n  {run}")?;
        }
        if let Some(more) = self.runs.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            write!(f, "\n  … and {more} more")?;
        }
        for (queue, tasks) in &self.waiting {
            let wait = if *tasks == 1 { "task still waits" } else { "tasks still wait" };
            write!(
                f,
                "\n{tasks} {wait} in the queue {queue}: it is paused, or the program's worker does not take from it, because no \
                 task's type names it (name it in `worker.queues` of the configuration)"
            )?;
        }
        Ok(())
    }
}
