//! `upbeat dead`: tasks that failed for good, and messages that could not be understood.

mod edit;
mod replay;
mod show;
mod which;

use clap::{Args, Subcommand};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Action;
use upbeat_shared::task::{TaskRecord, TaskState};

use super::acts::{self, Told};
use super::bulk::{Bulk, Outcome};
use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::pages::Pages;
use super::rate::Rate;
use super::task_id::parse_id;
use super::tasks;
use edit::EditArgs;
use replay::ReplayArgs;
use show::ShowArgs;
use which::{Wanted, Which};

/// Look at tasks that failed for good; edit, replay or drop them
///
/// A dead task is kept with its arguments and its error until it is replayed or dropped. A message that could not be
/// understood is a dead task, too, with every byte that it had.
#[derive(Debug, Args)]
pub(crate) struct DeadCommand {
    #[command(subcommand)]
    action: DeadAction,
}

#[derive(Debug, Subcommand)]
enum DeadAction {
    /// List dead tasks, the newest first
    #[command(after_help = "Examples:\n  upbeat dead list --reason timed_out,crashed --since 1h\n  \
                            upbeat dead list --reason undeliverable --json")]
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Show everything about a dead task, or write its bytes
    #[command(after_help = "Examples:\n  upbeat dead show 0198a2f0-0000-7000-8000-000000000001\n  \
                            upbeat dead show 0198a2f0-0000-7000-8000-000000000001 --raw > body.bin")]
    Show(ShowArgs),
    /// Change what a dead task runs from: its arguments, its name, its queue
    ///
    /// It stays dead until it is replayed. If it is a message that could not be understood, what is given here replaces what was
    /// wrong with it, and the rest is as it was received.
    #[command(after_help = "Examples:
  upbeat dead edit 0198a2f0-0000-7000-8000-000000000001 --args @mended.json
  upbeat dead edit 0198a2f0-0000-7000-8000-000000000001 --name billing.invoice --content-type application/json --replay")]
    Edit(EditArgs),
    /// Run dead tasks again, their attempts and crashes counted from zero
    ///
    /// Many are replayed at a bounded rate, each at most once: those that die while this goes on stay dead. Ctrl-C stops it, and
    /// says how to go on.
    #[command(after_help = "Examples:\n  upbeat dead replay 0198a2f0-0000-7000-8000-000000000001\n  \
                            upbeat dead replay --name billing.invoice --reason timed_out --since 1h --dry-run\n  \
                            upbeat dead replay --all --rate 50/s")]
    Replay(ReplayArgs),
    /// Forget arguments and error of dead tasks; their ids stay known
    #[command(after_help = "Examples:\n  upbeat dead drop 0198a2f0-0000-7000-8000-000000000001\n  \
                            upbeat dead drop --all --queue mail")]
    Drop(DropArgs),
}

/// Some by their ids, or all that fit.
#[derive(Debug, Args)]
struct Chosen {
    /// Ids of tasks
    #[arg(value_name = "ID", value_parser = parse_id)]
    ids: Vec<TaskId>,
    /// All that are dead
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct DropArgs {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    many: Many,
}

/// How many are acted on together.
#[derive(Debug, Args)]
struct Many {
    /// No more than so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Say what would be done, with examples, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Chosen {
    /// Ids, or conditions; not both, and not neither.
    fn check(&self) -> Result<(), Failure> {
        match (self.ids.is_empty(), self.all || self.which.is_given()) {
            (true, false) => Err(Failure::usage("no task is named, and no condition is given")
                .advice("name ids, or conditions such as --name and --reason, or --all for every dead task")),
            (false, true) => {
                Err(Failure::usage("ids and conditions are given; only one of them can be meant"))
            }
            _ => Ok(()),
        }
    }
}

impl DeadCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            DeadAction::List { which, limit } => list(context, &which, limit).await,
            DeadAction::Show(args) => args.run(context).await,
            DeadAction::Edit(args) => args.run(context).await,
            DeadAction::Replay(args) => args.run(context).await,
            DeadAction::Drop(args) => args.run(context).await,
        }
    }
}

async fn list(context: &Context, which: &Which, limit: u64) -> Result<(), Failure> {
    let session = context.session(Access::Existing).await?;
    let wanted = which.at(session.now());
    let (dead, more) = first(&session, &wanted, limit).await?;
    tasks::print(context, &session, &dead).await?;
    if dead.is_empty() {
        context.output.note("no dead tasks");
    } else {
        let more = if more { "; for more: --limit" } else { "" };
        context.output.note(format_args!(
            "`upbeat dead show ID` shows one, `upbeat dead replay ID` runs it again{more}"
        ));
    }
    Ok(())
}

