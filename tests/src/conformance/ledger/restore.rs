//! Taking over what another ledger recorded.

use std::time::Duration;

use upbeat_shared::clock::{earlier, later};
use upbeat_shared::id::{Fence, OwnerId, Seq, TaskId};
use upbeat_shared::ledger::{
    ActAnswer, Action, AddAnswer, ClaimAnswer, Due, RestoreAnswer, RestoredSchedule, Retention, TaskFilter,
};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::occurrence::{OccurrenceRecord, ScheduleRecord};
use upbeat_shared::run::{PastRun, PastRuns, RunEnd};
use upbeat_shared::schedule::{SkipReason, SkippedRange};
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::unique::Unique;
use upbeat_shared::verdict::{RunError, RunErrorKind};
use uuid::Uuid;

use super::catalog::{get, put};
use super::planning::advanced;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{definition, full_message, instant, message, occurrence, schedule_id};

suite! { $ restore_conformance, LedgerWorld, ledger::restore:
    a_record_that_ended_is_restored_as_it_was,
    whatever_has_not_ended_is_scheduled,
    a_restored_task_runs_from_where_it_was,
    an_id_that_is_known_is_left_alone,
    a_repeat_of_what_was_restored_is_recognised,
    what_is_restored_without_details_cannot_be_retried,
    what_is_restored_is_counted_and_listed,
    what_ended_long_ago_is_purged_as_if_it_had_ended_here,
    a_restored_dead_task_can_be_retried_or_dropped,
    a_restored_schedule_stands_where_it_stood,
    a_restored_schedule_goes_on_without_a_gap_or_a_repeat,
    a_schedule_that_is_there_is_left_alone,
    the_next_schedule_is_of_a_later_incarnation,
    a_restored_occurrence_is_cancelled_with_its_schedule,
    restoring_a_schedule_raises_the_version,
    a_restored_task_holds_its_unique_key,
    a_restored_dead_task_knows_its_unique_key,
}

impl Probe {
    async fn restore_all(&self, tasks: Vec<TaskRecord>) -> Vec<RestoreAnswer> {
        self.store.records.restore(tasks).await.expect("the store restores")
    }

    async fn restore(&self, task: &TaskRecord) -> RestoreAnswer {
        self.restore_all(vec![task.clone()]).await[0]
    }

    async fn restore_schedule(&self, schedule: &RestoredSchedule) -> RestoreAnswer {
        let answers = self.store.records.restore_schedules(vec![schedule.clone()]).await;
        answers.expect("the store restores")[0]
    }
}

/// A record with something in every field, as another ledger would show it.
fn record(state: TaskState) -> TaskRecord {
    let ended = state.is_terminal();
    TaskRecord {
        message: Message { seq: Seq(5), attempts: 2, crashes: 1, ..full_message() },
        state,
        fence: Some(Fence(17)),
        owner: Some(OwnerId::random()),
        worker: Some("elsewhere:1".to_owned()),
        due_at: Some(instant("2026-05-06T12:00:00Z")),
        enqueued_at: Some(instant("2026-05-06T12:00:01Z")),
        started_at: Some(instant("2026-05-06T12:00:02Z")),
        finished_at: ended.then(|| instant("2026-05-06T12:00:03.000004Z")),
        error: Some(RunError::new(RunErrorKind::TimedOut, "too slow")),
        result: (state == TaskState::Succeeded).then(|| Payload::json(&"done").expect("plain data")),
        cancel_requested: false,
        past: past(),
        note: Some("a note".to_owned()),
        forgotten: false,
    }
}

/// A story of more runs than are told.
fn past() -> PastRuns {
    let lost = PastRun {
        started_at: instant("2026-05-06T11:00:00.000001Z"),
        ended_at: instant("2026-05-06T11:00:01Z"),
        worker: Some("elsewhere:1".to_owned()),
        end: RunEnd::Lost,
        error: None,
        note: Some("the worker was lost".to_owned()),
    };
    let error = Some(RunError::new(RunErrorKind::TimedOut, "too slow"));
    let failed = PastRun { end: RunEnd::Retry, error, note: None, ..lost.clone() };
    PastRuns { count: 30, kept: vec![lost, failed] }
}

/// As it is here: its claims stay behind.
fn taken_over(record: TaskRecord) -> TaskRecord {
    TaskRecord { fence: None, owner: None, worker: None, ..record }
}

