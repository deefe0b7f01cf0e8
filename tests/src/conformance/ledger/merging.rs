//! Occurrences of schedules whose tasks hold a unique key: one that finds it taken is merged into whoever has it, and recorded.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock::later;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Due, NewEntry};
use upbeat_shared::message::Message;
use upbeat_shared::occurrence::{OccurrenceRecord, ScheduleRecord};
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;

use super::catalog::{get, put};
use super::planning::{advanced, fire};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{definition, occurrence};

suite! { $ merging_conformance, LedgerWorld, ledger::merging:
    an_occurrence_whose_key_is_held_is_merged_into_the_task_that_has_it,
    an_occurrence_fires_again_when_the_holder_has_ended,
    a_key_is_held_for_its_window_by_occurrences_too,
    of_several_occurrences_at_once_the_first_stands_for_the_others,
    an_occurrence_that_replaces_takes_the_place_of_one_that_waits,
    a_task_that_nobody_scheduled_stands_for_occurrences,
    only_one_of_two_beats_records_what_was_merged,
}

const MINUTE: Duration = Duration::from_secs(60);

fn minutes(from: Timestamp, minutes: u32) -> Timestamp {
    later(from, MINUTE * minutes)
}

/// The occurrence so many minutes after the schedule's cursor.
fn keyed(record: &ScheduleRecord, after: u32, unique: Unique) -> NewEntry {
    let entry = occurrence(record, minutes(record.cursor, after));
    NewEntry { message: Message { unique: Some(unique), ..entry.message }, ..entry }
}

/// A schedule that an hour has passed of.
async fn schedule(world: &impl LedgerWorld, ledger: &Probe) -> ScheduleRecord {
    let record = put(ledger, "nightly", definition()).await;
    world.forward(MINUTE * 60);
    record
}

/// What is known of its occurrences, the oldest first: which fired, and which were merged into whom.
async fn told(ledger: &Probe, record: &ScheduleRecord) -> Vec<(Timestamp, &'static str, TaskId)> {
    let listed = ledger.store.catalog.occurrences(record.id.clone(), 10).await.expect("the store lists");
    let told = listed.into_iter().rev().map(|occurrence| match occurrence {
        OccurrenceRecord::Fired { planned_at, task_id, .. } => (planned_at, "fired", task_id),
        OccurrenceRecord::Merged { planned_at, task_id, .. } => (planned_at, "merged", task_id),
        OccurrenceRecord::Skipped(range) => panic!("nothing was skipped: {range:?}"),
    });
    told.collect()
}

