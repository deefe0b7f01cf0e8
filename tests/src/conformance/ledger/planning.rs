//! Planning: a cursor moves only together with the occurrences that it passes.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock::{earlier, later};
use upbeat_shared::ledger::{Advance, AdvanceAnswer, Expect, NewEntry, NewSchedule, PutAnswer};
use upbeat_shared::occurrence::{OccurrenceRecord, ScheduleRecord};
use upbeat_shared::schedule::{SkipReason, SkippedRange};
use upbeat_shared::task::TaskState;

use super::catalog::{get, put};
use super::probe::assert_between;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{definition, definition_of, occurrence};

suite! { $ planning_conformance, LedgerWorld, ledger::planning:
    an_advance_puts_the_occurrences_on_the_agenda,
    an_advance_beyond_now_is_refused,
    an_advance_from_another_cursor_conflicts,
    an_advance_of_another_revision_conflicts,
    an_advance_of_another_incarnation_conflicts,
    two_beats_that_plan_the_same_instants_fire_them_once,
    an_occurrence_on_the_agenda_already_is_not_added_again,
    a_cursor_never_moves_back,
    a_cursor_from_the_future_is_brought_back,
    occurrences_are_listed_newest_first,
    a_batch_of_advances_is_answered_in_order,
}

/// What is planned from this record.
fn plan(record: &ScheduleRecord, to: Timestamp, fire: Vec<NewEntry>) -> Advance {
    Advance {
        id: record.id.clone(),
        incarnation: record.incarnation,
        revision: record.revision,
        from: record.cursor,
        to,
        fire,
        skipped: Vec::new(),
    }
}

async fn advance(ledger: &Probe, advance: Advance) -> AdvanceAnswer {
    ledger.store.catalog.advance(vec![advance]).await.expect("the store answers")[0]
}

/// Moves the cursor; answers how many occurrences were new.
pub(super) async fn advanced(
    ledger: &Probe,
    record: &ScheduleRecord,
    to: Timestamp,
    fire: Vec<NewEntry>,
) -> u64 {
    match advance(ledger, plan(record, to, fire)).await {
        AdvanceAnswer::Advanced(new) => new,
        other => panic!("the cursor should move: {other:?}"),
    }
}

/// Moves the cursor past occurrences that are all new; answers the schedule as it is then.
pub(super) async fn fire(
    ledger: &Probe,
    record: &ScheduleRecord,
    to: Timestamp,
    fire: Vec<NewEntry>,
) -> ScheduleRecord {
    let expected = fire.len() as u64;
    assert_eq!(advanced(ledger, record, to, fire).await, expected);
    get(ledger, &record.id).await.expect("the schedule is there")
}

fn minutes(from: Timestamp, minutes: u64) -> Timestamp {
    later(from, Duration::from_secs(minutes * 60))
}

async fn an_advance_puts_the_occurrences_on_the_agenda(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let [first, second] = [5, 10].map(|after| occurrence(&record, minutes(record.cursor, after)));
    world.forward(Duration::from_secs(11 * 60));
    let to = ledger.now().await;

    assert_eq!(advanced(&ledger, &record, to, vec![first.clone(), second.clone()]).await, 2);

    assert_eq!(get(&ledger, &record.id).await.expect("it is there").cursor, to);
    assert_eq!(ledger.due_ids(10).await, [first.message.id, second.message.id]);
    let stored = ledger.record(first.message.id).await;
    assert_eq!(stored.message, first.message);
    assert_eq!(stored.due_at, Some(minutes(record.cursor, 5)));
}

async fn an_advance_beyond_now_is_refused(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let entry = occurrence(&record, minutes(record.cursor, 5));
    let before = ledger.now().await;

    // A beat whose clock runs ahead.
    let answer = advance(&ledger, plan(&record, minutes(before, 5), vec![entry.clone()])).await;

    let AdvanceAnswer::Early(now) = answer else { panic!("it should be refused as early: {answer:?}") };
    assert_between("now", Some(now), before, ledger.now().await, Duration::ZERO);
    assert_eq!(get(&ledger, &record.id).await.expect("it is there").cursor, record.cursor);
    assert_eq!(ledger.find(entry.message.id).await, None);
}