async fn a_record_that_ended_is_restored_as_it_was(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for state in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        let record = record(state);
        assert_eq!(ledger.restore(&record).await, RestoreAnswer::Restored);
        assert_eq!(ledger.record(record.id()).await, taken_over(record));
    }
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn whatever_has_not_ended_is_scheduled(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let due_at = later(ledger.now().await, Duration::from_secs(3600));
    for state in TaskState::ALL.into_iter().filter(|state| !state.is_terminal()) {
        let record = TaskRecord { due_at: Some(due_at), ..record(state) };
        assert_eq!(ledger.restore(&record).await, RestoreAnswer::Restored);
        let expected = TaskRecord { state: TaskState::Scheduled, ..taken_over(record) };
        assert_eq!(ledger.record(expected.id()).await, expected);
    }
    assert_eq!(ledger.due_ids(10).await, [], "each keeps its time");
    world.forward(Duration::from_secs(3601));
    assert_eq!(ledger.due_ids(10).await.len(), 4);
}

async fn a_restored_task_runs_from_where_it_was(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut record = record(TaskState::Scheduled);
    record.message.expires_at = None;
    ledger.restore(&record).await;

    let due = ledger.only_due().await.message;

    assert_eq!(due, record.message, "with its seq and its counts");
    assert!(ledger.mark(&due).await);
    let run = ledger.acquire_any(&due).await;
    assert_eq!((run.granted.attempts, run.granted.crashes), (2, 1));
    ledger.succeed(&run).await;
    assert_eq!(ledger.state(due.id).await, TaskState::Succeeded);
}

async fn an_id_that_is_known_is_left_alone(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let known = message();
    ledger.add(&known, Due::In(Duration::from_secs(60))).await;
    let before = ledger.record(known.id).await;
    let (mut twin, other) = (record(TaskState::Dead), record(TaskState::Dead));
    twin.message.id = known.id;

    let answers = ledger.restore_all(vec![other.clone(), twin, other.clone()]).await;

    assert_eq!(answers, [RestoreAnswer::Restored, RestoreAnswer::Exists, RestoreAnswer::Exists]);
    assert_eq!(ledger.record(known.id).await, before);
    assert_eq!(ledger.restore(&other).await, RestoreAnswer::Exists, "it may be done again");
    assert_eq!(ledger.count(&other.message.queue, TaskState::Dead).await, 1);
}

async fn a_repeat_of_what_was_restored_is_recognised(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let succeeded = TaskRecord { forgotten: true, ..record(TaskState::Succeeded) };
    ledger.restore(&succeeded).await;

    let repeat = Message { id: succeeded.id(), ..message() };

    let claimed = ledger.claim(OwnerId::random(), &repeat).await;
    assert_eq!(claimed, ClaimAnswer::Done(TaskState::Succeeded));
    let added = ledger.add(&repeat, Due::In(Duration::ZERO)).await;
    assert_eq!(added, AddAnswer::Exists(TaskState::Succeeded));
}

async fn what_is_restored_without_details_cannot_be_retried(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let tombstone = TaskRecord { forgotten: true, ..record(TaskState::Cancelled) };
    ledger.restore(&tombstone).await;

    let shown = ledger.record(tombstone.id()).await;

    assert!(shown.forgotten && shown.error.is_none(), "{shown:?}");
    assert_eq!((shown.message.name, shown.message.queue), (tombstone.message.name, tombstone.message.queue));
    let retried = ledger.act(tombstone.message.id, Action::Retry).await;
    assert_eq!(retried, ActAnswer::Refused(TaskState::Cancelled));
}

async fn what_is_restored_is_counted_and_listed(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let states =
        [TaskState::Scheduled, TaskState::Queued, TaskState::Dead, TaskState::Dead, TaskState::Succeeded];
    let records = states.map(record);
    ledger.restore_all(records.to_vec()).await;

    let queue = &records[0].message.queue;
    let counts =
        [(TaskState::Scheduled, 2), (TaskState::Dead, 2), (TaskState::Succeeded, 1), (TaskState::Queued, 0)];
    for (state, count) in counts {
        assert_eq!(ledger.count(queue, state).await, count, "{state}");
    }
    let filter = TaskFilter {
        states: vec![TaskState::Dead],
        schedule: Some(schedule_id("nightly")),
        tag: Some("eu".to_owned()),
        ..TaskFilter::default()
    };
    let listed = ledger.store.inspect.list(filter, None, 10).await.expect("the store lists").tasks;
    assert_eq!(listed.len(), 2);
}

