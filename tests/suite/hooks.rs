//! The operator is told: once of every task that is dead or overdue, and of nothing else.

use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::clock::SystemClock;
use upbeat_shared::hook::DEAD_NOTICE;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Store, TaskFilter};
use upbeat_shared::message::WireMessage;
use upbeat_shared::name::QueueName;
use upbeat_shared::sqlite::SqliteFile;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::telemetry;
use upbeat_shared::transport::embedded::EmbeddedTransport;
use upbeat_shared::transport::{Outgoing, Transport};
use upbeat_tests::harness::{
    Endpoint, Metrics, Request, count, eventually, eventually_some, listening, tasks,
};
use upbeat_tests::message::task_name;

use super::crash::failpoints_are_compiled_in;
use super::scene::{PATIENCE, Scene};

/// How long a process may take to die.
const DEATH: Duration = Duration::from_secs(30);

/// A task that fails twice and is dead, and an endpoint that is told.
fn configuration(endpoint: &Endpoint) -> String {
    let address = endpoint.address();
    format!(
        r#"
[tasks.fails]
command = ["sh", "-c", 'echo "fails $UPBEAT_TASK_ID" >> @/journal; echo "no luck" >&2; exit 1']
retry = {{ max_attempts = 2, delay = "50ms", backoff = "constant", jitter = "none" }}

[hooks.dead]
url = "{address}"
headers = {{ Authorization = "Bearer alerts" }}
secret = "shared"

[hooks.overdue]
url = "{address}"
"#
    )
}

/// Waits until the endpoint was told of this task; answers what it was told.
async fn told(endpoint: &Endpoint, event: &str, id: TaskId) -> Request {
    let about = |request: &Request| request.body["event"] == event && request.body["id"] == id.to_string();
    eventually_some("the endpoint is told", PATIENCE, async || endpoint.requests().into_iter().find(about))
        .await
}

/// Every notice of dead tasks, as tasks.
async fn notices(store: &Store) -> Vec<TaskRecord> {
    tasks(store, TaskFilter { name: Some(task_name(DEAD_NOTICE)), ..TaskFilter::default() }).await
}

/// Waits until nothing is on its way any more; then the endpoint has been told this often.
async fn told_in_all(store: &Store, endpoint: &Endpoint, times: usize) {
    eventually("all has ended", PATIENCE, async || {
        let mut waiting = 0;
        for state in [TaskState::Scheduled, TaskState::Queued, TaskState::Running] {
            waiting += count(store, state).await;
        }
        waiting == 0
    })
    .await;
    let told: Vec<_> = endpoint.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(told.len(), times, "{told:#?}");
}

#[tokio::test]
async fn a_task_that_exhausts_its_attempts_is_told_of_once_and_the_request_is_signed() {
    let endpoint = Endpoint::serve().await;
    let scene = Scene::with(&configuration(&endpoint));
    let (beat, worker) = (scene.beat(), scene.worker());
    let id = scene.world.publish(&["fails", "--tag", "tenant:acme", "--args", "{\"card\": \"4111\"}"]).await;
    let well = scene.world.publish(&["note"]).await;

    let request = told(&endpoint, "dead", id).await;

    let body = &request.body;
    assert_eq!(
        (&body["name"], &body["queue"], &body["attempts"]),
        (&"fails".into(), &"default".into(), &2.into())
    );
    assert_eq!(body["error"]["kind"], "failed");
    assert!(body["error"]["message"].as_str().expect("a text").contains("no luck"), "{body}");
    assert_eq!(body["tags"], serde_json::json!(["tenant:acme"]));
    assert!(!body.to_string().contains("4111"), "arguments stay where they are: {body}");
    assert_eq!(request.header("authorization"), Some("Bearer alerts"));
    assert!(request.header("upbeat-signature").expect("it is signed").starts_with("t="));
    assert_eq!(request.header("upbeat-task-name"), Some(DEAD_NOTICE));
    let store = scene.world.store().await;
    scene.succeeded(&store, well).await;
    told_in_all(&store, &endpoint, 1).await;
    worker.stop().await;
    beat.stop().await;
    assert_eq!(notices(&store).await.len(), 1);
    assert_eq!(scene.journal.count(&["fails"]), 2);
}

