//! Who is blamed for a lost worker: whoever dies alone, and nobody else.

use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::run::RunEnd;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_tests::harness::{count, eventually, tasks};

use super::scene::{PATIENCE, Scene, ends};

#[tokio::test]
async fn a_task_that_kills_its_workers_dies_alone_the_third_time() {
    let scene = Scene::new();
    let beat = scene.beat();
    let store = scene.world.store().await;
    let bystander = scene.world.publish(&["hold"]).await;
    let id = scene.world.publish(&["abort"]).await;
    for run in 1..=2 {
        let mut lost = scene.worker();
        scene.journal.wait("abort", id, run, PATIENCE).await;
        assert!(!lost.ended(PATIENCE).await.success());
    }

    let mut worker = scene.worker();

    let record = scene.ended(&store, id).await;
    assert!(worker.is_alive());
    assert_eq!((record.state, record.message.crashes), (TaskState::Dead, 3));
    assert_eq!(ends(&record), [RunEnd::Lost, RunEnd::Lost, RunEnd::Crashed]);
    let error = record.error.clone().expect("a dead task says why");
    assert_eq!(error.kind, RunErrorKind::Crashed);
    for words in ["killed by signal 6", "on its way", &format!("the last words of {id}")] {
        assert!(error.message.contains(words), "{words:?} is missing in {}", error.message);
    }
    let shown = scene.world.run(&["tasks", "show", &id.to_string()]).await.ok().out;
    assert!(shown.contains("#1 lost after") && shown.contains("#3 crashed after"), "{shown}");
    scene.open_gate();
    assert_eq!(scene.ended(&store, bystander).await.state, TaskState::Succeeded);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_three_times_with_1000_tasks_running_blames_none() {
    const TASKS: u64 = 1000;
    let scene = Scene::new();
    let beat = scene.beat();
    let store = scene.world.store().await;
    scene.world.run(&["publish", "hold", "--count", &TASKS.to_string(), "--quiet"]).await.ok();
    let running = TaskFilter { states: vec![TaskState::Running], ..TaskFilter::default() };
    for lost in 0..2 {
        let mut worker = scene.worker();
        // Until it is judged, the lost one's tasks run as well, by the record.
        let all = async || {
            let running = tasks(&store, running.clone()).await;
            running.iter().filter(|record| record.message.crashes == lost).count() as u64 == TASKS
        };
        eventually("all of them run", PATIENCE, all).await;
        worker.kill().await;
    }
    // Those that had a claim and had not yet begun did not tell.
    let before = scene.journal.count(&["hold"]);
    let mut worker = scene.worker();
    let cores = std::thread::available_parallelism().expect("a machine has cores").get() as u64;
    let alone = async || (scene.journal.count(&["hold"]) - before) as u64;
    let some = async || alone().await > 0 && count(&store, TaskState::Running).await <= cores;
    eventually("one a core runs alone", PATIENCE, some).await;
    assert!(alone().await <= cores, "the others wait for their turn");
    worker.kill().await;

    scene.open_gate();
    let worker = scene.worker();

    let done = async || count(&store, TaskState::Succeeded).await == TASKS;
    eventually("all of them have succeeded", 4 * PATIENCE, done).await;
    let mut crashes = [0_u64; 4];
    for record in tasks(&store, TaskFilter::default()).await {
        crashes[record.message.crashes as usize] += 1;
    }
    assert_eq!((crashes[0], crashes[1]), (0, 0));
    assert!(crashes[3] <= cores, "only those that ran were lost a third time: {crashes:?}");
    worker.stop().await;
    beat.stop().await;
}
