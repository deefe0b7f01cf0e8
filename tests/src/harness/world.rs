//! A folder with a configuration and a store, in which the program is run from outside.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use upbeat_shared::clock::SystemClock;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Store, TaskFilter};
use upbeat_shared::task::{TaskRecord, TaskState};

use super::{Journal, Process, eventually_some, process};
use crate::conformance::embedded::open_ledger;

/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(60);

/// What a process of the program gets of the test's environment; `UPBEAT_TESTS_RUN` marks what a run has started.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "UPBEAT_TESTS_RUN"];

/// A world of its own. On a failure it prints what its processes said.
#[derive(Debug)]
pub struct World {
    program: PathBuf,
    folder: TempDir,
    started: AtomicUsize,
}

/// What a command said and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// It must have gone well.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// It must have failed so.
    pub fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// It must have told the person this.
    pub fn mentions(self, word: &str) -> Self {
        assert!(self.err.contains(word), "{word:?} is not mentioned in {self:#?}");
        self
    }

    /// The one id that it printed.
    pub fn id(&self) -> TaskId {
        let out = self.out.trim();
        out.parse().unwrap_or_else(|error| panic!("{out:?} is no task's id: {error}\n{}", self.err))
    }
}

impl World {
    /// A world in which this program runs under this configuration. `@` in it stands for the world's folder.
    pub fn new(program: impl Into<PathBuf>, configuration: &str) -> Self {
        let folder = TempDir::with_prefix("upbeat-world-").expect("a folder can be made");
        let world = Self { program: program.into(), folder, started: AtomicUsize::new(0) };
        world.configure("upbeat.toml", configuration);
        world
    }

    /// Writes another configuration, or writes one anew.
    pub fn configure(&self, name: &str, configuration: &str) {
        let folder = self.folder.path().to_str().expect("a folder's name is UTF-8");
        self.write(name, &configuration.replace('@', folder));
    }

    /// A place in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap_or_else(|error| panic!("cannot write {name}: {error}"));
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap_or_else(|error| panic!("cannot remove {name}: {error}"));
    }

    /// What the tasks wrote into this file.
    pub fn journal(&self, name: &str) -> Journal {
        Journal::new(self.path(name))
    }

    /// The program's command line, with nothing in its environment but this world.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(&self.program, args)
    }

    /// Another program's command line in this world.
    pub fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).env_clear();
        for name in INHERITED {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("UPBEAT_CONFIG", self.path("upbeat.toml")).env("NO_COLOR", "1");
        command
    }

    /// Starts a role.
    pub fn start(&self, args: &[&str]) -> Process {
        self.start_command(args, self.command(args))
    }

    /// Starts a role that dies at a failpoint, the first time it comes there.
    pub fn start_to_fail(&self, args: &[&str], failpoint: &str) -> Process {
        let mut command = self.command(args);
        command.env("FAILPOINTS", format!("{failpoint}=return"));
        self.start_command(args, command)
    }

    /// Starts a command that was made for this world.
    pub fn start_command(&self, args: &[&str], command: Command) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{number}: upbeat {}", args.join(" "));
        Process::start(name, self.path(&format!("{number:03}.log")), command)
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Said {
        self.run_command(self.command(args), "").await
    }

    /// Runs commands at the same time, each in a process of its own.
    pub async fn run_all(&self, commands: &[&[&str]]) -> Vec<Said> {
        join_all(commands.iter().map(|args| self.run(args))).await
    }

    /// Runs a command that was made for this world to its end, with this on its standard input.
    pub async fn run_command(&self, mut command: Command, input: &str) -> Said {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("its standard input is piped");
        let feed = async {
            // A command that does not read its input closes it.
            drop(stdin.write_all(input.as_bytes()).await);
            drop(stdin);
        };
        let whole = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(COMMAND, whole).await;
        let output = output.unwrap_or_else(|_| panic!("not within {COMMAND:?}: {command:?}"));
        let output = output.expect("a child can be waited for");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Publishes one task that must be accepted; answers its id.
    pub async fn publish(&self, args: &[&str]) -> TaskId {
        self.run(&[&["publish"], args].concat()).await.ok().id()
    }

    /// The ledger, opened by the test itself.
    pub async fn store(&self) -> Store {
        open_ledger(&self.store_path(), Arc::new(SystemClock::default())).await
    }

    /// The store's file.
    pub fn store_path(&self) -> PathBuf {
        self.path("data/default.sqlite3")
    }

    /// Waits until a task has ended, and answers its record.
    pub async fn ended(&self, store: &Store, id: TaskId, within: Duration) -> TaskRecord {
        let what = format!("the task {id} ends");
        eventually_some(&what, within, async || {
            let found = store.inspect.get(vec![id]).await.expect("the store shows").remove(0);
            found.filter(|record| record.state.is_terminal())
        })
        .await
    }
}

/// How many tasks are in this state, over all queues, by the counters.
pub async fn count(store: &Store, state: TaskState) -> u64 {
    let queues = store.inspect.queues().await.expect("the store counts");
    let counts = queues.iter().flat_map(|queue| &queue.counts);
    counts.filter(|(counted, _)| *counted == state).map(|(_, count)| count).sum()
}

/// Every task of this filter.
pub async fn tasks(store: &Store, filter: TaskFilter) -> Vec<TaskRecord> {
    store.inspect.list(filter, None, 100_000).await.expect("the store lists").tasks
}

impl Drop for World {
    #[expect(clippy::print_stderr, reason = "the only way to tell what a failed test's processes said")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for number in 0..self.started.load(Ordering::Relaxed) {
            let log = process::read(&self.path(&format!("{number:03}.log")));
            eprintln!("--- process {number} said at last:\n{}", last_lines(&log, 40));
        }
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
