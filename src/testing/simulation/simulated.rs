//! What a simulation came to.

use std::collections::BTreeMap;
use std::fmt;

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Catalog;
use upbeat_shared::name::ScheduleId;
use upbeat_shared::occurrence::OccurrenceRecord;
use upbeat_shared::task::TaskRecord;

use super::engine::Engine;
use super::journal::SimulatedRun;
use super::options::Fault;
use super::rows;
use crate::testing::world::at_once;

/// Lines of a history that are shown of a failure.
const LINES: usize = 120;

/// A call of a port that took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenCall {
    /// Its number among the calls that arrived, from 0.
    pub call: u64,
    /// Which one: the method of the port.
    pub label: &'static str,
    /// Whether it changed something, so that a crash before it and one after it differ.
    pub notable: bool,
}

/// A history that has come to its end.
pub struct Simulated {
    seed: u64,
    engine: Engine,
    names: Vec<String>,
}

/// A history in which something happened that must not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unsound(String);

impl Simulated {
    pub(super) fn new(seed: u64, engine: Engine) -> Self {
        let names = engine.members.iter().map(|member| member.name.clone()).collect();
        Self { seed, engine, names }
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How long it took, in the simulation's own milliseconds.
    pub fn took_millis(&self) -> u64 {
        self.engine.now
    }

    /// Every task, the oldest first, as the ledger has it.
    pub fn tasks(&self) -> Vec<TaskRecord> {
        rows::all(&self.engine.ground.ledger)
    }

    /// The tasks of which their publisher was told that they are accepted.
    pub fn accepted(&self) -> Vec<TaskId> {
        self.engine.ground.journal.accepted()
    }

    /// Every run of a handler, in order.
    pub fn runs(&self) -> Vec<SimulatedRun> {
        self.engine.ground.journal.runs()
    }

    /// What became of a schedule's instants, the oldest first.
    ///
    /// # Panics
    ///
    /// If that is no id of a schedule.
    #[track_caller]
    pub fn occurrences(&self, schedule: &str) -> Vec<OccurrenceRecord> {
        let id = ScheduleId::new(schedule).unwrap_or_else(|error| panic!("{error}"));
        let mut found = at_once(self.engine.ground.ledger.occurrences(id, usize::MAX))
            .expect("a ledger in memory does not fail");
        found.reverse();
        found
    }

    /// How often a task's claims were lost or given back without a verdict: so many times more than once may its effect have
    /// happened.
    pub fn lost(&self, id: TaskId) -> u64 {
        self.engine.ground.law.account(id).lost
    }

    /// How many faults of each kind there were.
    pub fn faults(&self) -> BTreeMap<Fault, u64> {
        let wrong = self.engine.members.iter().filter(|member| !member.wrong_by.is_zero()).count() as u64;
        let others = [(Fault::Overtaking, self.engine.ground.net.held_up()), (Fault::WrongClock, wrong)];
        let others = others.into_iter().filter(|(_, count)| *count > 0);
        self.engine.struck.clone().into_iter().chain(others).collect()
    }

    /// The calls that took effect, in order: for those who place [crashes](super::SimulateOptions::crashes).
    pub fn calls(&self) -> &[SeenCall] {
        &self.engine.seen
    }

    /// Everything that happened, a line each.
    pub fn history(&self) -> String {
        self.engine.ground.net.history.words(&self.names, None)
    }

    /// What happened to one task and to the members.
    pub fn history_of(&self, id: TaskId) -> String {
        self.engine.ground.net.history.words(&self.names, Some(id))
    }

    /// How to have the same history again: for the messages of assertions.
    pub fn replay(&self) -> String {
        format!("this was the seed {0}; UPBEAT_SEED={0} replays it alone", self.seed)
    }

    /// What must not have happened and did.
    pub(super) fn sound(self, broken: &[String]) -> Result<Self, Unsound> {
        if broken.is_empty() {
            return Ok(self);
        }
        let history = self.history();
        let lines: Vec<&str> = history.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        Err(Unsound(format!(
            "{}\n{}; the last {} of {} lines of its history:\n{}",
            broken.join("\n"),
            self.replay(),
            last.len(),
            lines.len(),
            last.join("\n")
        )))
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated").field("seed", &self.seed).finish_non_exhaustive()
    }
}
