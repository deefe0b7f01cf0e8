//! The command line as people and scripts meet it: what it prints, how it ends, where its settings come from.

use serde_json::Value;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Said, count, eventually};

use super::scene::{PATIENCE, Scene};

/// What a script may rely on in every task that `--json` prints.
const TASK_FIELDS: [&str; 17] = [
    "id",
    "name",
    "queue",
    "state",
    "attempts",
    "crashes",
    "schedule_id",
    "planned_at",
    "due_at",
    "enqueued_at",
    "started_at",
    "finished_at",
    "worker",
    "error",
    "result",
    "args",
    "args_version",
];

/// A task that fails for good at once.
const FAILING: &str = r#"
[tasks.fails]
command = ["sh", "-c", 'echo "note $UPBEAT_TASK_ID" >> @/journal; echo "as told" >&2; exit 1']
retry = { max_attempts = 1 }

[tasks.answers]
command = ["cat"]

[[schedule]]
id = "yearly"
task = "note"
cron = "0 0 1 1 *"
"#;

/// The objects that a command printed, one a line.
fn objects(text: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?} of {text:?}"));
        assert!(value.is_object(), "no object: {line:?}");
        value
    };
    text.lines().map(parse).collect()
}

/// The one object that a command printed.
fn object(said: &Said) -> Value {
    let [object] = objects(&said.out).try_into().unwrap_or_else(|_| panic!("not one object: {said:#?}"));
    object
}

async fn json(scene: &Scene, args: &[&str]) -> Said {
    scene.world.run(&[args, &["--json"]].concat()).await
}