async fn an_advance_from_another_cursor_conflicts(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let entry = occurrence(&record, minutes(record.cursor, 5));
    world.forward(Duration::from_secs(3600));
    let moved = fire(&ledger, &record, minutes(record.cursor, 10), vec![]).await;

    // Planned from where the cursor no longer stands.
    let answer = advance(&ledger, plan(&record, minutes(record.cursor, 20), vec![entry.clone()])).await;

    assert_eq!(answer, AdvanceAnswer::Conflict);
    assert_eq!(get(&ledger, &record.id).await, Some(moved));
    assert_eq!(
        ledger.find(entry.message.id).await,
        None,
        "cursor and occurrences move together or not at all"
    );
}

async fn an_advance_of_another_revision_conflicts(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let entry = occurrence(&record, minutes(record.cursor, 5));
    let changed = NewSchedule {
        id: record.id.clone(),
        definition: definition_of("0 0 * * *"),
        source: record.source.clone(),
    };
    let expect = Expect::Revision(record.revision);
    let put = ledger.store.catalog.put(changed, expect).await.expect("the store answers");
    assert!(matches!(put, PutAnswer::Stored(_)));
    world.forward(Duration::from_secs(3600));

    let answer = advance(&ledger, plan(&record, minutes(record.cursor, 6), vec![entry.clone()])).await;

    assert_eq!(answer, AdvanceAnswer::Conflict);
    assert_eq!(get(&ledger, &record.id).await.expect("it is there").cursor, record.cursor);
    assert_eq!(ledger.find(entry.message.id).await, None);
}

async fn an_advance_of_another_incarnation_conflicts(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let old = put(&ledger, "nightly", definition()).await;
    let removed = ledger.store.catalog.remove(old.id.clone(), old.revision).await;
    assert!(removed.expect("the store answers"));
    let entry = occurrence(&old, minutes(old.cursor, 5));
    world.forward(Duration::from_secs(3600));
    let to = ledger.now().await;

    let answer = advance(&ledger, plan(&old, to, vec![entry.clone()])).await;
    assert_eq!(answer, AdvanceAnswer::Conflict, "it was deleted");

    let new = put(&ledger, "nightly", definition()).await;
    assert_eq!(new.revision, old.revision, "only the incarnation tells them apart");
    let from_new = Advance { from: new.cursor, ..plan(&old, new.cursor, vec![entry.clone()]) };
    assert_eq!(advance(&ledger, from_new).await, AdvanceAnswer::Conflict, "it was made again");
    assert_eq!(ledger.find(entry.message.id).await, None);
}

async fn two_beats_that_plan_the_same_instants_fire_them_once(world: &impl LedgerWorld) {
    let (one, other) = (Probe::of(world), Probe::another(world).await);
    let record = put(&one, "nightly", definition()).await;
    world.forward(Duration::from_secs(3600));
    let to = minutes(record.cursor, 50);
    let planned = || {
        let entries = (1..=10).map(|n| occurrence(&record, minutes(record.cursor, n * 5)));
        plan(&record, to, entries.collect())
    };

    let answers = tokio::join!(advance(&one, planned()), advance(&other, planned()));

    let mut answers = [answers.0, answers.1];
    answers.sort_by_key(|answer| *answer == AdvanceAnswer::Conflict);
    assert_eq!(answers, [AdvanceAnswer::Advanced(10), AdvanceAnswer::Conflict]);
    assert_eq!(one.due_ids(100).await.len(), 10);
}

async fn an_occurrence_on_the_agenda_already_is_not_added_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let entry = occurrence(&record, minutes(record.cursor, 5));
    world.forward(Duration::from_secs(3600));
    let record = fire(&ledger, &record, minutes(record.cursor, 5), vec![entry.clone()]).await;
    let queued = ledger.promoted(entry.message.id).await;
    let run = ledger.acquire_any(&queued).await;
    ledger.succeed(&run).await;

    let new = advanced(&ledger, &record, minutes(record.cursor, 6), vec![entry.clone()]).await;

    assert_eq!(new, 0);
    assert_eq!(ledger.state(entry.message.id).await, TaskState::Succeeded);
    assert_eq!(ledger.due_ids(10).await, []);
    let listed = ledger.store.catalog.occurrences(record.id, 10).await.expect("the store lists");
    assert_eq!(listed.len(), 1, "{listed:?}");
}

