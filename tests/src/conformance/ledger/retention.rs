//! Retention: what is forgotten, when, and what never.

use std::time::Duration;

use upbeat_shared::clock::later;
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::holding::Part;
use upbeat_shared::ledger::{Action, ClaimAnswer, Due, PurgeReport, Retention};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::run::PastRuns;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{definition, failure, full_message, message, occurrence};

suite! { $ retention_conformance, LedgerWorld, ledger::retention:
    nothing_is_forgotten_before_its_time,
    details_go_first_and_the_id_stays_known,
    ids_go_when_no_repeat_can_come,
    a_dead_task_is_kept_until_it_is_dropped,
    what_has_not_ended_is_never_forgotten,
    a_limit_bounds_one_purge_and_the_next_goes_on,
    records_of_occurrences_go_last,
    what_was_retried_is_kept_while_it_runs,
    each_end_has_its_own_time,
    nobody_waits_behind_those_that_are_kept_longer,
    ids_of_those_kept_longer_go_in_time,
    dead_tasks_are_dropped_after_their_time_where_that_is_set,
    however_many_died_all_are_dropped_in_small_batches,
    the_doctor_is_told_what_there_is,
}

const SECOND: Duration = Duration::from_secs(1);

async fn purge(ledger: &Probe) -> PurgeReport {
    purge_some(ledger, 1000).await
}

async fn purge_some(ledger: &Probe, limit: usize) -> PurgeReport {
    ledger.store.inspect.purge(Retention::default(), limit).await.expect("the store purges")
}

/// A task that succeeded with a result.
async fn done(ledger: &Probe) -> Message {
    let message = full_message();
    let run = ledger.acquire_any(&message).await;
    let result = Some(Payload::json(&"a result").expect("plain data"));
    ledger.settle(&run, Verdict::Succeeded { result }).await;
    message
}

async fn nothing_is_forgotten_before_its_time(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = done(&ledger).await;
    let record = ledger.record(message.id).await;
    world.forward(Retention::default().details.saturating_sub(SECOND));

    assert_eq!(purge(&ledger).await, PurgeReport::default());

    assert_eq!(ledger.record(message.id).await, record);
}

async fn details_go_first_and_the_id_stays_known(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = done(&ledger).await;
    world.forward(Retention::default().details + SECOND);

    assert_eq!(purge(&ledger).await, PurgeReport { details: 1, ..PurgeReport::default() });
    assert_eq!(purge(&ledger).await, PurgeReport::default(), "once");

    let record = ledger.record(message.id).await;
    assert_eq!((record.state, record.result, record.error), (TaskState::Succeeded, None, None));
    assert_eq!((&record.message.name, &record.message.queue), (&message.name, &message.queue));
    assert_ne!(record.message.args, message.args, "the arguments are gone");
    let claim = ledger.claim(OwnerId::random(), &message).await;
    assert_eq!(claim, ClaimAnswer::Done(TaskState::Succeeded));
    let Retention { ids, details, .. } = Retention::default();
    world.forward(ids.saturating_sub(details + SECOND * 3));
    assert_eq!(purge(&ledger).await, PurgeReport::default());
    let claim = ledger.claim(OwnerId::random(), &message).await;
    assert_eq!(claim, ClaimAnswer::Done(TaskState::Succeeded), "a repeat is recognised to the end");
}

async fn ids_go_when_no_repeat_can_come(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = Message { first_published: Some(ledger.now().await), ..done(&ledger).await };
    world.forward(Retention::default().ids + SECOND);

    let report = purge(&ledger).await;

    assert_eq!(report.ids, 1);
    assert_eq!(ledger.find(message.id).await, None);
    // Its message, should it still come, is too old to run.
    let claim = ledger.claim(OwnerId::random(), &Message { expires_at: None, ..message }).await;
    assert_eq!(claim, ClaimAnswer::Ended(TaskState::Dead));
}

async fn a_dead_task_is_kept_until_it_is_dropped(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = full_message();
    let run = ledger.acquire_any(&message).await;
    ledger.settle(&run, Verdict::Dead { error: failure("enough") }).await;
    world.forward(Retention::default().ids * 10);

    assert_eq!(purge(&ledger).await, PurgeReport::default());
    let record = ledger.record(message.id).await;
    assert_eq!((record.message.args, record.error), (message.args, Some(failure("enough"))));

    ledger.act(message.id, Action::Drop).await;
    purge(&ledger).await;
    assert_eq!(ledger.find(message.id).await, None);
}

async fn what_has_not_ended_is_never_forgotten(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut messages = vec![ledger.queued(&message()).await, message(), message()];
    ledger.add(&messages[1], Due::In(Duration::from_secs(400 * 24 * 3600))).await;
    let run = ledger.acquire_any(&messages[2]).await;
    let retried = message();
    let failed = ledger.acquire_any(&retried).await;
    ledger.fail(&failed, Duration::from_secs(400 * 24 * 3600)).await;
    messages.push(retried);
    world.forward(Retention::default().ids * 20);

    assert_eq!(purge(&ledger).await, PurgeReport::default());

    for message in &messages {
        assert_eq!(ledger.record(message.id).await.message.args, message.args);
    }
    ledger.succeed(&run).await;
}

