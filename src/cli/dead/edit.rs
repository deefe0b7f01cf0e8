//! Changing what a dead task runs from.

use std::str::FromStr;

use clap::Args;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{AfterEdit, Edit, EditAnswer};
use upbeat_shared::message::{ContentType, Limits, Message, Payload, Undeliverable};
use upbeat_shared::name::{Namespace, QueueName, TaskName};
use upbeat_shared::task::TaskRecord;

use super::super::context::{Access, Context};
use super::super::failure::Failure;
use super::super::payload::ArgsSource;
use super::super::task_id::parse_id;
use super::dead;

#[derive(Debug, Args)]
pub(super) struct EditArgs {
    /// The task's id
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: TaskId,
    /// Its arguments: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON", value_parser = ArgsSource::from_str, allow_hyphen_values = true)]
    args: Option<ArgsSource>,
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: Option<TaskName>,
    /// The queue that it waits in
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
    /// The version of its arguments' shape
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    args_version: Option<u32>,
    /// What its bytes are, if its message was wrong about it: application/json or application/msgpack
    #[arg(long, value_name = "TYPE", value_parser = parse_content_type, conflicts_with = "args")]
    content_type: Option<ContentType>,
    /// Leave out a header that could not be understood; may be given more than once
    #[arg(long = "without-header", value_name = "HEADER")]
    without: Vec<String>,
    /// Run it again at once
    #[arg(long)]
    replay: bool,
}

fn parse_content_type(text: &str) -> Result<ContentType, String> {
    let known = [ContentType::Json, ContentType::Msgpack];
    let found = known.into_iter().find(|known| known.as_str() == text);
    found.ok_or_else(|| format!("it is {} or {}", ContentType::Json.as_str(), ContentType::Msgpack.as_str()))
}

/// What is to be different.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    args: Option<Payload>,
    name: Option<TaskName>,
    queue: Option<QueueName>,
    args_version: Option<u32>,
    content_type: Option<ContentType>,
    without: Vec<String>,
}

impl Change {
    /// Other arguments, if there are any.
    pub(super) fn of_args(args: Option<Payload>) -> Self {
        Self { args, ..Self::default() }
    }

    pub(super) fn is_nothing(&self) -> bool {
        let Self { args, name, queue, args_version, content_type, without } = self;
        let same = args.is_none() && name.is_none() && queue.is_none() && args_version.is_none();
        same && content_type.is_none() && without.is_empty()
    }

    /// The message of this task, changed. A message that could not be understood must be one then.
    pub(super) fn apply(
        &self,
        task: &TaskRecord,
        namespace: &Namespace,
        limits: &Limits,
    ) -> Result<Message, Failure> {
        let mut message = match received(task) {
            Some(received) => self.mend(task.id(), received, namespace, limits)?,
            None => self.alter(task)?,
        };
        if let Some(queue) = &self.queue {
            message.queue = queue.clone();
        }
        if let Some(version) = self.args_version {
            message.args_version = version;
        }
        let limit = |error: upbeat_shared::message::LimitExceeded| {
            Failure::usage(error.to_string()).page(error.page())
        };
        limits.check_args(&message.args).map_err(limit)?;
        Ok(message)
    }

    fn alter(&self, task: &TaskRecord) -> Result<Message, Failure> {
        if self.content_type.is_some() || !self.without.is_empty() {
            let message = format!("{} is a task that was understood: it has no headers to mend", task.id());
            return Err(Failure::usage(message)
                .advice("--content-type and --without-header are for tasks named upbeat.undeliverable"));
        }
        let mut message = task.message.clone();
        if let Some(args) = &self.args {
            message.args = args.clone();
        }
        if let Some(name) = &self.name {
            message.name = name.clone();
        }
        Ok(message)
    }

    fn mend(
        &self,
        id: TaskId,
        mut received: Undeliverable,
        namespace: &Namespace,
        limits: &Limits,
    ) -> Result<Message, Failure> {
        if self.args.is_none() && received.body_bytes > received.wire.body.len() {
            let message = format!(
                "of the {} bytes of {id} only {} were kept: it cannot run from them",
                received.body_bytes,
                received.wire.body.len()
            );
            return Err(Failure::failed(message)
                .page("task-undeliverable")
                .advice("give it others with --args"));
        }
        let wire = &mut received.wire;
        if let Some(args) = &self.args {
            wire.body = args.bytes.clone();
        }
        let content_type = self.args.as_ref().map(|args| args.content_type).or(self.content_type);
        if let Some(content_type) = content_type {
            wire.content_type = Some(content_type.as_str().to_owned());
        }
        if let Some(name) = &self.name {
            wire.kind = Some(name.to_string());
        }
        // How the message came here is no part of what it says.
        let ours = |name: &str| name.starts_with("upbeat-undeliverable-") || name.starts_with("x-");
        wire.headers.retain(|(name, _)| !ours(name) && !self.without.contains(name));
        received.read(id, namespace, limits).map_err(|error| {
            Failure::failed(format!("{id} still cannot be understood: {error}")).page(error.page()).advice(
                "mend it with `upbeat dead edit ID`: --name, --args, --content-type, --without-header",
            )
        })
    }
}

