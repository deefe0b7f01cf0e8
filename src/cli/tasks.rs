//! `upbeat tasks`: looking at tasks, and acting on them.

use clap::{Args, Subcommand};
use upbeat_shared::client::NewTask;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Action, TaskFilter};
use upbeat_shared::task::{TaskRecord, TaskState};

use super::acts::{self, Told};
use super::bulk::{Bulk, Outcome};
use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::pages::Pages;
use super::running::Running;
use super::task_edit::EditArgs;
use super::task_id::parse_id;
use super::task_view;
use super::which::Which;

/// Look at tasks; cancel, retry and rerun them
#[derive(Debug, Args)]
pub(crate) struct TasksCommand {
    #[command(subcommand)]
    action: TasksAction,
}

#[derive(Debug, Subcommand)]
enum TasksAction {
    /// List tasks, the newest first
    #[command(
        after_help = "Examples:\n  upbeat tasks list\n  upbeat tasks list --state dead,running --since 1h\n  \
                            upbeat tasks list --name report.load --limit 500 --json | jq .result"
    )]
    List(ListArgs),
    /// Show everything about a task
    #[command(after_help = "Example:\n  upbeat tasks show 0198a2f0-0000-7000-8000-000000000001")]
    Show {
        /// The task's id, as `upbeat publish` printed it
        #[arg(value_name = "ID", value_parser = parse_id)]
        id: TaskId,
    },
    /// Cancel unfinished tasks; ask running ones to stop
    ///
    /// A task that is not recorded yet is cancelled too: when its message arrives, it does not run. A running task is
    /// asked to stop; if it succeeds all the same, the success stands.
    #[command(after_help = "Examples:\n  upbeat tasks cancel 0198a2f0-0000-7000-8000-000000000001\n  \
                            upbeat tasks cancel --name mail.welcome --state scheduled --dry-run")]
    Cancel {
        #[command(flatten)]
        chosen: Chosen,
        /// Why, for the record: it is shown with the task
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "asked on the command line",
            hide_default_value = true
        )]
        reason: String,
    },
    /// Run dead, cancelled or expired tasks again, and scheduled ones now
    ///
    /// The task keeps its id; its attempts and crashes are counted from zero.
    #[command(after_help = "Examples:\n  upbeat tasks retry 0198a2f0-0000-7000-8000-000000000001\n  \
                            upbeat tasks retry --state cancelled,expired --schedule nightly --since 24h")]
    Retry {
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Change a task that waits: its arguments, when it is due, its priority
    ///
    /// One that runs or has ended is left as it is, and so is one that was changed since this command looked at it. What waits
    /// in the line of a limit gives up its place.
    #[command(
        after_help = "Examples:\n  upbeat tasks edit 0198a2f0-0000-7000-8000-000000000001 --delay 10m\n  \
                            upbeat tasks edit 0198a2f0-0000-7000-8000-000000000001 --args @order.json --priority 9"
    )]
    Edit(EditArgs),
    /// Publish copies of tasks, each with a new id
    ///
    /// Prints the new ids. Name, arguments, queue and settings are the task's; a dedup id and a unique key are not.
    Rerun {
        /// Ids of tasks
        #[arg(value_name = "ID", required = true, value_parser = parse_id)]
        ids: Vec<TaskId>,
    },
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

/// Some by their ids, or all that fit.
#[derive(Debug, Args)]
struct Chosen {
    /// Ids of tasks
    #[arg(value_name = "ID", value_parser = parse_id)]
    ids: Vec<TaskId>,
    #[command(flatten)]
    which: Which,
    /// Say what would be done, with examples, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl TasksCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let session = context.session(Access::Existing).await?;
        match self.action {
            TasksAction::List(args) => list(context, &session, args).await,
            TasksAction::Show { id } => show(context, &session, id).await,
            TasksAction::Cancel { chosen, reason } => {
                act(context, &session, chosen, Action::Cancel { reason }, "cancelled").await
            }
            TasksAction::Retry { chosen } => act(context, &session, chosen, Action::Retry, "retried").await,
            TasksAction::Rerun { ids } => rerun(context, &session, ids).await,
            TasksAction::Edit(args) => args.run(context, &session).await,
        }
    }
}

async fn list(context: &Context, session: &Session, args: ListArgs) -> Result<(), Failure> {
    let filter = args.which.filter(session);
    let anything = filter == TaskFilter::default();
    let tasks = Pages::new(&session.stack.store, filter).take(args.limit).await?;
    print(context, session, &tasks.tasks).await?;
    if tasks.tasks.is_empty() {
        context.output.note(if anything { "no tasks yet" } else { "no tasks like that" });
    } else if tasks.more {
        context.output.note(format_args!("the newest {}; for more: --limit", tasks.tasks.len()));
    }
    Ok(())
}