async fn a_limit_bounds_one_purge_and_the_next_goes_on(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    // Settled in one batch, so that all of them ended at the same instant.
    let owner = OwnerId::random();
    let mut batch = Vec::new();
    for _ in 0..5 {
        batch.push(ledger.acquire(owner, &message()).await.settlement(Verdict::Succeeded { result: None }));
    }
    ledger.settle_all(batch).await;
    world.forward(Retention::default().details + SECOND);

    let mut details = Vec::new();
    for _ in 0..10 {
        let report = purge_some(&ledger, 2).await;
        assert!(report.details <= 2, "{report:?}");
        details.push(report.details);
    }
    assert_eq!(details.iter().sum::<u64>(), 5, "{details:?}");

    world.forward(Retention::default().ids);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(purge_some(&ledger, 2).await.ids);
    }
    assert_eq!(ids, [2, 2, 1, 0]);
}

const HOUR: Duration = Duration::from_secs(3600);

/// Cancelled tasks for an hour, expired ones for two, those that succeeded for three.
fn by_state() -> Retention {
    Retention {
        succeeded: Some(HOUR * 3),
        cancelled: Some(HOUR),
        expired: Some(HOUR * 2),
        ..Retention::default()
    }
}

async fn purge_by_state(ledger: &Probe, limit: usize) -> PurgeReport {
    ledger.store.inspect.purge(by_state(), limit).await.expect("the store purges")
}

/// Purges until nothing more goes; answers how many details and ids went. No purge goes over its limit.
async fn purge_all(ledger: &Probe, retention: Retention, limit: usize) -> (u64, u64) {
    let (mut details, mut ids) = (0, 0);
    for _ in 0..200 {
        let report = ledger.store.inspect.purge(retention, limit).await.expect("the store purges");
        assert!(report.details <= limit as u64 && report.ids <= limit as u64, "{report:?}");
        details += report.details;
        ids += report.ids;
        if report == PurgeReport::default() {
            break;
        }
    }
    (details, ids)
}

async fn each_end_has_its_own_time(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let ends = [TaskState::Succeeded, TaskState::Dead, TaskState::Cancelled, TaskState::Expired];
    let mut ended = Vec::new();
    for state in ends {
        ended.push(ledger.ended(state).await.id);
    }
    let forgotten = async || {
        let records = ledger.store.inspect.get(ended.clone()).await.expect("the store looks");
        records.into_iter().map(|record| record.expect("ids stay").forgotten).collect::<Vec<_>>()
    };

    for (hours, expected) in [
        (0, [false, false, false, false]),
        (1, [false, false, true, false]),
        (1, [false, false, true, true]),
        (1, [true, false, true, true]),
    ] {
        world.forward(HOUR * hours + SECOND);
        purge_by_state(&ledger, 1000).await;
        assert_eq!(forgotten().await, expected, "after {hours} more hours");
    }
}

async fn nobody_waits_behind_those_that_are_kept_longer(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (mut cancelled, mut succeeded) = (Vec::new(), Vec::new());
    for round in 0..14 {
        if round % 7 == 6 {
            cancelled.push(ledger.ended(TaskState::Cancelled).await.id);
        } else {
            succeeded.push(ledger.ended(TaskState::Succeeded).await.id);
        }
    }
    world.forward(HOUR + SECOND);
    let forgotten = async |ids: &[_]| {
        let records = ledger.store.inspect.get(ids.to_vec()).await.expect("the store looks");
        records.into_iter().flatten().filter(|record| record.forgotten).count()
    };

    // Far fewer at once than those that stand before them.
    for _ in 0..20 {
        purge_by_state(&ledger, 2).await;
    }
    assert_eq!((forgotten(&cancelled).await, forgotten(&succeeded).await), (2, 0));

    world.forward(HOUR * 2);
    assert_eq!(purge_all(&ledger, by_state(), 2).await, (12, 0));
    assert_eq!(forgotten(&succeeded).await, 12);
}

async fn ids_of_those_kept_longer_go_in_time(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = ledger.ended(TaskState::Succeeded).await.id;
    world.forward(HOUR * 2);
    let second = ledger.ended(TaskState::Cancelled).await.id;
    world.forward(HOUR + SECOND);
    // The details of both go, those of the second long before their time came for the first.
    purge_all(&ledger, by_state(), 1000).await;
    assert!(ledger.record(first).await.forgotten && ledger.record(second).await.forgotten);

    world.forward(Retention::default().ids.saturating_sub(HOUR * 2));
    purge_all(&ledger, by_state(), 1000).await;
    assert_eq!(ledger.find(first).await, None, "its time is over");
    assert!(ledger.find(second).await.is_some(), "an hour is left to it");

    world.forward(HOUR * 2);
    purge_all(&ledger, by_state(), 1000).await;
    assert_eq!(ledger.find(second).await, None);
}