/// What was received, if that could not be understood.
pub(super) fn received(task: &TaskRecord) -> Option<Undeliverable> {
    let is_undeliverable = task.message.name.as_str() == Undeliverable::NAME;
    is_undeliverable.then(|| Undeliverable::from_payload(&task.message.args)).flatten()
}

impl EditArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        let limits = settings.config().limits;
        let args = self.args.as_ref().map(|args| args.read(limits.body_bytes)).transpose()?;
        let Self { id, name, queue, args_version, content_type, without, replay, .. } = self;
        let change = Change { args, name, queue, args_version, content_type, without };
        if change.is_nothing() {
            return Err(Failure::usage("nothing is to be changed")
                .advice("give --args, --name, --queue, --args-version, --content-type or --without-header"));
        }
        let session = context.session_with(settings, Access::Existing).await?;
        let task = dead(&session, &[id], "changed").await?.remove(0);
        let message = change.apply(&task, &session.config().namespace, &limits)?;
        let (then, note) = if replay {
            (AfterEdit::Replays, "edited and replayed by hand")
        } else {
            (AfterEdit::Stays, "edited by hand")
        };
        let edit =
            Edit { id, seq: task.seq(), message: Some(Box::new(message)), then, note: note.to_owned() };
        let answers = session.stack.store.records.edit(vec![edit]).await?;
        told(context, id, replay, answers.first().copied().unwrap_or(EditAnswer::Unknown))
    }
}

fn told(context: &Context, id: TaskId, replayed: bool, answer: EditAnswer) -> Result<(), Failure> {
    let left = |message: String| Err(Failure::failed(message).page("left-as-it-is"));
    match answer {
        EditAnswer::Applied { state, seq } => {
            let human = if replayed { format!("{id} edited, due again") } else { format!("{id} edited") };
            let json = serde_json::json!({
                "id": id.to_string(), "answer": "applied", "state": state.as_str(), "seq": seq.0,
            });
            context.output.result(|| human, || json)?;
            if !replayed {
                context.output.note(format_args!("`upbeat dead replay {id}` runs it"));
            }
            Ok(())
        }
        EditAnswer::KeyTaken { by } => {
            left(format!("{id} cannot be replayed while {by} has its unique key; nothing was changed"))
        }
        EditAnswer::Changed => {
            left(format!("{id} was changed meanwhile: look at it again; nothing was changed"))
        }
        EditAnswer::Refused(state) => left(format!("{id} is {state} and cannot be edited")),
        EditAnswer::Unknown => left(format!("{id} is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use upbeat_shared::message::{HeaderValue, WireMessage};

    fn task() -> TaskRecord {
        super::super::super::task_view::tests::failed_once()
    }

    fn undeliverable(wire: &WireMessage) -> TaskRecord {
        let mut task = task();
        task.message.name = TaskName::new(Undeliverable::NAME).unwrap();
        task.message.args = Undeliverable::of(wire, &Namespace::default()).to_payload();
        task
    }

    fn apply(change: &Change, task: &TaskRecord) -> Result<Message, Failure> {
        change.apply(task, &Namespace::default(), &Limits::default())
    }

    #[test]
    fn only_what_is_given_is_changed() {
        let task = task();
        let args = Payload::json(&serde_json::json!({ "customer": 8 })).unwrap();
        let change = Change { args: Some(args.clone()), ..Change::default() };
        assert_eq!(apply(&change, &task).unwrap(), Message { args, ..task.message.clone() });
        let change = Change { content_type: Some(ContentType::Json), ..Change::default() };
        assert!(apply(&change, &task).unwrap_err().message.contains("was understood"));
    }

    #[test]
    fn what_was_wrong_with_a_message_is_mended_and_the_rest_is_as_received() {
        let header = |name: &str, value: &str| (name.to_owned(), HeaderValue::Text(value.to_owned()));
        let wire = WireMessage {
            content_type: Some("text/plain".into()),
            headers: vec![header("upbeat-seq", "seven"), header("upbeat-tags", "night")],
            body: Bytes::from_static(br#"{"a": 1}"#),
            ..WireMessage::default()
        };
        let task = undeliverable(&wire);
        let mut change = Change { name: TaskName::new("billing.invoice").ok(), ..Change::default() };
        assert!(apply(&change, &task).unwrap_err().message.contains("text/plain"));
        change.content_type = Some(ContentType::Json);
        assert!(apply(&change, &task).unwrap_err().message.contains("upbeat-seq"));
        change.without = vec!["upbeat-seq".to_owned()];
        let message = apply(&change, &task).unwrap();
        assert_eq!((message.id, message.name.as_str()), (task.id(), "billing.invoice"));
        assert_eq!((&message.args.bytes[..], message.tags), (&br#"{"a": 1}"#[..], vec!["night".to_owned()]));
    }

    #[test]
    fn a_body_that_was_cut_is_not_run() {
        let body = Bytes::from(vec![b' '; Undeliverable::BODY + 1]);
        let task = undeliverable(&WireMessage { kind: Some("a".into()), body, ..WireMessage::default() });
        assert!(apply(&Change::default(), &task).unwrap_err().message.contains("were kept"));
        let change = Change { args: Payload::json(&1).ok(), ..Change::default() };
        assert_eq!(apply(&change, &task).unwrap().args.to_json(), 1);
    }
}
