//! `upbeat tasks edit`: changing a task that waits.

use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{AfterEdit, Due, Edit, EditAnswer};
use upbeat_shared::message::{Limits, Message, Payload, Priority};
use upbeat_shared::task::{TaskRecord, TaskState};

use super::context::{Context, Session};
use super::failure::Failure;
use super::moment::{parse_duration, parse_instant};
use super::payload::ArgsSource;
use super::task_id::parse_id;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("due").args(["delay", "at"]))]
pub(crate) struct EditArgs {
    /// The task's id
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: TaskId,
    /// Its arguments: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON", value_parser = ArgsSource::from_str, allow_hyphen_values = true)]
    args: Option<ArgsSource>,
    /// The version of its arguments' shape
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    args_version: Option<u32>,
    /// Run it after this long from now: 90s, 5m, 1h 30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    delay: Option<Duration>,
    /// Run it at this instant: RFC 3339, or a time of this machine's zone
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    at: Option<Timestamp>,
    /// From 0 (last) to 9 (first)
    #[arg(long, value_name = "0-9", value_parser = clap::value_parser!(u8).range(0..=i64::from(Priority::MAX)))]
    priority: Option<u8>,
}

/// What is to be different.
#[derive(Clone, Debug, Default)]
struct Change {
    args: Option<Payload>,
    args_version: Option<u32>,
    priority: Option<Priority>,
    due: Option<Due>,
}

impl Change {
    fn is_nothing(&self) -> bool {
        let Self { args, args_version, priority, due } = self;
        args.is_none() && args_version.is_none() && priority.is_none() && due.is_none()
    }

    fn message(&self, task: &TaskRecord) -> Message {
        let mut message = task.message.clone();
        if let Some(args) = &self.args {
            message.args = args.clone();
        }
        message.args_version = self.args_version.unwrap_or(message.args_version);
        message.priority = self.priority.unwrap_or(message.priority);
        message
    }

    /// What is queued is due now; what is scheduled, when it was.
    fn due(&self, task: &TaskRecord) -> Due {
        let kept = task.due_at.filter(|_| task.state == TaskState::Scheduled).map(Due::At);
        self.due.or(kept).unwrap_or(Due::In(Duration::ZERO))
    }
}

impl EditArgs {
    pub(super) async fn run(self, context: &Context, session: &Session) -> Result<(), Failure> {
        let change = self.change(&session.config().limits)?;
        let found = session.stack.store.inspect.get(vec![self.id]).await?;
        let Some(task) = found.into_iter().next().flatten() else {
            return Err(super::tasks::unknown(self.id));
        };
        if !matches!(task.state, TaskState::Scheduled | TaskState::Queued) {
            return Err(refused(self.id, task.state));
        }
        let edit = Edit {
            id: self.id,
            seq: task.seq(),
            message: Some(Box::new(change.message(&task))),
            then: AfterEdit::Waits { due: change.due(&task) },
            note: "edited by hand".to_owned(),
        };
        let answers = session.stack.store.records.edit(vec![edit]).await?;
        told(context, self.id, answers.first().copied().unwrap_or(EditAnswer::Unknown))
    }

    fn change(&self, limits: &Limits) -> Result<Change, Failure> {
        let args = self.args.as_ref().map(|args| args.read(limits.body_bytes)).transpose()?;
        if let Some(args) = &args {
            limits.check_args(args).map_err(|error| Failure::usage(error.to_string()).page(error.page()))?;
        }
        let change = Change {
            args,
            args_version: self.args_version,
            priority: self.priority.and_then(Priority::new),
            due: self.delay.map(Due::In).or(self.at.map(Due::At)),
        };
        if change.is_nothing() {
            return Err(Failure::usage("nothing is to be changed")
                .advice("give --args, --args-version, --delay, --at or --priority"));
        }
        Ok(change)
    }
}

fn refused(id: TaskId, state: TaskState) -> Failure {
    let failure = Failure::failed(format!("{id} is {state}: only what waits can be edited"));
    let failure = failure.page("left-as-it-is");
    match state {
        TaskState::Dead => failure.advice(format!("`upbeat dead edit {id}` edits one that is dead")),
        TaskState::Running => failure.advice(format!("`upbeat tasks cancel {id}` asks it to stop")),
        _ => failure,
    }
}

fn told(context: &Context, id: TaskId, answer: EditAnswer) -> Result<(), Failure> {
    match answer {
        EditAnswer::Applied { state, seq } => {
            let json = serde_json::json!({
                "id": id.to_string(), "answer": "applied", "state": state.as_str(), "seq": seq.0,
            });
            context.output.result(|| format!("{id} edited"), || json)
        }
        EditAnswer::Changed => {
            let message = format!("{id} was changed meanwhile: look at it again; nothing was changed");
            Err(Failure::failed(message).page("left-as-it-is"))
        }
        EditAnswer::Refused(state) => Err(refused(id, state)),
        EditAnswer::Unknown | EditAnswer::KeyTaken { .. } => Err(super::tasks::unknown(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_is_changed() {
        let at = "2026-05-01T12:00:00Z".parse().unwrap();
        let before = super::super::task_view::tests::failed_once();
        let task = TaskRecord { state: TaskState::Scheduled, due_at: Some(at), ..before };
        assert!(Change::default().is_nothing());
        let change = Change { priority: Priority::new(9), ..Change::default() };
        assert_eq!(
            change.message(&task),
            Message { priority: Priority::new(9).unwrap(), ..task.message.clone() }
        );
        assert_eq!(change.due(&task), Due::At(at));
        let queued = TaskRecord { state: TaskState::Queued, ..task };
        assert_eq!(change.due(&queued), Due::In(Duration::ZERO), "it waits no longer than it did");
    }
}
