//! The whole program is in the world: its layers, its hooks, its handlers that block.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::Schedule;
use upbeat::client::publish_fn;
use upbeat::layer::run_fn;
use upbeat::prelude::*;
use upbeat::testing::{World, assert_published};

use super::{Count, Invoice, Report, every_ten_seconds, program, publish};

/// What was heard, in order.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn hear(&self, what: impl Into<String>) {
        self.0.lock().expect("no holder panics").push(what.into());
    }

    fn all(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no holder panics"))
    }
}

#[tokio::test]
async fn layers_are_around_publishes_and_runs() {
    let (heard, app) = (Heard::default(), program().0);
    let runs = heard.clone();
    let app = app
        .publish_layer(publish_fn(|mut tasks: Vec<NewTask>, next| async move {
            for task in &mut tasks {
                task.tags.push("labelled".to_owned());
            }
            next.publish(tasks).await
        }))
        .layer(run_fn(move |run, next| {
            let runs = runs.clone();
            async move {
                runs.hear(format!("before {}", run.message.name));
                let result = next.run(run).await;
                runs.hear(if result.is_ok() { "after a success" } else { "after a failure" });
                result
            }
        }));
    let world = World::new(app);

    world.run(Invoice { customer: 7, net: 1 }).await.expect("it succeeds");
    publish(&world, 13).await;
    assert_eq!(world.drain().await.retried(), 1);

    assert_published!(world, Invoice { .. }, tag = "labelled", times = 2);
    let expected = ["before billing.invoice", "after a success", "before billing.invoice", "after a failure"];
    assert_eq!(heard.all(), expected);
}

#[tokio::test]
async fn hooks_have_been_called_when_a_drain_is_over() {
    let heard = Heard::default();
    let (retries, deaths, late) = (heard.clone(), heard.clone(), heard.clone());
    let (app, _) = program();
    let app = app
        .schedule(Schedule::every("report.hourly", "1h", Report))
        .on_retry(move |retry| {
            let retries = retries.clone();
            async move { retries.hear(format!("{} again in {:?}", retry.message.name, retry.delay)) }
        })
        .on_dead(move |dead| {
            let deaths = deaths.clone();
            async move { deaths.hear(format!("dead: {}", dead.error.message)) }
        })
        .on_overdue(move |overdue| {
            let late = late.clone();
            async move { late.hear(format!("{} is late by {:?}", overdue.schedule, overdue.late_by)) }
        });
    let world = World::new(app);

    let publish = world.client().publish(Invoice { customer: 13, net: 1 }).retry(every_ten_seconds(2));
    publish.await.expect("it is accepted");
    world.drain().await.expect_runs(1);
    assert_eq!(heard.all(), ["billing.invoice again in 10s"]);
    world.advance(Duration::from_secs(10)).await.expect_runs(1);
    assert_eq!(heard.all(), ["dead: the mail server does not answer"]);

    world.pause("reports", true);
    world.advance(Duration::from_secs(3600 + 59)).await.expect_runs(0);
    assert_eq!(heard.all(), ["report.hourly is late by 60s"]);
}

#[tokio::test]
async fn a_hook_may_publish_and_that_runs_too() {
    for inline in [false, true] {
        let (app, _) = program();
        let client: Arc<Mutex<Option<Client>>> = Arc::default();
        let of_hook = client.clone();
        let app = app.on_dead(move |_| {
            let client = of_hook.lock().expect("no holder panics").clone().expect("the world is there");
            async move { drop(client.publish(Report).await.expect("it is accepted")) }
        });
        let world = World::new(app);
        *client.lock().expect("no holder panics") = Some(world.client());
        if inline {
            world.inline();
        }
        publish(&world, 0).await;
        let drained = world.drain().await;
        assert_eq!(drained.runs.len(), if inline { 0 } else { 2 });
        assert_published!(world, Report, state = upbeat::task::TaskState::Succeeded);
    }
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "primes", output = usize)]
struct Primes(Vec<u32>);

fn primes(task: Primes) -> Result<usize, Error> {
    if task.0.contains(&0) {
        return Err(Error::give_up("there is nothing to divide"));
    }
    Ok(task.0.into_iter().filter(|n| *n > 1 && (2..*n).all(|divisor| n % divisor != 0)).count())
}

#[tokio::test]
async fn handlers_that_block_run_on_threads_of_their_own() {
    let world = World::new(App::new().task_blocking(primes));
    assert_eq!(world.run(Primes((1..100).collect())).await.expect("it succeeds"), 25);
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "parent", output = String)]
struct Parent;

/// Looks at its child at once, without waiting for it.
async fn parent(_: Parent, ctx: Context) -> Result<String, Error> {
    let child = ctx.client().publish(Count(0)).await?;
    let record = child.record().await?.ok_or("it has no row")?;
    Ok(record.state.to_string())
}

#[tokio::test]
async fn inline_a_child_has_run_before_its_parent_goes_on() {
    let app = || App::new().task(parent).task(super::count);
    let world = World::new(app());
    assert_eq!(world.run(Parent).await.expect("it succeeds"), "queued");
    let world = World::new(app());
    world.inline();
    assert_eq!(world.run(Parent).await.expect("it succeeds"), "succeeded");
}

#[tokio::test]
async fn what_becomes_due_at_once_runs_in_the_same_drain() {
    let (app, _) = program();
    let world = World::new(app);
    let at_once = RetryPolicy { delay: Duration::ZERO, ..every_ten_seconds(3) };
    world.client().publish(Invoice { customer: 13, net: 1 }).retry(at_once).await.expect("it is accepted");
    let drained = world.drain().await.expect_runs(3);
    assert_eq!((drained.retried(), drained.dead()), (2, 1));
}
