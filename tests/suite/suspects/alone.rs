//! How a suspect runs: alone, and otherwise as every task does.

use upbeat_shared::ledger::{ActAnswer, Action};
use upbeat_shared::run::RunEnd;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_tests::harness::{eventually, eventually_some};

use super::scene::{PATIENCE, Scene, ends, gone};
use crate::crash::failpoints_are_compiled_in;

#[tokio::test]
async fn a_suspect_does_in_its_process_what_it_does_in_a_worker() {
    let scene = Scene::new();
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    let id = scene.suspect(&store, "tell").await;

    let process = scene.begun("tell", id).await;

    assert_ne!(process, worker.id());
    let told = eventually_some("it is told how far it has come", PATIENCE, async || {
        let members = store.inspect.members().await.expect("the store lists");
        members.iter().find_map(|member| member.info.progress_of(id).cloned())
    });
    assert_eq!(told.await.note, "half of it");
    scene.open_gate();
    let record = scene.ended(&store, id).await;
    assert_eq!(record.state, TaskState::Succeeded);
    assert_eq!(record.result.expect("it is kept").to_json(), "attempt 1, crashes 2");
    eventually("what it published has run", PATIENCE, async || scene.journal.count(&["note"]) == 1).await;
    gone(process).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_suspect_fails_panics_and_blocks_as_others_do() {
    let scene = Scene::new();
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    scene.open_gate();
    let [fails, panics, blocks] = ["fail", "panic", "block"];
    let fails = scene.suspect(&store, fails).await;
    let panics = scene.suspect(&store, panics).await;
    let blocks = scene.suspect(&store, blocks).await;

    let record = scene.ended(&store, fails).await;
    assert_eq!((record.state, record.message.crashes), (TaskState::Dead, 2));
    assert_eq!(record.error.expect("it failed").message, "it never will");
    assert_eq!(scene.ended(&store, blocks).await.state, TaskState::Succeeded);
    assert_ne!(scene.begun("block", blocks).await, worker.id());
    let error = eventually_some("it has panicked", PATIENCE, async || {
        store.inspect.get(vec![panics]).await.expect("the store shows").remove(0).expect("a row").error
    });
    let error = error.await;
    assert_eq!(error.kind, RunErrorKind::Panicked);
    assert!(error.message.contains("no attempt is that early"), "{}", error.message);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_process_that_ends_before_its_task_is_a_crash_however_politely_it_ends() {
    let scene = Scene::new();
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    let id = scene.suspect(&store, "exit").await;

    let record = scene.ended(&store, id).await;

    assert_eq!((record.state, record.message.crashes, record.message.attempts), (TaskState::Dead, 3, 0));
    let error = record.error.expect("a dead task says why");
    assert!(error.message.contains("ended with exit code 0"), "{}", error.message);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_suspect_is_cancelled_as_others_are() {
    let scene = Scene::new();
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    let id = scene.suspect(&store, "hold").await;
    let process = scene.begun("hold", id).await;

    let action = Action::Cancel { reason: "not needed".to_owned() };
    let answers = store.inspect.act(vec![id], action).await.expect("the store acts");

    assert_eq!(answers, [ActAnswer::Requested]);
    let record = scene.ended(&store, id).await;
    assert_eq!((record.state, record.message.crashes), (TaskState::Cancelled, 2));
    assert_eq!(scene.processes("told", id), [process], "its token was cancelled in its process");
    gone(process).await;
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_suspect_is_told_of_its_soft_timeout_as_others_are() {
    let scene = Scene::new();
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    let id = scene.suspect(&store, "wind").await;

    let record = scene.ended(&store, id).await;

    assert_eq!(record.state, TaskState::Succeeded);
    assert_eq!(record.result.expect("it is kept").to_json(), "wound up");
    assert_ne!(scene.begun("wind", id).await, worker.id());
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_suspect_ends_with_its_worker() {
    let scene = Scene::new();
    let (beat, mut worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    let id = scene.suspect(&store, "hold").await;
    let process = scene.begun("hold", id).await;

    worker.kill().await;

    gone(process).await;
    let other = scene.worker();
    eventually("it runs again", PATIENCE, async || scene.processes("hold", id).len() == 2).await;
    scene.open_gate();
    let record = scene.ended(&store, id).await;
    assert_eq!((record.state, record.message.crashes), (TaskState::Succeeded, 3));
    assert_eq!(ends(&record)[..], [RunEnd::Lost, RunEnd::Succeeded]);
    other.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_suspect_ends_with_a_worker_that_dies_as_soon_as_it_has_told_it() {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let beat = scene.beat();
    let store = scene.world.store().await;
    let mut dying = scene.start_to_fail(&["worker"], "worker.suspect.told");
    let id = scene.suspect(&store, "hold").await;
    assert!(!dying.ended(PATIENCE).await.success());
    for process in scene.processes("hold", id) {
        gone(process).await;
    }
    let worker = scene.worker();
    scene.open_gate();
    let record = scene.ended(&store, id).await;
    assert_eq!((record.state, record.message.crashes), (TaskState::Succeeded, 3));
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_between_its_task_and_its_word_is_a_crash() {
    failpoints_are_compiled_in();
    let scene = Scene::new();
    let beat = scene.beat();
    let store = scene.world.store().await;
    // The worker hands its environment on.
    let worker = scene.start_to_fail(&["worker"], "suspect.ran");
    let id = scene.suspect(&store, "note").await;

    let record = scene.ended(&store, id).await;

    assert_eq!((record.state, record.message.crashes), (TaskState::Dead, 3));
    assert_eq!(ends(&record), [RunEnd::Crashed]);
    worker.stop().await;
    beat.stop().await;
}
