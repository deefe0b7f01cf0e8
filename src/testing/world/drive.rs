//! Driving the world: the beat's steps and the worker's, bounded in number and in patience.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use upbeat_shared::ledger::{QueueRecord, TaskFilter};
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::Transport;
use upbeat_worker::stepper::Step;

use super::drained::Drained;
use super::runs::Run;
use super::{Inner, World, at_once};

impl World {
    /// Plans, promotes and runs everything that is due, and whatever becomes due by that, until nothing is left. No time
    /// passes.
    ///
    /// Tasks run one after the other: queue by queue in turn as their weights say, within a queue by priority and in the order
    /// published.
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
    /// for name in ["you", "and you"] {
    ///     world.client().publish(Hello { name: name.to_owned() }).await.unwrap();
    /// }
    /// let drained = world.drain().await.expect_all_succeeded();
    /// assert_eq!(drained.runs.len(), 2);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no end to it ([`WorldOptions::max_runs`](super::WorldOptions::max_runs)), or a run has none
    /// ([`WorldOptions::patience`](super::WorldOptions::patience)).
    pub async fn drain(&self) -> Drained {
        let before = self.inner.runs().len();
        self.inner.drain().await;
        self.inner.since(before)
    }
}

impl Inner {
    /// Runs everything that is due, until nothing is left; answers when something is due next.
    pub(super) async fn drain(&self) -> Option<Timestamp> {
        let _bound = self.bound();
        loop {
            let next = self.promote().await;
            if self.run_queued().await == 0 {
                return next;
            }
        }
    }

    /// Plans and promotes what is due; answers when something is due next.
    async fn promote(&self) -> Option<Timestamp> {
        let step = self.beat.lock().await.step().await;
        step.expect("a ledger and a broker in memory do not fail").next
    }

    /// Runs what is queued; answers how many deliveries that were.
    pub(super) async fn run_queued(&self) -> usize {
        let _bound = self.bound();
        self.heartbeat().await;
        let mut taken = 0;
        while self.step_from(None).await.is_some() {
            taken += 1;
        }
        taken
    }

    /// The worker is there, and learns which queues are paused.
    pub(super) async fn heartbeat(&self) {
        self.worker.heartbeat().await.expect("a ledger in memory does not fail");
    }

    /// Takes one delivery and sees it through, from the world's broker or another.
    pub(super) async fn step_from(&self, transport: Option<&dyn Transport>) -> Option<Step> {
        let step = async {
            match transport {
                Some(transport) => self.worker.step_from(transport).await,
                None => self.worker.step().await,
            }
        };
        let step = tokio::time::timeout(self.patience, step).await;
        let step = step.unwrap_or_else(|_| panic!("{}", self.stuck()));
        let step = step.expect("a ledger and a broker in memory do not fail")?;
        self.fruitless.store(0, Ordering::Relaxed);
        if let Step::Ran { id, verdict } = &step {
            let record = self.record(*id).expect("what was settled has a row");
            self.log(Run::of(&record, verdict.clone(), self.now()));
        }
        Some(step)
    }

    fn log(&self, run: Run) {
        let mut runs = self.runs();
        runs.push(run);
        let (made, limit) = (runs.len(), self.limit.load(Ordering::Relaxed));
        let last = runs.last().map(|run| run.name.to_string()).unwrap_or_default();
        drop(runs);
        assert!(
            made < limit,
            "{} runs were made, and there is no end to it: does a task publish itself, or fail without a delay? The last \
             was of {last}. If so many are right, let `WorldOptions::max_runs` be larger",
            self.max_runs
        );
    }

    /// Sets the bound on runs anew, unless it is within one already.
    pub(super) fn bound(&self) -> Bound<'_> {
        if self.depth.fetch_add(1, Ordering::Relaxed) == 0 {
            self.limit.store(self.runs().len() + self.max_runs, Ordering::Relaxed);
        }
        Bound(self)
    }

    pub(super) fn runs(&self) -> MutexGuard<'_, Vec<Run>> {
        self.runs.lock().expect("no holder of the runs panics")
    }

    /// What was done since so many runs had been made.
    pub(super) fn since(&self, before: usize) -> Drained {
        let runs = self.runs()[before..].to_vec();
        let queues = at_once(self.store.inspect.queues()).expect("a ledger in memory does not fail");
        let waiting = |queue: QueueRecord| {
            let (_, count) = *queue.counts.iter().find(|(state, _)| *state == TaskState::Queued)?;
            Some((queue.name, count))
        };
        Drained { runs, waiting: queues.into_iter().filter_map(waiting).collect() }
    }

    fn stuck(&self) -> String {
        let running = TaskFilter { states: vec![TaskState::Running], ..TaskFilter::default() };
        let names: Vec<String> =
            self.tasks(&running).iter().map(|task| task.message.name.to_string()).collect();
        format!(
            "a run of {} has not ended within {:?}: does its handler wait for something that only the test can do, or sleep? \
             Pause tokio's time (`#[tokio::test(start_paused = true)]`), or let `WorldOptions::patience` be longer",
            names.join(" within one of "),
            self.patience
        )
    }
}

/// While it lasts, runs count towards one bound.
pub(super) struct Bound<'a>(&'a Inner);

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        self.0.depth.fetch_sub(1, Ordering::Relaxed);
    }
}
