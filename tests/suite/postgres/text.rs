//! Postgres keeps no NUL in a text. What people write may hold one, and must not make a task unrecordable.

use std::time::Duration;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{
    ActAnswer, Action, Due, Expect, LeaseRequest, NewSchedule, Park, ParkAnswer, PutAnswer, SettleAnswer,
    TaskFilter,
};
use upbeat_shared::member::{Heartbeat, MemberInfo};
use upbeat_shared::message::{ContentType, Message, Payload};
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::LedgerWorld;
use upbeat_tests::conformance::ledger::Probe;
use upbeat_tests::conformance::postgres::Ledger;
use upbeat_tests::message::{definition, failure, heartbeat, message, schedule_id};

const ODD: &str = "a\0b";

#[tokio::test]
async fn a_nul_in_a_text_keeps_nothing_from_being_recorded() {
    let world = Ledger::create().await;
    let ledger = Probe::of(&world);
    let owner = OwnerId::random();
    let info = MemberInfo { name: ODD.into(), version: ODD.into(), ..MemberInfo::default() };
    let beat = Heartbeat { info: info.clone(), ..heartbeat(owner, 1) };
    ledger.store.ledger.heartbeat(beat).await.expect("it is heard");
    assert_eq!(ledger.store.inspect.members().await.expect("they are listed")[0].info, info);

    let bytes = Payload { content_type: ContentType::Msgpack, bytes: b"\0\xc1\0".as_slice().into() };
    let task =
        Message { tags: vec![ODD.into()], dedup_id: Some(ODD.into()), args: bytes.clone(), ..message() };
    let run = ledger.acquire(owner, &task).await;
    ledger.settle(&run, Verdict::Dead { error: failure(ODD) }).await;
    let record = ledger.record(task.id).await;
    assert_eq!(
        (record.message, record.error.map(|error| error.message)),
        (task_after(&task), Some(ODD.into()))
    );
    let filter = TaskFilter { tag: Some(ODD.into()), ..TaskFilter::default() };
    let tagged = ledger.store.inspect.list(filter, None, 10).await.expect("they are listed");
    assert_eq!(tagged.tasks.len(), 1, "it is found by its odd tag");

    let run = ledger.acquire(owner, &message()).await;
    let result = Verdict::Succeeded { result: Some(bytes.clone()) };
    assert_eq!(ledger.settle(&run, result).await, SettleAnswer::Applied(TaskState::Succeeded));
    assert_eq!(ledger.record(run.claim.id).await.result, Some(bytes));

    let run = ledger.acquire(owner, &message()).await;
    let released = ledger.settle(&run, Verdict::Released { reason: ODD.into() }).await;
    assert_eq!(released, SettleAnswer::Applied(TaskState::Scheduled));
    let cancelled = ledger.act(run.claim.id, Action::Cancel { reason: ODD.into() }).await;
    assert_eq!(cancelled, ActAnswer::Applied(TaskState::Cancelled));
    assert!(ledger.record(run.claim.id).await.note.is_some_and(|note| note.starts_with('a')));
    let unknown = ledger.act(message().id, Action::Cancel { reason: ODD.into() }).await;
    assert_eq!(unknown, ActAnswer::Applied(TaskState::Cancelled));
}

/// An attempt was counted.
fn task_after(task: &Message) -> Message {
    Message { attempts: 1, ..task.clone() }
}

#[tokio::test]
async fn a_nul_in_the_name_of_a_lease_a_note_or_a_source_is_no_error() {
    let world = Ledger::create().await;
    let ledger = Probe::of(&world);
    let request = LeaseRequest { name: ODD.into(), ttl: Duration::from_secs(3) };
    let owner = OwnerId::random();
    let held = ledger.store.leases.acquire(owner, vec![request.clone()]).await.expect("it answers");
    assert_eq!(held, [true]);
    ledger.store.leases.give_up(owner, vec![ODD.into()]).await.expect("it answers");
    let held = ledger.store.leases.acquire(OwnerId::random(), vec![request]).await.expect("it answers");
    assert_eq!(held, [true], "it was given back under the same name");

    let delay = Duration::from_secs(60);
    let park = Park { message: message(), note: ODD.into(), delay, max_delay: delay, dead_after: None };
    assert!(matches!(ledger.park_as(park).await, ParkAnswer::Parked(_)));

    let new = NewSchedule { id: schedule_id("odd"), definition: definition(), source: ODD.into() };
    let answer = ledger.store.catalog.put(new, Expect::Absent).await.expect("it answers");
    assert!(matches!(answer, PutAnswer::Stored(_)), "{answer:?}");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_keeps_nobody_waiting() {
    let world = Ledger::create().await;
    let ledger = Probe::of(&world);
    let (broken, sound) = (message(), message());
    for message in [&broken, &sound] {
        ledger.add(message, Due::In(Duration::ZERO)).await;
        world.forward(Duration::from_secs(1));
    }
    let client = upbeat_tests::conformance::postgres::connect(&world.space().url).await;
    let schema = world.space().schema();
    let spoil = format!(
        "update {schema}.detail set message = '\\xc1' where task = (select row from {schema}.task where id = $1);"
    );
    assert_eq!(client.execute(&spoil, &[&broken.id.0]).await.expect("it can be spoilt"), 1);

    // There is room for one, and the broken one is due for the longest; but only once.
    for expected in [vec![], vec![sound.id], vec![sound.id]] {
        let batch = ledger.store.agenda.due(1, Duration::ZERO).await.expect("the store leases");
        let ids: Vec<_> = batch.entries.iter().map(|entry| entry.message.id).collect();
        assert_eq!(ids, expected);
    }
    let listed = ledger.store.inspect.list(TaskFilter::default(), None, 10).await.expect("the store lists");
    assert_eq!(listed.tasks.len(), 2, "a listing shows what is left of it");
}
