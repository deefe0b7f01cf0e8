//! The catalog: schedules, changed only by those who have seen what they change.

use std::time::Duration;

use upbeat_shared::clock::later;
use upbeat_shared::ledger::{Expect, NewSchedule, PutAnswer};
use upbeat_shared::name::ScheduleId;
use upbeat_shared::occurrence::{ScheduleDefinition, ScheduleRecord};
use upbeat_shared::task::TaskState;

use super::planning::{advanced, fire};
use super::probe::assert_between;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{definition, definition_of, occurrence, schedule_id};

suite! { $ catalog_conformance, LedgerWorld, ledger::catalog:
    a_new_schedule_starts_now,
    a_definition_is_kept_as_it_was_written,
    a_second_schedule_of_the_same_id_conflicts,
    a_change_needs_the_revision_that_it_replaces,
    a_change_keeps_incarnation_and_cursor,
    every_change_raises_the_version,
    cursors_do_not_raise_the_version,
    a_snapshot_shows_every_schedule,
    a_schedule_made_again_is_a_new_incarnation,
    removing_needs_the_revision,
    removing_cancels_what_is_not_yet_queued,
    two_processes_that_change_one_revision_do_not_both_win,
}

/// Stores a definition that must not exist yet.
pub(super) async fn put(ledger: &Probe, id: &str, definition: ScheduleDefinition) -> ScheduleRecord {
    match try_put(ledger, &schedule_id(id), definition, Expect::Absent).await {
        PutAnswer::Stored(record) => *record,
        PutAnswer::Conflict => panic!("there is a schedule {id} already"),
    }
}

async fn try_put(
    ledger: &Probe,
    id: &ScheduleId,
    definition: ScheduleDefinition,
    expect: Expect,
) -> PutAnswer {
    let schedule = NewSchedule { id: id.clone(), definition, source: "upbeat.toml".to_owned() };
    ledger.store.catalog.put(schedule, expect).await.expect("the store answers")
}

async fn version(ledger: &Probe) -> u64 {
    ledger.store.catalog.version().await.expect("the store answers")
}

/// The schedule as it is stored now.
pub(super) async fn get(ledger: &Probe, id: &ScheduleId) -> Option<ScheduleRecord> {
    ledger.store.catalog.get(vec![id.clone()]).await.expect("the store answers").pop()
}

async fn a_new_schedule_starts_now(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let before = ledger.now().await;

    let record = put(&ledger, "nightly", definition()).await;

    assert_between("cursor", Some(record.cursor), before, ledger.now().await, Duration::ZERO);
    assert_between("updated_at", Some(record.updated_at), before, ledger.now().await, Duration::ZERO);
    assert_eq!(get(&ledger, &record.id).await, Some(record));
}

async fn a_definition_is_kept_as_it_was_written(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let text = serde_json::json!({
        "cron": "0 3 * * *", "timezone": "Europe/Berlin",
        "task": {
            "name": "reports.send", "queue": "reports", "args": { "to": ["a", "b"], "pages": 3.5, "all": null },
            "priority": 9, "timeout": { "secs": 90, "nanos": 0 }, "expires_after": { "secs": 3600, "nanos": 0 },
            "deadline_after": { "secs": 7200, "nanos": 0 },
            "retry": { "max_attempts": 3, "backoff": "linear", "delay_ms": 100, "max_delay_ms": 900, "jitter": "none" },
            "tags": ["nightly"],
        },
        "grace": { "secs": 5, "nanos": 0 }, "paused": true,
    });
    let definition: ScheduleDefinition =
        serde_json::from_value(text).expect("a definition as users write it");

    let record = put(&ledger, "nightly", definition.clone()).await;

    assert_eq!(record.definition, definition);
    assert_eq!((record.id.as_str(), record.source.as_str()), ("nightly", "upbeat.toml"));
}

async fn a_second_schedule_of_the_same_id_conflicts(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let version_before = version(&ledger).await;

    let answer = try_put(&ledger, &record.id, definition_of("0 0 * * *"), Expect::Absent).await;

    assert_eq!(answer, PutAnswer::Conflict);
    assert_eq!(get(&ledger, &record.id).await, Some(record));
    assert_eq!(version(&ledger).await, version_before);
}

async fn a_change_needs_the_revision_that_it_replaces(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = put(&ledger, "nightly", definition()).await;
    let expect = Expect::Revision(first.revision);

    let answer = try_put(&ledger, &first.id, definition_of("0 1 * * *"), expect).await;
    let PutAnswer::Stored(second) = answer else { panic!("it should be stored: {answer:?}") };
    assert!(second.revision > first.revision);
    assert_eq!(second.definition, definition_of("0 1 * * *"));

    let answer = try_put(&ledger, &first.id, definition_of("0 2 * * *"), expect).await;
    assert_eq!(answer, PutAnswer::Conflict, "an older revision");
    let answer = try_put(&ledger, &schedule_id("other"), definition(), expect).await;
    assert_eq!(answer, PutAnswer::Conflict, "no such schedule");
    assert_eq!(get(&ledger, &first.id).await, Some(*second));
    assert_eq!(get(&ledger, &schedule_id("other")).await, None);
}

