//! How far a run has come, from its handler to those who look.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use upbeat::config::Config;
use upbeat::prelude::*;
use upbeat::progress::Progress;
use upbeat_tests::harness::{World, eventually};

use super::PATIENCE;

#[derive(Serialize, Deserialize, Task)]
#[task(name = "load", output = u64)]
struct Load {
    rows: u64,
}

/// Loads 120 rows, and the rest when it is let go.
async fn load(task: Load, ctx: Context<Arc<Notify>>) -> Result<u64, Error> {
    ctx.progress(120, Some(task.rows), "loading rows");
    ctx.state().notified().await;
    Ok(task.rows)
}

/// The lines of `--json`: one, or one of a worker and one of the beat beside it, which has the same name.
async fn shown(world: &World, args: &[&str]) -> Value {
    let said = world.run(&[args, &["--json"]].concat()).await.ok();
    let mut lines = said.out.lines().map(|line| serde_json::from_str(line).expect("an object"));
    lines.find(|line: &Value| line["role"] != "beat").expect("an object")
}

#[tokio::test]
async fn whoever_looks_sees_how_far_a_run_has_come_while_it_runs() {
    let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "data = \"@/data\"\n");
    let let_go = Arc::new(Notify::new());
    let app = App::new().state(let_go.clone()).task(load);
    let config = Config { data: world.path("data"), ..Config::default() };
    let running = app.up().config(config).start().await.expect("it can be started");
    assert!(running.ready(PATIENCE).await);
    let handle = running.client().publish(Load { rows: 1000 }).await.unwrap();
    let id = handle.id().to_string();

    let expected = Progress::new(120, Some(1000), "loading rows");
    eventually("it is told", PATIENCE, async || handle.progress().await.unwrap().as_ref() == Some(&expected))
        .await;

    let object = json!({ "done": 120, "total": 1000, "note": "loading rows" });
    assert_eq!(shown(&world, &["tasks", "show", &id]).await["progress"], object);
    assert_eq!(shown(&world, &["tasks", "list"]).await["progress"], object);
    let worker = shown(&world, &["workers", "list"]).await["name"].as_str().expect("a name").to_owned();
    assert_eq!(shown(&world, &["workers", "show", &worker]).await["claims"][0]["progress"], object);
    let text = "120 of 1000 (12%), loading rows";
    for args in [["tasks", "show", &id].as_slice(), &["tasks", "list"], &["workers", "show", &worker]] {
        let said = world.run(args).await.ok();
        assert!(said.out.contains(text), "{args:?}: {}", said.out);
    }
    let args = ["publish", "load", "--args", r#"{"rows":1000}"#, "--wait"];
    let mut waiting = world.start(&args);
    waiting.says(text, PATIENCE).await;
    assert!(waiting.is_alive());

    // Once for each of the two.
    let_go.notify_one();
    let_go.notify_one();
    assert!(waiting.ended(PATIENCE).await.success(), "{}", waiting.log());
    assert_eq!(handle.result_within(PATIENCE).await.unwrap(), 1000);
    assert_eq!(handle.progress().await.unwrap(), None);
    assert_eq!(shown(&world, &["tasks", "show", &id]).await["progress"], Value::Null);
    running.stop().await.unwrap();
}
