//! Unique keys on Postgres: in transactions that are not our own, and when many want the same keys.

use std::sync::Arc;
use std::time::Duration;

use upbeat_broker::{Beat, BeatOptions};
use upbeat_shared::client::NewTask;
use upbeat_shared::clock::{StoreClock, SystemClock};
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::postgres::PostgresClientExt;
use upbeat_shared::ledger::{AddAnswer, Due, Expect, NewEntry, NewSchedule, Store};
use upbeat_shared::message::Message;
use upbeat_shared::occurrence::OccurrenceRecord;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::memory::MemoryBroker;
use upbeat_shared::unique::Unique;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::LedgerWorld;
use upbeat_tests::conformance::ledger::Probe;
use upbeat_tests::conformance::postgres::{Ledger, Space, connect};
use upbeat_tests::conformance::transaction::client_over;
use upbeat_tests::message::{definition, entry, message, schedule_id};

const NOW: Due = Due::In(Duration::ZERO);

fn keyed(key: &str) -> Message {
    Message { unique: Some(Unique::by(key)), ..message() }
}

/// A success, by fence and token.
fn settle(world: &Ledger) -> String {
    format!(
        "select answer from {}.settle_1(
            null, $1, $2, $3, array[0::smallint], array[0::bigint], array[null::text], null, null)",
        world.space().schema()
    )
}

#[tokio::test]
async fn a_finishing_transaction_that_is_rolled_back_keeps_the_key() {
    let world = Ledger::create().await;
    let ledger = Probe::of(&world);
    let message = ledger.queued(&keyed("a")).await;
    let run = ledger.acquire_any(&message).await;
    let mut client = connect(&world.space().url).await;
    let transaction = client.transaction().await.expect("it begins");
    let (id, fence, token) = (vec![run.claim.id.0], vec![run.claim.fence.0], vec![run.claim.token.0]);
    let settled = transaction.query(&settle(&world), &[&id, &fence, &token]).await.expect("it settles");
    assert_eq!(settled.len(), 1);
    // Until it commits, nobody else may have the key.
    let meanwhile = ledger.add(&keyed("a"), NOW).await;
    assert_eq!(meanwhile, AddAnswer::Taken { by: message.id, state: TaskState::Running });
    transaction.rollback().await.expect("it is rolled back");

    let answer = ledger.add(&keyed("a"), NOW).await;
    assert_eq!(answer, AddAnswer::Taken { by: message.id, state: TaskState::Running });
    ledger.succeed(&run).await;
    assert!(matches!(ledger.add(&keyed("a"), NOW).await, AddAnswer::Added(_)));
}

/// What its settle does to the row: whether the new version stays on its page, and every index as it is.
async fn ends_in_place(world: &Ledger, message: &Message) -> bool {
    let ledger = Probe::of(world);
    let run = ledger.acquire_any(&ledger.queued(message).await).await;
    let mut client = connect(&world.space().url).await;
    let transaction = client.transaction().await.expect("it begins");
    let (id, fence, token) = (vec![run.claim.id.0], vec![run.claim.fence.0], vec![run.claim.token.0]);
    transaction.query(&settle(world), &[&id, &fence, &token]).await.expect("it settles");
    let counted = format!(
        "select pg_stat_get_xact_tuples_updated('{0}.task'::regclass), pg_stat_get_xact_tuples_hot_updated('{0}.task'::regclass)",
        world.space().schema()
    );
    let row = transaction.query_one(&counted, &[]).await.expect("it counts");
    assert_eq!(row.get::<_, i64>(0), 1);
    row.get::<_, i64>(1) == 1
}

#[tokio::test]
async fn the_end_of_a_task_without_a_key_leaves_every_index_alone() {
    let world = Ledger::create().await;
    assert!(ends_in_place(&world, &message()).await);
    assert!(!ends_in_place(&world, &keyed("a")).await, "the count would tell");
}

#[tokio::test]
async fn a_task_without_a_key_is_not_in_the_index_of_keys() {
    let world = Ledger::create().await;
    let ledger = Probe::of(&world);
    let one = ledger.queued(&keyed("a")).await;
    for _ in 0..20 {
        let run = ledger.acquire_any(&message()).await;
        ledger.succeed(&run).await;
    }

    let client = connect(&world.space().url).await;
    let schema = world.space().schema();
    let held = format!("select count(*) from {schema}.task where holds is not null");
    assert_eq!(client.query_one(&held, &[]).await.expect("it counts").get::<_, i64>(0), 1);
    ledger.succeed(&ledger.acquire_any(&one).await).await;
    assert_eq!(client.query_one(&held, &[]).await.expect("it counts").get::<_, i64>(0), 0);
}

