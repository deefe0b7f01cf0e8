//! A task belongs to its publisher's trace, in every run and in whatever it publishes.

use std::sync::Arc;

use upbeat::prelude::*;
use upbeat_shared::clock::SystemClock;
use upbeat_shared::id::TaskId;
use upbeat_shared::message::TraceContext;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Cluster, Endpoint, eventually, eventually_some};
use upbeat_worker::Registry;

use super::scene::{PATIENCE, Scene};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

/// `told` writes down which trace it is in, and fails once. `calls` asks an endpoint. `asks` publishes `told` from its own
/// command line.
fn configuration(endpoint: &str) -> String {
    let upbeat = env!("CARGO_BIN_EXE_upbeat");
    format!(
        r#"
[tasks.told]
command = ["sh", "-c", 'echo "told $UPBEAT_TASK_ID $UPBEAT_ATTEMPT $TRACEPARENT $TRACESTATE" >> @/journal; [ "$UPBEAT_ATTEMPT" -gt 1 ]']
retry = {{ delay = "10ms", jitter = "none" }}

[tasks.calls]
http = "{endpoint}"
headers = {{ x-worker = "a" }}

[tasks.asks]
command = ["{upbeat}", "publish", "told", "--config", "@/upbeat.toml"]

[[schedule]]
id = "often"
task = "told"
every = "2s"
"#
    )
}

/// What `told` wrote down of a task's attempt: `traceparent` and `tracestate`.
async fn told(scene: &Scene, id: &str, attempt: u32) -> (String, String) {
    let begin = ["told".to_owned(), id.to_owned(), attempt.to_string()];
    let line = eventually_some("it runs", PATIENCE, async || {
        scene.journal.lines().into_iter().find(|line| line.starts_with(&begin))
    })
    .await;
    let word = |at: usize| line.get(at).cloned().unwrap_or_default();
    (word(3), word(4))
}

async fn publish_in_trace(scene: &Scene, task: &str) -> String {
    let mut command = scene.world.command(&["publish", task]);
    command.env("TRACEPARENT", PARENT).env("TRACESTATE", STATE);
    scene.world.run_command(command, "").await.ok().id().to_string()
}

#[tokio::test]
async fn a_trace_reaches_every_run_and_what_a_run_publishes() {
    let endpoint = Endpoint::serve().await;
    let scene = Scene::with(&configuration(endpoint.address()));
    let mut command = scene.world.command(&["up", "--log-format", "json"]);
    command.env("UPBEAT_LOG", "info");
    let up = scene.world.start_command(&["up"], command);

    // The environment of a command; a retry; the log of a run.
    let id = publish_in_trace(&scene, "told").await;
    let here = (PARENT.to_owned(), STATE.to_owned());
    assert_eq!(told(&scene, &id, 1).await, here);
    assert_eq!(told(&scene, &id, 2).await, here);
    let logged = |line: &str| -> Option<serde_json::Value> {
        serde_json::from_str::<serde_json::Value>(line).ok().map(|line| line["span"].clone())
    };
    eventually("its failure is logged in its trace", PATIENCE, async || {
        let log = up.log();
        let mut spans = log.lines().filter_map(logged).filter(|span| span["id"] == id.as_str());
        spans.any(|span| span["traceparent"] == PARENT && span["tracestate"] == STATE)
    })
    .await;

    // The headers of a request.
    let id = publish_in_trace(&scene, "calls").await;
    eventually("it is called", PATIENCE, async || endpoint.header(&id, "traceparent").is_some()).await;
    assert_eq!(endpoint.header(&id, "traceparent").as_deref(), Some(PARENT));
    assert_eq!(endpoint.header(&id, "tracestate").as_deref(), Some(STATE));

    // What a command publishes.
    publish_in_trace(&scene, "asks").await;
    eventually("the child runs in the same trace", PATIENCE, async || {
        let lines = scene.journal.lines();
        let of_trace =
            lines.iter().filter(|line| line[0] == "told" && line.get(3).is_some_and(|it| it == PARENT));
        of_trace.filter(|line| line.get(4).is_some_and(|it| it == STATE)).count() == 4
    })
    .await;

    // An occurrence is in a trace of its own, which its retry continues.
    let occurrence = eventually_some("an occurrence runs again", PATIENCE, async || {
        let lines = scene.journal.lines().into_iter();
        let mut again = lines.filter(|line| line[0] == "told" && line[2] == "2" && line.get(3).is_some());
        again.find(|line| line[3] != PARENT)
    })
    .await;
    let (parent, state) = told(&scene, &occurrence[1], 1).await;
    let id: TaskId = occurrence[1].parse().expect("an id");
    assert_eq!((parent.as_str(), state.as_str()), (TraceContext::begun_by(id).traceparent.as_str(), ""));
    assert_eq!(occurrence[3], parent);
    assert!(!parent.contains(TRACE) && TraceContext::parse(&parent, None).is_ok(), "{parent}");
    up.stop().await;
}

