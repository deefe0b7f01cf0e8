//! `/metrics` of real processes: everything that is documented is there, nothing else is, and the figures are right.
#![expect(clippy::float_cmp, reason = "what is counted here is whole numbers, and few")]

use upbeat_shared::telemetry::{self, Metric, ShownBy};
use upbeat_tests::harness::{Metrics, Process, eventually, eventually_some, listening};

use super::scene::{PATIENCE, Scene};

/// A task that fails once, one of a queue that nobody configured, and a schedule.
const WORK: &str = r#"
[tasks.once]
command = ["sh", "-c", '[ "$UPBEAT_ATTEMPT" -gt 1 ] || exit 1']
retry = { delay = "10ms", jitter = "none" }

[[schedule]]
id = "often"
task = "note"
every = "1s"
"#;

/// A role with its own endpoint on a free port.
async fn start(scene: &Scene, role: &str) -> (Process, String) {
    let process = scene.world.start(&[role, "--listen", "127.0.0.1:0", "--json"]);
    let listen = listening(&process, PATIENCE).await;
    (process, listen)
}

/// The documented metrics of a role on the embedded broker and ledger.
fn documented(role: ShownBy) -> impl Iterator<Item = &'static Metric> {
    telemetry::ALL.iter().filter(move |metric| metric.shown_by == role || metric.shown_by == ShownBy::Every)
}

/// What is shown is what is documented: names, types, labels.
fn as_documented(shown: &Metrics, role: ShownBy) {
    for metric in documented(role) {
        let kind = shown.types().get(metric.name);
        let kind = kind.unwrap_or_else(|| panic!("{} is not shown: {:#?}", metric.name, shown.types()));
        assert_eq!(kind, metric.kind.as_str(), "{}", metric.name);
        let mut labels = metric.labels.to_vec();
        labels.sort_unstable();
        assert_eq!(shown.labels(metric.name), labels, "{}", metric.name);
        assert_eq!(shown.help(metric.name), Some(metric.about), "{}", metric.name);
    }
    for name in shown.types().keys() {
        assert!(documented(role).any(|metric| metric.name == name), "{name} is not documented for this role");
    }
}

/// Waits until the figures are so. Meanwhile something goes on, and a reading may fall between two counts of one event.
async fn comes_to(listen: &str, what: &str, is_so: impl Fn(&Metrics) -> bool) -> Metrics {
    eventually_some(what, PATIENCE, async || Some(Metrics::of(listen).await).filter(&is_so)).await
}

