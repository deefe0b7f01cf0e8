//! Planning against a real ledger.

use std::time::Duration;

use tokio::sync::watch;
use upbeat_schedule::{Calendar, SkipReason};
use upbeat_shared::ledger::{Expect, NewSchedule, PutAnswer};
use upbeat_shared::name::ScheduleId;
use upbeat_shared::occurrence::{OccurrenceRecord, ScheduleRecord};

use super::*;
use crate::beat::testing::{Hand, Scripted, Stage, at, schedule};

const NOON: &str = "2026-05-01T12:00:00Z";

/// A stage and a planner that holds every shard.
async fn stage() -> (Stage, Planner) {
    let stage = Stage::new(Hand::at(NOON), Scripted::with_queues(&[])).await;
    let (_, held) = watch::channel(Held::all(stage.ctx.options.shards));
    let planner = Planner::new(stage.ctx.clone(), held);
    (stage, planner)
}

async fn put(stage: &Stage, id: &str, every: &str, expect: Expect) -> ScheduleRecord {
    let definition = schedule("every", every, NOON).definition;
    let new = NewSchedule { id: ScheduleId::new(id).unwrap(), definition, source: "test".into() };
    match stage.ctx.store.catalog.put(new, expect).await.unwrap() {
        PutAnswer::Stored(record) => *record,
        PutAnswer::Conflict => panic!("a conflict"),
    }
}

/// Plans until nothing is due.
async fn settle(planner: &mut Planner) {
    for _ in 0..100 {
        if matches!(planner.round().await.unwrap(), Round::Idle) {
            return;
        }
    }
    panic!("the planner never rests");
}

async fn fired(stage: &Stage, id: &str) -> Vec<Timestamp> {
    let records = stage.ctx.store.catalog.occurrences(ScheduleId::new(id).unwrap(), 100).await.unwrap();
    let planned = records.into_iter().filter_map(|record| match record {
        OccurrenceRecord::Fired { planned_at, .. } => Some(planned_at),
        OccurrenceRecord::Merged { .. } | OccurrenceRecord::Skipped(_) => None,
    });
    planned.collect::<Vec<_>>().into_iter().rev().collect()
}

#[tokio::test]
async fn occurrences_fire_when_their_instant_comes_and_not_before() {
    let (stage, mut planner) = stage().await;
    put(&stage, "a", "10s", Expect::Absent).await;
    settle(&mut planner).await;
    stage.hand.forward(Duration::from_millis(9999));
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, []);
    stage.hand.forward(Duration::from_millis(1));
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, [at("2026-05-01T12:00:10Z")]);
}

#[tokio::test]
async fn two_planners_of_one_shard_fire_each_occurrence_once() {
    let (stage, mut one) = stage().await;
    let (_, held) = watch::channel(Held::all(stage.ctx.options.shards));
    let mut two = Planner::new(stage.ctx.clone(), held);
    put(&stage, "a", "10s", Expect::Absent).await;
    settle(&mut one).await;
    settle(&mut two).await;
    stage.hand.forward(Duration::from_secs(20));
    settle(&mut one).await;
    settle(&mut two).await;
    stage.hand.forward(Duration::from_secs(10));
    settle(&mut two).await;
    settle(&mut one).await;
    let expected = ["2026-05-01T12:00:10Z", "2026-05-01T12:00:20Z", "2026-05-01T12:00:30Z"].map(at);
    assert_eq!(fired(&stage, "a").await, expected);
}

#[tokio::test]
async fn a_planner_whose_clock_is_ahead_waits_for_the_store() {
    let (stage, mut planner) = stage().await;
    put(&stage, "a", "10s", Expect::Absent).await;
    settle(&mut planner).await;
    stage.hand.forward(Duration::from_secs(5));
    // A sample that says ten seconds too much.
    stage.ctx.clock.observe(stage.ctx.monotonic(), at("2026-05-01T12:00:15Z"));
    assert!(matches!(planner.round().await.unwrap(), Round::Busy));
    assert_eq!(stage.ctx.clock.now(), Some(at("2026-05-01T12:00:05Z")), "it learnt the store's time");
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, []);
    stage.hand.forward(Duration::from_secs(6));
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, [at("2026-05-01T12:00:10Z")]);
}