/// The first that fit, and whether there may be more.
async fn first(session: &Session, wanted: &Wanted, limit: u64) -> Result<(Vec<TaskRecord>, bool), Failure> {
    let mut pages = Pages::new(&session.stack.store, wanted.filter.clone());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let page = if wanted.is_plain { limit as u64 } else { u64::MAX };
    while found.len() < limit {
        let Some(tasks) = pages.next(page).await? else { return Ok((found, false)) };
        found.extend(tasks.into_iter().filter(|task| wanted.matches(task)));
    }
    let more = found.len() > limit || !pages.is_over();
    found.truncate(limit);
    Ok((found, more))
}

impl DropArgs {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        self.chosen.check()?;
        let session = context.session(Access::Existing).await?;
        if self.chosen.ids.is_empty() {
            let wanted = self.chosen.which.at(session.now());
            let bulk = bulk(context, &session, &wanted, "dropped", &self.many, None);
            let bulk = Bulk { matches: &|task| wanted.matches(task), ..bulk };
            if self.many.dry_run {
                return bulk.rehearse().await;
            }
            return bulk.run(async |tasks| drop_all(&session, tasks).await).await;
        }
        let found = dead(&session, &self.chosen.ids, "dropped").await?;
        if self.many.dry_run {
            return told_only(context, &found, "dropped");
        }
        let ids = self.chosen.ids;
        let answers = session.stack.store.inspect.act(ids.clone(), Action::Drop).await?;
        let told: Vec<Told> =
            ids.into_iter().zip(answers).map(|(id, answer)| Told::new(id, &Action::Drop, answer)).collect();
        acts::report(&context.output, &told)
    }
}

async fn drop_all(session: &Session, tasks: Vec<TaskRecord>) -> Result<Outcome, Failure> {
    let ids: Vec<TaskId> = tasks.iter().map(TaskRecord::id).collect();
    let answers = session.stack.store.inspect.act(ids.clone(), Action::Drop).await?;
    let told = ids.into_iter().zip(answers).map(|(id, answer)| Told::new(id, &Action::Drop, answer));
    let applied = told.filter(Told::applied).count() as u64;
    Ok(Outcome { applied, left: tasks.len() as u64 - applied })
}

/// Many dead tasks; what else must hold of them is the caller's.
fn bulk<'a>(
    context: &'a Context,
    session: &'a Session,
    wanted: &Wanted,
    verb: &'static str,
    many: &Many,
    rate: Option<Rate>,
) -> Bulk<'a> {
    let command = if verb == "dropped" { "drop" } else { "replay" };
    let flags = wanted.flags();
    let all = if flags.is_empty() { " --all" } else { "" };
    let rated = rate.map(|rate| format!(" --rate {rate}")).unwrap_or_default();
    Bulk {
        context,
        session,
        filter: wanted.filter.clone(),
        matches: &|_| true,
        verb,
        limit: many.limit,
        rate,
        again: format!("upbeat dead {command}{all}{flags}{rated}"),
    }
}

/// These tasks, which must be dead: `tasks retry` is there for others.
async fn dead(session: &Session, ids: &[TaskId], verb: &str) -> Result<Vec<TaskRecord>, Failure> {
    let found = session.stack.store.inspect.get(ids.to_vec()).await?;
    let mut dead = Vec::with_capacity(ids.len());
    let mut strangers = Vec::new();
    for (id, task) in ids.iter().zip(found) {
        match task {
            Some(task) if task.state == TaskState::Dead => dead.push(task),
            Some(task) => strangers.push(format!("{id} is {}, not dead", task.state)),
            None => strangers.push(format!("{id} is not known")),
        }
    }
    if strangers.is_empty() {
        return Ok(dead);
    }
    Err(Failure::failed(format!("nothing was {verb}: {}", strangers.join("; ")))
        .page("left-as-it-is")
        .advice("`upbeat dead list` shows the dead tasks"))
}

/// What would be done to tasks that were named.
fn told_only(context: &Context, tasks: &[TaskRecord], verb: &str) -> Result<(), Failure> {
    for task in tasks {
        let id = task.id();
        context.output.result(
            || format!("{id} would be {verb}; nothing was changed"),
            || serde_json::json!({ "id": id.to_string(), "answer": "dry_run" }),
        )?;
    }
    Ok(())
}
