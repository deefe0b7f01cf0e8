//! What operators see: who is there and what they run, what waits where and how fast it moves.

use serde_json::Value;
use upbeat_tests::harness::{Queue, eventually, eventually_some};

use super::scene::{PATIENCE, Scene};

/// What `--json` prints, one object a line.
async fn objects(scene: &Scene, args: &[&str]) -> Vec<Value> {
    let said = scene.world.run(&[args, &["--json"]].concat()).await.ok();
    said.out.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

/// The one member of this name.
async fn member(scene: &Scene, name: &str) -> Option<Value> {
    let listed = objects(scene, &["workers", "list", "--all"]).await;
    listed.into_iter().find(|member| member["name"] == name)
}

async fn has_state(scene: &Scene, name: &str, state: &str) -> Value {
    let what = format!("{name} is {state}");
    eventually_some(&what, PATIENCE, async || {
        member(scene, name).await.filter(|member| member["state"] == state)
    })
    .await
}

#[tokio::test]
async fn a_worker_is_shown_with_what_it_runs() {
    let scene = Scene::new();
    let beat = scene.beat();
    let worker = scene.world.start(&["worker", "--worker-name", "alpha"]);
    let one = scene.world.publish(&["hold"]).await;
    let two = scene.world.publish(&["hold"]).await;
    let gates = [scene.held(one, 1).await, scene.held(two, 1).await];

    let told = serde_json::json!([{ "name": "hold", "count": 2 }]);
    let alpha = eventually_some("its heartbeat tells what runs", PATIENCE, async || {
        member(&scene, "alpha").await.filter(|alpha| alpha["tasks"] == told)
    })
    .await;
    assert_eq!(
        (&alpha["state"], &alpha["running"], &alpha["slots"]),
        (&"healthy".into(), &2.into(), &8.into())
    );
    let listed = scene.world.run(&["workers", "list"]).await.ok();
    assert!(listed.out.contains("hold ×2") && !listed.out.contains("beat"), "{}", listed.out);
    let listed = scene.world.run(&["workers", "list", "--all"]).await.ok();
    assert!(listed.out.contains("  beat  "), "{}", listed.out);

    let shown = objects(&scene, &["workers", "show", "alpha"]).await;
    let claims = shown[0]["claims"].as_array().expect("a list");
    let ids: Vec<&str> = claims.iter().filter_map(|claim| claim["id"].as_str()).collect();
    assert_eq!(ids, [one.to_string(), two.to_string()], "the longest running first");
    assert_eq!(
        (&claims[0]["name"], &claims[0]["queue"], &claims[0]["attempt"]),
        (&"hold".into(), &"default".into(), &1.into())
    );
    let owner = alpha["owner"].as_str().expect("an id");
    let by_owner = scene.world.run(&["workers", "show", owner]).await.ok();
    assert!(
        by_owner.out.contains(&one.to_string()) && by_owner.out.contains("2 of 8 slots"),
        "{}",
        by_owner.out
    );
    scene.world.run(&["workers", "show", "alhpa"]).await.failed(1).mentions("did you mean alpha?");

    for gate in gates {
        scene.let_go(&gate);
    }
    worker.stop().await;
    beat.stop().await;
    let said = scene.world.run(&["workers", "list"]).await.ok().mentions("no worker is here");
    assert_eq!(said.out, "");
}

#[tokio::test]
async fn a_worker_that_stops_or_falls_silent_is_seen_to() {
    let scene = Scene::new();
    let config = Scene::configuration("").replace("lease = \"2s\"", "lease = \"6s\"");
    scene.world.configure("upbeat.toml", &config);
    // Without a beat, nobody judges.
    let alpha = scene.world.start(&["worker", "--worker-name", "alpha"]);
    let beta = scene.world.start(&["worker", "--worker-name", "beta"]);
    has_state(&scene, "alpha", "healthy").await;
    has_state(&scene, "beta", "healthy").await;

    let queue = Queue::open(&scene.world.store_path());
    queue.freeze(&beta).await;
    has_state(&scene, "beta", "late").await;
    let lost = has_state(&scene, "beta", "lost").await;
    assert_eq!(lost["lost"], "unjudged");
    let shown = scene.world.run(&["workers", "show", "beta"]).await.ok();
    assert!(shown.out.contains("no beat has judged it yet"), "{}", shown.out);
    let beat = scene.beat();
    eventually("a beat retires it", PATIENCE, async || {
        member(&scene, "beta").await.is_some_and(|beta| beta["lost"] == "retired")
    })
    .await;

    let id = scene.world.publish(&["hold"]).await;
    let gate = scene.held(id, 1).await;
    alpha.terminate();
    has_state(&scene, "alpha", "draining").await;
    scene.let_go(&gate);
    eventually("it has left", PATIENCE, async || member(&scene, "alpha").await.is_none()).await;
    beat.stop().await;
}

/// The queue `default` as listed with this sample.
async fn default_queue(scene: &Scene, sample: &str) -> Value {
    let listed = objects(scene, &["queues", "list", "--sample", sample]).await;
    listed.into_iter().find(|queue| queue["name"] == "default").expect("every world has it")
}

#[tokio::test]
async fn a_queue_is_shown_with_its_depth_and_its_rates() {
    let scene = Scene::new();
    // Nobody takes them: they wait at the broker, and are known to the ledger.
    scene.world.run(&["publish", "note", "--count", "5"]).await.ok();
    let queue = default_queue(&scene, "0").await;
    assert_eq!((&queue["ready"], &queue["tasks"]["queued"]), (&5.into(), &5.into()));
    assert_eq!((&queue["in_per_second"], &queue["rates_told_by"]), (&Value::Null, &Value::Null));
    let queue = default_queue(&scene, "10ms").await;
    assert_eq!((&queue["in_per_second"], &queue["out_per_second"]), (&0.0.into(), &0.0.into()));

    // Published and worked off between one reading and the next.
    let worker = scene.worker();
    let watching = scene.world.start(&["queues", "list", "--watch", "--json"]);
    let read = || -> Vec<Value> {
        let log = watching.log();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole).to_owned();
        whole.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
    };
    eventually("there is a first reading", PATIENCE, async || !read().is_empty()).await;
    scene.world.run(&["publish", "note", "--count", "10"]).await.ok();
    let moves = |rate: &str| read().iter().any(|queue| queue[rate].as_f64().is_some_and(|rate| rate > 0.0));
    eventually("some come in", PATIENCE, async || moves("in_per_second")).await;
    eventually("some go out", PATIENCE, async || moves("out_per_second")).await;
    let readings = read();
    assert_eq!(readings[0]["in_per_second"], Value::Null, "one reading tells nothing");
    assert!(readings[1..].iter().all(|queue| queue["rates_told_by"] == "ledger"), "{readings:#?}");

    let listed = scene.world.run(&["queues", "list"]).await.ok();
    for column in ["READY", "UNACKED", "CONSUMERS", "IN/s", "OUT/s"] {
        assert!(listed.out.contains(column), "{}", listed.out);
    }
    worker.stop().await;
}