async fn what_ended_long_ago_is_purged_as_if_it_had_ended_here(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let now = ledger.now().await;
    let retention = Retention::default();
    let at = |age: Duration| Some(earlier(now, age));
    let old = TaskRecord { finished_at: at(retention.details * 2), ..record(TaskState::Succeeded) };
    let new = TaskRecord { finished_at: at(Duration::from_secs(60)), ..record(TaskState::Succeeded) };
    let dead = TaskRecord { finished_at: at(retention.ids * 2), ..record(TaskState::Dead) };
    ledger.restore_all(vec![old.clone(), new.clone(), dead.clone()]).await;

    let purged = ledger.store.inspect.purge(retention, 10).await.expect("the store purges");

    assert_eq!((purged.details, purged.ids), (1, 0));
    assert!(ledger.record(old.id()).await.forgotten);
    assert!(!ledger.record(new.id()).await.forgotten && !ledger.record(dead.id()).await.forgotten);
    world.forward(retention.ids * 2);
    ledger.store.inspect.purge(retention, 10).await.expect("the store purges");
    assert!(ledger.find(old.id()).await.is_none() && ledger.find(new.id()).await.is_none());
    assert_eq!(ledger.state(dead.id()).await, TaskState::Dead, "until somebody drops it");
}

async fn a_restored_dead_task_can_be_retried_or_dropped(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, two) = (record(TaskState::Dead), record(TaskState::Dead));
    ledger.restore_all(vec![one.clone(), two.clone()]).await;

    assert_eq!(ledger.act(one.id(), Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));
    assert_eq!(ledger.act(two.id(), Action::Drop).await, ActAnswer::Applied(TaskState::Cancelled));

    let due = ledger.only_due().await.message;
    assert_eq!((due.id, due.args), (one.id(), one.message.args));
}

/// As another ledger had it, an hour behind.
async fn schedule(ledger: &Probe) -> RestoredSchedule {
    let cursor = earlier(ledger.now().await, Duration::from_secs(3600));
    let record = ScheduleRecord {
        id: schedule_id("nightly"),
        incarnation: 1_700_000_000_000_000,
        revision: 7,
        definition: definition(),
        source: "elsewhere.toml".to_owned(),
        cursor,
        updated_at: instant("2026-05-01T00:00:00.000001Z"),
    };
    let fired = OccurrenceRecord::Fired {
        planned_at: instant("2026-05-06T03:00:00Z"),
        fired_at: instant("2026-05-06T03:00:00.25Z"),
        task_id: TaskId(Uuid::now_v7()),
    };
    let skipped = OccurrenceRecord::Skipped(SkippedRange {
        from: instant("2026-05-04T03:00:00Z"),
        until: instant("2026-05-05T03:00:00Z"),
        count: 2,
        reason: SkipReason::Paused,
    });
    let merged = OccurrenceRecord::Merged {
        planned_at: instant("2026-05-05T09:00:00Z"),
        merged_at: instant("2026-05-05T09:00:00.5Z"),
        task_id: TaskId(Uuid::now_v7()),
    };
    RestoredSchedule { record, occurrences: vec![fired, merged, skipped] }
}

async fn a_restored_schedule_stands_where_it_stood(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let schedule = schedule(&ledger).await;

    assert_eq!(ledger.restore_schedule(&schedule).await, RestoreAnswer::Restored);

    assert_eq!(get(&ledger, &schedule.record.id).await.as_ref(), Some(&schedule.record));
    let snapshot = ledger.store.catalog.snapshot().await.expect("the store answers");
    assert_eq!(snapshot.schedules, std::slice::from_ref(&schedule.record));
    let past = ledger.store.catalog.occurrences(schedule.record.id, 10).await.expect("the store answers");
    assert_eq!(past, schedule.occurrences, "the newest first");
}

