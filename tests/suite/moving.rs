//! Tasks and schedules that move to another ledger: everything runs once, no occurrence is lost or fired twice.

use std::time::Duration;

use serde_json::Value;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Store;
use upbeat_tests::harness::{World, eventually};
use upbeat_tests::services::{Kind, Server};

use super::scene::{EVERY_SECOND, PATIENCE, Scene};

/// A task that fails for good until a file is there.
const TASKS: &str = r#"
[tasks.fails]
command = ["sh", "-c", 'echo "fails $UPBEAT_TASK_ID" >> @/journal; test -e @/mended']
retry = { max_attempts = 1 }

[tasks.waits]
command = ["sh", "-c", 'echo "waits $UPBEAT_TASK_ID" >> @/journal; test -e @/mended']
retry = { max_attempts = 5, delay = "10m", max_delay = "10m" }
"#;

/// A ledger with something in every state, about to be left.
struct Old {
    scene: Scene,
    /// Ids of tasks, by what became of them.
    done: TaskId,
    dead: TaskId,
    retrying: TaskId,
    later: TaskId,
    queued: TaskId,
    cancelled: TaskId,
    /// Has ended, and holds its key for an hour.
    keyed: TaskId,
    /// When the schedule's history begins.
    fired: usize,
}

const KEYED: [&str; 6] = ["publish", "note", "--unique", "k", "--unique-within", "1h"];
const DEDUP: [&str; 5] = ["publish", "note", "--dedup-id", "order-17", "--json"];

impl Old {
    /// Runs for a while, and stops in good order.
    async fn lived() -> Self {
        let scene = Scene::with(&[TASKS, EVERY_SECOND].concat());
        let (beat, worker) = (scene.beat(), scene.worker());
        let world = &scene.world;
        let said = world.run(&DEDUP).await.ok();
        let done: Value = serde_json::from_str(&said.out).expect("an object");
        let done: TaskId = done["id"].as_str().expect("an id").parse().expect("an id");
        let dead = world.publish(&["fails"]).await;
        let retrying = world.publish(&["waits"]).await;
        let later = world.publish(&["note", "--delay", "8s"]).await;
        let keyed = world.publish(&KEYED[1..]).await;
        let store = world.store().await;
        scene.succeeded(&store, keyed).await;
        scene.succeeded(&store, done).await;
        world.ended(&store, dead, PATIENCE).await;
        eventually("one waits for its retry", PATIENCE, async || attempts(&store, retrying).await == 1).await;
        eventually("the schedule has a history", PATIENCE, async || scene.instants().len() >= 3).await;
        world.run(&["export", "all.jsonl"]).await.failed(1).mentions("members live here: the ");
        worker.stop().await;
        beat.stop().await;
        // Nobody takes it: it waits in a queue that stays behind.
        let queued = world.publish(&["note"]).await;
        let cancelled = world.publish(&["note"]).await;
        world.run(&["tasks", "cancel", &cancelled.to_string()]).await.ok();
        world.run(&["queues", "pause", "elsewhere"]).await.ok();
        let fired = scene.instants().len();
        Self { scene, done, dead, retrying, later, queued, cancelled, keyed, fired }
    }

    fn world(&self) -> &World {
        &self.scene.world
    }

    async fn export(&self) {
        self.world().run(&["export", "all.jsonl", "--finished"]).await.ok();
    }

    /// The same configuration on another broker and ledger, as these lines say.
    fn point_to(&self, broker: &str, ledger: &str) {
        let folder = self.world().path("");
        let folder = folder.to_str().expect("UTF-8").trim_end_matches('/');
        let text = Scene::configuration(&[TASKS, EVERY_SECOND].concat());
        let text = text.replace("data = \"@/data\"", "data = \"@/new\"").replace('@', folder);
        // As they stand: URLs are full of `@`.
        let text = text.replace("[ledger]\n", &format!("{broker}[ledger]\n{ledger}"));
        self.world().write("upbeat.toml", &text);
    }

    /// After the import: everything runs there, once.
    async fn goes_on(&self) {
        let (scene, world) = (&self.scene, self.world());
        world.write("mended", "");
        let worker = scene.worker();
        let beat = scene.beat();
        for id in [self.queued, self.later] {
            scene.journal.wait("note", id, 1, PATIENCE).await;
        }
        for id in [self.dead, self.retrying].map(|id| id.to_string()) {
            let again = if id == self.dead.to_string() { "dead" } else { "tasks" };
            let verb = if again == "dead" { "replay" } else { "retry" };
            world.run(&[again, verb, &id]).await.ok();
        }
        scene.journal.wait("fails", self.dead, 2, PATIENCE).await;
        scene.journal.wait("waits", self.retrying, 2, PATIENCE).await;
        let said = world.run(&KEYED).await.ok();
        assert!(said.out.contains(&self.keyed.to_string()), "its window came along: {said:?}");
        let said = world.run(&DEDUP).await.ok();
        assert!(said.out.contains(&self.done.to_string()), "{said:?}");
        let more = self.fired + 5;
        eventually("the schedule goes on", PATIENCE, async || scene.instants().len() >= more).await;
        let listed = world.run(&["tasks", "list", "--state", "cancelled", "--json"]).await.ok();
        assert!(listed.out.contains(&self.cancelled.to_string()), "{listed:?}");
        beat.stop().await;
        worker.stop().await;

        scene.everything_ran_once();
        assert_eq!(scene.journal.count(&["note", &self.done.to_string()]), 1, "its repeat is recognised");
        assert_eq!(scene.journal.count(&["note", &self.cancelled.to_string()]), 0);
        no_gap(&scene.instants());
        let paused = world.run(&["queues", "list", "--json", "--sample", "0"]).await.ok();
        assert!(
            paused.out.lines().any(|line| line.contains("elsewhere") && line.contains("\"paused\":true"))
        );
    }
}

