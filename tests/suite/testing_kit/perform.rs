//! Running one task through the whole of its way.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::message::Payload;
use upbeat::name::TaskName;
use upbeat::prelude::*;
use upbeat::task::TaskState;
use upbeat::testing::{RunFailed, World, assert_published};
use upbeat::verdict::RunErrorKind;

use super::{Count, Invoice, Remind, Report, Unknown, every_ten_seconds, program, publish, world};

#[tokio::test]
async fn it_answers_what_the_handler_returns() {
    let (app, mail) = program();
    let world = World::new(app);

    assert_eq!(world.run(Invoice { customer: 7, net: 2000 }).await.expect("it succeeds"), 700);

    assert_eq!(mail.sent(), 1);
    assert_published!(world, Invoice { customer: 7, .. }, state = TaskState::Succeeded, times = 1);
    assert_published!(world, Remind { invoice: 700 }, due_in = Duration::from_hours(24), tag = "eu");
    let (): () = world.run(Report).await.expect("nothing is a result, too");
}

#[tokio::test]
async fn nothing_else_runs() {
    let world = world();
    let waits = publish(&world, 8).await;
    assert_eq!(world.run(Count(1)).await.expect("it succeeds"), 1);
    assert_eq!(world.task(waits.id()).expect("it has a row").state, TaskState::Queued);
    assert_published!(world, Count(0), state = TaskState::Queued);
    world.drain().await.expect_runs(2).expect_all_succeeded();
}

#[tokio::test]
async fn a_failed_run_says_how_it_ended() {
    let world = world();
    let run = async |customer| world.run(Invoice { customer, net: 1 }).await.expect_err("it fails");

    let RunFailed::Dead(error) = run(0).await else { panic!("it gave up") };
    assert_eq!(error.message, "there is no customer 0");
    let RunFailed::Retried { error, .. } = run(13).await else { panic!("it is retried") };
    assert_eq!(
        (error.kind, error.message.as_str()),
        (RunErrorKind::Failed, "the mail server does not answer")
    );
    let RunFailed::Retried { error, .. } = run(666).await else { panic!("it is retried") };
    assert_eq!((error.kind, error.message.as_str()), (RunErrorKind::Panicked, "a customer from hell"));
}

#[tokio::test]
async fn a_retry_of_it_comes_like_any_other() {
    let world = world();
    let args = Payload::json(&serde_json::json!({ "customer": 13, "net": 1 })).expect("plain data");
    let name = TaskName::new("billing.invoice").expect("a task's name");
    let task = NewTask::new(name, args).queue(QueueName::new("billing").expect("a queue's name"));
    let failed = world.run::<_, u64>(task.retry(every_ten_seconds(2))).await;
    let Err(RunFailed::Retried { delay, .. }) = failed else { panic!("it is retried: {failed:?}") };
    assert_eq!(delay, Duration::from_secs(10));
    assert_eq!(world.advance(delay).await.expect_runs(1).dead(), 1);
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "mood", output = ())]
enum Mood {
    Later,
    Never,
    Slow,
}

async fn mood(task: Mood) -> Result<(), Error> {
    match task {
        Mood::Later => Err(Error::snooze(Duration::from_secs(5))),
        Mood::Never => Err(Error::cancel("it need not be")),
        Mood::Slow => std::future::pending().await,
    }
}

#[tokio::test]
async fn other_ends_are_told_apart() {
    let world = World::new(App::new().task(mood));
    assert!(matches!(world.run(Mood::Later).await, Err(RunFailed::Snoozed(delay)) if delay.as_secs() == 5));
    assert!(
        matches!(world.run(Mood::Never).await, Err(RunFailed::Cancelled(reason)) if reason == "it need not be")
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_kept_by_tokios_time() {
    let world = World::new(App::new().task(mood));
    let task = NewTask::of(&Mood::Slow).expect("plain data").timeout(Duration::from_secs(20));
    let failed = world.run::<_, ()>(task).await;
    let Err(RunFailed::Retried { error, .. }) = failed else { panic!("it is retried: {failed:?}") };
    assert_eq!(error.kind, RunErrorKind::TimedOut);
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let world = world();
    let unknown = world.run::<_, ()>(Unknown).await.expect_err("nobody knows it").to_string();
    assert!(unknown.contains("no worker knows its name"), "{unknown}");
    let task = || NewTask::of(&Remind { invoice: 1 }).expect("plain data").dedup_id("one");
    let (): () = world.run(task()).await.expect("it succeeds");
    let again = world.run::<_, ()>(task()).await;
    assert!(matches!(again, Err(RunFailed::Duplicate(TaskState::Succeeded))), "{again:?}");
    world.pause("reports", true);
    let paused = world.run::<_, ()>(Report).await.expect_err("its queue is paused").to_string();
    assert!(paused.contains("not paused"), "{paused}");
}