async fn a_cursor_never_moves_back(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    world.forward(Duration::from_secs(3600));
    let record = fire(&ledger, &record, minutes(record.cursor, 30), vec![]).await;

    // Planned from the cursor as it stands, and backwards.
    let back = plan(&record, minutes(record.cursor, 1), vec![]);
    let back = Advance { to: earlier(record.cursor, Duration::from_secs(60)), ..back };
    assert_eq!(advance(&ledger, back).await, AdvanceAnswer::Conflict);
    assert_eq!(get(&ledger, &record.id).await, Some(record.clone()));

    // The store's clock is set back by less than an hour: the cursor waits for it.
    world.set_back(Duration::from_secs(80 * 60)).await;
    let ledger = Probe::of(world);
    let to = ledger.now().await;
    assert!(to < record.cursor && later(to, Duration::from_secs(3600)) > record.cursor);
    let back = Advance { to, ..plan(&record, to, vec![]) };
    assert_eq!(advance(&ledger, back).await, AdvanceAnswer::Conflict);
    assert_eq!(get(&ledger, &record.id).await, Some(record));
}

async fn a_cursor_from_the_future_is_brought_back(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    world.set_back(Duration::from_secs(2 * 3600)).await;
    let ledger = Probe::of(world);
    let to = ledger.now().await;
    assert!(later(to, Duration::from_secs(3600)) < record.cursor);

    assert_eq!(advanced(&ledger, &record, to, vec![]).await, 0);

    let record = get(&ledger, &record.id).await.expect("it is there");
    assert_eq!(record.cursor, to);
    // And from there it goes on as ever.
    world.forward(Duration::from_secs(600));
    let entry = occurrence(&record, minutes(to, 5));
    fire(&ledger, &record, minutes(to, 6), vec![entry]).await;
}

async fn occurrences_are_listed_newest_first(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = put(&ledger, "nightly", definition()).await;
    let at = |after: u64| minutes(record.cursor, after);
    world.forward(Duration::from_secs(24 * 3600));
    let before = ledger.now().await;
    let [first, last] = [5, 20].map(|after| occurrence(&record, at(after)));
    let skipped = SkippedRange { from: at(10), until: at(15), count: 2, reason: SkipReason::Misfire };
    let planned =
        Advance { skipped: vec![skipped], ..plan(&record, at(20), vec![first.clone(), last.clone()]) };
    assert_eq!(advance(&ledger, planned).await, AdvanceAnswer::Advanced(2));

    let listed = ledger.store.catalog.occurrences(record.id.clone(), 10).await.expect("the store lists");

    let ids = [&last, &first].map(|entry| entry.message.id);
    let [
        OccurrenceRecord::Fired { planned_at: newest, fired_at, task_id },
        OccurrenceRecord::Skipped(range),
        OccurrenceRecord::Fired { planned_at: oldest, task_id: oldest_id, .. },
    ] = listed.as_slice()
    else {
        panic!("{listed:?}")
    };
    assert_eq!((*newest, *task_id), (at(20), ids[0]));
    assert_eq!(*range, skipped);
    assert_eq!((*oldest, *oldest_id), (at(5), ids[1]));
    assert_between("fired_at", Some(*fired_at), before, ledger.now().await, Duration::ZERO);
    let two = ledger.store.catalog.occurrences(record.id, 2).await.expect("the store lists");
    assert_eq!(two, listed[..2]);
}

async fn a_batch_of_advances_is_answered_in_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (put(&ledger, "b", definition()).await, put(&ledger, "a", definition()).await);
    world.forward(Duration::from_secs(3600));
    let entry = occurrence(&one, minutes(one.cursor, 5));
    let gone = ScheduleRecord { id: crate::message::schedule_id("gone"), ..one.clone() };
    let batch = vec![
        plan(&one, minutes(one.cursor, 5), vec![entry]),
        plan(&gone, minutes(one.cursor, 5), vec![]),
        plan(&other, minutes(one.cursor, 6000), vec![]),
        plan(&other, minutes(one.cursor, 5), vec![]),
    ];

    let answers = ledger.store.catalog.advance(batch).await.expect("the store answers");

    assert_eq!(answers[..2], [AdvanceAnswer::Advanced(1), AdvanceAnswer::Conflict]);
    assert!(matches!(answers[2], AdvanceAnswer::Early(_)));
    assert_eq!(answers[3], AdvanceAnswer::Advanced(0));
}
