//! Typed tasks from their publisher to their result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upbeat::client::ResultError;
use upbeat::prelude::*;
use upbeat::task::TaskState;
use upbeat::verdict::RunErrorKind;

use super::{Home, PATIENCE};

#[derive(Serialize, Deserialize, Task)]
#[task(name = "billing.invoice", queue = "billing", timeout = "30s", max_attempts = 5, output = Receipt)]
struct Invoice {
    customer: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    number: u64,
    attempt: u32,
}

#[derive(Clone, Default)]
struct Ledger(Arc<AtomicU32>);

#[derive(Clone, Default)]
struct State {
    ledger: Ledger,
    year: u64,
}

impl FromState<State> for Ledger {
    fn from_state(state: &State) -> Self {
        state.ledger.clone()
    }
}

async fn send_invoice(invoice: Invoice, ctx: Context<State>) -> Result<Receipt, std::io::Error> {
    ctx.state().ledger.0.fetch_add(1, Ordering::SeqCst);
    Ok(Receipt { number: ctx.state().year + invoice.customer, attempt: ctx.attempt() })
}

#[tokio::test]
async fn what_a_handler_returns_is_what_its_publisher_gets() {
    let home = Home::new();
    let state = State { year: 2026, ..State::default() };
    let (running, client) = home.up(App::new().state(state.clone()).task(send_invoice)).await;

    let published = client.publish(Invoice { customer: 7 }).await.unwrap();
    let receipt = published.result_within(PATIENCE).await.unwrap();

    assert_eq!(receipt, Receipt { number: 2033, attempt: 1 });
    assert_eq!(published.record().await.unwrap().unwrap().message.queue.as_str(), "billing");
    assert_eq!(state.ledger.0.load(Ordering::SeqCst), 1);
    running.stop().await.unwrap();
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "count")]
struct Count;

/// Takes a part of the program's state, and says its own output.
async fn count(_: Count, ctx: Context<Ledger>) -> Result<u32, Error> {
    Ok(ctx.state().0.fetch_add(1, Ordering::SeqCst) + 1)
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "plain")]
struct Plain(String);

async fn plain(task: Plain) -> Result<String, Error> {
    Ok(task.0)
}

#[tokio::test]
async fn handlers_take_the_state_a_part_of_it_or_nothing() {
    let home = Home::new();
    let app = App::new().task(plain).state(State::default()).task(count);
    let (running, client) = home.up(app).await;

    let first: u32 = client.publish(Count).await.unwrap().result_within(PATIENCE).await.unwrap();
    let second: u32 = client.publish(Count).await.unwrap().result_within(PATIENCE).await.unwrap();
    let text: String =
        client.publish(Plain("text".into())).await.unwrap().result_within(PATIENCE).await.unwrap();

    assert_eq!((first, second, text.as_str()), (1, 2, "text"));
    running.stop().await.unwrap();
}

#[derive(Serialize, Deserialize, Task)]
#[task(name = "ends", max_attempts = 2, output = ())]
struct Ends(String);

