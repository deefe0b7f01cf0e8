//! `upbeat dead`: tasks that failed for good.

use clap::{ArgGroup, Args, Subcommand};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Action, TaskFilter};
use upbeat_shared::name::{QueueName, TaskName};
use upbeat_shared::task::{TaskRecord, TaskState};

use super::acts::{self, Told};
use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::pages::Pages;
use super::progress::Progress;
use super::task_id::parse_id;
use super::tasks;
use super::words::counted;

/// Look at tasks that failed for good; replay or drop them
///
/// A dead task is kept with its arguments and its error until it is replayed or dropped.
#[derive(Debug, Args)]
pub(crate) struct DeadCommand {
    #[command(subcommand)]
    action: DeadAction,
}

#[derive(Debug, Subcommand)]
enum DeadAction {
    /// List dead tasks, the newest first
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Run dead tasks again, their attempts and crashes counted from zero
    #[command(after_help = "Examples:\n  upbeat dead replay 0198a2f0-0000-7000-8000-000000000001\n  \
                            upbeat dead replay --all --name billing.invoice")]
    Replay(Chosen),
    /// Forget arguments and error of dead tasks; their ids stay known
    #[command(after_help = "Examples:\n  upbeat dead drop 0198a2f0-0000-7000-8000-000000000001\n  \
                            upbeat dead drop --all --queue mail")]
    Drop(Chosen),
}

#[derive(Debug, Args)]
struct Which {
    /// Of this name
    #[arg(long, value_name = "NAME")]
    name: Option<TaskName>,
    /// Of this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("tasks").args(["ids", "all"]).required(true))]
struct Chosen {
    /// Ids of tasks
    #[arg(value_name = "ID", value_parser = parse_id, conflicts_with_all = ["name", "queue"])]
    ids: Vec<TaskId>,
    /// All that are dead, or all of a name or a queue
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
}

impl Which {
    fn filter(self) -> TaskFilter {
        TaskFilter {
            states: vec![TaskState::Dead],
            name: self.name,
            queue: self.queue,
            ..TaskFilter::default()
        }
    }
}

impl DeadCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let session = context.session(Access::Existing).await?;
        match self.action {
            DeadAction::List { which, limit } => list(context, &session, which, limit).await,
            DeadAction::Replay(chosen) => act(context, &session, chosen, Action::Retry, "replayed").await,
            DeadAction::Drop(chosen) => act(context, &session, chosen, Action::Drop, "dropped").await,
        }
    }
}

async fn list(context: &Context, session: &Session, which: Which, limit: u64) -> Result<(), Failure> {
    let dead = Pages::new(&session.stack.store, which.filter()).take(limit).await?;
    tasks::print(context, session, &dead.tasks).await?;
    if dead.tasks.is_empty() {
        context.output.note("no dead tasks");
    } else {
        let more = if dead.more { "; for more: --limit" } else { "" };
        context.output.note(format_args!(
            "`upbeat tasks show ID` shows one, `upbeat dead replay ID` runs it again{more}"
        ));
    }
    Ok(())
}

async fn act(
    context: &Context,
    session: &Session,
    chosen: Chosen,
    action: Action,
    verb: &'static str,
) -> Result<(), Failure> {
    if chosen.all {
        return act_on_all(context, session, chosen.which.filter(), action, verb).await;
    }
    // Only dead tasks: `tasks retry` is there for the others.
    let found = session.stack.store.inspect.get(chosen.ids.clone()).await?;
    let stranger = |(id, task): &(&TaskId, Option<TaskRecord>)| match task {
        Some(task) if task.state == TaskState::Dead => None,
        Some(task) => Some(format!("{id} is {}, not dead", task.state)),
        None => Some(format!("{id} is not known")),
    };
    let strangers: Vec<String> = chosen.ids.iter().zip(found).filter_map(|pair| stranger(&pair)).collect();
    if !strangers.is_empty() {
        return Err(Failure::failed(format!("nothing was {verb}: {}", strangers.join("; ")))
            .page("left-as-it-is")
            .advice("`upbeat dead list` shows the dead tasks"));
    }
    let answers = session.stack.store.inspect.act(chosen.ids.clone(), action.clone()).await?;
    let told: Vec<Told> =
        chosen.ids.into_iter().zip(answers).map(|(id, answer)| Told::new(id, &action, answer)).collect();
    acts::report(&context.output, &told)
}

/// One pass over the listing: a task that dies again meanwhile is not replayed twice.
async fn act_on_all(
    context: &Context,
    session: &Session,
    filter: TaskFilter,
    action: Action,
    verb: &'static str,
) -> Result<(), Failure> {
    let inspect = &session.stack.store.inspect;
    let mut pages = Pages::new(&session.stack.store, filter.clone());
    let mut progress = Progress::new(context, verb, total(session, &filter).await?);
    let mut applied: u64 = 0;
    while let Some(page) = pages.next(u64::MAX).await? {
        let ids: Vec<TaskId> = page.iter().map(TaskRecord::id).collect();
        let answers = inspect.act(ids.clone(), action.clone()).await?;
        let told = ids.into_iter().zip(answers).map(|(id, answer)| Told::new(id, &action, answer));
        applied += told.filter(Told::applied).count() as u64;
        progress.advance(page.len());
    }
    drop(progress);
    context
        .output
        .result(|| format!("{verb} {}", counted(applied, "task")), || serde_json::json!({ verb: applied }))
}

/// How many there are, where the counters tell.
async fn total(session: &Session, filter: &TaskFilter) -> Result<Option<u64>, Failure> {
    if filter.name.is_some() {
        return Ok(None);
    }
    let queues = session.stack.store.inspect.queues().await?;
    let chosen = queues.iter().filter(|queue| filter.queue.as_ref().is_none_or(|name| *name == queue.name));
    let dead = chosen.flat_map(|queue| &queue.counts).filter(|(state, _)| *state == TaskState::Dead);
    Ok(Some(dead.map(|(_, count)| count).sum()))
}