async fn records_of_occurrences_go_last(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = super::catalog::put(&ledger, "nightly", definition()).await;
    let at = later(record.cursor, Duration::from_secs(300));
    world.forward(Duration::from_secs(300));
    super::planning::fire(&ledger, &record, at, vec![occurrence(&record, at)]).await;
    let occurrences = async || {
        ledger.store.catalog.occurrences(record.id.clone(), 10).await.expect("the store lists").len()
    };
    world.forward(Retention::default().occurrences.saturating_sub(SECOND));
    assert_eq!(purge(&ledger).await.occurrences, 0);
    assert_eq!(occurrences().await, 1);

    world.forward(SECOND * 2);
    assert_eq!(purge(&ledger).await.occurrences, 1);

    assert_eq!(occurrences().await, 0);
}

async fn what_was_retried_is_kept_while_it_runs(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.ended(TaskState::Cancelled).await;
    ledger.act(message.id, Action::Retry).await;
    let again = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&again).await;
    world.forward(Retention::default().ids * 2);

    assert_eq!(purge(&ledger).await, PurgeReport::default());

    ledger.succeed(&run).await;
    assert_eq!(ledger.record(message.id).await.message.args, message.args);
}

fn dropping(after: Duration) -> Retention {
    Retention { dead: Some(after), ..Retention::default() }
}

async fn dead_tasks_are_dropped_after_their_time_where_that_is_set(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let day = Duration::from_secs(24 * 3600);
    let first = ledger.ended(TaskState::Dead).await;
    world.forward(day);
    let second = ledger.ended(TaskState::Dead).await;
    let cancelled = ledger.ended(TaskState::Cancelled).await;
    world.forward(SECOND);
    let purge = async || {
        let report = ledger.store.inspect.purge(dropping(day), 1000).await.expect("the store purges");
        report.dead
    };

    assert_eq!(purge().await, 1);

    let record = ledger.record(first.id).await;
    assert_eq!((record.state, record.error), (TaskState::Cancelled, None));
    assert_eq!(record.past, PastRuns::default());
    assert_eq!(record.note.as_deref(), Some("dropped after `retention.dead`"));
    assert_eq!(ledger.count(&first.queue, TaskState::Dead).await, 1);
    let claim = ledger.claim(OwnerId::random(), &first).await;
    assert_eq!(claim, ClaimAnswer::Done(TaskState::Cancelled), "its id stays known");
    assert_eq!(ledger.state(second.id).await, TaskState::Dead);
    assert_eq!(ledger.record(cancelled.id).await.message.args, cancelled.args);
    assert_eq!(purge().await, 0);
    // What is made due again meanwhile is no business of a purge's.
    ledger.act(second.id, Action::Retry).await;
    world.forward(day * 2);
    assert_eq!(purge().await, 0);
    assert_eq!(ledger.state(second.id).await, TaskState::Scheduled);
}

async fn however_many_died_all_are_dropped_in_small_batches(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for round in 0..12 {
        let state = if round % 3 == 0 { TaskState::Cancelled } else { TaskState::Dead };
        ledger.ended(state).await;
    }
    world.forward(Duration::from_secs(3600));

    let mut dropped = 0;
    for _ in 0..20 {
        let retention = dropping(Duration::from_secs(60));
        let report = ledger.store.inspect.purge(retention, 2).await.expect("the store purges");
        assert!(report.dead <= 2, "{report:?}");
        dropped += report.dead;
    }

    assert_eq!(dropped, 8);
    assert_eq!(ledger.count(&message().queue, TaskState::Dead).await, 0);
}

async fn the_doctor_is_told_what_there_is(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let record = super::catalog::put(&ledger, "nightly", definition()).await;
    let at = later(record.cursor, Duration::from_secs(300));
    world.forward(Duration::from_secs(300));
    super::planning::fire(&ledger, &record, at, vec![occurrence(&record, at)]).await;
    ledger.add(&full_message(), Due::In(SECOND)).await;
    let unfinished = Message { unique: Some(upbeat_shared::unique::Unique::by("a")), ..message() };
    ledger.add(&unfinished, Due::In(SECOND)).await;
    let window = upbeat_shared::unique::Unique::by("b").within(SECOND);
    ledger.add(&Message { unique: Some(window), ..message() }, Due::In(SECOND)).await;
    ledger.cancel(message().id).await;
    ledger.beat(OwnerId::random(), 1).await;

    let holdings = ledger.store.schema.holdings().await.expect("the store tells");

    let count = |part: Part| holdings.iter().find(|holding| holding.part == part).map(|it| it.count);
    let counts = [Part::Tasks, Part::Details, Part::Occurrences, Part::UniqueKeys, Part::Members].map(count);
    // The tombstone of a cancel has no details.
    assert_eq!(counts, [5, 4, 1, 3, 1].map(Some));
    for holding in holdings {
        assert!(holding.bytes.is_none_or(|bytes| bytes > 0), "{holding:?}");
        let oldest = holding.oldest.filter(|oldest| *oldest > record.cursor + SECOND * 1000);
        assert_eq!(oldest, None, "{holding:?}");
    }
}
