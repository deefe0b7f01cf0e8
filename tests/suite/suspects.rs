//! Suspects: a task that was running in two lost workers runs alone the next time, and nobody is blamed for another's crash. The
//! program under test is this very test binary, started again.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::App;
use upbeat::prelude::*;
use upbeat::run::RunEnd;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Store;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::RunErrorKind;
use upbeat_tests::harness::{Journal, Process, World, eventually};

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `upbeat` is to be called with, as JSON.
const ARGS: &str = "UPBEAT_TEST_SUSPECTS";

/// Where the tasks write down that they ran.
const JOURNAL: &str = "UPBEAT_TEST_SUSPECTS_JOURNAL";

/// Not a test but a way in: with [`ARGS`] in its environment, the process becomes the program.
#[test]
fn entry() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args: Vec<String> = serde_json::from_str(&args).expect("a list of texts");
    let app = App::new().task(deadly).task(bystander);
    let ended = app.run_cli(std::iter::once("upbeat".to_owned()).chain(args));
    std::process::exit(i32::from(ended != ExitCode::SUCCESS));
}

/// Kills its process, once the bystander runs beside it.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "deadly")]
struct Deadly;

/// Runs until its gate is opened.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "bystander")]
struct Bystander;

/// The bystander runs in this process.
static ACCOMPANIED: AtomicBool = AtomicBool::new(false);

async fn deadly(_: Deadly, ctx: Context) -> Result<(), Error> {
    note(&format!("deadly {}", ctx.id()));
    let alone = std::env::var_os("UPBEAT_SUSPECT").is_some();
    while !alone && !ACCOMPANIED.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Not through the test harness, which keeps what a test prints.
    std::io::stderr().write_all(b"its last words\n")?;
    std::process::abort()
}

async fn bystander(_: Bystander, ctx: Context) -> Result<(), Error> {
    note(&format!("bystander {} {}", ctx.id(), std::process::id()));
    ACCOMPANIED.store(true, Ordering::Relaxed);
    while !file("gate").exists() {
        tokio::select! {
            () = ctx.cancelled() => {
                note(&format!("stopped {}", ctx.id()));
                return Ok(());
            }
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
    Ok(())
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(std::env::var(JOURNAL).expect("the scene names the journal")).with_file_name(name)
}

/// One line, in one write: several processes append to the file.
fn note(line: &str) {
    let journal = std::fs::OpenOptions::new().append(true).create(true).open(file("journal"));
    let written = journal.and_then(|mut journal| journal.write_all(format!("{line}\n").as_bytes()));
    written.expect("the journal can be written");
}

struct Scene {
    world: World,
    journal: Journal,
    store: Store,
}

impl Scene {
    async fn with_lease(lease: &str) -> Self {
        let configuration = format!("data = '@/data'\n[ledger]\nlease = '{lease}'\n[worker]\ngrace = '1s'\n");
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), &configuration);
        let store = world.store().await;
        Self { journal: world.journal("journal"), world, store }
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let program = std::env::current_exe().expect("a program knows where it is");
        let entry = ["suspects::entry", "--exact", "--nocapture"];
        let mut command = self.world.command_of(&program, &entry);
        command.env(ARGS, serde_json::to_string(args).expect("texts are JSON"));
        command.env(JOURNAL, self.world.path("journal"));
        command
    }

    fn worker(&self) -> Process {
        self.world.start_command(&["worker"], self.command(&["worker"]))
    }

    /// Waits for the task's so many-th run.
    async fn runs(&self, word: &str, id: TaskId, count: usize) {
        self.journal.wait(word, id, count, PATIENCE).await;
    }

    async fn ended(&self, id: TaskId) -> TaskRecord {
        self.world.ended(&self.store, id, PATIENCE).await
    }
}

fn ends(record: &TaskRecord) -> Vec<RunEnd> {
    let (runs, left_out) = record.runs();
    assert_eq!(left_out, 0);
    runs.iter().map(|run| run.end).collect()
}

#[tokio::test]
async fn a_deadly_task_dies_alone_and_its_bystander_succeeds() {
    let scene = Scene::with_lease("2s").await;
    let beat = scene.world.start(&["beat"]);
    let bystander = scene.world.publish(&["bystander"]).await;
    let deadly = scene.world.publish(&["deadly"]).await;
    for crashes in 1..=2 {
        let mut worker = scene.worker();
        scene.runs("bystander", bystander, crashes).await;
        scene.runs("deadly", deadly, crashes).await;
        assert!(!worker.ended(PATIENCE).await.success(), "the task killed it");
    }

    let worker = scene.worker();

    let dead = scene.ended(deadly).await;
    assert_eq!(dead.state, TaskState::Dead, "{dead:#?}");
    assert_eq!(ends(&dead), [RunEnd::Lost, RunEnd::Lost, RunEnd::Crashed]);
    let error = dead.error.expect("it says why");
    assert_eq!(error.kind, RunErrorKind::Crashed);
    assert!(error.message.contains("its last words") && error.message.contains("signal 6"), "{error:?}");
    scene.runs("bystander", bystander, 3).await;
    scene.world.write("gate", "");
    let succeeded = scene.ended(bystander).await;
    assert_eq!(succeeded.state, TaskState::Succeeded, "{succeeded:#?}");
    assert_eq!(ends(&succeeded), [RunEnd::Lost, RunEnd::Lost, RunEnd::Succeeded]);
    assert_eq!(succeeded.message.attempts, 0, "nobody blames it");
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_suspect_whose_worker_is_killed_ends_with_it() {
    let scene = Scene::with_lease("2s").await;
    let beat = scene.world.start(&["beat"]);
    let task = scene.world.publish(&["bystander"]).await;
    for crashes in 1..=2 {
        let mut worker = scene.worker();
        scene.runs("bystander", task, crashes).await;
        worker.kill().await;
    }
    let mut worker = scene.worker();
    scene.runs("bystander", task, 3).await;
    let line = scene.journal.lines().pop().expect("it wrote a line");
    let child: u32 = line[2].parse().expect("a process id");
    assert_ne!(child, worker.id(), "it runs in a process of its own");

    worker.kill().await;

    let proc = PathBuf::from(format!("/proc/{child}"));
    eventually("the process is gone", PATIENCE, async || !proc.exists()).await;
    // Its worker ran it apart: the loss says little of the task, which is not dead.
    let worker = scene.worker();
    scene.runs("bystander", task, 4).await;
    scene.world.write("gate", "");
    assert_eq!(scene.ended(task).await.state, TaskState::Succeeded);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_running_task_learns_of_its_cancel_long_before_the_next_heartbeat() {
    // Heartbeats come every two minutes.
    let scene = Scene::with_lease("10m").await;
    let beat = scene.world.start(&["beat"]);
    let worker = scene.worker();
    let task = scene.world.publish(&["bystander"]).await;
    scene.runs("bystander", task, 1).await;

    scene.world.run(&["tasks", "cancel", &task.to_string()]).await.ok();

    scene.runs("stopped", task, 1).await;
    assert_eq!(scene.ended(task).await.state, TaskState::Succeeded, "a late success stands");
    worker.stop().await;
    beat.stop().await;
}
