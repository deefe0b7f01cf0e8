//! Tasks published by another AMQP client, which knows nothing of Upbeat: Python's pika.

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::name::Namespace;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::{RunError, RunErrorKind};
use upbeat_tests::harness::{eventually, tasks};
use upbeat_tests::services;
use uuid::Uuid;

use super::scene::{PATIENCE, Scene};

const PUBLISH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/production/publish.py");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_any_amqp_client_is_a_task() {
    let scene = Scene::new().await;
    let members = [scene.beat(), scene.worker()];
    members[1].says("the worker is ready", PATIENCE).await;
    let stack = scene.stack().await;
    let uuid = Uuid::now_v7();

    services::python(&[PUBLISH, scene.rabbitmq.url(), &uuid.to_string()]).await;

    // One with an id of its own, one with a UUID, one in MessagePack, one without an id; four that nobody can run.
    eventually("all of them end", PATIENCE, async || {
        let all = tasks(&stack.store, TaskFilter::default()).await;
        all.len() == 8 && all.iter().all(|task| task.state.is_terminal())
    })
    .await;
    let runs = scene.runs("work");
    let foreign = |id: &str| TaskId::from_foreign(&Namespace::default(), id).to_string();
    for id in [uuid.to_string(), foreign("order-17"), foreign("packed")] {
        assert_eq!(runs.get(&id), Some(&1), "{id} of {runs:?}");
    }
    assert_eq!(runs.len(), 4, "{runs:?}");
    let dead = TaskFilter { states: vec![TaskState::Dead], ..TaskFilter::default() };
    let dead = tasks(&stack.store, dead).await;
    assert_eq!(dead.len(), 4);
    let errors: Vec<_> = dead.iter().map(|task| task.error.clone().expect("its record says why")).collect();
    for (kind, reason) in [
        (RunErrorKind::Undeliverable, "the property `type` is missing"),
        (RunErrorKind::Undeliverable, "application/xml"),
        (RunErrorKind::Undeliverable, "upbeat-seq"),
        (RunErrorKind::BadArguments, "do not fit the handler"),
    ] {
        let told = |error: &&RunError| error.kind == kind && error.message.contains(reason);
        assert_eq!(errors.iter().filter(told).count(), 1, "{kind:?} for {reason:?} among {errors:#?}");
    }
    for member in members {
        member.stop().await;
    }
}
