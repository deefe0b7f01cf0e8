//! The time that runs have, and what becomes of failures by their code.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use upbeat_shared::client::NewTask;
use upbeat_shared::clock;
use upbeat_shared::id::TaskId;
use upbeat_shared::message::Payload;
use upbeat_shared::name::TaskName;
use upbeat_shared::reaction::Reaction;
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;
use upbeat_worker::executor::blocking::blocking;
use upbeat_worker::executor::native::native;
use upbeat_worker::{RunContext, TaskDefinition, TaskError};

use crate::jobs::{obedient, stubborn};
use crate::world::World;

const HOUR: Duration = Duration::from_hours(1);

/// A task under this name whose deadline is so far from now.
async fn publish(world: &World, name: &str, deadline: Duration) -> TaskId {
    let args = Payload::json(&serde_json::Value::Null).unwrap();
    let task = NewTask::new(TaskName::new(name).unwrap(), args).deadline_in(deadline);
    world.client.publish(task).await.unwrap().id()
}

/// Fails with this error, always.
fn failing(name: &str, error: TaskError) -> TaskDefinition {
    native(TaskName::new(name).unwrap(), move |(): (), _| {
        let error = error.clone();
        async move { Err::<(), _>(error) }
    })
}

#[tokio::test]
async fn a_run_is_stopped_at_its_tasks_deadline_and_the_task_is_dead() {
    let world = World::new().await;
    let tasks = vec![obedient("obeys").timeout(HOUR), stubborn("does.not").timeout(HOUR)];
    let worker = world.work(tasks, |options| options.cancel_grace = Duration::from_millis(50));
    for name in ["obeys", "does.not"] {
        let id = publish(&world, name, Duration::from_millis(200)).await;
        let record = world.until(id, TaskState::Dead).await;
        assert_eq!(record.error.unwrap().kind, RunErrorKind::Deadline, "{name}");
        let (finished, deadline) = (record.finished_at.unwrap(), record.message.deadline_at.unwrap());
        assert!(finished >= deadline, "{name} had its time: {finished}, {deadline}");
    }
    worker.stopped().await;
}

#[tokio::test]
async fn a_handler_sees_the_deadline_that_comes_first() {
    let world = World::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let looks = |name: &str, timeout| {
        let seen = seen.clone();
        native(TaskName::new(name).unwrap(), move |(): (), run: RunContext| {
            seen.lock().unwrap().push((run.deadline, run.message.deadline_at.unwrap()));
            async { Ok(()) }
        })
        .timeout(timeout)
    };
    let worker = world.work(vec![looks("patient", HOUR * 2), looks("hasty", HOUR / 2)], |_| {});
    for name in ["patient", "hasty"] {
        let id = publish(&world, name, HOUR).await;
        world.until(id, TaskState::Succeeded).await;
    }
    worker.stopped().await;
    let seen = seen.lock().unwrap().clone();
    let [(patient, deadline), (hasty, later)] = seen[..] else { panic!("two runs: {seen:?}") };
    assert_eq!(patient, deadline);
    assert!(hasty < later && hasty > clock::earlier(later, HOUR), "{hasty}, {later}");
}

#[tokio::test]
async fn a_retry_that_would_come_after_the_deadline_ends_the_task_at_once() {
    let world = World::new().await;
    let hourly = RetryPolicy {
        delay: HOUR,
        max_delay: HOUR,
        jitter: upbeat_shared::retry::Jitter::None,
        ..RetryPolicy::DEFAULT
    };
    let fails = failing("fails", TaskError::Retry("no route".into())).retry(hourly);
    let puts_off = failing("puts.off", TaskError::Snooze { delay: HOUR });
    let worker = world.work(vec![fails, puts_off], |_| {});

    let id = publish(&world, "fails", HOUR / 2).await;
    let error = world.until(id, TaskState::Dead).await.error.unwrap();
    assert_eq!(error.kind, RunErrorKind::Deadline);
    assert!(error.message.starts_with("no route; "), "{}", error.message);
    let id = publish(&world, "puts.off", HOUR / 2).await;
    assert_eq!(world.until(id, TaskState::Dead).await.error.unwrap().kind, RunErrorKind::Deadline);

    let id = publish(&world, "fails", HOUR * 2).await;
    assert_eq!(world.until(id, TaskState::Scheduled).await.error.unwrap().kind, RunErrorKind::Failed);
    worker.stopped().await;
}