#[tokio::test]
async fn a_trace_given_on_the_command_line_is_checked_and_one_in_the_environment_may_be_anything() {
    let scene = Scene::new();
    let id = scene.world.publish(&["note", "--delay", "1h", "--traceparent", PARENT]).await;
    let shown = scene.world.run(&["tasks", "show", &id.to_string()]).await.ok();
    assert!(shown.out.contains(PARENT), "{}", shown.out);
    scene
        .world
        .run(&["publish", "note", "--traceparent", "not-one"])
        .await
        .failed(2)
        .mentions("is no traceparent");
    let mut command = scene.world.command(&["publish", "note", "--delay", "1h"]);
    command.env("TRACEPARENT", "not-one");
    scene.world.run_command(command, "").await.ok().mentions("is left out");
}

#[tokio::test]
async fn what_a_handler_publishes_continues_its_trace() {
    let clock = Arc::new(SystemClock::default());
    let cluster = Cluster::new(clock.clone());
    let mut registry = Registry::new();
    let child = native("child", |(): (), _| async { Ok(()) });
    let parent = native("parent", |(): (), run: RunContext| async move {
        let client = run.client.clone().expect("a run in a worker has one");
        let own = TraceContext::parse("00-11111111111111111111111111111111-2222222222222222-00", None)?;
        let task = |name| Ok::<_, Error>(NewTask::new(TaskName::new(name)?, Payload::json(&())?));
        let continued = client.publish(task("child")?).await?.id();
        let other = client.publish(task("child")?.trace(own)).await?.id();
        Ok((continued.to_string(), other.to_string()))
    });
    registry.add(parent).expect("a new name");
    registry.add(child).expect("a new name");
    let worker = cluster.worker(clock.clone(), registry).await;
    let client = cluster.client(clock.clone()).await;
    let trace = TraceContext::parse(PARENT, Some(STATE)).expect("it is one");
    let task =
        NewTask::new(TaskName::new("parent").expect("a name"), Payload::json(&()).expect("it has a form"));
    let id = client.publish(task.trace(trace.clone())).await.expect("it is accepted").id();

    let ended = client.wait(id, PATIENCE).await.expect("it ends");
    assert_eq!(ended.state, TaskState::Succeeded, "{ended:#?}");
    let published: (String, String) = ended.result.expect("two ids").decode().expect("two texts");
    let trace_of = async |id: &str| {
        let id: TaskId = id.parse().expect("an id");
        let record = client.store().inspect.get(vec![id]).await.expect("the store shows").remove(0);
        record.expect("it was recorded").message.trace
    };
    assert_eq!(trace_of(&published.0).await, Some(trace));
    let own = trace_of(&published.1).await.expect("the one it was given");
    assert!(own.traceparent.starts_with("00-1111"), "{own:?}");
    worker.stop().await;
}
