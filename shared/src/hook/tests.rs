//! Hooks that do what they should not, and the queue before them.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::clock::SystemClock;
use crate::id::TaskId;
use crate::message::{Message, Payload};
use crate::name::{Namespace, QueueName, TaskName};
use crate::verdict::{RunError, RunErrorKind};

const PATIENCE: Duration = Duration::from_secs(30);

fn dead(number: u32) -> Dead {
    let id = TaskId::from_foreign(&Namespace::default(), &number.to_string());
    let args = Payload::json(&number).unwrap();
    let message = Message::new(id, TaskName::new("a").unwrap(), QueueName::default_queue(), args);
    let error = RunError::new(RunErrorKind::Failed, "no");
    Dead { message: Arc::new(message), attempts: number, crashes: 0, error, at: None }
}

fn start(hooks: Hooks) -> (HookQueue, HookRunner) {
    hooks.start(Arc::new(SystemClock::default()))
}

#[tokio::test]
async fn every_hook_of_an_event_is_called_with_it_and_no_other() {
    let (told, mut heard) = mpsc::channel(10);
    let other = told.clone();
    let hooks = Hooks::new()
        .on_dead(move |dead| {
            let told = told.clone();
            async move { told.send(dead.attempts).await.unwrap() }
        })
        .on_dead(move |dead| {
            let other = other.clone();
            async move { other.send(dead.attempts * 10).await.unwrap() }
        })
        .on_retry(|_| async { panic!("nothing is retried") });
    let (queue, runner) = start(hooks);
    assert!(queue.wants_dead());
    queue.dead(|| dead(1));
    queue.overdue(|| panic!("nobody asked for it"));
    runner.stop(PATIENCE).await;
    let mut all = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
    all.sort_unstable();
    assert_eq!((all, heard.try_recv().is_err()), ([1, 10], true));
}

#[tokio::test]
async fn without_hooks_nothing_is_made() {
    let (queue, runner) = start(Hooks::new());
    queue.dead(|| panic!("nobody asked for it"));
    assert!(!queue.wants_dead());
    runner.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_hook_that_panics_does_not_end_the_others() {
    let (told, mut heard) = mpsc::channel(10);
    let hooks = Hooks::new().on_dead(move |dead| {
        // Before there is a future.
        assert!(dead.attempts != 1, "boom");
        let told = told.clone();
        async move {
            assert!(dead.attempts != 2, "boom");
            told.send(dead.attempts).await.unwrap();
        }
    });
    let (queue, runner) = start(hooks);
    for number in 1..=3 {
        queue.dead(|| dead(number));
    }
    assert_eq!(heard.recv().await, Some(3));
    runner.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_hook_that_hangs_is_dropped_and_the_others_are_called_meanwhile() {
    let (told, mut heard) = mpsc::channel(10);
    let hooks = Hooks::new().on_dead(move |dead| {
        let told = told.clone();
        async move {
            if dead.attempts == 1 {
                let _told = told;
                std::future::pending::<()>().await;
            } else {
                told.send(dead.attempts).await.unwrap();
            }
        }
    });
    let clock = Arc::new(SystemClock::default());
    let (queue, runner) = hooks.start_within(clock, Duration::from_millis(200));
    queue.dead(|| dead(1));
    queue.dead(|| dead(2));
    assert_eq!(heard.recv().await, Some(2));
    // The one that hangs holds the other end until it is given up.
    drop(queue);
    assert_eq!(tokio::time::timeout(PATIENCE, heard.recv()).await, Ok(None));
    runner.stop(PATIENCE).await;
}

#[tokio::test]
async fn more_than_hooks_can_take_is_dropped_and_nobody_waits() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let called = Arc::new(Mutex::new(0_u32));
    let hooks = {
        let (gate, called) = (gate.clone(), called.clone());
        Hooks::new().on_dead(move |_| {
            let (gate, called) = (gate.clone(), called.clone());
            async move {
                let _open = gate.acquire().await.unwrap();
                *called.lock().unwrap() += 1;
            }
        })
    };
    let (queue, runner) = start(hooks);
    for number in 0..5000 {
        queue.dead(|| dead(number));
    }
    gate.add_permits(1);
    runner.stop(PATIENCE).await;
    let called = *called.lock().unwrap();
    assert!((1024..2000).contains(&called), "{called}");
}

#[tokio::test]
async fn what_waits_is_told_before_the_runner_ends_and_nothing_after() {
    let called = Arc::new(Mutex::new(Vec::new()));
    let hooks = {
        let called = called.clone();
        Hooks::new().on_dead(move |dead| {
            called.lock().unwrap().push(dead.attempts);
            async {}
        })
    };
    let (queue, runner) = start(hooks);
    for number in 0..100 {
        queue.dead(|| dead(number));
    }
    runner.stop(PATIENCE).await;
    queue.dead(|| dead(100));
    assert_eq!(called.lock().unwrap().len(), 100);
}

#[tokio::test]
async fn a_runner_that_is_dropped_takes_its_hooks_with_it() {
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let (entered, mut inside) = mpsc::channel(1);
    let hooks = Hooks::new().on_dead(move |_| {
        let (alive, entered) = (alive.clone(), entered.clone());
        async move {
            let _alive = alive;
            entered.send(()).await.unwrap();
            std::future::pending::<()>().await;
        }
    });
    let (queue, runner) = start(hooks);
    queue.dead(|| dead(1));
    inside.recv().await.unwrap();
    drop((queue, runner));
    assert_eq!(tokio::time::timeout(PATIENCE, gone.recv()).await, Ok(None));
}