/// A listing of tasks.
pub(crate) async fn print(context: &Context, session: &Session, tasks: &[TaskRecord]) -> Result<(), Failure> {
    let running = Running::of(&session.stack.store, tasks).await?;
    let now = session.now();
    let cells = |task: &_| task_view::cells(now, task, &running);
    context.output.list(&task_view::HEADER, tasks, cells, |task| running.json(task))
}

async fn show(context: &Context, session: &Session, id: TaskId) -> Result<(), Failure> {
    let found = session.stack.store.inspect.get(vec![id]).await?;
    let Some(task) = found.into_iter().next().flatten() else {
        return Err(unknown(id));
    };
    let running = Running::of(&session.stack.store, std::slice::from_ref(&task)).await?;
    let output = &context.output;
    output.result(|| task_view::details(session.now(), &task, &running, output), || running.json(&task))
}

pub(crate) fn unknown(id: TaskId) -> Failure {
    Failure::failed(format!("there is no task {id}")).page("no-such-task").advice(
        "it was never recorded, or its time of retention is over; `upbeat tasks list` shows those that are known",
    )
}

async fn act(
    context: &Context,
    session: &Session,
    chosen: Chosen,
    action: Action,
    verb: &'static str,
) -> Result<(), Failure> {
    let Chosen { ids, which, dry_run } = chosen;
    let filter = which.filter(session);
    match (ids.is_empty(), filter == TaskFilter::default()) {
        (true, true) => {
            return Err(Failure::usage("no task is named, and no condition is given")
                .advice("name ids, or conditions such as --name and --state"));
        }
        (false, false) => {
            return Err(Failure::usage("ids and conditions are given; only one of them can be meant"));
        }
        (true, false) => return act_on_all(context, session, filter, action, verb, dry_run).await,
        (false, true) if dry_run => {
            return Err(Failure::usage("--dry-run is for conditions; `upbeat tasks show ID` shows one task"));
        }
        (false, true) => {}
    }
    let answers = session.stack.store.inspect.act(ids.clone(), action.clone()).await?;
    let told: Vec<Told> =
        ids.into_iter().zip(answers).map(|(id, answer)| Told::new(id, &action, answer)).collect();
    acts::report(&context.output, &told)
}

/// One pass over those in a state that the action applies to.
async fn act_on_all(
    context: &Context,
    session: &Session,
    mut filter: TaskFilter,
    action: Action,
    verb: &'static str,
    dry_run: bool,
) -> Result<(), Failure> {
    if filter.states.is_empty() {
        let applies = |state: &TaskState| match action {
            Action::Cancel { .. } => !state.is_terminal(),
            _ => matches!(state, TaskState::Dead | TaskState::Cancelled | TaskState::Expired),
        };
        filter.states = TaskState::ALL.into_iter().filter(applies).collect();
    }
    let bulk = Bulk {
        context,
        session,
        filter,
        matches: &|_| true,
        verb,
        limit: None,
        rate: None,
        again: "give the same command again".to_owned(),
    };
    if dry_run {
        return bulk.rehearse().await;
    }
    bulk.run(async |tasks| {
        let ids: Vec<TaskId> = tasks.iter().map(TaskRecord::id).collect();
        let answers = session.stack.store.inspect.act(ids.clone(), action.clone()).await?;
        let told = ids.into_iter().zip(answers).map(|(id, answer)| Told::new(id, &action, answer));
        let applied = told.filter(Told::applied).count() as u64;
        Ok(Outcome { applied, left: tasks.len() as u64 - applied })
    })
    .await
}

async fn rerun(context: &Context, session: &Session, ids: Vec<TaskId>) -> Result<(), Failure> {
    let found = session.stack.store.inspect.get(ids.clone()).await?;
    let mut copies = Vec::with_capacity(found.len());
    for (id, task) in ids.iter().zip(found) {
        copies.push(copy(task.ok_or_else(|| unknown(*id))?));
    }
    let published = session.stack.client.publish_many(copies).await?;
    for (of, new) in ids.iter().zip(published) {
        let json = || serde_json::json!({ "id": new.id.to_string(), "rerun_of": of.to_string() });
        context.output.result(|| new.id.to_string(), json)?;
    }
    Ok(())
}

fn copy(task: TaskRecord) -> NewTask {
    let message = task.message;
    let mut copy = NewTask::new(message.name, message.args).queue(message.queue).priority(message.priority);
    copy.args_version = message.args_version;
    copy.timeout = message.timeout;
    copy.retry = message.retry;
    copy.tags = message.tags;
    copy.key = message.key;
    copy.planned = message.occurrence;
    copy
}