#[tokio::test]
async fn a_task_that_is_due_only_after_its_deadline_is_refused() {
    let world = World::new().await;
    let task =
        || NewTask::new(TaskName::new("late").unwrap(), Payload::json(&serde_json::Value::Null).unwrap());
    let refused = world.client.publish(task().delay(HOUR).deadline_in(HOUR)).await.unwrap_err();
    assert!(refused.to_string().contains("it could never run"), "{refused}");
    world.client.publish(task().delay(HOUR).deadline_in(HOUR * 2)).await.unwrap();
}

#[tokio::test]
async fn a_handler_is_told_at_its_soft_timeout_to_wind_up_and_is_not_stopped() {
    let world = World::new().await;
    let winds_up = native(TaskName::new("winds.up").unwrap(), |(): (), run: RunContext| async move {
        run.soft_timeout.cancelled().await;
        Ok(run.cancel.is_cancelled())
    });
    let polls =
        blocking(TaskName::new("polls").unwrap(), |(): (), run: RunContext| -> Result<bool, TaskError> {
            while !run.soft_timeout.is_cancelled() {
                std::thread::yield_now();
            }
            Ok(run.cancel.is_cancelled())
        });
    let tasks = [winds_up, polls].map(|task| task.soft_timeout(Duration::from_millis(50)).timeout(HOUR));
    let worker = world.work(tasks.into(), |_| {});
    for name in ["winds.up", "polls"] {
        let id = world.publish(name, "default").await;
        let record = world.until(id, TaskState::Succeeded).await;
        assert!(!record.result.unwrap().decode::<bool>().unwrap(), "{name} was told to stop");
    }
    worker.stopped().await;
}

#[tokio::test]
async fn a_run_that_ignores_its_soft_timeout_is_stopped_at_its_timeout() {
    let world = World::new().await;
    let slow = stubborn("slow").soft_timeout(Duration::from_millis(20)).timeout(Duration::from_millis(100));
    let worker = world.work(vec![slow], |options| options.cancel_grace = Duration::from_millis(50));
    let id = world.publish("slow", "default").await;
    let error = world.until(id, TaskState::Scheduled).await.error.unwrap();
    assert_eq!(error.kind, RunErrorKind::TimedOut);
    assert!(error.message.contains("100ms"), "{}", error.message);
    worker.stopped().await;
}

#[tokio::test]
async fn whoever_waits_for_a_soft_timeout_that_there_is_none_of_hears_of_the_stop() {
    let world = World::new().await;
    let waits = native(TaskName::new("waits").unwrap(), |(): (), run: RunContext| async move {
        run.soft_timeout.cancelled().await;
        Ok(run.cancel.is_cancelled())
    });
    let worker = world.work(vec![waits.timeout(Duration::from_millis(50))], |_| {});
    let id = world.publish("waits", "default").await;
    let record = world.until(id, TaskState::Succeeded).await;
    assert!(record.result.unwrap().decode::<bool>().unwrap());
    worker.stopped().await;
}

#[tokio::test]
async fn a_task_says_what_becomes_of_a_failure_by_its_code() {
    let world = World::new().await;
    let declined = failing("declined", TaskError::retry("no").code("card_declined"))
        .on("card_declined".parse().unwrap(), Reaction::GiveUp);
    let hopeless = failing("hopeless", TaskError::give_up("gone").code("gone"))
        .on("gone".parse().unwrap(), Reaction::RetryAfter(HOUR));
    let slow = obedient("slow")
        .timeout(Duration::from_millis(50))
        .on("timeout".parse().unwrap(), Reaction::Snooze(HOUR));
    let worker = world.work(vec![declined, hopeless, slow], |_| {});

    let id = world.publish("declined", "default").await;
    let error = world.until(id, TaskState::Dead).await.error.unwrap();
    assert_eq!((error.message.as_str(), error.code.as_deref()), ("no", Some("card_declined")));
    let id = world.publish("hopeless", "default").await;
    let record = world.until(id, TaskState::Scheduled).await;
    let now = world.truth.ledger.now().await.unwrap();
    assert!(record.due_at.unwrap() > clock::later(now, HOUR / 2), "{record:?}");
    let id = world.publish("slow", "default").await;
    let record = world.until(id, TaskState::Scheduled).await;
    assert_eq!((record.message.attempts, record.error), (0, None), "a snooze counts no attempt");
    worker.stopped().await;
}
