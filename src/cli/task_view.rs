//! A task as a person reads it. Pure: gives text, prints nothing.

use jiff::Timestamp;
use serde_json::Value;
use upbeat_shared::clock;
use upbeat_shared::message::Payload;
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::RunError;

use super::moment::{local, relative, rough};
use super::output::Output;
use super::run_view;
use super::running::Running;
use super::table::{Cell, Details, Look};
use super::words::counted;

/// The columns of a listing.
pub(crate) const HEADER: [&str; 7] = ["ID", "NAME", "QUEUE", "STATE", "TRIES", "WHEN", "DETAIL"];

/// A row of a listing.
pub(crate) fn cells(now: Timestamp, task: &TaskRecord, running: &Running) -> Vec<Cell> {
    let message = &task.message;
    vec![
        Cell::plain(task.id().to_string()),
        Cell::plain(message.name.as_str()),
        Cell::plain(message.queue.as_str()),
        Cell::state(task.state),
        Cell::number(tries(task)),
        Cell::plain(when(now, task)),
        Cell::faint(detail(task, running)).cut(60),
    ]
}

/// Runs that were counted, this one included: failures, and the success.
fn tries(task: &TaskRecord) -> u32 {
    let current = matches!(task.state, TaskState::Running | TaskState::Succeeded);
    task.message.attempts + u32::from(current)
}

/// The time that matters in its state.
fn when(now: Timestamp, task: &TaskRecord) -> String {
    let (word, at) = match task.state {
        TaskState::Scheduled | TaskState::Held => ("due ", task.due_at),
        TaskState::Queued => ("queued ", task.enqueued_at),
        TaskState::Running => ("started ", task.started_at),
        TaskState::Succeeded | TaskState::Dead | TaskState::Cancelled | TaskState::Expired => {
            ("", task.finished_at)
        }
    };
    at.map(|at| format!("{word}{}", relative(now, at))).unwrap_or_default()
}

