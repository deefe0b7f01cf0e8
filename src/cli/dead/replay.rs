//! Running dead tasks again: those that are named, or all that fit, at a rate.

use std::str::FromStr;

use clap::Args;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{AfterEdit, Edit, EditAnswer};
use upbeat_shared::message::{Limits, Undeliverable};
use upbeat_shared::name::Namespace;
use upbeat_shared::task::TaskRecord;

use super::super::bulk::{Bulk, Outcome};
use super::super::context::{Access, Context, Session};
use super::super::failure::Failure;
use super::super::payload::ArgsSource;
use super::super::rate::Rate;
use super::super::words::counted;
use super::edit::Change;
use super::{Chosen, Many, bulk, dead, told_only};

/// What an edit says of itself in the record.
pub(super) const REPLAYED: &str = "replayed by hand";

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    chosen: Chosen,
    /// Run the one task that is named with these arguments instead: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON", value_parser = ArgsSource::from_str, allow_hyphen_values = true)]
    args: Option<ArgsSource>,
    /// No faster than so many in a second, a minute or an hour
    #[arg(long, value_name = "N/s", default_value = "100/s")]
    rate: Rate,
    #[command(flatten)]
    many: Many,
}

impl ReplayArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        self.chosen.check()?;
        if self.args.is_some() && self.chosen.ids.len() != 1 {
            return Err(Failure::usage("--args are those of one task: name its id"));
        }
        if self.chosen.ids.is_empty() {
            return self.all(context).await;
        }
        let settings = context.settings()?;
        let limits = settings.config().limits;
        let args = self.args.as_ref().map(|args| args.read(limits.body_bytes)).transpose()?;
        let session = context.session_with(settings, Access::Existing).await?;
        let tasks = dead(&session, &self.chosen.ids, "replayed").await?;
        let change = Change::of_args(args);
        let mut edits = Vec::with_capacity(tasks.len());
        for task in &tasks {
            edits.push(replay(task, &change, &session.config().namespace, &limits)?);
        }
        if self.many.dry_run {
            return told_only(context, &tasks, "replayed");
        }
        let answers = session.stack.store.records.edit(edits).await?;
        report(context, &self.chosen.ids, &answers)
    }

    async fn all(self, context: &Context) -> Result<(), Failure> {
        let session = context.session(Access::Existing).await?;
        // The store's own time: whatever dies from now on stays dead.
        let now = session.stack.store.ledger.now().await?;
        let wanted = self.chosen.which.at(now).by(now);
        let bulk = bulk(context, &session, &wanted, "replayed", &self.many, Some(self.rate));
        let bulk = Bulk { matches: &|task| wanted.matches(task), ..bulk };
        if self.many.dry_run {
            return bulk.rehearse().await;
        }
        bulk.run(async |tasks| replay_all(&session, tasks).await).await
    }
}

/// Those that changed meanwhile, and those that still cannot be understood, stay as they are.
async fn replay_all(session: &Session, tasks: Vec<TaskRecord>) -> Result<Outcome, Failure> {
    let config = session.config();
    let edit = |task: &TaskRecord| replay(task, &Change::default(), &config.namespace, &config.limits).ok();
    let edits: Vec<Edit> = tasks.iter().filter_map(edit).collect();
    let answers = session.stack.store.records.edit(edits).await?;
    let is_applied = |answer: &&EditAnswer| matches!(answer, EditAnswer::Applied { .. });
    let applied = answers.iter().filter(is_applied).count() as u64;
    Ok(Outcome { applied, left: tasks.len() as u64 - applied })
}

/// A task is replayed as it was seen, and no other. A message that could not be understood is read once more: this program
/// may be newer than the one that failed to.
fn replay(
    task: &TaskRecord,
    change: &Change,
    namespace: &Namespace,
    limits: &Limits,
) -> Result<Edit, Failure> {
    let is_undeliverable = task.message.name.as_str() == Undeliverable::NAME;
    let message = if is_undeliverable || !change.is_nothing() {
        Some(Box::new(change.apply(task, namespace, limits)?))
    } else {
        None
    };
    let note = if change.is_nothing() { REPLAYED } else { "edited and replayed by hand" };
    Ok(Edit { id: task.id(), seq: task.seq(), message, then: AfterEdit::Replays, note: note.to_owned() })
}

fn report(context: &Context, ids: &[TaskId], answers: &[EditAnswer]) -> Result<(), Failure> {
    for (id, answer) in ids.iter().zip(answers) {
        let (sentence, answer) = match answer {
            EditAnswer::Applied { .. } => (format!("{id} due again"), "applied"),
            EditAnswer::KeyTaken { by } => {
                (format!("{id} cannot be replayed while {by} has its unique key"), "key_taken")
            }
            EditAnswer::Changed => (format!("{id} was changed meanwhile: look at it again"), "changed"),
            EditAnswer::Refused(state) => (format!("{id} is {state} and cannot be replayed"), "refused"),
            EditAnswer::Unknown => (format!("{id} is not known"), "unknown"),
        };
        context
            .output
            .result(|| sentence, || serde_json::json!({ "id": id.to_string(), "answer": answer }))?;
    }
    match answers.iter().filter(|answer| !matches!(answer, EditAnswer::Applied { .. })).count() {
        0 => Ok(()),
        n => Err(Failure::failed(format!("{n} of {} left as it is", counted(ids.len() as u64, "task")))
            .page("left-as-it-is")),
    }
}
