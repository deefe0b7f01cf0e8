//! Promotion against a real ledger and a broker that does as it is told.

use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::id::{OwnerId, TaskId};
use upbeat_shared::ledger::{Due, Mark, NewEntry};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::name::TaskName;
use upbeat_shared::task::TaskState;

use super::*;
use crate::beat::testing::{Hand, Scripted, Stage, queue};

const NOON: &str = "2026-05-01T12:00:00Z";

async fn stage(queues: &[&str]) -> (Stage, Promoter) {
    let stage = Stage::new(Hand::at(NOON), Scripted::with_queues(queues)).await;
    let promoter = Promoter { ctx: stage.ctx.clone(), patience: Patience::default() };
    (stage, promoter)
}

/// Puts a task on the agenda, due now.
async fn add(stage: &Stage, name: &str) -> TaskId {
    let id = TaskId(OwnerId::random().0);
    let args = Payload::json(&1).unwrap();
    let message = Message::new(id, TaskName::new("work").unwrap(), queue(name), args);
    let entry = NewEntry { message, due: Due::In(Duration::ZERO), cover: Duration::ZERO };
    stage.ctx.store.agenda.add(vec![entry]).await.unwrap();
    id
}

async fn state(stage: &Stage, id: TaskId) -> TaskState {
    stage.ctx.store.inspect.get(vec![id]).await.unwrap()[0].as_ref().unwrap().state
}

#[tokio::test]
async fn what_the_broker_confirmed_is_queued() {
    let (stage, mut promoter) = stage(&["mail"]).await;
    let id = add(&stage, "mail").await;
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!(state(&stage, id).await, TaskState::Queued);
    assert_eq!(stage.broker.count("mail"), 1);
}

#[tokio::test]
async fn nothing_is_marked_that_was_not_confirmed_and_it_is_due_again_soon() {
    let (stage, mut promoter) = stage(&["mail"]).await;
    let id = add(&stage, "mail").await;
    stage.broker.script.lock().unwrap().down = true;
    assert!(matches!(round(&stage.ctx, &mut promoter, true).await, Err(Fault::Broker(_))));
    assert_eq!(state(&stage, id).await, TaskState::Scheduled);
    stage.broker.script.lock().unwrap().down = false;
    stage.hand.forward(Duration::from_secs(1));
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!(state(&stage, id).await, TaskState::Queued);
}

#[tokio::test]
async fn while_the_broker_is_away_nothing_is_leased() {
    let (stage, mut promoter) = stage(&["mail"]).await;
    add(&stage, "mail").await;
    stage.broker.script.lock().unwrap().down = true;
    assert!(round(&stage.ctx, &mut promoter, false).await.is_err());
    let batch = stage.ctx.store.agenda.due(10, Duration::from_secs(1)).await.unwrap();
    assert_eq!(batch.entries.len(), 1);
}

#[tokio::test]
async fn a_full_queue_waits_alone_and_is_not_asked_again_before_its_wait_is_over() {
    let (stage, mut promoter) = stage(&["full", "mail"]).await;
    stage.broker.script.lock().unwrap().full.insert(queue("full"));
    let (waits, goes) = (add(&stage, "full").await, add(&stage, "mail").await);
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!(
        (state(&stage, waits).await, state(&stage, goes).await),
        (TaskState::Scheduled, TaskState::Queued)
    );
    let later = add(&stage, "full").await;
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!(stage.broker.count("full"), 1);
    stage.broker.script.lock().unwrap().full.clear();
    stage.hand.forward(Duration::from_secs(5));
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!(
        (state(&stage, waits).await, state(&stage, later).await),
        (TaskState::Queued, TaskState::Queued)
    );
}

#[tokio::test]
async fn a_missing_queue_is_declared_and_its_tasks_published_once_more() {
    let (stage, mut promoter) = stage(&["mail"]).await;
    let (new, old) = (add(&stage, "new").await, add(&stage, "mail").await);
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!((state(&stage, new).await, state(&stage, old).await), (TaskState::Queued, TaskState::Queued));
    assert_eq!(stage.broker.script.lock().unwrap().declared, [queue("new")]);
    assert_eq!((stage.broker.count("new"), stage.broker.count("mail")), (2, 1));
}

#[tokio::test]
async fn a_queue_that_may_not_be_made_waits_alone() {
    let (stage, mut promoter) = stage(&["mail"]).await;
    stage.broker.script.lock().unwrap().forbidden.insert(queue("secret"));
    let (waits, goes) = (add(&stage, "secret").await, add(&stage, "mail").await);
    let new = add(&stage, "new").await;
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!(state(&stage, waits).await, TaskState::Scheduled);
    assert_eq!((state(&stage, goes).await, state(&stage, new).await), (TaskState::Queued, TaskState::Queued));
}

#[tokio::test]
async fn more_than_one_batch_is_promoted_in_one_round() {
    let (mut stage, _) = stage(&["mail"]).await;
    Arc::get_mut(&mut stage.ctx).unwrap().options.batch = 2;
    let mut promoter = Promoter { ctx: stage.ctx.clone(), patience: Patience::default() };
    for _ in 0..7 {
        add(&stage, "mail").await;
    }
    assert!(
        round(&stage.ctx, &mut promoter, true).await.unwrap().next.is_some(),
        "unclaimed tasks are looked at later"
    );
    assert_eq!(stage.broker.count("mail"), 7);
}

#[tokio::test]
async fn an_unclaimed_task_is_published_again_only_when_its_queue_is_empty() {
    let (stage, mut promoter) = stage(&["mail"]).await;
    let id = add(&stage, "mail").await;
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    stage.broker.script.lock().unwrap().ready.insert(queue("mail"), 1);
    stage.hand.forward(Duration::from_secs(61));
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!(stage.broker.count("mail"), 1, "it still waits in its queue");
    stage.broker.script.lock().unwrap().ready.clear();
    stage.hand.forward(Duration::from_secs(61));
    round(&stage.ctx, &mut promoter, true).await.unwrap();
    assert_eq!(stage.broker.count("mail"), 2, "the queue was emptied without a claim");
    let published = std::mem::take(&mut stage.broker.script.lock().unwrap().published);
    assert_eq!(published[0].message, published[1].message, "the same seq");
    assert_eq!(state(&stage, id).await, TaskState::Queued);
}

#[tokio::test]
async fn an_entry_that_moved_while_it_was_published_is_left_alone() {
    let (stage, mut promoter) = stage(&["mail"]).await;
    let id = add(&stage, "mail").await;
    let batch = lease(&stage.ctx).await.unwrap();
    let published = promoter.publish(batch.entries, batch.now).await.unwrap();
    let cancel = upbeat_shared::ledger::Action::Cancel { reason: "test".into() };
    stage.ctx.store.inspect.act(vec![id], cancel).await.unwrap();
    assert_eq!(published.marks.iter().map(|Mark { id, .. }| *id).collect::<Vec<_>>(), [id]);
    promoter.record(published).await.unwrap();
    assert_eq!(state(&stage, id).await, TaskState::Cancelled);
}

#[test]
fn something_overdue_that_nobody_gives_out_is_no_reason_to_spin() {
    let at = "2026-05-01T12:00:00Z".parse().unwrap();
    assert!(Looked { at, next: Some(at) }.is_overdue());
    assert!(!Looked { at, next: None }.is_overdue());
    assert!(!Looked { at, next: Some(clock::later(at, Duration::from_micros(1))) }.is_overdue());
    assert_eq!([0, 1, 2, 6, 7, 99].map(|looks| shortest_rest(looks).as_millis()), [1, 2, 4, 64, 100, 100]);
}