#[tokio::test]
async fn a_worker_shows_every_metric_that_is_documented_for_it() {
    let scene = Scene::with(WORK);
    let beat = scene.beat();
    let (worker, listen) = start(&scene, "worker").await;
    scene.world.run(&["publish", "note", "--wait"]).await.ok();
    scene.world.run(&["publish", "once", "--wait"]).await.ok();
    let id = scene.world.publish(&["hold"]).await;
    let gate = scene.held(id, 1).await;

    let shown = comes_to(&listen, "an occurrence ran, and all is quiet but for `hold`", |shown| {
        let claims = shown.sum(telemetry::CLAIMS, &[("answer", "acquired")]);
        shown.sum(telemetry::RUNS, &[("name", "note"), ("outcome", "succeeded")]) >= 2.0
            && shown.sum(telemetry::IN_FLIGHT, &[]) == 1.0
            && shown.sum(telemetry::RUNS, &[]) + 1.0 == claims
            && shown.sum("upbeat_queue_wait_seconds_count", &[("queue", "default")]) == claims
            && shown.sum("upbeat_ledger_call_seconds_count", &[]) == shown.sum(telemetry::LEDGER_CALLS, &[])
    })
    .await;
    as_documented(&shown, ShownBy::Worker);
    let is = |name: &str, labels: &[(&str, &str)]| shown.sum(name, labels);
    assert_eq!(is(telemetry::RUNS, &[("name", "once"), ("outcome", "succeeded")]), 1.0);
    assert_eq!(is(telemetry::RUNS, &[("name", "once"), ("outcome", "retry")]), 1.0);
    assert_eq!(is(telemetry::RUN_FAILURES, &[]), 1.0);
    assert_eq!(is(telemetry::RUN_FAILURES, &[("name", "once"), ("kind", "failed")]), 1.0);
    assert_eq!(is("upbeat_run_seconds_count", &[("name", "once")]), 2.0);
    assert_eq!(is(telemetry::SLOTS, &[]), 8.0);
    // Two of `once`, two of `note` at least, and the one that runs.
    let claims = is(telemetry::CLAIMS, &[("answer", "acquired")]);
    assert!(claims >= 5.0, "{claims}");
    let waited = is("upbeat_queue_wait_seconds_sum", &[]);
    assert!((0.0..60.0 * claims).contains(&waited), "{waited}");
    // What the test waited for, one after the other: `note` and both runs of `once`. Verdicts that are ready together, as the
    // occurrence's may be with another, are settled in one call.
    assert!(is(telemetry::LEDGER_CALLS, &[("call", "settle"), ("outcome", "ok")]) >= 3.0);
    assert_eq!(is(telemetry::LEDGER_CALLS, &[("outcome", "error")]), 0.0);
    assert_eq!(is(telemetry::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(is("process_resident_memory_bytes", &[]) > 1e6 && is("process_open_fds", &[]) > 3.0);
    assert!(is("process_start_time_seconds", &[]) > 1.7e9, "after 2023");

    scene.let_go(&gate);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_beat_shows_every_metric_that_is_documented_for_it() {
    let scene = Scene::with(WORK);
    let (beat, listen) = start(&scene, "beat").await;
    let worker = scene.worker();
    scene.world.run(&["publish", "once", "--wait"]).await.ok();
    // Nobody takes it, and no configuration names its queue.
    scene.world.publish(&["note", "--queue", "strange"]).await;
    scene.world.publish(&["note", "--queue", "stranger", "--delay", "1h"]).await;

    let shown = comes_to(&listen, "the ledger was looked at", |shown| {
        // Occurrences, and the retry.
        let promoted = shown.sum(telemetry::PROMOTED, &[]);
        shown.sum(telemetry::TASKS, &[("queue", "other"), ("state", "queued")]) == 1.0
            && promoted >= 2.0
            && shown.sum(telemetry::PUBLISHED, &[("queue", "default"), ("outcome", "confirmed")]) == promoted
    })
    .await;
    as_documented(&shown, ShownBy::Beat);
    let is = |name: &str, labels: &[(&str, &str)]| shown.sum(name, labels);
    let fired = is(telemetry::OCCURRENCES, &[("outcome", "fired")]);
    assert!(fired >= 1.0);
    assert!(is("upbeat_occurrence_lateness_seconds_count", &[]) >= 1.0);
    let late = is("upbeat_occurrence_lateness_seconds_sum", &[]);
    assert!((0.0..60.0 * fired).contains(&late), "{late}");
    assert_eq!(is(telemetry::PUBLISHED, &[]), is(telemetry::PROMOTED, &[]), "and nothing else");
    assert_eq!(is(telemetry::AGENDA_SIZE, &[("queue", "other")]), 2.0, "what two strangers' queues hold");
    assert_eq!(is(telemetry::TASKS, &[("queue", "other"), ("state", "scheduled")]), 1.0);
    assert!(is(telemetry::TASKS, &[("queue", "default"), ("state", "succeeded")]) >= 1.0);
    assert_eq!(is(telemetry::MEMBERS, &[]), 2.0);
    assert_eq!(is(telemetry::MEMBERS, &[("role", "beat"), ("state", "healthy")]), 1.0);
    assert_eq!(is(telemetry::LOST, &[]), 0.0);
    assert!(is(telemetry::LEDGER_CALLS, &[("call", "heartbeat"), ("outcome", "ok")]) >= 1.0);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_strangers_names_make_no_metrics_of_their_own() {
    let scene = Scene::with(WORK);
    let beat = scene.beat();
    let (worker, listen) = start(&scene, "worker").await;
    scene.world.run(&["publish", "a-name-that-nobody-knows"]).await.ok();
    scene.world.run(&["publish", "note", "--wait"]).await.ok();
    eventually("the stranger was seen", PATIENCE, async || {
        scene
            .world
            .run(&["tasks", "list", "--name", "a-name-that-nobody-knows"])
            .await
            .out
            .contains("scheduled")
    })
    .await;
    let text = format!("{:?}", Metrics::of(&listen).await);
    assert!(!text.contains("a-name-that-nobody-knows"), "{text}");
    worker.stop().await;
    beat.stop().await;
}
