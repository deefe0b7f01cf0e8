//! Members come and go in good order: what they had in hand goes on, and nothing is counted against it.

use upbeat_shared::ledger::Store;
use upbeat_shared::member::Role;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Queue, count, eventually};

use super::scene::{EVERY_SECOND, PATIENCE, Scene};

#[tokio::test]
async fn a_worker_asked_to_end_finishes_what_runs_and_gives_back_what_has_not_begun() {
    let scene = Scene::new();
    let beat = scene.beat();
    // One slot for two queues: it takes a message of each, and runs one.
    let mut worker = scene.world.start(&["worker", "--queues", "busy,idle", "--concurrency", "1"]);
    let running = scene.world.publish(&["hold", "--queue", "busy"]).await;
    let gate = scene.held(running, 1).await;
    let waiting = scene.world.publish(&["note", "--queue", "idle"]).await;
    let queue = Queue::open(&scene.world.store_path());
    eventually("the worker has both", PATIENCE, async || queue.held() == [2]).await;

    worker.terminate();
    eventually("one is given back", PATIENCE, async || queue.waiting() == 1).await;
    assert!(worker.is_alive(), "it waits for the one that runs");
    scene.let_go(&gate);

    let status = worker.ended(PATIENCE).await;
    assert!(status.success(), "{status}");
    let store = scene.world.store().await;
    let record = scene.succeeded(&store, running).await;
    assert_eq!((record.message.crashes, record.message.attempts), (0, 0));
    assert_eq!(scene.journal.count(&["note"]), 0);
    let other = scene.world.start(&["worker", "--queues", "busy,idle"]);
    scene.succeeded(&store, waiting).await;
    other.stop().await;
    beat.stop().await;
    assert_eq!(scene.journal.count(&["begin"]), 1);
    assert_eq!(scene.journal.count(&["note"]), 1);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_given_to_another_worker_and_counts_as_nothing() {
    let scene = Scene::new();
    let beat = scene.beat();
    let worker = scene.world.start(&["worker", "--grace", "100ms"]);
    let id = scene.world.publish(&["hold"]).await;
    scene.held(id, 1).await;
    worker.stop().await;

    let other = scene.worker();
    let gate = scene.held(id, 2).await;
    scene.let_go(&gate);

    let store = scene.world.store().await;
    let record = scene.succeeded(&store, id).await;
    assert_eq!((record.message.crashes, record.message.attempts), (0, 0));
    other.stop().await;
    beat.stop().await;
    assert_eq!(scene.journal.count(&["end"]), 1, "the first run was stopped");
}

async fn are_there(store: &Store, role: Role, members: usize) {
    let what = format!("{members} of the role {}", role.as_str());
    eventually(&what, PATIENCE, async || {
        let there = store.inspect.members().await.expect("the store shows");
        there.iter().filter(|member| member.role == role && !member.retired).count() == members
    })
    .await;
}

#[tokio::test]
async fn two_whole_programs_in_one_directory_share_the_work() {
    let scene = Scene::with(EVERY_SECOND);
    let (one, two) = (scene.world.start(&["up"]), scene.world.start(&["up"]));
    let store = scene.world.store().await;
    are_there(&store, Role::Worker, 2).await;
    are_there(&store, Role::Beat, 2).await;

    // One of them has 8 slots: 12 tasks run at once only if both take some.
    let holds = scene.world.run(&["publish", "hold", "--count", "12"]).await.ok();
    eventually("all of them run", PATIENCE, async || scene.journal.count(&["begin"]) == 12).await;
    for id in holds.out.lines() {
        let gate = scene.held(id.parse().expect("an id"), 1).await;
        scene.let_go(&gate);
    }
    scene.world.run(&["publish", "note", "--count", "40"]).await.ok();
    eventually("all of them ran", PATIENCE, async || {
        count(&store, TaskState::Succeeded).await >= 52 && scene.instants().len() >= 3
    })
    .await;

    one.stop().await;
    two.stop().await;
    scene.everything_ran_once();
    assert_eq!(scene.journal.count(&["begin"]), 12);
    let planned = scene.instants().len();
    assert_eq!(scene.journal.count(&["note"]) - planned, 40, "each of them once");
}