async fn a_restored_schedule_goes_on_without_a_gap_or_a_repeat(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let schedule = schedule(&ledger).await;
    let record = &schedule.record;
    // One that was fired there, and has not run yet, comes as a task of its own.
    let planned_at = record.cursor;
    let waits = occurrence(record, planned_at).message;
    let waiting = TaskRecord { message: waits.clone(), ..self::record(TaskState::Queued) };
    ledger.restore(&waiting).await;
    ledger.restore_schedule(&schedule).await;

    let next = later(record.cursor, Duration::from_secs(300));
    let entries = vec![occurrence(record, planned_at), occurrence(record, next)];
    assert_eq!(advanced(&ledger, record, next, entries).await, 1, "only the one that is new");

    let stored = get(&ledger, &record.id).await.expect("it is there");
    assert_eq!((stored.cursor, stored.incarnation), (next, record.incarnation));
}

async fn a_schedule_that_is_there_is_left_alone(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let there = put(&ledger, "nightly", definition()).await;
    let schedule = schedule(&ledger).await;

    assert_eq!(ledger.restore_schedule(&schedule).await, RestoreAnswer::Exists);

    assert_eq!(get(&ledger, &there.id).await, Some(there.clone()));
    let past = ledger.store.catalog.occurrences(there.id, 10).await.expect("the store answers");
    assert_eq!(past, [], "its past is its own");
}

async fn the_next_schedule_is_of_a_later_incarnation(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut schedule = schedule(&ledger).await;
    let ahead = later(ledger.now().await, Duration::from_secs(3600)).as_microsecond();
    schedule.record.incarnation = ahead.unsigned_abs();
    ledger.restore_schedule(&schedule).await;
    let removed = ledger.store.catalog.remove(schedule.record.id.clone(), 7).await;
    assert!(removed.expect("the store answers"));

    let again = put(&ledger, "nightly", definition()).await;

    assert!(again.incarnation > schedule.record.incarnation, "{}", again.incarnation);
}

async fn a_restored_occurrence_is_cancelled_with_its_schedule(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let schedule = schedule(&ledger).await;
    ledger.restore_schedule(&schedule).await;
    let waiting = record(TaskState::Queued);
    ledger.restore(&waiting).await;

    let removed = ledger.store.catalog.remove(schedule.record.id.clone(), 7).await;

    assert!(removed.expect("the store answers"));
    assert_eq!(ledger.state(waiting.id()).await, TaskState::Cancelled);
}

async fn restoring_a_schedule_raises_the_version(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let version = async || ledger.store.catalog.version().await.expect("the store answers");
    let before = version().await;

    let schedule = schedule(&ledger).await;
    ledger.restore_schedule(&schedule).await;
    let after = version().await;
    ledger.restore_schedule(&schedule).await;

    assert!(after > before, "beats have to see it");
    assert_eq!(version().await, after, "nothing changed");
}

fn keyed(state: TaskState) -> TaskRecord {
    let record = record(state);
    let message = Message { unique: Some(Unique::by("one")), expires_at: None, ..record.message };
    TaskRecord { message, ..record }
}

async fn a_restored_task_holds_its_unique_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (first, second) = (keyed(TaskState::Queued), keyed(TaskState::Queued));
    let answers = ledger.restore_all(vec![first.clone(), second.clone()]).await;
    assert_eq!(answers, [RestoreAnswer::Restored; 2], "what was accepted is kept");
    let other = Message { id: TaskId(Uuid::now_v7()), ..first.message.clone() };

    let answer = ledger.add(&other, Due::In(Duration::ZERO)).await;

    let AddAnswer::Taken { by, state: TaskState::Scheduled } = answer else { panic!("{answer:?}") };
    assert_eq!(by, first.id());
    ledger.cancel(second.id()).await;
    let taken = ledger.add(&other, Due::In(Duration::ZERO)).await;
    assert_eq!(taken, answer, "whoever never had it frees it for nobody");
    ledger.cancel(first.id()).await;
    let added = ledger.add(&other, Due::In(Duration::ZERO)).await;
    assert_eq!(added, AddAnswer::Added(other.seq), "its end frees the key");
}

async fn a_restored_dead_task_knows_its_unique_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let dead = keyed(TaskState::Dead);
    ledger.restore(&dead).await;
    let other = Message { id: TaskId(Uuid::now_v7()), ..dead.message.clone() };
    ledger.add(&other, Due::In(Duration::from_secs(60))).await;

    assert_eq!(ledger.act(dead.id(), Action::Retry).await, ActAnswer::KeyTaken { by: other.id });

    ledger.cancel(other.id).await;
    assert_eq!(ledger.act(dead.id(), Action::Retry).await, ActAnswer::Applied(TaskState::Scheduled));
}
