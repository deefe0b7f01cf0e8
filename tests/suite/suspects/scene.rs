//! A folder, its store, and the program in it.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{RestoreAnswer, Store};
use upbeat_shared::message::Message;
use upbeat_shared::run::{PastRuns, RunEnd};
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_tests::harness::{Journal, Process, World, eventually, eventually_some};
use upbeat_tests::message::{message, task_name};

use super::program::{ENTRY, GATE};

/// How long something may take that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

const WORKER: &str = "concurrency = 1000\ngrace = '5s'\n";

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) journal: Journal,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with_lease("2s")
    }

    pub(super) fn with_lease(lease: &str) -> Self {
        let configuration = format!("data = '@/data'\n[ledger]\nlease = '{lease}'\n[worker]\n{WORKER}");
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), &configuration);
        let journal = world.journal(World::JOURNAL);
        Self { world, journal }
    }

    /// Starts a role of the program.
    pub(super) fn start(&self, args: &[&str]) -> Process {
        self.start_with(args, &[])
    }

    /// Starts a role that dies at a failpoint.
    pub(super) fn start_to_fail(&self, args: &[&str], failpoint: &str) -> Process {
        self.start_with(args, &[("FAILPOINTS", &format!("{failpoint}=return"))])
    }

    fn start_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut command = self.world.program(ENTRY, args);
        command.envs(variables.iter().copied());
        self.world.start_command(args, command)
    }

    pub(super) fn beat(&self) -> Process {
        self.start(&["beat"])
    }

    pub(super) fn worker(&self) -> Process {
        self.start(&["worker"])
    }

    /// Lets go of whatever waits.
    pub(super) fn open_gate(&self) {
        self.world.write(GATE, "");
    }

    /// A task that was lost with two workers already, due now.
    pub(super) async fn suspect(&self, store: &Store, name: &str) -> TaskId {
        let message = Message { name: task_name(name), crashes: 2, ..message() };
        let record = TaskRecord {
            message,
            state: TaskState::Scheduled,
            fence: None,
            owner: None,
            worker: None,
            due_at: Some(Timestamp::UNIX_EPOCH),
            enqueued_at: None,
            started_at: None,
            finished_at: None,
            error: None,
            result: None,
            cancel_requested: false,
            past: PastRuns::default(),
            note: None,
            forgotten: false,
        };
        let answers = store.records.restore(vec![record.clone()]).await.expect("the store restores");
        assert_eq!(answers, [RestoreAnswer::Restored]);
        record.id()
    }

    /// The process in which a task runs that has begun.
    pub(super) async fn begun(&self, word: &str, id: TaskId) -> u32 {
        let what = format!("`{word}` begins");
        eventually_some(&what, PATIENCE, async || self.processes(word, id).pop()).await
    }

    /// The processes in which a task wrote this word, in order.
    pub(super) fn processes(&self, word: &str, id: TaskId) -> Vec<u32> {
        let lines =
            self.journal.lines().into_iter().filter(|line| line[0] == word && line[1] == id.to_string());
        lines.map(|line| line[2].parse().expect("a process id")).collect()
    }

    pub(super) async fn ended(&self, store: &Store, id: TaskId) -> TaskRecord {
        self.world.ended(store, id, PATIENCE).await
    }
}

/// What became of each run that the record tells of.
pub(super) fn ends(record: &TaskRecord) -> Vec<RunEnd> {
    record.runs().0.iter().map(|run| run.end).collect()
}

/// Waits until a process is gone.
pub(super) async fn gone(process: u32) {
    let status = format!("/proc/{process}/status");
    eventually("the process of a suspect is gone", PATIENCE, async || {
        // One that nobody has waited for is dead all the same.
        std::fs::read_to_string(&status).is_ok_and(|text| text.contains("State:\tZ"))
            || !std::path::Path::new(&status).exists()
    })
    .await;
}