#[tokio::test]
async fn a_task_that_dies_again_after_a_replay_is_told_of_again() {
    let endpoint = Endpoint::serve().await;
    let scene = Scene::with(&configuration(&endpoint));
    let (beat, worker) = (scene.beat(), scene.worker());
    let id = scene.world.publish(&["fails"]).await;
    told(&endpoint, "dead", id).await;

    scene.world.run(&["dead", "replay", &id.to_string()]).await.ok();

    eventually("it is told of again", PATIENCE, async || endpoint.requests().len() == 2).await;
    let store = scene.world.store().await;
    told_in_all(&store, &endpoint, 2).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_task_whose_name_stays_unknown_is_told_of_once() {
    let endpoint = Endpoint::serve().await;
    let scene = Scene::with(&configuration(&endpoint));
    let (beat, worker) = (scene.beat(), scene.worker());
    let id = scene.world.publish(&["nobody.knows"]).await;
    let store = scene.world.store().await;
    eventually("it is parked", PATIENCE, async || {
        let record = store.inspect.get(vec![id]).await.expect("the store shows").remove(0);
        record.is_some_and(|record| record.note.as_deref() == Some("no worker knows its name"))
    })
    .await;

    let file = rusqlite::Connection::open(scene.world.store_path()).expect("the file is there");
    file.busy_timeout(PATIENCE).expect("a timeout can be set");
    let hours_ago = "UPDATE task SET parked_at = parked_at - 7200000000 WHERE parked_at IS NOT NULL";
    assert_eq!(file.execute(hours_ago, []).expect("it can be changed"), 1);

    let request = told(&endpoint, "dead", id).await;
    assert_eq!(request.body["error"]["kind"], "unknown_name");
    assert_eq!(request.body["name"], "nobody.knows");
    told_in_all(&store, &endpoint, 1).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_task_that_kills_its_workers_is_told_of_once() {
    let endpoint = Endpoint::serve().await;
    let scene = Scene::with(&configuration(&endpoint));
    let beat = scene.beat();
    let id = scene.world.publish(&["poison"]).await;
    for run in 1..=3 {
        let mut worker = scene.worker();
        scene.journal.wait("poison", id, run, PATIENCE).await;
        assert!(!worker.ended(DEATH).await.success());
    }

    let worker = scene.worker();

    let request = told(&endpoint, "dead", id).await;
    assert_eq!((&request.body["error"]["kind"], &request.body["crashes"]), (&"crashed".into(), &3.into()));
    let store = scene.world.store().await;
    told_in_all(&store, &endpoint, 1).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_message_that_nobody_understands_is_told_of_once() {
    let endpoint = Endpoint::serve().await;
    let scene = Scene::with(&configuration(&endpoint));
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    let clock = Arc::new(SystemClock::default());
    let file = SqliteFile::open(&scene.world.store_path(), clock).expect("the file is there");
    let transport = EmbeddedTransport::open(file).await.expect("its tables are there");

    let message = WireMessage { body: "what is this?".into(), ..WireMessage::default() };
    let queue = QueueName::default_queue();
    transport.declare(std::slice::from_ref(&queue)).await.expect("it can be made");
    transport.publish(vec![Outgoing { queue, message }]).await.expect("it is taken");

    let is_told = async || endpoint.requests().into_iter().next();
    let request = eventually_some("the endpoint is told", PATIENCE, is_told).await;
    assert_eq!(
        (&request.body["event"], &request.body["error"]["kind"]),
        (&"dead".into(), &"undeliverable".into())
    );
    told_in_all(&store, &endpoint, 1).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_notice_survives_the_worker_that_was_killed_right_after_the_verdict() {
    failpoints_are_compiled_in();
    let endpoint = Endpoint::serve().await;
    let more = configuration(&endpoint).replace("max_attempts = 2", "max_attempts = 1");
    let scene = Scene::with(&more);
    let beat = scene.beat();
    let id = scene.world.publish(&["fails"]).await;
    let mut dying = scene.world.start_to_fail(&["worker"], "worker.settled");
    assert!(!dying.ended(DEATH).await.success());
    assert_eq!(endpoint.requests().len(), 0);

    let worker = scene.worker();

    told(&endpoint, "dead", id).await;
    let store = scene.world.store().await;
    told_in_all(&store, &endpoint, 1).await;
    worker.stop().await;
    beat.stop().await;
    assert_eq!(scene.journal.count(&["fails"]), 1);
    assert_eq!(notices(&store).await.len(), 1);
}

/// A schedule of a queue that no worker of these tests takes from unless it is told to.
const IDLE: &str = r#"
[beat]
overdue_after = "2s"

[[schedule]]
id = "idle"
task = "note"
queue = "idle"
every = "2s"
catch_up = "all"
"#;

#[tokio::test]
async fn an_occurrence_that_no_worker_takes_is_logged_counted_and_told_of() {
    let endpoint = Endpoint::serve().await;
    let scene = Scene::with(&format!("{}{IDLE}", configuration(&endpoint)));
    let beat = scene.world.start(&["beat", "--listen", "127.0.0.1:0", "--json"]);
    let listen = listening(&beat, PATIENCE).await;

    // No worker at all: the log and the metrics tell of it.
    beat.says("an occurrence is overdue: no worker has taken it", PATIENCE).await;
    eventually("more of them are counted", PATIENCE, async || {
        Metrics::of(&listen).await.sum(telemetry::OVERDUE, &[]) >= 2.0
    })
    .await;
    let lines = beat.log().lines().filter(|line| line.contains("an occurrence is overdue")).count();
    assert_eq!(lines, 1, "it is the same trouble: {}", beat.log());

    // One that takes from other queues delivers the notice.
    let other = scene.world.start(&["worker", "--queues", "default"]);
    let is_told = async || endpoint.requests().into_iter().next();
    let request = eventually_some("the endpoint is told", PATIENCE, is_told).await;
    let body = &request.body;
    assert_eq!((&body["event"], &body["schedule_id"]), (&"overdue".into(), &"idle".into()));
    assert_eq!((&body["queue"], &body["state"]), (&"idle".into(), &"queued".into()));
    assert!(body["late_by_ms"].as_u64().expect("a number") >= 2000, "{body}");
    assert_eq!(request.header("upbeat-task-name"), Some("upbeat.hook.overdue"));

    // The right one runs them all.
    let worker = scene.world.start(&["worker", "--queues", "idle"]);
    eventually("they run", PATIENCE, async || scene.instants().len() >= 4).await;
    worker.stop().await;
    other.stop().await;
    beat.stop().await;
    scene.everything_ran_once();
    let dead = endpoint.requests().iter().filter(|request| request.body["event"] == "dead").count();
    assert_eq!(dead, 0);
}

#[tokio::test]
async fn where_all_is_well_nobody_is_told_of_anything() {
    let endpoint = Endpoint::serve().await;
    let quick = "[beat]\noverdue_after = \"10s\"\n";
    let scene = Scene::with(&format!("{}{quick}{}", configuration(&endpoint), super::scene::EVERY_SECOND));
    let (beat, worker) = (scene.beat(), scene.worker());
    scene.world.run(&["publish", "note", "--count", "20"]).await.ok();
    let cancelled = scene.world.publish(&["fails", "--delay", "1h"]).await;
    scene.world.run(&["tasks", "cancel", &cancelled.to_string()]).await.ok();
    // Long enough for some occurrences to be judged.
    eventually("the schedule fires", PATIENCE, async || scene.instants().len() >= 12).await;
    let store = scene.world.store().await;
    eventually("the rest has run", PATIENCE, async || count(&store, TaskState::Succeeded).await >= 23).await;
    beat.stop().await;
    worker.stop().await;
    assert_eq!(endpoint.requests().len(), 0);
    assert_eq!(notices(&store).await, []);
}
