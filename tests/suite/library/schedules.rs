//! Schedules written in Rust, beside those of files.

use serde::{Deserialize, Serialize};
use upbeat::prelude::*;
use upbeat::{RoleError, Schedule};
use upbeat_tests::harness::eventually;

use super::{Home, PATIENCE};

#[derive(Serialize, Deserialize, Task)]
#[task(name = "tick", queue = "ticks", version = 3, from(1 = Old, 2 = Old))]
struct Tick {
    number: u32,
}

#[derive(Serialize, Deserialize)]
struct Old;

impl From<Old> for Tick {
    fn from(_: Old) -> Self {
        Self { number: 0 }
    }
}

async fn tick(task: Tick) -> Result<u32, Error> {
    Ok(task.number)
}

fn app() -> App {
    App::new().named("ticker").task(tick)
}

/// Each schedule's id and where it is written.
async fn catalog(client: &Client) -> Vec<(String, String)> {
    let snapshot = client.store().catalog.snapshot().await.expect("the store shows");
    let mut known: Vec<_> =
        snapshot.schedules.into_iter().map(|record| (record.id.to_string(), record.source)).collect();
    known.sort();
    known
}

const FILE: &str = "[[schedule]]\nid = \"of.the.file\"\ntask = \"tick\"\nevery = \"1h\"\n";

#[tokio::test]
async fn they_fire_and_stand_in_the_catalog_beside_those_of_the_file() {
    let home = Home::new();
    let (flags, path) = home.configured(FILE);
    let app = app().schedule(Schedule::every("of.the.program", "100ms", Tick { number: 7 }));

    let running = app.up().overrides(flags).start().await.unwrap();

    let client = running.client();
    let expected = [("of.the.file", path), ("of.the.program", "program ticker".into())];
    assert_eq!(catalog(&client).await, expected.map(|(id, source)| (id.to_owned(), source)));
    let filter = || upbeat::ledger::TaskFilter {
        states: vec![upbeat::task::TaskState::Succeeded],
        ..Default::default()
    };
    eventually("it fires", PATIENCE, async || {
        client.store().inspect.list(filter(), None, 1).await.unwrap().tasks.len() == 1
    })
    .await;
    let ran = client.store().inspect.list(filter(), None, 1).await.unwrap().tasks.remove(0);
    assert_eq!(ran.result.unwrap().decode::<u32>().unwrap(), 7, "its arguments are of the present version");
    assert_eq!(ran.message.queue.as_str(), "ticks");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_program_no_longer_has_is_removed_and_nobody_elses() {
    let home = Home::new();
    let two = app().schedule(Schedule::every("a", "1h", Tick { number: 1 })).schedule(Schedule::every(
        "b",
        "1h",
        Tick { number: 1 },
    ));
    home.up(two).await.0.stop().await.unwrap();
    let other = App::new().named("other").task(tick).schedule(Schedule::every("c", "1h", Tick { number: 1 }));
    home.up(other).await.0.stop().await.unwrap();

    let (running, client) = home.up(app().schedule(Schedule::every("b", "1h", Tick { number: 1 }))).await;

    let ids: Vec<String> = catalog(&client).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["b", "c"]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn one_id_in_two_places_is_refused() {
    let home = Home::new();
    let (flags, path) = home.configured(FILE);
    let twice = app().schedule(Schedule::every("of.the.file", "1h", Tick { number: 1 }));
    let error = twice.beat().overrides(flags).start().await.unwrap_err();
    assert!(matches!(error, RoleError::ScheduledTwice { .. }), "{error}");
    assert!(error.to_string().contains(&path), "{error}");

    let wrong = app().schedule(Schedule::cron("nightly", "30 2 * *", Tick { number: 1 }));
    let error = wrong.beat().config(home.config()).start().await.unwrap_err();
    assert!(error.to_string().starts_with("the schedule nightly of this program"), "{error}");
}