async fn an_occurrence_whose_key_is_held_is_merged_into_the_task_that_has_it(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let start = schedule(world, &ledger).await;
    let first = keyed(&start, 5, Unique::by("k"));
    let second = keyed(&start, 10, Unique::by("k"));
    let record = fire(&ledger, &start, minutes(start.cursor, 5), vec![first.clone()]).await;
    let run = ledger.acquire_any(&ledger.promoted(first.message.id).await).await;

    let new = advanced(&ledger, &record, minutes(start.cursor, 10), vec![second.clone()]).await;

    assert_eq!(new, 0);
    assert_eq!(ledger.find(second.message.id).await, None, "it is no task of its own");
    let expected = [
        (minutes(start.cursor, 5), "fired", first.message.id),
        (minutes(start.cursor, 10), "merged", first.message.id),
    ];
    assert_eq!(told(&ledger, &start).await, expected);
    assert_eq!(get(&ledger, &start.id).await.expect("it is there").cursor, minutes(start.cursor, 10));
    ledger.succeed(&run).await;
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn an_occurrence_fires_again_when_the_holder_has_ended(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let start = schedule(world, &ledger).await;
    let [first, second] = [5, 10].map(|after| keyed(&start, after, Unique::by("k")));
    let record = fire(&ledger, &start, minutes(start.cursor, 5), vec![first.clone()]).await;
    ledger.cancel(first.message.id).await;

    fire(&ledger, &record, minutes(start.cursor, 10), vec![second.clone()]).await;

    assert_eq!(ledger.due_ids(10).await, [second.message.id]);
}

async fn a_key_is_held_for_its_window_by_occurrences_too(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let start = schedule(world, &ledger).await;
    let window = Unique::by("k").within(MINUTE * 30);
    let [first, second, third] = [5, 10, 15].map(|after| keyed(&start, after, window.clone()));
    let record = fire(&ledger, &start, minutes(start.cursor, 5), vec![first.clone()]).await;
    ledger.cancel(first.message.id).await;
    assert_eq!(advanced(&ledger, &record, minutes(start.cursor, 10), vec![second]).await, 0);
    world.forward(MINUTE * 30);

    let record = get(&ledger, &start.id).await.expect("it is there");
    fire(&ledger, &record, minutes(start.cursor, 15), vec![third.clone()]).await;

    let what: Vec<_> = told(&ledger, &start).await.into_iter().map(|(_, what, id)| (what, id)).collect();
    let (first, third) = (first.message.id, third.message.id);
    assert_eq!(what, [("fired", first), ("merged", first), ("fired", third)]);
}

async fn of_several_occurrences_at_once_the_first_stands_for_the_others(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let start = schedule(world, &ledger).await;
    let other = put(&ledger, "other", definition()).await;
    let all = [5, 10, 15].map(|after| keyed(&start, after, Unique::by("k")));
    let plain = occurrence(&start, minutes(start.cursor, 20));
    let [first, ..] = &all;
    let first = first.message.id;
    let planned = all.iter().cloned().chain([plain.clone()]).collect();

    assert_eq!(advanced(&ledger, &start, minutes(start.cursor, 20), planned).await, 2);

    let what: Vec<_> = told(&ledger, &start).await.into_iter().map(|(_, what, id)| (what, id)).collect();
    assert_eq!(
        what,
        [("fired", first), ("merged", first), ("merged", first), ("fired", plain.message.id)],
        "each has an answer of its own"
    );
    assert_eq!(told(&ledger, &other).await, []);
}

async fn an_occurrence_that_replaces_takes_the_place_of_one_that_waits(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let start = schedule(world, &ledger).await;
    let [first, second, third] = [5, 10, 15].map(|after| keyed(&start, after, Unique::by("k").replacing()));
    let record = fire(&ledger, &start, minutes(start.cursor, 5), vec![first.clone()]).await;

    let record = fire(&ledger, &record, minutes(start.cursor, 10), vec![second.clone()]).await;

    assert_eq!(ledger.state(first.message.id).await, TaskState::Cancelled);
    ledger.acquire_any(&ledger.promoted(second.message.id).await).await;
    assert_eq!(
        advanced(&ledger, &record, minutes(start.cursor, 15), vec![third]).await,
        0,
        "what runs stays"
    );
    let what: Vec<_> = told(&ledger, &start).await.into_iter().map(|(_, what, id)| (what, id)).collect();
    let (first, second) = (first.message.id, second.message.id);
    assert_eq!(what, [("fired", first), ("fired", second), ("merged", second)]);
}

async fn a_task_that_nobody_scheduled_stands_for_occurrences(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let start = schedule(world, &ledger).await;
    let entry = keyed(&start, 5, Unique::by("k"));
    let by_hand = Message { occurrence: None, id: crate::message::message().id, ..entry.message.clone() };
    ledger.add(&by_hand, Due::In(Duration::ZERO)).await;

    assert_eq!(advanced(&ledger, &start, minutes(start.cursor, 5), vec![entry]).await, 0);

    assert_eq!(told(&ledger, &start).await, [(minutes(start.cursor, 5), "merged", by_hand.id)]);
}

async fn only_one_of_two_beats_records_what_was_merged(world: &impl LedgerWorld) {
    let (one, other) = (Probe::of(world), Probe::another(world).await);
    let start = schedule(world, &one).await;
    let planned = || [5, 10].map(|after| keyed(&start, after, Unique::by("k"))).to_vec();
    let to = minutes(start.cursor, 10);
    let advance = |ledger: &Probe| {
        let advance = upbeat_shared::ledger::Advance {
            id: start.id.clone(),
            incarnation: start.incarnation,
            revision: start.revision,
            from: start.cursor,
            to,
            fire: planned(),
            skipped: Vec::new(),
        };
        let catalog = ledger.store.catalog.clone();
        async move { catalog.advance(vec![advance]).await.expect("the store answers")[0] }
    };

    let (a, b) = tokio::join!(advance(&one), advance(&other));

    assert_ne!(a, b, "one of them was there first");
    let what: Vec<_> = told(&one, &start).await.into_iter().map(|(_, what, _)| what).collect();
    assert_eq!(what, ["fired", "merged"]);
}
