//! Tasks that run longer than RabbitMQ waits for an acknowledgement.

use std::time::Duration;

use upbeat_shared::task::TaskState;

use super::scene::{PATIENCE, Scene};

/// Makes the broker's 30 minutes two seconds, and its look at them each half second.
const IMPATIENT: &str = "application:set_env(rabbit, consumer_timeout, 2000), \
     application:set_env(rabbit, channel_tick_interval, 500), application:set_env(rabbit, quorum_tick_interval, 500).";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_outlasts_the_brokers_patience_is_not_run_twice() {
    let scene = Scene::new().await;
    scene.rabbitmq.ctl(&["-q", "eval", IMPATIENT]).await;
    let members = [scene.beat(), scene.worker(), scene.worker()];
    let stack = scene.stack().await;

    let id = scene.world.publish(&["nap", "--args", "20000"]).await;

    let record = scene.world.ended(&stack.store, id, PATIENCE).await;
    assert_eq!((record.state, record.message.crashes), (TaskState::Succeeded, 0), "{record:#?}");
    let lost = |log: String| log.contains("the consumer failed");
    assert!(
        members.iter().any(|member| lost(member.log())),
        "the broker was patient: this test shows nothing"
    );
    // Whatever the broker delivers again is done already.
    let after = scene.world.publish(&["work"]).await;
    scene.world.ended(&stack.store, after, PATIENCE).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.each_ran_once("begin", &[id]);
    scene.each_ran_once("end", &[id]);
    for member in members {
        member.stop().await;
    }
}