#[tokio::test]
async fn a_changed_definition_is_followed() {
    let (stage, mut planner) = stage().await;
    let record = put(&stage, "a", "1h", Expect::Absent).await;
    settle(&mut planner).await;
    put(&stage, "a", "10s", Expect::Revision(record.revision)).await;
    stage.hand.forward(Duration::from_secs(10));
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, [at("2026-05-01T12:00:10Z")]);
}

#[tokio::test]
async fn a_definition_changed_between_looks_is_read_again_and_no_instant_is_lost() {
    let (stage, mut planner) = stage().await;
    let record = put(&stage, "a", "10s", Expect::Absent).await;
    settle(&mut planner).await;
    stage.hand.forward(Duration::from_secs(10));
    put(&stage, "a", "5s", Expect::Revision(record.revision)).await;
    // It still plans by the old revision, which the ledger refuses.
    let due = planner.book.due(at("2026-05-01T12:00:10Z"), 10);
    planner.plan_batch(due, at("2026-05-01T12:00:10Z")).await.unwrap();
    assert_eq!(fired(&stage, "a").await, []);
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, ["2026-05-01T12:00:05Z", "2026-05-01T12:00:10Z"].map(at));
}

#[tokio::test]
async fn a_removed_schedule_is_forgotten() {
    let (stage, mut planner) = stage().await;
    let record = put(&stage, "a", "10s", Expect::Absent).await;
    settle(&mut planner).await;
    assert!(stage.ctx.store.catalog.remove(record.id, record.revision).await.unwrap());
    stage.hand.forward(Duration::from_secs(10));
    settle(&mut planner).await;
    assert_eq!((planner.book.len(), fired(&stage, "a").await), (0, vec![]));
}

#[tokio::test]
async fn a_shard_that_is_won_later_is_planned_from_where_its_cursor_stands() {
    let (stage, _) = stage().await;
    let shard = shard_of(&ScheduleId::new("a").unwrap(), stage.ctx.options.shards);
    let others = Held::all(stage.ctx.options.shards).without(shard);
    let (shards, held) = watch::channel(others);
    let mut planner = Planner::new(stage.ctx.clone(), held);
    put(&stage, "a", "10s", Expect::Absent).await;
    stage.hand.forward(Duration::from_secs(20));
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, []);
    shards.send_replace(Held::all(stage.ctx.options.shards));
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, ["2026-05-01T12:00:10Z", "2026-05-01T12:00:20Z"].map(at));
}

#[tokio::test]
async fn a_day_off_is_recorded_as_soon_as_it_is_over_by_a_beat_that_came_after_it() {
    let (stage, mut planner) = stage().await;
    let mut definition = schedule("cron", "0 9 * * *", NOON).definition;
    definition.timing.calendar = Some(Calendar::new("office", vec!["05-02".parse().unwrap()]).unwrap());
    let id = ScheduleId::new("a").unwrap();
    let new = NewSchedule { id: id.clone(), definition, source: "test".into() };
    stage.ctx.store.catalog.put(new, Expect::Absent).await.unwrap();
    stage.hand.forward(Duration::from_secs(22 * 3600));

    settle(&mut planner).await;

    let records = stage.ctx.store.catalog.occurrences(id, 100).await.unwrap();
    let [OccurrenceRecord::Skipped(skipped)] = &records[..] else { panic!("{records:?}") };
    assert_eq!((skipped.from, skipped.count), (at("2026-05-02T09:00:00Z"), 1));
    assert_eq!(skipped.reason, SkipReason::Calendar);
}

#[tokio::test]
async fn after_the_stores_clock_was_set_back_schedules_fire_again_from_then_on() {
    let (stage, mut planner) = stage().await;
    put(&stage, "a", "10s", Expect::Absent).await;
    settle(&mut planner).await;
    drop(planner);
    let stage = stage.reopen(Hand::at("2026-05-01T09:00:00Z")).await;
    let (_, held) = watch::channel(Held::all(stage.ctx.options.shards));
    let mut planner = Planner::new(stage.ctx.clone(), held);
    settle(&mut planner).await;
    stage.hand.forward(Duration::from_secs(10));
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, [at("2026-05-01T09:00:10Z")]);
}

#[tokio::test]
async fn shards_that_are_not_held_are_not_planned() {
    let (stage, _) = stage().await;
    let (_, held) = watch::channel(Held::default());
    let mut planner = Planner::new(stage.ctx.clone(), held);
    put(&stage, "a", "10s", Expect::Absent).await;
    stage.hand.forward(Duration::from_secs(10));
    settle(&mut planner).await;
    assert_eq!(fired(&stage, "a").await, []);
}
