//! Time bounds of tasks, and what becomes of failures by their code, through the whole program.

use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;

use super::scene::{PATIENCE, Scene};

const TASKS: &str = r#"
[tasks.wind]
command = ["sh", "-c", "trap 'echo wound up; exit 0' TERM; sleep 600 & wait"]
timeout = "5m"
soft_timeout = "200ms"

[tasks.coded]
command = ["sh", "-c", 'read code; exit "$code"']
retry = { max_attempts = 1 }
on."exit:75" = { retry = { max_attempts = 3, delay = "1ms", jitter = "none" } }
on."exit:65" = { snooze = "10m" }
on.exit = { give_up = true }
"#;

#[tokio::test]
async fn a_command_is_asked_to_wind_up_at_its_soft_timeout() {
    let scene = Scene::with(TASKS);
    let worker = scene.worker();
    let store = scene.world.store().await;
    let id = scene.world.publish(&["wind"]).await;

    let record = scene.succeeded(&store, id).await;

    assert_eq!(record.result.expect("it is kept").to_json(), "wound up");
    worker.stop().await;
}

#[tokio::test]
async fn exit_codes_become_what_the_configuration_says() {
    let scene = Scene::with(TASKS);
    let (beat, worker) = (scene.beat(), scene.worker());
    let store = scene.world.store().await;
    for (code, attempts) in [("75", 3), ("1", 1)] {
        let id = scene.world.publish(&["coded", "--args", code]).await;
        let record = scene.world.ended(&store, id, PATIENCE).await;
        assert_eq!((record.state, record.message.attempts), (TaskState::Dead, attempts), "exit {code}");
        assert_eq!(record.error.expect("a dead task says why").code, Some(format!("exit:{code}")));
        let shown = scene.world.run(&["tasks", "show", &id.to_string()]).await.ok();
        assert!(shown.out.contains(&format!("failed (exit:{code})")), "{shown:#?}");
    }
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_command_is_stopped_at_its_tasks_deadline() {
    let scene = Scene::with(TASKS);
    let worker = scene.worker();
    let store = scene.world.store().await;
    let id = scene.world.publish(&["hold", "--deadline-in", "1s"]).await;

    let record = scene.world.ended(&store, id, PATIENCE).await;

    assert_eq!(record.state, TaskState::Dead);
    assert_eq!(record.error.expect("a dead task says why").kind, RunErrorKind::Deadline);
    let listed = scene.world.run(&["dead", "list", "--reason", "deadline"]).await.ok();
    assert!(listed.out.contains("its deadline came"), "{listed:#?}");
    worker.stop().await;
}
