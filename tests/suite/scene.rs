//! The world in which the program is run from outside: its configuration, and the tasks that tell on themselves.

use std::time::Duration;

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Store;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_tests::harness::{Journal, Process, World};

/// How long something may take that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Tasks write a line with their id into the journal. `hold` writes one when it begins, runs until its gate is opened, and
/// writes another. `poison` kills its worker.
const CONFIGURATION: &str = r#"
data = "@/data"

[ledger]
lease = "2s"

[worker]
concurrency = 8
grace = "5s"

[tasks.note]
command = ["sh", "-c", 'echo "note $UPBEAT_TASK_ID $UPBEAT_PLANNED_AT" >> @/journal']

[tasks.hold]
command = ["sh", "-c", '''
echo > @/gate.$UPBEAT_TASK_ID.$UPBEAT_FENCE
echo "begin $UPBEAT_TASK_ID $UPBEAT_FENCE" >> @/journal
while [ -e @/gate.$UPBEAT_TASK_ID.$UPBEAT_FENCE ]; do sleep 0.05; done
echo "end $UPBEAT_TASK_ID" >> @/journal
''']

[tasks.poison]
command = ["sh", "-c", 'echo "poison $UPBEAT_TASK_ID" >> @/journal; kill -KILL $PPID']
"#;

/// A schedule of `note`, every second.
pub(super) const EVERY_SECOND: &str = r#"
[[schedule]]
id = "every-second"
task = "note"
every = "1s"
catch_up = "all"
"#;

/// A world with its tasks and its journal.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) journal: Journal,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with("")
    }

    /// With this at the end of its configuration.
    pub(super) fn with(more: &str) -> Self {
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), &Self::configuration(more));
        let journal = world.journal("journal");
        Self { world, journal }
    }

    pub(super) fn configuration(more: &str) -> String {
        format!("{CONFIGURATION}{more}")
    }

    pub(super) fn beat(&self) -> Process {
        self.world.start(&["beat"])
    }

    pub(super) fn worker(&self) -> Process {
        self.world.start(&["worker"])
    }

    /// Waits until the `number`-th run of `hold` has begun; answers the name of its gate.
    pub(super) async fn held(&self, id: TaskId, number: usize) -> String {
        self.journal.wait("begin", id, number, PATIENCE).await;
        let id = id.to_string();
        let begun = self.journal.lines().into_iter().filter(|line| line[..2] == ["begin", &id]);
        let begun: Vec<_> = begun.collect();
        // A fence is a number of its task: others may have the same.
        format!("gate.{id}.{}", begun[number - 1][2])
    }

    /// Lets a `hold` end.
    pub(super) fn let_go(&self, gate: &str) {
        self.world.remove(gate);
    }

    /// Waits until the task has succeeded.
    pub(super) async fn succeeded(&self, store: &Store, id: TaskId) -> TaskRecord {
        let record = self.world.ended(store, id, PATIENCE).await;
        assert_eq!(record.state, TaskState::Succeeded, "{record:#?}");
        record
    }

    /// The instants at which the schedule's tasks ran, sorted, with repeats.
    pub(super) fn instants(&self) -> Vec<String> {
        let lines = self.journal.lines().into_iter().filter(|line| line[0] == "note");
        let mut instants: Vec<String> = lines.filter_map(|line| line.get(2).cloned()).collect();
        instants.sort();
        instants
    }

    /// Every task that ran wrote one line, and no instant has two tasks.
    pub(super) fn everything_ran_once(&self) {
        let counts = self.journal.by_task("note");
        assert!(counts.values().all(|count| *count == 1), "{counts:#?}");
        let instants = self.instants();
        let mut different = instants.clone();
        different.dedup();
        assert_eq!(instants, different);
    }
}
