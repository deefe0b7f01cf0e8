//! A schedule as a person, and as a program reads it. Pure: gives text and values, prints nothing.

use jiff::Timestamp;
use serde_json::{Value, json};
use upbeat_shared::ledger::NewSchedule;
use upbeat_shared::occurrence::{OccurrenceRecord, ScheduleDefinition, ScheduleRecord};
use upbeat_shared::schedule::Timetable;
use upbeat_shared::task::rfc3339_micros;

use super::moment::{local, relative, rough, stamp};
use super::output::Output;
use super::table::{Cell, Details, Look};
use super::task_view::visible;

/// The columns of a listing.
pub(crate) const HEADER: [&str; 5] = ["ID", "RULE", "TASK", "NEXT", "SOURCE"];

/// A row of a listing.
pub(crate) fn cells(now: Timestamp, schedule: &ScheduleRecord) -> Vec<Cell> {
    let definition = &schedule.definition;
    let next = if definition.paused {
        Cell::new("paused", Look::Odd)
    } else {
        match upcoming(now, definition, 1).first() {
            Some(at) => Cell::plain(relative(now, *at)),
            None => Cell::faint("never again"),
        }
    };
    vec![
        Cell::plain(schedule.id.as_str()),
        Cell::plain(rule(definition)),
        Cell::plain(definition.task.name.as_str()),
        next,
        Cell::faint(schedule.source.as_str()),
    ]
}

/// The rule in a few words.
pub(crate) fn rule(definition: &ScheduleDefinition) -> String {
    match definition.timing.compile() {
        Ok(timetable) => timetable.describe(),
        Err(error) => format!("cannot be read: {error}"),
    }
}

/// The next planned instants.
fn upcoming(now: Timestamp, definition: &ScheduleDefinition, count: usize) -> Vec<Timestamp> {
    timetable(definition).map(|timetable| timetable.after(now).take(count).collect()).unwrap_or_default()
}

fn timetable(definition: &ScheduleDefinition) -> Option<Timetable> {
    definition.timing.compile().ok()
}

/// The next planned instants, each on a line, in the schedule's own zone.
pub(crate) fn planned_text(now: Timestamp, definition: &ScheduleDefinition, count: usize) -> Vec<String> {
    let Some(timetable) = timetable(definition) else { return Vec::new() };
    let line = |at: Timestamp| format!("{} ({})", stamp(at, timetable.zone()), relative(now, at));
    timetable.after(now).take(count).map(line).collect()
}

/// The next planned instants in UTC.
pub(crate) fn planned_json(now: Timestamp, definition: &ScheduleDefinition, count: usize) -> Value {
    upcoming(now, definition, count).into_iter().map(rfc3339_micros).collect()
}

/// A schedule that is in force.
pub(crate) fn json(now: Timestamp, schedule: &ScheduleRecord) -> Value {
    let mut object = definition_json(now, &schedule.definition);
    object["id"] = schedule.id.as_str().into();
    object["source"] = schedule.source.as_str().into();
    object["revision"] = schedule.revision.into();
    object["incarnation"] = schedule.incarnation.into();
    object["cursor"] = rfc3339_micros(schedule.cursor).into();
    object["updated_at"] = rfc3339_micros(schedule.updated_at).into();
    object
}

/// A schedule of a file, with its next instants.
pub(crate) fn new_json(now: Timestamp, schedule: &NewSchedule, count: usize) -> Value {
    let mut object = definition_json(now, &schedule.definition);
    object["id"] = schedule.id.as_str().into();
    object["source"] = schedule.source.as_str().into();
    object["planned"] = planned_json(now, &schedule.definition, count);
    object
}

fn definition_json(now: Timestamp, definition: &ScheduleDefinition) -> Value {
    let task = &definition.task;
    json!({
        "rule": rule(definition),
        "timezone": timetable(definition).map(|timetable| timetable.zone_name().into_owned()),
        "task": task.name.as_str(),
        "queue": task.queue.as_str(),
        "args": task.args,
        "priority": task.priority,
        "tags": task.tags,
        "unique": task.unique,
        "paused": definition.paused,
        "catch_up": definition.catch_up,
        "next_at": upcoming(now, definition, 1).first().copied().map(rfc3339_micros),
    })
}