/// RFC 3339 in UTC with microseconds: `2026-05-01T00:00:00.123456Z`.
fn is_an_instant(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    text.len() == 27 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

fn is_a_task(task: &Value) {
    for field in TASK_FIELDS {
        assert!(task.get(field).is_some(), "no {field} in {task:#}");
    }
    for field in ["planned_at", "due_at", "enqueued_at", "started_at", "finished_at"] {
        assert!(task[field].is_null() || is_an_instant(&task[field]), "{field} of {task:#}");
    }
}

#[tokio::test]
async fn json_prints_one_object_a_line_with_every_promised_field() {
    let scene = Scene::with(FAILING);
    let up = scene.world.start(&["up"]);
    let done = json(&scene, &["publish", "answers", "--args", r#"{"n": 7}"#, "--wait"]).await.ok();
    let done = object(&done);
    is_a_task(&done);
    assert_eq!(
        (&done["state"], &done["name"], &done["queue"]),
        (&"succeeded".into(), &"answers".into(), &"default".into())
    );
    assert_eq!(
        (&done["args"], &done["result"]),
        (&serde_json::json!({ "n": 7 }), &serde_json::json!({ "n": 7 }))
    );
    assert!(is_an_instant(&done["started_at"]) && is_an_instant(&done["finished_at"]), "{done:#}");
    assert_eq!(
        (&done["schedule_id"], &done["planned_at"], &done["error"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let failed = object(&json(&scene, &["publish", "fails", "--wait"]).await.failed(1));
    assert_eq!((&failed["state"], &failed["attempts"]), (&"dead".into(), &1.into()));
    assert!(failed["error"]["message"].as_str().is_some_and(|text| text.contains("as told")), "{failed:#}");
    let by_hand = object(&json(&scene, &["schedules", "trigger", "yearly"]).await.ok());
    assert_eq!(by_hand["schedule_id"], "yearly");

    let listed = objects(&json(&scene, &["tasks", "list"]).await.ok().out);
    assert_eq!(listed.len(), 3, "{listed:#?}");
    listed.iter().for_each(is_a_task);
    let dead = objects(&json(&scene, &["dead", "list"]).await.ok().out);
    dead.iter().for_each(is_a_task);
    assert_eq!(dead.len(), 1);
    let id = failed["id"].as_str().expect("an id is a text");
    assert_eq!(object(&json(&scene, &["tasks", "show", id]).await.ok()), dead[0]);
    for args in [
        &["schedules", "list"][..],
        &["schedules", "show", "yearly"],
        &["queues", "list"],
        &["workers", "list"],
        &["config", "print"],
        &["config", "check"],
        &["migrate", "status"],
        &["doctor"],
    ] {
        let said = json(&scene, args).await.ok();
        assert!(!objects(&said.out).is_empty(), "{args:?}");
    }
    up.stop().await;
}

#[tokio::test]
async fn json_says_what_went_wrong_in_an_object_too() {
    let scene = Scene::new();
    for (args, code) in [
        (&["tasks", "list"][..], 3),
        (&["publish", "note", "--args", "{"], 2),
        (&["publish", "note", "--priority", "10"], 2),
        (&["no-such-command"], 2),
    ] {
        let said = json(&scene, args).await.failed(code);
        let errors = objects(&said.err);
        assert_eq!(said.out, "", "{args:?}");
        assert!(errors[0]["error"].is_string() && errors[0]["exit"] == code, "{errors:#?}");
    }
}

#[tokio::test]
async fn exit_codes_say_done_failed_usage_or_unreachable() {
    let scene = Scene::with(FAILING);
    scene.world.run(&["tasks", "list"]).await.failed(3).mentions("there is no ledger here yet");
    scene.world.run(&["publish", "note"]).await.ok();
    let up = scene.world.start(&["up"]);
    scene.world.run(&["publish", "note", "--wait"]).await.ok();
    scene.world.run(&["publish", "fails", "--wait"]).await.failed(1);
    scene.world.run(&["publish", "note", "--delay", "1h", "--wait", "--timeout", "50ms"]).await.failed(1);
    let unknown = "0198a2f0-0000-7000-8000-000000000001";
    scene.world.run(&["tasks", "show", unknown]).await.failed(1).mentions("there is no task");
    for args in [
        &[][..],
        &["publish"],
        &["publish", "not a name"],
        &["publish", "note", "--delay", "5"],
        &["publish", "note", "--delay", "5m", "--at", "2030-01-01T00:00:00Z"],
        &["tasks", "list", "--state", "lost"],
        &["tasks", "show", "17"],
        &["--config", "missing.toml", "tasks", "list"],
        &["--ledger", "mysql://host/db", "tasks", "list"],
        &["worker", "--concurrency", "0"],
    ] {
        scene.world.run(args).await.failed(2);
    }
    scene.world.run(&["--help"]).await.ok();
    scene.world.run(&["--version"]).await.ok();
    up.stop().await;
}

/// What `config print` says of the namespace: its value, and where it comes from.
async fn namespace(scene: &Scene, env: Option<&str>, args: &[&str]) -> (String, String) {
    let mut command = scene.world.command(&[args, &["config", "print", "--json"]].concat());
    if let Some(env) = env {
        command.env("UPBEAT_NAMESPACE", env);
    }
    let said = scene.world.run_command(command, "").await.ok();
    let entries = objects(&said.out);
    let entry = entries.iter().find(|entry| entry["key"] == "namespace").expect("it is printed");
    let text = |field: &str| entry[field].as_str().expect("a text").to_owned();
    (text("value"), text("origin"))
}

#[tokio::test]
async fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let scene = Scene::new();
    let (value, origin) = namespace(&scene, None, &[]).await;
    assert_eq!((value.as_str(), origin.as_str()), ("\"default\"", "default"));

    scene
        .world
        .configure("upbeat.toml", &format!("namespace = \"of-the-file\"\n{}", Scene::configuration("")));
    let (value, origin) = namespace(&scene, None, &[]).await;
    assert_eq!(value, "\"of-the-file\"");
    assert!(origin.contains("upbeat.toml:1"), "{origin}");

    let (value, origin) = namespace(&scene, Some("of-the-environment"), &[]).await;
    assert_eq!(value, "\"of-the-environment\"");
    assert!(origin.contains("UPBEAT_NAMESPACE"), "{origin}");

    let (value, origin) =
        namespace(&scene, Some("of-the-environment"), &["--namespace", "of-the-flag"]).await;
    assert_eq!(value, "\"of-the-flag\"");
    assert!(origin.contains("--namespace"), "{origin}");

    // It is not only printed.
    scene.world.publish(&["note", "--namespace", "of-the-flag"]).await;
    assert!(scene.world.path("data/of-the-flag.sqlite3").exists());
    assert!(!scene.world.path("data/of-the-file.sqlite3").exists());
}

#[tokio::test]
async fn arguments_come_from_the_command_line_a_file_or_standard_input() {
    let scene = Scene::with(FAILING);
    let up = scene.world.start(&["up"]);
    scene.world.write("args.json", r#"{"from": "a file"}"#);
    let piped = scene.world.command(&["publish", "answers", "--json", "--wait", "--args", "-"]);
    let said = [
        json(&scene, &["publish", "answers", "--wait", "--args", r#"{"from": "the line"}"#]).await,
        json(&scene, &["publish", "answers", "--wait", "--args", "@args.json"]).await,
        scene.world.run_command(piped, r#"{"from": "a pipe"}"#).await,
    ];
    let results = said.map(|said| object(&said.ok())["result"]["from"].clone());
    assert_eq!(results, ["the line", "a file", "a pipe"]);
    up.stop().await;
}

#[tokio::test]
async fn dead_tasks_are_listed_replayed_and_dropped() {
    let scene = Scene::with(FAILING);
    let up = scene.world.start(&["up"]);
    let store = scene.world.store().await;
    scene.world.run(&["publish", "fails", "--count", "3"]).await.ok();
    let dead = async || count(&store, TaskState::Dead).await;
    eventually("all are dead", PATIENCE, async || dead().await == 3).await;

    scene.world.run(&["dead", "replay", "--all", "--name", "fails"]).await.ok();
    eventually("all ran again", PATIENCE, async || scene.journal.count(&["note"]) == 6).await;
    eventually("all are dead again", PATIENCE, async || dead().await == 3).await;
    scene.world.run(&["dead", "drop", "--all"]).await.ok();

    assert_eq!(dead().await, 0);
    assert_eq!(json(&scene, &["dead", "list"]).await.ok().out, "");
    up.stop().await;
}

#[tokio::test]
async fn tasks_are_cancelled_retried_and_run_again_as_copies() {
    let scene = Scene::new();
    let up = scene.world.start(&["up"]);
    let store = scene.world.store().await;
    let id = scene.world.publish(&["note", "--delay", "1h"]).await;
    let text = id.to_string();
    scene.world.run(&["tasks", "cancel", &text]).await.ok();
    assert_eq!(scene.world.ended(&store, id, PATIENCE).await.state, TaskState::Cancelled);

    scene.world.run(&["tasks", "retry", &text]).await.ok();
    scene.succeeded(&store, id).await;
    let said = scene.world.run(&["tasks", "cancel", &text]).await.failed(1);
    assert!(said.out.contains("succeeded"), "{said:#?}");

    let copy = scene.world.run(&["tasks", "rerun", &text]).await.ok().id();
    assert_ne!(copy, id);
    scene.succeeded(&store, copy).await;
    up.stop().await;
    scene.everything_ran_once();
}

#[tokio::test]
async fn a_paused_queue_waits_until_it_is_resumed() {
    let scene = Scene::new();
    scene.world.run(&["publish", "note", "--delay", "1h"]).await.ok();
    scene.world.run(&["queues", "pause", "default"]).await.ok();
    let up = scene.world.start(&["up"]);
    up.says("the queue is paused", PATIENCE).await;
    let id = scene.world.publish(&["note"]).await;
    let said =
        scene.world.run(&["publish", "note", "--queue", "default", "--wait", "--timeout", "200ms"]).await;
    said.failed(1);
    assert_eq!(scene.journal.count(&["note"]), 0);

    scene.world.run(&["queues", "resume", "default"]).await.ok();
    let store = scene.world.store().await;
    scene.succeeded(&store, id).await;
    up.stop().await;
}

#[tokio::test]
async fn shells_get_completions_that_they_can_read() {
    let scene = Scene::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = scene.world.run(&["completions", shell]).await.ok();
        assert!(said.out.contains("upbeat") && said.out.contains("dedup-id"), "{shell}");
        scene.world.write(shell, &said.out);
    }
    let read = std::process::Command::new("bash").arg("-n").arg(scene.world.path("bash")).status();
    assert!(read.expect("bash is there, as tests/run needs it").success());
    scene.world.run(&["completions", "tcsh"]).await.failed(2).mentions("bash");
}

/// Every command with the flags that it must have.
const COMMANDS: [(&[&str], &[&str]); 30] = [
    (&["up"], &["--queues", "--concurrency", "--listen"]),
    (&["beat"], &["--listen"]),
    (&["worker"], &["--queues", "--concurrency", "--listen"]),
    (
        &["publish"],
        &[
            "--args",
            "--queue",
            "--delay",
            "--at",
            "--dedup-id",
            "--priority",
            "--count",
            "--wait",
            "--timeout",
        ],
    ),
    (&["tasks", "list"], &["--state", "--queue", "--name", "--schedule", "--since", "--limit"]),
    (&["tasks", "show"], &[]),
    (&["tasks", "cancel"], &[]),
    (&["tasks", "retry"], &[]),
    (&["tasks", "rerun"], &[]),
    (&["dead", "list"], &[]),
    (&["dead", "replay"], &["--all", "--name"]),
    (&["dead", "drop"], &["--all"]),
    (&["schedules", "list"], &[]),
    (&["schedules", "show"], &[]),
    (&["schedules", "check"], &[]),
    (&["schedules", "explain"], &["--zone", "--count", "--from"]),
    (&["schedules", "forecast"], &["--hours", "--from"]),
    (&["schedules", "import", "crontab"], &["--zone", "--system", "--user"]),
    (&["schedules", "trigger"], &[]),
    (&["queues", "list"], &["--sample", "--watch"]),
    (&["queues", "pause"], &[]),
    (&["queues", "resume"], &[]),
    (&["workers", "list"], &["--all"]),
    (&["workers", "show"], &[]),
    (&["config", "check"], &[]),
    (&["config", "print"], &[]),
    (&["migrate", "status"], &[]),
    (&["migrate", "up"], &[]),
    (&["healthcheck"], &[]),
    (&["init"], &[]),
];

#[tokio::test]
async fn every_command_explains_itself() {
    let scene = Scene::new();
    let all = scene.world.run(&["--help"]).await.ok();
    assert!(
        all.out.contains("Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 cannot reach"),
        "{}",
        all.out
    );
    for (command, flags) in COMMANDS {
        assert!(all.out.contains(&format!("\n  {}", command[0])), "{command:?} is not listed");
        let said = scene.world.run(&[command, &["--help"]].concat()).await.ok();
        let global = ["--config", "--data", "--broker", "--ledger", "--namespace", "--json"];
        for flag in flags.iter().chain(&global) {
            assert!(said.out.contains(flag), "{command:?} has no {flag}:\n{}", said.out);
        }
    }
}
