//! What programs were told and did, written outside of everything that can fail.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use upbeat_shared::client::{NewTask, PublishError, PublishLayer, PublishNext, Published};
use upbeat_shared::id::{Fence, TaskId};
use upbeat_shared::name::TaskName;
use upbeat_worker::layer::RunNext;
use upbeat_worker::{RunContext, RunLayer, RunResult};

use super::history::About;
use super::law::Law;
use super::net::Line;

/// One run of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimulatedRun {
    /// Of which task.
    pub id: TaskId,
    /// Its name.
    pub name: TaskName,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Which claim.
    pub fence: Fence,
    /// Whether the handler returned, and if so, without an error. A run that was dropped, and one whose process was killed, has
    /// not.
    pub returned: Option<bool>,
}

/// What was accepted, and what ran.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    accepted: BTreeSet<TaskId>,
    runs: Vec<SimulatedRun>,
}

impl Journal {
    pub(super) fn accepted(&self) -> Vec<TaskId> {
        self.pages().accepted.iter().copied().collect()
    }

    pub(super) fn runs(&self) -> Vec<SimulatedRun> {
        self.pages().runs.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("no holder of the pages panics")
    }

    /// Answers its place.
    fn began(&self, run: &RunContext) -> usize {
        let mut pages = self.pages();
        pages.runs.push(SimulatedRun {
            id: run.id(),
            name: run.message.name.clone(),
            attempt: run.attempt,
            fence: run.fence,
            returned: None,
        });
        pages.runs.len() - 1
    }

    fn returned(&self, place: usize, well: bool) {
        self.pages().runs[place].returned = Some(well);
    }
}

/// Looks on at the publishes and the runs of one process.
#[derive(Clone)]
pub(super) struct Witness {
    pub(super) line: Line,
    pub(super) journal: Arc<Journal>,
    pub(super) law: Arc<Law>,
}

impl RunLayer for Witness {
    async fn run(&self, run: RunContext, next: RunNext) -> RunResult {
        let id = run.id();
        let place = self.journal.began(&run);
        self.law.begins(id, run.fence);
        let about = About { text: Some(run.message.name.as_str().into()), ..About::tasks([id]) };
        self.line.note("runs", "", about);
        let result = next.run(run).await;
        self.journal.returned(place, result.is_ok());
        let end = if result.is_ok() { "well" } else { "badly" };
        self.line.note("ran", end, About::tasks([id]));
        result
    }
}

impl PublishLayer for Witness {
    async fn publish(&self, tasks: Vec<NewTask>, next: PublishNext) -> Result<Vec<Published>, PublishError> {
        let answers = next.publish(tasks).await;
        match &answers {
            Ok(published) => {
                let ids: Vec<TaskId> = published.iter().map(|published| published.id).collect();
                self.journal.pages().accepted.extend(&ids);
                self.line.note("published", "accepted", About::tasks(ids));
            }
            Err(error) => self.line.note("published", "perhaps:", About::text(error.to_string())),
        }
        answers
    }
}
