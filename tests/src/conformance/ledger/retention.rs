//! Retention: what is forgotten, when, and what never.

use std::time::Duration;

use upbeat_shared::clock::later;
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{Action, ClaimAnswer, Due, PurgeReport, Retention};
use upbeat_shared::message::{Message, Payload};
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
