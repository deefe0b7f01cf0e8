//! Processes die at the worst moments; what they had in hand runs all the same, once.

use std::time::Duration;

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Store, TaskFilter};
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_tests::harness::{Queue, count, eventually, tasks};
use upbeat_tests::message::task_name;

use super::scene::{EVERY_SECOND, PATIENCE, Scene};

/// How long a process may take to come to its failpoint and die.
const DEATH: Duration = Duration::from_secs(30);

/// Failpoints are compiled in on request only, so that no release can be made to die by its environment.
#[cfg(feature = "failpoints")]
pub(super) fn failpoints_are_compiled_in() {}

#[cfg(not(feature = "failpoints"))]
pub(super) fn failpoints_are_compiled_in() {
    panic!("run this with --features failpoints, as tests/run does");
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_a_task_costs_one_crash_and_another_run() {
    let scene = Scene::new();
    let beat = scene.beat();
    let mut lost = scene.worker();
    let id = scene.world.publish(&["hold"]).await;
    let orphan = scene.held(id, 1).await;
    let other = scene.worker();

    lost.kill().await;

    let gate = scene.held(id, 2).await;
    scene.let_go(&gate);
    let store = scene.world.store().await;
    let record = scene.succeeded(&store, id).await;
    assert_eq!((record.message.crashes, record.message.attempts), (1, 0));
    assert_eq!(scene.journal.count(&["begin", &id.to_string()]), 2);
    // The killed worker's program has outlived it; it can end, and nobody listens.
    scene.let_go(&orphan);
    other.stop().await;
    beat.stop().await;
    assert_eq!(scene.succeeded(&store, id).await, record);
}

#[tokio::test]
async fn a_task_that_kills_its_workers_is_dead_after_three() {
    let scene = Scene::new();
    let beat = scene.beat();
    let id = scene.world.publish(&["poison"]).await;
    for run in 1..=3 {
        let mut worker = scene.worker();
        scene.journal.wait("poison", id, run, PATIENCE).await;
        assert!(!worker.ended(DEATH).await.success());
    }
    // Whoever comes now is safe.
    let worker = scene.worker();
    let store = scene.world.store().await;
    let record = scene.world.ended(&store, id, PATIENCE).await;

    assert_eq!((record.state, record.message.crashes, record.message.attempts), (TaskState::Dead, 3, 0));
    assert_eq!(record.error.expect("a dead task says why").kind, RunErrorKind::Crashed);
    let note = scene.world.publish(&["note"]).await;
    scene.succeeded(&store, note).await;
    assert_eq!(scene.journal.count(&["poison"]), 3);
    worker.stop().await;
    beat.stop().await;
}

/// A beat dies at a failpoint between time and queue; the next one goes on, and each occurrence and each delayed task
/// runs once.
async fn beat_dies_at(failpoint: &str) {
    failpoints_are_compiled_in();
    let scene = Scene::with(EVERY_SECOND);
    let delayed = scene.world.publish(&["note", "--delay", "500ms"]).await;

    let mut dying = scene.world.start_to_fail(&["beat"], failpoint);
    assert!(!dying.ended(DEATH).await.success());
    let beat = scene.beat();
    let store = scene.world.store().await;
    // Nobody takes it before the other beat has come to it: what was published twice by then is there twice.
    let promoted = async || is_queued(&store, delayed).await && nothing_is_overdue(&store).await;
    eventually("everything due is queued", PATIENCE, promoted).await;
    let worker = scene.worker();

    scene.succeeded(&store, delayed).await;
    eventually("the schedule fires", PATIENCE, async || scene.instants().len() >= 3).await;
    beat.stop().await;
    worker.stop().await;
    scene.everything_ran_once();
    let seconds: Vec<i64> = scene.instants().iter().map(|at| second(at)).collect();
    assert!(seconds.windows(2).all(|pair| pair[1] == pair[0] + 1), "none is left out: {seconds:?}");
    for record in tasks(&store, TaskFilter::default()).await {
        assert_eq!((record.message.crashes, record.message.attempts), (0, 0), "{record:#?}");
    }
}

async fn is_queued(store: &Store, id: TaskId) -> bool {
    let record = store.inspect.get(vec![id]).await.expect("the store shows").remove(0);
    record.is_some_and(|record| record.state == TaskState::Queued)
}

/// Nothing waits to be promoted that the beat which died had taken on.
async fn nothing_is_overdue(store: &Store) -> bool {
    let now = store.ledger.now().await.expect("the store tells its time");
    let filter = TaskFilter { states: vec![TaskState::Scheduled], ..TaskFilter::default() };
    tasks(store, filter).await.iter().all(|record| record.due_at.is_none_or(|due_at| due_at > now))
}

fn second(instant: &str) -> i64 {
    instant.parse::<jiff::Timestamp>().expect("an instant").as_second()
}

#[tokio::test]
async fn a_beat_that_dies_before_it_plans_leaves_one_run() {
    beat_dies_at("beat.plan.computed").await;
}

#[tokio::test]
async fn a_beat_that_dies_after_it_has_planned_leaves_one_run() {
    beat_dies_at("beat.plan.advanced").await;
}

#[tokio::test]
async fn a_beat_that_dies_before_it_publishes_leaves_one_run() {
    beat_dies_at("beat.promote.leased").await;
}

#[tokio::test]
async fn a_beat_that_dies_between_confirm_and_mark_leaves_one_run() {
    beat_dies_at("beat.promote.confirmed").await;
}

#[tokio::test]
async fn a_beat_that_dies_after_the_mark_leaves_one_run() {
    beat_dies_at("beat.promote.marked").await;
}

#[tokio::test]
async fn what_two_beats_published_because_the_first_died_before_the_mark_runs_once() {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let id = scene.world.publish(&["note", "--delay", "1ms"]).await;
    let mut dying = scene.world.start_to_fail(&["beat"], "beat.promote.confirmed");
    assert!(!dying.ended(DEATH).await.success());
    let beat = scene.beat();
    let queue = Queue::open(&scene.world.store_path());
    eventually("both beats have published it", PATIENCE, async || queue.waiting() == 2).await;

    let worker = scene.worker();

    let store = scene.world.store().await;
    scene.succeeded(&store, id).await;
    eventually("nothing is left", PATIENCE, async || queue.messages() == 0).await;
    worker.stop().await;
    beat.stop().await;
    assert_eq!(scene.journal.count(&["note"]), 1);
}

#[tokio::test]
async fn a_beat_that_dies_right_after_it_judged_a_worker_lost_has_counted_one_crash() {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let mut lost = scene.worker();
    let id = scene.world.publish(&["hold"]).await;
    let orphan = scene.held(id, 1).await;
    lost.kill().await;
    let mut dying = scene.world.start_to_fail(&["beat"], "beat.reap.done");
    assert!(!dying.ended(DEATH).await.success());
    let (beat, worker) = (scene.beat(), scene.worker());

    let gate = scene.held(id, 2).await;
    scene.let_go(&gate);
    scene.let_go(&orphan);
    let store = scene.world.store().await;
    let record = scene.succeeded(&store, id).await;
    assert_eq!(record.message.crashes, 1);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn the_message_of_a_lost_run_does_not_take_its_successor_with_it() {
    let scene = Scene::new();
    let mut lost = scene.worker();
    let id = scene.world.publish(&["hold"]).await;
    let orphan = scene.held(id, 1).await;
    lost.kill().await;
    let beat = scene.beat();
    let queue = Queue::open(&scene.world.store_path());
    // The first one comes back because its process has died, and is stale; the second was promoted for the next run.
    eventually("both messages wait", PATIENCE, async || queue.waiting() == 2).await;

    // It takes both together.
    let worker = scene.worker();

    let gate = scene.held(id, 2).await;
    scene.let_go(&gate);
    scene.let_go(&orphan);
    let store = scene.world.store().await;
    scene.succeeded(&store, id).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn what_was_interrupted_when_everything_was_killed_runs_when_it_is_started_again() {
    let scene = Scene::new();
    let mut up = scene.world.start(&["up"]);
    let id = scene.world.publish(&["hold"]).await;
    let later = scene.world.publish(&["note", "--delay", "1s"]).await;
    let orphan = scene.held(id, 1).await;
    up.kill().await;
    scene.let_go(&orphan);

    let up = scene.world.start(&["up"]);
    let gate = scene.held(id, 2).await;
    scene.let_go(&gate);

    let store = scene.world.store().await;
    scene.succeeded(&store, id).await;
    scene.succeeded(&store, later).await;
    assert_eq!(scene.journal.count(&["begin", &id.to_string()]), 2);
    assert_eq!(scene.journal.count(&["note"]), 1);
    let shown = scene.world.run(&["tasks", "show", &id.to_string()]).await.ok();
    assert!(shown.out.contains("1 worker lost while it ran"), "{shown:#?}");
    up.stop().await;
}

/// A client dies at a failpoint; what it had recorded runs once.
async fn client_dies_at(failpoint: &str) {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let mut dying = scene.world.start_to_fail(&["publish", "note"], failpoint);
    assert!(!dying.ended(DEATH).await.success());
    let store = scene.world.store().await;
    let filter = TaskFilter { name: Some(task_name("note")), ..TaskFilter::default() };
    let recorded = tasks(&store, filter).await;
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    let id = recorded[0].message.id;

    let (beat, worker) = (scene.beat(), scene.worker());

    scene.succeeded(&store, id).await;
    beat.stop().await;
    worker.stop().await;
    scene.everything_ran_once();
    assert_eq!(scene.journal.count(&["note"]), 1);
}

#[tokio::test]
async fn a_client_that_dies_before_it_publishes_leaves_one_run() {
    client_dies_at("client.publish.recorded").await;
}

#[tokio::test]
async fn a_client_that_dies_between_confirm_and_mark_leaves_one_run() {
    client_dies_at("client.publish.confirmed").await;
}

/// A worker dies at a failpoint; another makes good what it left, with so many runs and crashes in the record.
async fn worker_dies_at(failpoint: &str, runs: usize, crashes: u32) {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let beat = scene.beat();
    let id = scene.world.publish(&["note"]).await;
    let mut dying = scene.world.start_to_fail(&["worker"], failpoint);
    assert!(!dying.ended(DEATH).await.success());
    let worker = scene.worker();

    let store = scene.world.store().await;
    let record = scene.succeeded(&store, id).await;
    // The broker has nothing left to deliver either: what was settled and not acknowledged is Done when it comes again.
    let after = scene.world.publish(&["note"]).await;
    scene.succeeded(&store, after).await;
    let queue = Queue::open(&scene.world.store_path());
    eventually("no message is left", PATIENCE, async || queue.messages() == 0).await;
    worker.stop().await;
    beat.stop().await;
    assert_eq!(scene.journal.count(&["note", &id.to_string()]), runs);
    assert_eq!((record.message.crashes, record.message.attempts), (crashes, 0));
    assert_eq!(scene.journal.count(&["note", &after.to_string()]), 1);
}

#[tokio::test]
async fn a_worker_that_dies_after_the_claim_never_ran_it() {
    worker_dies_at("worker.claimed", 1, 1).await;
}

#[tokio::test]
async fn a_worker_that_dies_between_run_and_settle_makes_it_run_again() {
    worker_dies_at("worker.ran", 2, 1).await;
}

#[tokio::test]
async fn a_worker_that_dies_between_settle_and_acknowledgement_ran_it_once() {
    worker_dies_at("worker.settled", 1, 0).await;
}

#[tokio::test]
async fn a_worker_that_dies_after_the_acknowledgement_ran_it_once() {
    worker_dies_at("worker.acknowledged", 1, 0).await;
}

#[tokio::test]
async fn a_batch_that_a_killed_worker_had_in_hand_runs_elsewhere() {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let beat = scene.beat();
    scene.world.run(&["publish", "note", "--count", "20"]).await.ok();
    let mut dying = scene.world.start_to_fail(&["worker", "--concurrency", "4"], "worker.ran");
    assert!(!dying.ended(DEATH).await.success());
    let worker = scene.worker();

    // Long before anybody asks what became of a queued task that nobody claims.
    let store = scene.world.store().await;
    let all = async || count(&store, TaskState::Succeeded).await == 20;
    eventually("all of them have succeeded", Duration::from_secs(30), all).await;

    worker.stop().await;
    beat.stop().await;
    let runs = scene.journal.by_task("note");
    assert_eq!(runs.len(), 20);
    let crashed =
        tasks(&store, TaskFilter::default()).await.iter().filter(|it| it.message.crashes > 0).count();
    let twice = runs.values().filter(|count| **count > 1).count();
    assert!(runs.values().all(|count| *count <= 2) && twice <= crashed && crashed <= 4, "{runs:?}");
}