async fn a_change_keeps_incarnation_and_cursor(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = put(&ledger, "nightly", definition()).await;
    world.forward(Duration::from_secs(3600));

    let answer =
        try_put(&ledger, &first.id, definition_of("0 1 * * *"), Expect::Revision(first.revision)).await;

    let PutAnswer::Stored(second) = answer else { panic!("it should be stored: {answer:?}") };
    assert_eq!((second.incarnation, second.cursor), (first.incarnation, first.cursor));
    assert!(second.updated_at >= later(first.updated_at, Duration::from_secs(3600)));
}

async fn every_change_raises_the_version(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let empty = version(&ledger).await;
    let record = put(&ledger, "nightly", definition()).await;
    let made = version(&ledger).await;
    try_put(&ledger, &record.id, definition_of("0 1 * * *"), Expect::Revision(record.revision)).await;
    let changed = version(&ledger).await;
    let revision = get(&ledger, &record.id).await.expect("it is there").revision;
    assert!(ledger.store.catalog.remove(record.id, revision).await.expect("the store answers"));
    let removed = version(&ledger).await;

    assert!(empty < made && made < changed && changed < removed, "{empty} {made} {changed} {removed}");
}

async fn cursors_do_not_raise_the_version(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let before = version(&ledger).await;
    world.forward(Duration::from_secs(60));

    advanced(&ledger, &record, ledger.now().await, vec![]).await;

    assert_eq!(version(&ledger).await, before);
}

async fn a_snapshot_shows_every_schedule(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let empty = ledger.store.catalog.snapshot().await.expect("the store answers");
    assert_eq!(empty.schedules, []);
    let mut records = Vec::new();
    for id in ["b", "c", "a"] {
        records.push(put(&ledger, id, definition()).await);
    }
    records.sort_by(|one, other| one.id.cmp(&other.id));

    let snapshot = ledger.store.catalog.snapshot().await.expect("the store answers");

    assert_eq!(snapshot.schedules, records);
    assert_eq!(snapshot.version, version(&ledger).await);
    let asked = vec![schedule_id("c"), schedule_id("unknown"), schedule_id("a")];
    let some = ledger.store.catalog.get(asked).await.expect("the store answers");
    assert_eq!(some.len(), 2, "what does not exist is left out");
}

async fn a_schedule_made_again_is_a_new_incarnation(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut incarnations = Vec::new();
    for _ in 0..3 {
        let record = put(&ledger, "nightly", definition()).await;
        incarnations.push(record.incarnation);
        let removed = ledger.store.catalog.remove(record.id, record.revision).await;
        assert!(removed.expect("the store answers"));
    }
    incarnations.sort_unstable();
    incarnations.dedup();
    assert_eq!(incarnations.len(), 3, "each has occurrences of its own");
}

async fn removing_needs_the_revision(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let remove = async |id: &ScheduleId, revision: u64| {
        ledger.store.catalog.remove(id.clone(), revision).await.expect("the store answers")
    };

    assert!(!remove(&record.id, record.revision + 1).await);
    assert!(get(&ledger, &record.id).await.is_some());
    assert!(remove(&record.id, record.revision).await);
    assert_eq!(get(&ledger, &record.id).await, None);
    assert!(!remove(&record.id, record.revision).await, "it is gone");
}

async fn removing_cancels_what_is_not_yet_queued(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (record, other) =
        (put(&ledger, "nightly", definition()).await, put(&ledger, "other", definition()).await);
    let start = record.cursor;
    world.forward(Duration::from_secs(3600));
    let at = |minutes: u64| later(start, Duration::from_secs(minutes * 60));
    let [queued, running, waiting] = [5, 10, 15].map(|minutes| occurrence(&record, at(minutes)));
    let [queued_id, running_id, waiting_id] = [&queued, &running, &waiting].map(|entry| entry.message.id);
    let record = fire(&ledger, &record, at(10), vec![queued, running]).await;
    let promoted = ledger.promoted(running_id).await;
    ledger.acquire_any(&promoted).await;
    let record = fire(&ledger, &record, at(15), vec![waiting]).await;
    let foreign = occurrence(&other, at(5));
    let foreign_id = foreign.message.id;
    fire(&ledger, &other, at(5), vec![foreign]).await;

    let removed = ledger.store.catalog.remove(record.id, record.revision).await;

    assert!(removed.expect("the store answers"));
    assert_eq!(ledger.state(waiting_id).await, TaskState::Cancelled);
    assert_eq!(ledger.state(queued_id).await, TaskState::Queued);
    assert_eq!(ledger.state(running_id).await, TaskState::Running);
    assert_eq!(ledger.state(foreign_id).await, TaskState::Scheduled);
    assert_eq!(ledger.due_ids(10).await, [foreign_id]);
}

async fn two_processes_that_change_one_revision_do_not_both_win(world: &impl LedgerWorld) {
    let (one, other) = (Probe::of(world), Probe::another(world).await);
    let record = put(&one, "nightly", definition()).await;
    let expect = Expect::Revision(record.revision);

    let (first, second) = tokio::join!(
        try_put(&one, &record.id, definition_of("0 1 * * *"), expect),
        try_put(&other, &record.id, definition_of("0 2 * * *"), expect)
    );

    let won = [&first, &second].into_iter().filter(|answer| **answer != PutAnswer::Conflict).count();
    assert_eq!(won, 1, "{first:?} and {second:?}");
}