async fn attempts(store: &Store, id: TaskId) -> u32 {
    let found = store.inspect.get(vec![id]).await.expect("the store shows").remove(0);
    found.map_or(0, |record| record.message.attempts)
}

/// Every second from the first to the last.
fn no_gap(instants: &[String]) {
    let seconds: Vec<i64> = instants
        .iter()
        .map(|instant| instant.parse::<jiff::Timestamp>().expect("an instant").as_second())
        .collect();
    let expected: Vec<i64> = (seconds[0]..=*seconds.last().expect("there are some")).collect();
    assert_eq!(seconds, expected, "occurrences are neither lost nor repeated");
}

/// What a person may compare before and after.
async fn all(world: &World) -> Vec<Value> {
    let said = world.run(&["tasks", "list", "--json", "--limit", "10000"]).await.ok();
    said.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

#[tokio::test]
async fn what_is_exported_and_imported_is_the_same_in_the_same_order() {
    let old = Old::lived().await;
    let world = old.world();
    let before = all(world).await;
    let past = world.run(&["schedules", "show", "every-second", "--json"]).await.ok().out;
    old.export().await;
    old.point_to("", "");

    let dry = world.run(&["import", "all.jsonl", "--dry-run", "--json"]).await.ok().out;
    let dry: Value = serde_json::from_str(&dry).expect("an object");
    assert_eq!((&dry["tasks"], &dry["schedules"]), (&before.len().into(), &1.into()));
    assert_eq!(all(world).await.len(), 0, "nothing was changed");
    let said = world.run(&["import", "all.jsonl"]).await.ok().out;
    assert!(
        said.contains(&format!("imported {} tasks, 1 schedule and 1 paused queue", before.len())),
        "{said}"
    );

    let after = all(world).await;
    let told = |task: &Value| {
        let kept = ["id", "name", "args", "attempts", "due_at", "started_at", "finished_at", "planned_at"];
        let state = task["state"].as_str().expect("a state").replace("queued", "scheduled");
        (kept.map(|field| task[field].clone()), state)
    };
    let told = |all: &[Value]| all.iter().map(told).collect::<Vec<_>>();
    assert_eq!(told(&after), told(&before));
    let here = world.run(&["schedules", "show", "every-second", "--json"]).await.ok().out;
    let pick = |text: &str| {
        let value: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("an object");
        (value["cursor"].clone(), value["occurrences"].clone())
    };
    assert_eq!(pick(&here), pick(&past));
    let again = world.run(&["import", "all.jsonl", "--json"]).await.ok().out;
    let again: Value = serde_json::from_str(&again).expect("an object");
    assert_eq!((&again["tasks"], &again["known_tasks"]), (&0.into(), &before.len().into()));
    assert_eq!((&again["schedules"], &again["known_schedules"]), (&0.into(), &1.into()));
    old.goes_on().await;
}

#[tokio::test]
async fn an_import_that_was_killed_is_done_again() {
    let scene = Scene::new();
    let world = &scene.world;
    world.run(&["publish", "note", "--count", "1200", "--delay", "1h"]).await.ok();
    world.run(&["export", "all.jsonl"]).await.ok();
    world.configure("upbeat.toml", &Scene::configuration("").replace("@/data", "@/new"));

    let mut dying = world.start_to_fail(&["import", "all.jsonl"], "import.batch");
    assert!(!dying.ended(Duration::from_secs(60)).await.success());
    let part = all(world).await.len();
    assert!(part > 0 && part < 1200, "{part} of 1200 are here");
    let said = world.run(&["import", "all.jsonl"]).await.ok().out;

    assert!(said.contains(&format!("imported {} tasks", 1200 - part)), "{said}");
    assert_eq!(all(world).await.len(), 1200);
}

#[tokio::test]
async fn what_cannot_be_exported_or_imported_is_refused_before_anything_is_changed() {
    let scene = Scene::new();
    let world = &scene.world;
    world.run(&["publish", "note", "--count", "3", "--delay", "1h"]).await.ok();
    world.run(&["export", "all.jsonl"]).await.ok();
    world.run(&["export", "all.jsonl"]).await.failed(1).mentions("exists: nothing was written");
    let whole = std::fs::read_to_string(world.path("all.jsonl")).expect("it is there");
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 5, "{whole}");
    world.configure("upbeat.toml", &Scene::configuration("").replace("@/data", "@/new"));

    let wrong = [
        (lines[..4].join("\n"), "line 4: it ends here, without its last line"),
        (whole.replacen("\"scheduled\"", "\"running late\"", 1), "line 2: unknown variant `running late`"),
        (whole.replacen("note", "no te", 2).replacen("no te", "note", 1), "line 2: "),
        (whole.replace("\"namespace\":\"default\"", "\"namespace\":\"another\""), "namespace"),
        ("{}".to_owned(), "line 1: it is no export of upbeat"),
    ];
    for (text, told) in wrong {
        world.write("wrong.jsonl", &text);
        world.run(&["import", "wrong.jsonl"]).await.failed(1).mentions(told);
    }
    assert_eq!(all(world).await.len(), 0, "nothing was changed");
    world.run(&["import", "none.jsonl"]).await.failed(1).mentions("cannot read none.jsonl");
    let piped = [lines[..3].join("\n"), "{".into()].join("\n");
    let said = world.run_command(world.command(&["import", "-"]), &piped).await.failed(1);
    assert!(said.err.contains("standard input, line 4"), "{said:?}");

    let beat = scene.beat();
    eventually("it is known", PATIENCE, async || {
        world.run(&["workers", "list", "--all"]).await.ok().out.contains("  beat  ")
    })
    .await;
    world.run(&["import", "all.jsonl"]).await.failed(1).mentions("members live here: the beat");
    beat.stop().await;
    let said = world.run_command(world.command(&["import", "-"]), &whole).await.ok();
    assert!(said.out.contains("imported 3 tasks"), "{said:?}");
}