/// Batches of the same keys in every order, half of them replacing.
async fn publish(store: Store, seed: usize) -> Vec<AddAnswer> {
    let keys = ["a", "b", "c", "d", "e"];
    let entries: Vec<NewEntry> = (0..keys.len())
        .map(|at| {
            let unique = Unique::by(keys[(at * (1 + seed % 4) + seed) % keys.len()]);
            let unique = if (at + seed).is_multiple_of(2) { unique.replacing() } else { unique };
            entry(&Message { unique: Some(unique), ..message() }, NOW)
        })
        .collect();
    store.agenda.add(entries).await.expect("no batch is refused")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_of_the_same_keys_in_every_order_and_workers_that_end_them_get_on() {
    let space = Space::random();
    let store = Store::from_adapter(space.open(8).await);
    let owner = OwnerId::random();
    let ledger = Probe::over(store.clone());
    ledger.beat(owner, 1).await;
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut added = 0;
                for round in 0..25 {
                    let answers = publish(store.clone(), client * 25 + round).await;
                    added += answers.iter().filter(|answer| matches!(answer, AddAnswer::Added(_))).count();
                }
                added
            })
        })
        .collect();
    let worker = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            for _ in 0..100 {
                for entry in ledger.due(10).await.entries {
                    if let Some(run) = ledger.try_acquire(owner, &entry.message).await {
                        ledger.settle(&run, Verdict::Succeeded { result: None }).await;
                    }
                }
            }
        }
    });
    let mut added = 0;
    for client in clients {
        added += client.await.expect("no client panics");
    }
    worker.await.expect("the worker does not panic");

    let client = connect(&space.url).await;
    let schema = space.schema();
    let count = async |condition: &str| {
        let sql = format!("select count(*) from {schema}.task where {condition}");
        client.query_one(&sql, &[]).await.expect("it counts").get::<_, i64>(0)
    };
    assert_eq!(count("true").await, i64::try_from(added).expect("small"), "what was told is there");
    assert_eq!(count("state < 4 and holds is null").await, 0, "who has not ended holds its key");
    assert_eq!(count("state >= 4 and holds is not null").await, 0, "who has ended holds none");
    assert!(count("state < 4").await <= 5);
}

#[tokio::test]
async fn a_beat_plans_on_while_an_open_transaction_has_locked_a_key() {
    let world = Ledger::create().await;
    let catalog = world.store().catalog;
    let holder = keyed("a");
    for (id, unique) in [("keyed", holder.unique.clone()), ("plain", None)] {
        let mut definition = definition();
        (definition.task.name, definition.task.unique) = (holder.name.clone(), unique);
        let new = NewSchedule { id: schedule_id(id), definition, source: "test".to_owned() };
        catalog.put(new, Expect::Absent).await.expect("the store answers");
    }
    world.forward(Duration::from_secs(600));
    let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
    let mut beat =
        Beat::new(MemoryBroker::new().connect(), world.store(), clock, BeatOptions::default()).stepper();
    let mut database = connect(&world.space().url).await;
    let transaction = database.transaction().await.expect("it begins");
    let task = NewTask { unique: holder.unique, ..NewTask::new(holder.name, holder.args) };
    let published = client_over(world.store()).publish_in(&transaction, task).await.expect("it is accepted");
    let told = async |id| catalog.occurrences(schedule_id(id), 10).await.expect("the store lists");

    beat.step().await.expect("nobody waits for the key");

    let fired = |told: &[OccurrenceRecord]| {
        told.iter().filter(|one| matches!(one, OccurrenceRecord::Fired { .. })).count()
    };
    assert_ne!(fired(&told("plain").await), 0, "the other one is planned");
    assert_eq!(told("keyed").await, [], "who has the key is not known yet");
    transaction.commit().await.expect("it commits");
    world.forward(Duration::from_secs(1));
    // The first step learns the time.
    beat.step().await.expect("it steps");
    beat.step().await.expect("it steps");
    let told = told("keyed").await;
    let by = published.id();
    let is_merged =
        |one: &OccurrenceRecord| matches!(one, OccurrenceRecord::Merged { task_id, .. } if *task_id == by);
    assert!(told.iter().any(is_merged), "{told:?}");
    assert_eq!(fired(&told), 0, "{told:?}");
}
