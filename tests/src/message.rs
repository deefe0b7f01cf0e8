//! Messages, entries and schedules for tests: something sensible in every field, to be changed where a test cares.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::id::{OwnerId, TaskId};
use upbeat_shared::ledger::{Due, NewEntry};
use upbeat_shared::member::{Heartbeat, LEASE, MemberInfo, Role};
use upbeat_shared::message::{Message, Payload, Planned};
use upbeat_shared::name::{Namespace, QueueName, ScheduleId, TaskName};
use upbeat_shared::occurrence::{ScheduleDefinition, ScheduleRecord};
use upbeat_shared::verdict::{RunError, RunErrorKind};
use uuid::Uuid;

/// The queue named so.
pub fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a queue's name")
}

/// The task name spelled so.
pub fn task_name(name: &str) -> TaskName {
    TaskName::new(name).expect("a task's name")
}

/// The schedule id spelled so.
pub fn schedule_id(id: &str) -> ScheduleId {
    ScheduleId::new(id).expect("a schedule's id")
}

/// A task `demo.task` under a new id, for the queue `default`.
pub fn message() -> Message {
    message_for("default")
}

/// A task `demo.task` under a new id, for this queue.
pub fn message_for(queue_name: &str) -> Message {
    let args = Payload::json(&serde_json::json!({ "to": "you@example.org" })).expect("plain data");
    Message::new(TaskId(Uuid::now_v7()), task_name("demo.task"), queue(queue_name), args)
}

/// A message with something in each of its fields.
pub fn full_message() -> Message {
    let message = message();
    let schedule = schedule_id("nightly");
    let planned_at = instant("2026-05-06T03:00:00Z");
    Message {
        priority: upbeat_shared::message::Priority::new(7).expect("at most 9"),
        dedup_id: Some("order-17".to_owned()),
        occurrence: Some(Planned { schedule_id: schedule, planned_at }),
        first_published: Some(instant("2026-05-06T11:59:59.123Z")),
        expires_at: Some(instant("2027-05-06T12:00:00.000001Z")),
        deadline_at: Some(instant("2027-05-07T12:00:00.000001Z")),
        timeout: Some(Duration::from_millis(1500)),
        retry: Some(upbeat_shared::retry::RetryPolicy::default()),
        tags: vec!["billing".to_owned(), "eu".to_owned()],
        args_version: 3,
        key: Some("customer-7".parse().expect("letters and digits")),
        trace: Some(upbeat_shared::message::TraceContext {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            tracestate: Some("vendor=1".to_owned()),
        }),
        // Nobody else's.
        unique: Some(upbeat_shared::unique::Unique::by(message.id.to_string()).replacing()),
        ..message
    }
}

/// An instant, as RFC 3339 writes it.
pub fn instant(text: &str) -> Timestamp {
    text.parse().expect("an instant as RFC 3339 writes it")
}

/// An entry for a beat alone: nobody else publishes it.
pub fn entry(message: &Message, due: Due) -> NewEntry {
    NewEntry { message: message.clone(), due, cover: Duration::ZERO }
}

/// A handler's error.
pub fn failure(text: &str) -> RunError {
    RunError::new(RunErrorKind::Failed, text)
}

/// A worker's heartbeat.
pub fn heartbeat(owner: OwnerId, counter: u64) -> Heartbeat {
    let info = MemberInfo { name: format!("host:{counter}"), slots: 4, ..MemberInfo::default() };
    Heartbeat { owner, role: Role::Worker, counter, lease: LEASE, info }
}

/// Every five minutes, `demo.task`.
pub fn definition() -> ScheduleDefinition {
    definition_of("*/5 * * * *")
}

/// By this cron expression, `demo.task`.
pub fn definition_of(cron: &str) -> ScheduleDefinition {
    let text = serde_json::json!({ "cron": cron, "task": { "name": "demo.task", "queue": "default" } });
    serde_json::from_value(text).expect("a definition as users write it")
}

/// The occurrence of a schedule at an instant, due then.
pub fn occurrence(schedule: &ScheduleRecord, planned_at: Timestamp) -> NewEntry {
    let id =
        TaskId::from_occurrence(&Namespace::default(), &schedule.id, schedule.incarnation, planned_at, 0);
    let planned = Planned { schedule_id: schedule.id.clone(), planned_at };
    entry(&Message { id, occurrence: Some(planned), ..message() }, Due::At(planned_at))
}