#[tokio::test]
async fn a_task_that_was_running_when_its_worker_died_is_scheduled_again() {
    let scene = Scene::new();
    let world = &scene.world;
    let (beat, mut worker) = (scene.beat(), scene.worker());
    let id = world.publish(&["hold"]).await;
    let gate = scene.held(id, 1).await;
    beat.stop().await;
    worker.kill().await;
    eventually("its lease is over", PATIENCE, async || {
        world.run(&["export", "a.jsonl"]).await.code == Some(0)
    })
    .await;
    scene.let_go(&gate);
    world.configure("upbeat.toml", &Scene::configuration("").replace("@/data", "@/new"));
    world.run(&["import", "a.jsonl"]).await.ok();

    let task = &all(world).await[0];

    assert_eq!((&task["state"], &task["crashes"]), (&"scheduled".into(), &1.into()));
    assert_eq!(task["note"], "it was running when it was exported");
}

#[tokio::test]
async fn a_schedule_of_another_history_is_left_alone_and_told_of() {
    let scene = Scene::with(EVERY_SECOND);
    let world = &scene.world;
    let there = scene.beat();
    eventually("it is there", PATIENCE, async || {
        world.path("data/default.sqlite3").exists()
            && world.run(&["schedules", "list", "--json"]).await.out.contains("every-second")
    })
    .await;
    there.stop().await;
    world.run(&["export", "schedules.jsonl", "--schedules"]).await.ok();
    world.configure("upbeat.toml", &Scene::configuration(EVERY_SECOND).replace("@/data", "@/new"));
    let here = scene.beat();
    eventually("it is here", PATIENCE, async || {
        world.path("new/default.sqlite3").exists()
            && world.run(&["schedules", "list", "--json"]).await.out.contains("every-second")
    })
    .await;
    here.stop().await;

    world.run(&["import", "schedules.jsonl"]).await.failed(1).mentions("others of the same id are here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_embedded_file_to_rabbitmq_and_postgres_everything_runs_once() {
    let (rabbitmq, postgres) = tokio::join!(Server::start(Kind::RabbitMq43), Server::start(Kind::Postgres));
    let old = Old::lived().await;
    old.export().await;
    let url = |url: &str| format!("url = '{url}'\n");
    old.point_to(&format!("[broker]\n{}", url(rabbitmq.url())), &url(postgres.url()));

    old.world().run(&["import", "all.jsonl"]).await.ok();

    old.goes_on().await;
    // And on: what RabbitMQ holds alone does not move.
    old.world().run(&["publish", "note"]).await.ok();
    let refused = old.world().run(&["export", "next.jsonl"]).await.failed(1);
    refused.mentions("1 message in the queue default");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_embedded_file_to_redis_everything_runs_once() {
    let server = Server::start(Kind::Redis).await;
    let old = Old::lived().await;
    old.export().await;
    old.point_to("", &format!("url = '{}'\n", server.url()));

    old.world().run(&["import", "all.jsonl"]).await.ok();

    old.goes_on().await;
}