/// How far it has come, or why it is where it is: the error, the note, or what came out.
fn detail(task: &TaskRecord, running: &Running) -> String {
    if let Some(progress) = running.progress(task) {
        return one_line(&progress.to_string());
    }
    let failed = task.error.as_ref().filter(|_| task.state != TaskState::Succeeded);
    if let Some(error) = failed {
        return one_line(&error_text(error));
    }
    if let Some(note) = &task.note {
        return note.clone();
    }
    match &task.result {
        Some(result) => match result.to_json() {
            Value::String(text) => one_line(&text),
            value => value.to_string(),
        },
        None => String::new(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn error_text(error: &RunError) -> String {
    let kind = error.kind.as_str();
    match &error.code {
        Some(code) => format!("{kind} ({code}): {}", error.message),
        None => format!("{kind}: {}", error.message),
    }
}

/// State and why, in a few words: `scheduled, due in 3s: no worker knows it`, `running, started 7s ago: 120 of 1000 (12%)`.
pub(crate) fn standing(now: Timestamp, task: &TaskRecord, running: &Running) -> String {
    let time = when(now, task);
    let time = if time.is_empty() { time } else { format!(", {time}") };
    let progress = running.progress(task).map(|progress| one_line(&progress.to_string()));
    let note = progress.or_else(|| task.note.clone()).map(|note| format!(": {note}")).unwrap_or_default();
    format!("{}{time}{note}", task.state)
}

/// Everything that is known of a task.
pub(crate) fn details(now: Timestamp, task: &TaskRecord, running: &Running, output: &Output) -> String {
    let mut view = outline(now, task, running, output);
    view.line("args", pretty(&task.message.args));
    view.render().trim_end().to_owned()
}

/// Everything but its arguments.
pub(crate) fn outline(now: Timestamp, task: &TaskRecord, running: &Running, output: &Output) -> Details {
    let message = &task.message;
    let mut view =
        Details::new(output.paint(&Cell::new(format!("{} {}", message.name, task.id()), Look::Strong)));
    view.line("state", state_line(task, output));
    view.maybe("progress", running.progress(task).map(|progress| visible(&progress.to_string())));
    view.maybe("note", task.note.as_deref());
    view.line("queue", format!("{}, priority {}", message.queue, message.priority.get()));
    view.line("attempts", attempts_line(task));
    if let Some(planned) = &message.occurrence {
        view.line(
            "schedule",
            format!("{}, planned for {}", planned.schedule_id, local(now, planned.planned_at)),
        );
    }
    view.maybe("key", message.key.as_ref().map(ToString::to_string));
    view.maybe("dedup id", message.dedup_id.as_deref());
    view.maybe("unique", message.unique.as_ref().map(|unique| visible(&unique.to_string())));
    view.maybe("trace", message.trace.as_ref().map(|trace| visible(&trace.traceparent)));
    view.maybe("tags", (!message.tags.is_empty()).then(|| message.tags.join(", ")));
    for (label, at) in [
        ("published", message.first_published),
        ("due", task.due_at),
        ("queued", task.enqueued_at),
        ("started", task.started_at),
        ("finished", task.finished_at),
        ("expires", message.expires_at),
        ("deadline", message.deadline_at),
    ] {
        view.maybe(label, at.map(|at| local(now, at)));
    }
    view.maybe("ran for", run_time(now, task));
    view.maybe("worker", task.worker.as_deref());
    view.maybe("runs", run_view::lines(now, task));
    let error = if task.state == TaskState::Dead { "error" } else { "last error" };
    view.maybe(error, task.error.as_ref().map(|error| visible(&error_text(error))));
    let dead = task.error.as_ref().filter(|_| task.state == TaskState::Dead);
    view.maybe("more", dead.map(|error| format!("upbeat explain {}", error.kind.page())));
    view.maybe("result", task.result.as_ref().map(pretty));
    // Everybody's first shape needs no mention.
    view.maybe("args version", (message.args_version != 1).then(|| message.args_version.to_string()));
    view
}

fn state_line(task: &TaskRecord, output: &Output) -> String {
    let state = output.paint(&Cell::state(task.state));
    if task.cancel_requested && !task.state.is_terminal() { format!("{state}, asked to stop") } else { state }
}

fn attempts_line(task: &TaskRecord) -> String {
    let failures = match task.message.attempts {
        0 => "no failure".to_owned(),
        n => counted(u64::from(n), "failure"),
    };
    let allowed = task.message.retry.map(|retry| format!(" of {} allowed", retry.max_attempts));
    let crashes = match task.message.crashes {
        0 => String::new(),
        n => format!(", {} lost while it ran", counted(u64::from(n), "worker")),
    };
    format!("{failures}{}{crashes}", allowed.unwrap_or_default())
}

fn run_time(now: Timestamp, task: &TaskRecord) -> Option<String> {
    let started = task.started_at?;
    let ended = match task.state {
        TaskState::Running => now,
        _ => task.finished_at.filter(|finished| *finished >= started)?,
    };
    Some(rough(clock::until(started, ended)))
}

/// Short values on a line, longer ones as a block; a text is shown as it reads.
fn pretty(payload: &Payload) -> String {
    let value = payload.to_json();
    if let Value::String(text) = &value
        && text.contains('\n')
    {
        return visible(text);
    }
    let line = value.to_string();
    let text = if line.len() <= 80 { line } else { format!("{value:#}") };
    visible(&text)
}

/// Line ends stay; other control characters must not drive the terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use upbeat_shared::id::TaskId;
    use upbeat_shared::message::Message;
    use upbeat_shared::name::{QueueName, TaskName};
    use upbeat_shared::run::PastRuns;
    use upbeat_shared::verdict::RunErrorKind;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub(crate) fn failed_once() -> TaskRecord {
        let id: TaskId = "0198a2f0-0000-7000-8000-000000000001".parse().unwrap();
        let args = Payload::json(&serde_json::json!({ "customer": 7 })).unwrap();
        let mut message =
            Message::new(id, TaskName::new("billing.invoice").unwrap(), QueueName::default_queue(), args);
        message.attempts = 1;
        message.tags = vec!["night".into()];
        TaskRecord {
            message,
            state: TaskState::Scheduled,
            fence: None,
            owner: None,
            worker: Some("host:7".into()),
            due_at: Some(at("2026-05-01T12:00:30Z")),
            enqueued_at: None,
            started_at: None,
            finished_at: None,
            error: Some(RunError::new(RunErrorKind::Failed, "no connection\nto the bank")),
            result: None,
            past: PastRuns::default(),
            cancel_requested: false,
            note: None,
            forgotten: false,
        }
    }

    #[test]
    fn a_row_says_when_it_is_due_and_why() {
        let now = at("2026-05-01T12:00:00Z");
        let row: Vec<String> =
            cells(now, &failed_once(), &Running::default()).iter().map(|cell| cell.paint(false)).collect();
        assert_eq!(
            row[1..],
            [
                "billing.invoice",
                "default",
                "scheduled",
                "1",
                "due in 30s",
                "failed: no connection to the bank"
            ]
        );
    }

    #[test]
    fn details_leave_out_what_is_unknown() {
        let now = at("2026-05-01T12:00:00Z");
        let text = details(now, &failed_once(), &Running::default(), &Output::new(true, false));
        assert!(text.starts_with("billing.invoice 0198a2f0-0000-7000-8000-000000000001\n"), "{text}");
        assert!(text.contains("  attempts    1 failure\n"), "{text}");
        assert!(text.contains("  last error  failed: no connection\n              to the bank\n"), "{text}");
        assert!(text.ends_with("  args        {\"customer\":7}"), "{text}");
        assert!(!text.contains("finished"), "{text}");
    }
}
