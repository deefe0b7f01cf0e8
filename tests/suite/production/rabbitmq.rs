//! RabbitMQ comes and goes, is emptied, cut off and starved, under load: every accepted task is done, none twice, and
//! nobody has to help.

use std::time::Duration;

use upbeat_tests::harness::eventually;

use super::producer::Producer;
use super::scene::{PATIENCE, Scene};

/// Longer than a publish may take: a call that fails must fail within its own timeout.
const PUBLISH: Duration = Duration::from_secs(35);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_stopped_and_started_loses_and_doubles_nothing() {
    let mut scene = Scene::new().await;
    let members = [scene.beat(), scene.worker(), scene.worker()];
    let stack = scene.stack().await;
    let producer = Producer::start(&stack.client);
    eventually("work is done", PATIENCE, async || scene.runs("work").len() > 500).await;

    for kill in [false, true] {
        if kill {
            scene.rabbitmq.kill().await;
        } else {
            scene.rabbitmq.stop().await;
        }
        let refused = producer.refused();
        eventually("publishers are told", PATIENCE, async || producer.refused() > refused).await;
        scene.rabbitmq.start_again().await;
        let accepted = producer.accepted();
        eventually("tasks are accepted again", PATIENCE, async || producer.accepted() > accepted + 200).await;
    }

    assert!(producer.longest() < PUBLISH, "a publish took {:?}", producer.longest());
    scene.ends_well(producer, &stack, members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_again_and_again_lose_and_double_nothing() {
    let scene = Scene::new().await;
    let members = [scene.beat(), scene.worker(), scene.worker()];
    let stack = scene.stack().await;
    let producer = Producer::start(&stack.client);
    eventually("work is done", PATIENCE, async || scene.runs("work").len() > 500).await;

    for _ in 0..5 {
        scene.rabbitmq.ctl(&["-q", "close_all_connections", "a test cuts them"]).await;
        let (accepted, done) = (producer.accepted(), scene.runs("work").len());
        eventually("tasks are accepted and done again", PATIENCE, async || {
            producer.accepted() > accepted + 200 && scene.runs("work").len() > done + 200
        })
        .await;
    }

    scene.ends_well(producer, &stack, members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_alarm_stops_publishers_and_not_workers() {
    const ALARM: Duration = Duration::from_secs(30);
    let scene = Scene::new().await;
    let stack = scene.stack().await;
    // The first that the worker will run publishes: the broker then blocks the connection that it publishes on.
    scene.world.publish(&["relay"]).await;
    let producer = Producer::start(&stack.client);
    // A backlog for the workers to work off meanwhile.
    eventually("a backlog is accepted", PATIENCE, async || producer.accepted() > 2000).await;
    scene.rabbitmq.ctl(&["-q", "set_vm_memory_high_watermark", "absolute", "1MB"]).await;
    let alarm = tokio::time::sleep(ALARM);
    eventually("publishers are told", PATIENCE, async || producer.refused() > 0).await;
    let backlog = producer.accepted();
    let members = [scene.beat(), scene.worker()];
    eventually("workers go on", PATIENCE, async || scene.runs("work").len() >= backlog).await;
    alarm.await;
    assert!(producer.longest() < PUBLISH, "a publish took {:?}", producer.longest());

    scene.rabbitmq.ctl(&["-q", "set_vm_memory_high_watermark", "absolute", "2GB"]).await;

    let accepted = producer.accepted();
    eventually("tasks are accepted again", PATIENCE, async || producer.accepted() > accepted + 200).await;
    scene.ends_well(producer, &stack, members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_tasks_survive_that_their_queue_is_purged_and_deleted() {
    let scene = Scene::with("[queues.default]\nrecord = 'publish'\n").await;
    let beat = scene.beat();
    let stack = scene.stack().await;
    let producer = Producer::start(&stack.client);
    eventually("a backlog is accepted", PATIENCE, async || producer.accepted() > 1000).await;
    let accepted = producer.stop().await;
    let queue = "upbeat.default.default";
    scene.rabbitmq.ctl(&["-q", "purge_queue", queue]).await;
    let worker = scene.worker();
    worker.says("the worker is ready", PATIENCE).await;
    scene.rabbitmq.ctl(&["-q", "delete_queue", queue]).await;

    // A beat looks after a minute whether what is queued was lost.
    scene.succeeded(&stack, accepted.len(), PATIENCE).await;

    scene.each_ran_once("work", &accepted);
    worker.stop().await;
    beat.stop().await;
}