/// Ends as its argument says.
async fn ends(task: Ends, ctx: Context) -> Result<(), Error> {
    match task.0.as_str() {
        "number" => "x".parse::<u32>().or_give_up().map(drop),
        "cancel" => Err(Error::cancel("nobody needs it")),
        "later" if ctx.attempt() == 1 => Err(Error::retry_after(Duration::from_millis(1), "busy")),
        "never" => Err(Error::retry_after(Duration::from_millis(1), "always busy")),
        "asleep" => Err(Error::snooze(Duration::from_secs(3600))),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn errors_decide_what_becomes_of_a_task() {
    let home = Home::new();
    let (running, client) = home.up(App::new().task(ends)).await;
    let publish = async |how: &str| client.publish(Ends(how.into())).await.unwrap();

    let number = publish("number").await.result_within(PATIENCE).await.unwrap_err();
    assert!(
        matches!(&number, ResultError::Dead { error, .. } if error.message.contains("invalid digit")),
        "{number}"
    );
    let cancelled = publish("cancel").await.result_within(PATIENCE).await.unwrap_err();
    assert!(
        matches!(&cancelled, ResultError::Cancelled { reason, .. } if reason == "nobody needs it"),
        "{cancelled}"
    );
    publish("later").await.result_within(PATIENCE).await.unwrap();
    let never = publish("never").await;
    let error = never.result_within(PATIENCE).await.unwrap_err();
    assert!(
        matches!(&error, ResultError::Dead { error, .. } if error.kind == RunErrorKind::Failed),
        "{error}"
    );
    assert_eq!(never.record().await.unwrap().unwrap().message.attempts, 2);
    let asleep = publish("asleep").await;
    upbeat_tests::harness::eventually("it is put off", PATIENCE, async || {
        let record = asleep.record().await.unwrap().unwrap();
        record.state == TaskState::Scheduled && record.fence.is_some() && record.message.attempts == 0
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn options_of_a_publish_are_the_tasks() {
    let home = Home::new();
    let (running, client) = home.up(App::new().task(plain)).await;

    let waits = client
        .publish(Plain("a".into()))
        .delay(Duration::from_secs(3600))
        .priority(8)
        .tag("tenant:acme")
        .dedup_id("once")
        .queue("elsewhere")
        .await
        .unwrap();
    let again = client.publish(Plain("b".into())).dedup_id("once").await.unwrap();

    assert_eq!((again.id(), again.duplicate_of()), (waits.id(), Some(TaskState::Scheduled)));
    let record = waits.record().await.unwrap().unwrap();
    assert_eq!((record.message.priority.get(), record.message.queue.as_str()), (8, "elsewhere"));
    assert_eq!(record.message.tags, ["tenant:acme"]);
    waits.cancel("no longer needed").await.unwrap();
    let error = waits.result::<String>().await.unwrap_err();
    assert!(
        matches!(&error, ResultError::Cancelled { reason, .. } if reason == "no longer needed"),
        "{error}"
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn options_that_cannot_be_are_refused_with_what_may_be() {
    let home = Home::new();
    let client = upbeat::connect_to(&home.config()).await.unwrap();
    let queue = client.publish(Plain("a".into())).queue("a b").priority(10).await.unwrap_err();
    assert_eq!(
        queue.to_string(),
        "\"a b\" is no queue name: ' ' is not allowed; use letters, digits and any of _ - ."
    );
    let priority = client.publish(Plain("a".into())).priority(10).await.unwrap_err();
    assert_eq!(priority.to_string(), "a priority is 0 to 9, and 10 is none");
    let key = client.publish(Plain("a".into())).unique("").await.unwrap_err();
    assert_eq!(key.to_string(), "a unique key has 1 to 512 bytes, this one has 0");
    let window = client.publish(Plain("a".into())).unique_within("b", Duration::ZERO).await.unwrap_err();
    assert_eq!(window.to_string(), "a unique key is held for a microsecond to 365 days, and not for 0ns");
    let nothing = client.publish(Plain("a".into())).replacing().unique("b").await.unwrap_err();
    assert!(nothing.to_string().contains("goes behind unique(…)"), "{nothing}");
}

#[tokio::test]
async fn a_task_whose_key_is_taken_is_the_one_that_has_it() {
    let home = Home::new();
    let (running, client) = home.up(App::new().task(plain)).await;
    let hour = Duration::from_secs(3600);

    let first = client.publish(Plain("a".into())).delay(hour).unique("customer-7").await.unwrap();
    let second = client.publish(Plain("b".into())).unique("customer-7").await.unwrap();
    assert_eq!((second.id(), second.duplicate_of()), (first.id(), Some(TaskState::Scheduled)));
    let newest = client.publish(Plain("c".into())).unique("customer-7").replacing().await.unwrap();
    assert_eq!(newest.duplicate_of(), None);
    // Both handles are of the one that was replaced, and it says by whom.
    let error = second.result::<String>().await.unwrap_err();
    assert!(error.to_string().contains(&format!("replaced by {}", newest.id())), "{error}");
    assert_eq!(newest.result::<String>().await.unwrap(), "c");

    let once = || client.publish(Plain("d".into())).unique_within("customer-8", hour);
    let first = once().await.unwrap();
    assert_eq!(first.result::<String>().await.unwrap(), "d");
    let again = once().await.unwrap();
    assert_eq!((again.id(), again.duplicate_of()), (first.id(), Some(TaskState::Succeeded)));
    assert_eq!(again.result::<String>().await.unwrap(), "d", "whose result is this one's");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn many_are_published_together_and_a_result_of_another_type_is_told() {
    let home = Home::new();
    let (running, client) = home.up(App::new().task(plain)).await;

    let tasks = (0..100).map(|number| Plain(number.to_string()));
    let handles = client.publish_all(tasks).await.unwrap();

    for (number, handle) in handles.iter().enumerate() {
        assert_eq!(handle.result_within::<String>(PATIENCE).await.unwrap(), number.to_string());
    }
    let error = handles[0].result::<u32>().await.unwrap_err();
    assert!(matches!(error, ResultError::Unlike { .. }), "{error}");
    running.stop().await.unwrap();
}

/// Publishes another task, in the trace of this one.
async fn relay(_: Count, ctx: Context) -> Result<(), Error> {
    ctx.client().publish(Plain("relayed".into())).dedup_id(ctx.id().to_string()).await?;
    Ok(())
}

#[tokio::test]
async fn a_handler_publishes_further_tasks() {
    let home = Home::new();
    let (running, client) = home.up(App::new().task(relay).task(plain)).await;
    let first = client.publish(Count).await.unwrap();
    first.result_within::<()>(PATIENCE).await.unwrap();
    let second = client.publish(Plain("relayed".into())).dedup_id(first.id().to_string()).await.unwrap();
    assert!(second.duplicate_of().is_some(), "it was published by the handler");
    assert_eq!(second.result_within::<String>(PATIENCE).await.unwrap(), "relayed");
    running.stop().await.unwrap();
}
