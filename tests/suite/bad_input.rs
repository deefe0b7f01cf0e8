//! Bad input is refused with what is wrong, and a bad environment is survived; once the cause is gone it goes on, and
//! nothing that was accepted is lost.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Store;
use upbeat_shared::message::Limits;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Process, World, count, eventually};

use super::disk::Disk;
use super::scene::{PATIENCE, Scene};

/// Exit codes: it is wrong as it was asked for; broker or ledger cannot be reached.
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 3;

/// Whoever was refused tries again, rightly: the task runs.
async fn it_goes_on(scene: &Scene) {
    let (beat, worker) = (scene.beat(), scene.worker());
    let id = scene.world.publish(&["note", "--args", r#"{"n": 1}"#]).await;
    let store = scene.world.store().await;
    scene.succeeded(&store, id).await;
    assert_eq!(scene.journal.count(&["note"]), 1, "nothing that was refused has run");
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn arguments_that_are_no_json_are_refused_and_nothing_is_published() {
    let scene = Scene::new();
    let refused = scene.world.run(&["publish", "note", "--args", "{to: you}"]).await.failed(USAGE);
    refused.mentions("--args is not JSON").mentions("1:2");
    scene.world.write("args.json", "[1, 2");
    let refused = scene.world.run(&["publish", "note", "--args", "@args.json"]).await.failed(USAGE);
    refused.mentions("args.json");
    let refused = scene.world.run(&["publish", "note", "--args", "@missing.json"]).await.failed(USAGE);
    refused.mentions("missing.json");

    it_goes_on(&scene).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_runs() {
    let scene = Scene::new();
    let limit = Limits::default().body_bytes;
    let of_size = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    scene.world.write("over.json", &of_size(limit + 1));
    scene.world.write("at.json", &of_size(limit));

    let refused = scene.world.run(&["publish", "note", "--args", "@over.json"]).await.failed(USAGE);
    refused.mentions("limit of 1048576 bytes");
    let piped = scene.world.command(&["publish", "note", "--args", "-"]);
    let refused = scene.world.run_command(piped, &of_size(limit + 1)).await.failed(USAGE);
    refused.mentions("limit of 1048576 bytes");

    it_goes_on(&scene).await;
    let at_limit = scene.world.publish(&["note", "--args", "@at.json"]).await;
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    scene.succeeded(&store, at_limit).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_body_over_a_limit_of_the_users_own_is_refused() {
    let scene = Scene::with("[limits]\nbody = \"1KiB\"\n");
    let args = format!("\"{}\"", "x".repeat(1023));
    let refused = scene.world.run(&["publish", "note", "--args", &args]).await.failed(USAGE);
    refused.mentions("limit of 1024");

    it_goes_on(&scene).await;
}

#[tokio::test]
async fn a_task_with_an_unknown_name_waits_for_a_worker_that_knows_it() {
    let scene = Scene::new();
    let (beat, worker) = (scene.beat(), scene.worker());
    let said = scene.world.run(&["publish", "nobody.knows.me"]).await.ok();
    let said = said.mentions("no task named nobody.knows.me");
    let store = scene.world.store().await;
    let note = async || {
        let record = store.inspect.get(vec![said.id()]).await.expect("the store shows").remove(0);
        record.and_then(|record| record.note)
    };
    eventually("it is parked, and says why", PATIENCE, async || note().await.is_some()).await;
    worker.stop().await;

    let known = "data = \"@/data\"\n[tasks.\"nobody.knows.me\"]\n\
                 command = [\"sh\", \"-c\", 'echo \"note $UPBEAT_TASK_ID\" >> @/journal']\n";
    scene.world.configure("newer.toml", known);
    let newer = scene.world.start(&["worker", "--config", "newer.toml"]);

    let record = scene.succeeded(&store, said.id()).await;
    assert_eq!((record.message.attempts, record.message.crashes), (0, 0));
    newer.stop().await;
    beat.stop().await;
    scene.everything_ran_once();
}

/// Every role and every check refuses this configuration, pointing at `place`, and leaves nothing behind.
async fn configuration_is_refused(more: &str, place: &str, what: &str) {
    let scene = Scene::with(more);
    for args in [&["up"][..], &["beat"], &["worker"], &["publish", "note"], &["config", "check"]] {
        let refused = scene.world.run(args).await.failed(USAGE);
        refused.mentions("upbeat.toml:").mentions(place).mentions(what);
        assert!(!scene.world.path("data").exists(), "{args:?} has half started");
    }

    scene.world.configure("upbeat.toml", &Scene::configuration(""));
    it_goes_on(&scene).await;
}

#[tokio::test]
async fn a_schedule_that_never_fires_is_refused() {
    let never = "[[schedule]]\nid = \"never\"\ntask = \"note\"\ncron = \"0 0 30 2 *\"\n";
    configuration_is_refused(never, "cron = \"0 0 30 2 *\"", "never fires").await;
}

#[tokio::test]
async fn a_typo_in_the_configuration_is_refused_with_what_was_meant() {
    let typo = "[[schedule]]\nid = \"a\"\ntask = \"note\"\nevry = \"5s\"\n";
    configuration_is_refused(typo, "evry = \"5s\"", "did you mean `every`?").await;
}

#[tokio::test]
async fn a_data_directory_that_is_a_file_is_an_error_until_it_is_gone() {
    let scene = Scene::new();
    scene.world.write("data", "somebody's notes");
    for args in [&["publish", "note"][..], &["worker"], &["beat"], &["up"]] {
        scene.world.run(args).await.failed(UNREACHABLE).mentions("data");
    }
    let kept = std::fs::read_to_string(scene.world.path("data")).expect("it is still there");
    assert_eq!(kept, "somebody's notes");

    scene.world.remove("data");
    it_goes_on(&scene).await;
}

/// A user who may do little; the tests may run as root, who may write everywhere.
const NOBODY: u32 = 65534;

#[tokio::test]
async fn a_data_directory_that_is_read_only_is_an_error_until_it_is_not() {
    // Where the program was built, nobody else may be allowed to look.
    let folder = tempfile::TempDir::with_prefix("upbeat-program-").expect("a folder can be made");
    let program = folder.path().join("upbeat");
    // By another process: a file that this one has open for writing may be inherited by whatever another test starts, and
    // cannot be executed meanwhile.
    let copied = std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_upbeat")).arg(&program).status();
    assert!(copied.expect("cp is everywhere").success(), "the program can be copied");
    let world = World::new(&program, &Scene::configuration(""));
    let data = world.path("data");
    std::fs::create_dir(&data).expect("a folder can be made");
    let allow = |path: &Path, mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("our own folder's mode can be set");
    };
    allow(folder.path(), 0o755);
    allow(&world.path(""), 0o755);
    allow(&data, 0o555);
    let command = |args: &[&str]| {
        let mut command = world.command(args);
        if rustix::process::getuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };

    for args in [&["publish", "note"][..], &["worker"], &["beat"], &["up"]] {
        let refused = world.run_command(command(args), "").await.failed(UNREACHABLE);
        refused.mentions("data").mentions("may this user write");
    }

    allow(&data, 0o777);
    let said = world.run_command(command(&["publish", "note"]), "").await.ok();
    let store = world.store().await;
    let record = store.inspect.get(vec![said.id()]).await.expect("the store shows").remove(0);
    assert!(record.is_some(), "it is accepted");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let scene = Scene::new();
    let text = "not a database: ".repeat(100);
    std::fs::create_dir(scene.world.path("data")).expect("a folder can be made");
    scene.world.write("data/default.sqlite3", &text);
    for args in [&["publish", "note"][..], &["worker"], &["beat"], &["up"], &["tasks", "list"]] {
        let refused = scene.world.run(args).await.failed(UNREACHABLE);
        refused.mentions("default.sqlite3").mentions("not a database");
    }
    let kept = std::fs::read_to_string(scene.world.store_path()).expect("it is still there");
    assert_eq!(kept, text);

    scene.world.remove("data/default.sqlite3");
    it_goes_on(&scene).await;
}

#[tokio::test]
async fn a_ledger_that_a_newer_program_wrote_is_refused_until_a_newer_program_opens_it() {
    let scene = Scene::new();
    let accepted = scene.world.publish(&["note"]).await;
    let written_by = |version: u32| {
        let file = Connection::open(scene.world.store_path()).expect("the file is there");
        let sql = "UPDATE component SET version = ?1 WHERE name = 'ledger'";
        assert_eq!(file.execute(sql, [version]).expect("it can be written"), 1);
    };
    let known = {
        let file = Connection::open(scene.world.store_path()).expect("the file is there");
        let sql = "SELECT version FROM component WHERE name = 'ledger'";
        file.query_row(sql, [], |row| row.get(0)).expect("it can be read")
    };

    written_by(known + 1);
    for args in [&["publish", "note"][..], &["worker"], &["beat"], &["up"], &["tasks", "list"]] {
        scene.world.run(args).await.failed(UNREACHABLE).mentions("newer");
    }

    written_by(known);
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    scene.succeeded(&store, accepted).await;
    worker.stop().await;
    beat.stop().await;
    assert_eq!(scene.journal.count(&["note"]), 1);
}

/// Publishes large tasks until the disk is full; answers those that were accepted.
async fn fill(scene: &Scene, disk: &Disk) -> Vec<TaskId> {
    scene.world.write("large.json", &format!("\"{}\"", "x".repeat(500_000)));
    let mut accepted = Vec::new();
    for _ in 0..100 {
        let said = disk.run(&scene.world, &["publish", "note", "--args", "@large.json"]).await;
        if said.code != Some(0) {
            said.failed(UNREACHABLE).mentions(disk.says());
            return accepted;
        }
        accepted.push(said.id());
    }
    panic!("the disk takes more than it should");
}

async fn all_succeeded(scene: &Scene, store: &Store, ids: &[TaskId]) {
    for id in ids {
        let record = scene.succeeded(store, *id).await;
        assert_eq!((record.message.attempts, record.message.crashes), (0, 0), "{record:#?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_until_there_is_room_and_loses_nothing() {
    let scene = Scene::new();
    let disk = Disk::small(&scene.world).await;
    disk.run(&scene.world, &["queues", "pause", "default"]).await.ok();
    let (mut beat, mut worker) = (disk.start(&scene.world, &["beat"]), disk.start(&scene.world, &["worker"]));
    let mut accepted = fill(&scene, &disk).await;
    assert!(accepted.len() >= 2, "something fits: {}", accepted.len());

    // For longer than a lease nobody can say that he is alive. Whoever waits, waits quietly.
    let busy = |beat: &Process, worker: &Process| beat.busy() + worker.busy();
    let before = busy(&beat, &worker);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let meanwhile = busy(&beat, &worker).saturating_sub(before);
    assert!(beat.is_alive() && worker.is_alive(), "{}\n{}", beat.log(), worker.log());
    assert!(meanwhile < Duration::from_secs(2), "they were busy for {meanwhile:?} out of 5 s");

    disk.make_room(&[&beat, &worker]).await;

    accepted.push(disk.run(&scene.world, &["publish", "note"]).await.ok().id());
    disk.run(&scene.world, &["queues", "resume", "default"]).await.ok();
    let store = scene.world.store().await;
    all_succeeded(&scene, &store, &accepted).await;
    assert!(beat.is_alive() && worker.is_alive());
    worker.stop().await;
    beat.stop().await;
    scene.everything_ran_once();
    let ended = count(&store, TaskState::Succeeded).await;
    assert_eq!(ended, accepted.len() as u64, "what was refused has left no trace");
}
