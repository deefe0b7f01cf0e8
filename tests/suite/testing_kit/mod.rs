//! The testing kit, as a program's tests use it.

mod drain;
mod inline;
mod look;
mod messages;
mod perform;
mod speed;
mod time;
mod whole;
mod worlds;

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::prelude::*;
use upbeat::retry::{Backoff, Jitter};
use upbeat::testing::World;

/// How often the mail server was asked.
#[derive(Clone, Debug, Default)]
struct Mail(Arc<AtomicU32>);

impl Mail {
    fn sent(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Task)]
#[task(name = "billing.invoice", queue = "billing", max_attempts = 3, output = u64)]
struct Invoice {
    customer: u64,
    net: u64,
}

async fn invoice(task: Invoice, ctx: Context<Mail>) -> Result<u64, Error> {
    match task.customer {
        0 => Err(Error::give_up("there is no customer 0")),
        13 => Err(Error::retry("the mail server does not answer")),
        666 => panic!("a customer from hell"),
        customer => {
            ctx.state().0.fetch_add(1, Ordering::SeqCst);
            if task.net > 1000 {
                let remind = Remind { invoice: customer * 100 };
                ctx.client().publish(remind).delay(Duration::from_hours(24)).tag("eu").await?;
            }
            Ok(customer * 100)
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Task)]
#[task(name = "billing.remind")]
struct Remind {
    invoice: u64,
}

async fn remind(_: Remind) -> Result<(), Error> {
    Ok(())
}

/// Counts down by publishing itself.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(name = "count", output = u32)]
struct Count(u32);

async fn count(task: Count, ctx: Context) -> Result<u32, Error> {
    if task.0 > 0 {
        ctx.client().publish(Count(task.0 - 1)).await?;
    }
    Ok(task.0)
}

#[derive(Debug, Serialize, Deserialize, Task)]
#[task(name = "report", queue = "reports")]
struct Report;

async fn report(_: Report) -> Result<(), Error> {
    Ok(())
}

/// Nobody handles it.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(name = "nobody.knows")]
struct Unknown;

/// The program under test, and its mail server.
fn program() -> (App<Mail>, Mail) {
    let mail = Mail::default();
    let app = App::new().state(mail.clone()).task(invoice).task(remind).task(count).task(report);
    (app, mail)
}

fn world() -> World {
    World::new(program().0)
}

/// Ten seconds, always.
fn every_ten_seconds(max_attempts: u32) -> RetryPolicy {
    let delay = Duration::from_secs(10);
    RetryPolicy { max_attempts, backoff: Backoff::Constant, delay, max_delay: delay, jitter: Jitter::None }
}

async fn publish(world: &World, customer: u64) -> upbeat::TaskHandle<Invoice> {
    world.client().publish(Invoice { customer, net: 10 }).await.expect("it is accepted")
}

/// What a failing assertion says.
fn said(assertion: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(assertion));
    text(&*panic.expect_err("it should fail"))
}

/// What something says that fails after a while.
async fn said_later<T: Send + 'static>(failing: impl Future<Output = T> + Send + 'static) -> String {
    let ended = tokio::spawn(failing).await;
    let Err(error) = ended else { panic!("it should fail") };
    text(&*error.into_panic())
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).expect("a panic says something")
}