#[tokio::test]
async fn queues_are_watched_until_one_has_seen_enough() {
    let scene = Scene::new();
    scene.world.run(&["publish", "note", "--count", "3"]).await.ok();
    let mut watching = scene.world.start(&["queues", "list", "--watch"]);
    let drawn = || watching.log().matches("IN/s").count();
    eventually("it is drawn again", PATIENCE, async || drawn() >= 2).await;
    watching.interrupt();
    let status = watching.ended(PATIENCE).await;
    assert!(status.success(), "{status}: {}", watching.log());
}

#[tokio::test]
async fn the_lines_of_limits_are_shown_below_the_queues() {
    let scene = Scene::with("[tasks.hold.per_key]\nrunning = 1\n");
    let first = scene.world.publish(&["hold", "--key", "a"]).await;
    let listed = scene.world.run(&["queues", "list", "--sample", "0"]).await.ok();
    assert!(!listed.out.contains("IN LINE"), "nobody waits: {}", listed.out);
    let (beat, worker) = (scene.beat(), scene.worker());
    let gate = scene.held(first, 1).await;
    let second = scene.world.publish(&["hold", "--key", "a"]).await;

    let limit = eventually_some("one waits in line", PATIENCE, async || {
        let listed = objects(&scene, &["queues", "list"]).await;
        listed.into_iter().find(|line| line["limit"] == "key:hold:a" && line["in_line"] == 1)
    })
    .await;

    assert_eq!((&limit["slots"], &limit["taken"]), (&1.into(), &1.into()));
    let listed = scene.world.run(&["queues", "list", "--sample", "0"]).await.ok();
    assert!(listed.out.contains("IN LINE") && listed.out.contains("key:hold:a"), "{}", listed.out);
    scene.let_go(&gate);
    let gate = scene.held(second, 1).await;
    scene.let_go(&gate);
    worker.stop().await;
    beat.stop().await;
}

#[tokio::test]
async fn a_task_that_waits_is_edited_and_one_that_runs_is_not() {
    let scene = Scene::new();
    let later = scene.world.publish(&["note", "--delay", "1h"]).await;
    let id = later.to_string();
    scene.world.run(&["tasks", "edit", &id]).await.failed(2).mentions("nothing is to be changed");
    let priority = ["tasks", "edit", &id, "--args", "{\"n\": 7}", "--priority", "9"];
    scene.world.run(&priority).await.ok();
    let shown = objects(&scene, &["tasks", "show", &id]).await.remove(0);
    assert_eq!((&shown["args"], &shown["priority"]), (&serde_json::json!({ "n": 7 }), &9.into()));
    assert_eq!(shown["state"], "scheduled");

    let (beat, worker) = (scene.beat(), scene.worker());
    scene.world.run(&["tasks", "edit", &id, "--delay", "10ms"]).await.ok();
    scene.journal.wait("note", later, 1, PATIENCE).await;
    let running = scene.world.publish(&["hold"]).await;
    let gate = scene.held(running, 1).await;
    let edit = ["tasks", "edit", &running.to_string(), "--priority", "1"];
    scene.world.run(&edit).await.failed(1).mentions("only what waits can be edited");
    scene.let_go(&gate);
    worker.stop().await;
    beat.stop().await;
}
