//! An occurrence as the message that it becomes.

use jiff::{SignedDuration, Timestamp};
use upbeat_schedule::Timetable;
use upbeat_shared::clock;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Due, NewEntry};
use upbeat_shared::message::{Message, Payload, Planned, Priority, TraceContext};
use upbeat_shared::name::Namespace;
use upbeat_shared::occurrence::ScheduleRecord;

/// The message of one planned instant of a schedule: the same on every beat but for `first_published`, the store's time
/// of whoever makes it.
pub fn occurrence_message(
    namespace: &Namespace,
    schedule: &ScheduleRecord,
    planned_at: Timestamp,
    first_published: Option<Timestamp>,
) -> Message {
    let template = &schedule.definition.task;
    let id = TaskId::from_occurrence(namespace, &schedule.id, schedule.incarnation, planned_at, 0);
    let args = Payload::json(&template.args).expect("a JSON value has a JSON form");
    let mut message = Message::new(id, template.name.clone(), template.queue.clone(), args);
    let priority = template.priority.map(|priority| priority.min(Priority::MAX));
    message.priority = priority.and_then(Priority::new).unwrap_or_default();
    message.first_published = first_published;
    message.occurrence = Some(Planned { schedule_id: schedule.id.clone(), planned_at });
    message.expires_at = template.expires_after.map(|after| clock::later(planned_at, after));
    message.deadline_at = template.deadline_after.map(|after| clock::later(planned_at, after));
    message.timeout = template.timeout;
    message.retry = template.retry;
    message.tags.clone_from(&template.tags);
    message.key.clone_from(&template.key);
    message.unique.clone_from(&template.unique);
    message.args_version = template.args_version;
    // Nobody asked for it but time: it begins a trace, the same on every beat.
    message.trace = Some(TraceContext::begun_by(id));
    message
}

/// The agenda entry of one planned instant: due after its jitter.
pub(super) fn entry(
    namespace: &Namespace,
    schedule: &ScheduleRecord,
    timetable: &Timetable,
    planned_at: Timestamp,
    now: Timestamp,
) -> NewEntry {
    let jitter = timetable.jitter_of(schedule.id.as_str(), planned_at).max(SignedDuration::ZERO);
    let due = planned_at.saturating_add(jitter).unwrap_or(Timestamp::MAX);
    NewEntry {
        message: occurrence_message(namespace, schedule, planned_at, Some(now)),
        due: Due::At(due),
        cover: std::time::Duration::ZERO,
    }
}