/// An instant of a schedule, or a run of them.
pub(crate) fn occurrence_json(occurrence: &OccurrenceRecord) -> Value {
    match occurrence {
        OccurrenceRecord::Fired { planned_at, fired_at, task_id } => json!({
            "outcome": "fired",
            "planned_at": rfc3339_micros(*planned_at),
            "fired_at": rfc3339_micros(*fired_at),
            "task_id": task_id.to_string(),
        }),
        OccurrenceRecord::Merged { planned_at, merged_at, task_id } => json!({
            "outcome": "merged",
            "planned_at": rfc3339_micros(*planned_at),
            "merged_at": rfc3339_micros(*merged_at),
            "task_id": task_id.to_string(),
        }),
        OccurrenceRecord::Skipped(range) => json!({
            "outcome": "skipped",
            "from": rfc3339_micros(range.from),
            "until": rfc3339_micros(range.until),
            "count": range.count,
            "reason": range.reason,
        }),
    }
}

/// Everything about a schedule.
pub(crate) fn details(
    now: Timestamp,
    schedule: &ScheduleRecord,
    ahead: usize,
    occurrences: &[OccurrenceRecord],
    output: &Output,
) -> String {
    let definition = &schedule.definition;
    let task = &definition.task;
    let mut view = Details::new(output.paint(&Cell::new(schedule.id.as_str(), Look::Strong)));
    view.line("rule", rule(definition));
    if definition.paused {
        view.line("paused", "no occurrence is fired; those that pass are recorded as skipped");
    }
    view.line("task", format!("{} in the queue {}", task.name, task.queue));
    view.line("args", task.args.to_string());
    view.maybe("timeout", task.timeout.map(rough));
    view.maybe("expires", task.expires_after.map(|after| format!("{} after its instant", rough(after))));
    view.maybe("deadline", task.deadline_after.map(|after| format!("{} after its instant", rough(after))));
    view.maybe("unique", task.unique.as_ref().map(|unique| visible(&unique.to_string())));
    view.maybe("key", task.key.as_ref().map(ToString::to_string));
    view.maybe("tags", (!task.tags.is_empty()).then(|| task.tags.join(", ")));
    view.line("catch up", catch_up(definition));
    view.line("source", format!("{}, revision {}", schedule.source, schedule.revision));
    view.line("changed", local(now, schedule.updated_at));
    view.line("cursor", local(now, schedule.cursor));
    let planned = planned_text(now, definition, ahead).join("\n");
    view.line("next", if planned.is_empty() { "never again".to_owned() } else { planned });
    let last: Vec<String> = occurrences.iter().map(|occurrence| occurrence_text(now, occurrence)).collect();
    view.maybe("last", (!last.is_empty()).then(|| last.join("\n")));
    view.render().trim_end().to_owned()
}

fn catch_up(definition: &ScheduleDefinition) -> String {
    let policy = definition.catch_up;
    let mode = serde_json::to_value(policy.mode).ok();
    let mode = mode.as_ref().and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let within = policy.within.and_then(|within| std::time::Duration::try_from(within).ok());
    within.map_or(mode.clone(), |within| format!("{mode}, within {}", rough(within)))
}

fn occurrence_text(now: Timestamp, occurrence: &OccurrenceRecord) -> String {
    match occurrence {
        OccurrenceRecord::Fired { planned_at, task_id, .. } => {
            format!("{}  {task_id}", local(now, *planned_at))
        }
        OccurrenceRecord::Merged { planned_at, task_id, .. } => {
            format!("{}  merged into {task_id}, which had its unique key", local(now, *planned_at))
        }
        OccurrenceRecord::Skipped(range) => {
            let reason = serde_json::to_value(range.reason).ok();
            let reason = reason.as_ref().and_then(Value::as_str).unwrap_or("unknown").to_owned();
            match range.count {
                1 => format!("{}  skipped: {reason}", local(now, range.from)),
                n => format!("{}  and {} more skipped: {reason}", local(now, range.from), n - 1),
            }
        }
    }
}
