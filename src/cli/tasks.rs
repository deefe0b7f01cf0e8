//! `upbeat tasks`: looking at tasks, and acting on them.

use clap::{Args, Subcommand};
use upbeat_shared::client::NewTask;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Action, TaskFilter};
use upbeat_shared::name::{QueueName, ScheduleId, TaskName};
use upbeat_shared::task::{TaskRecord, TaskState};

use super::acts::{self, Told};
use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::moment::{Moment, parse_moment};
use super::pages::Pages;
use super::running::Running;
use super::task_id::parse_id;
use super::task_view;

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
    Cancel {
        /// Ids of tasks
        #[arg(value_name = "ID", required = true, value_parser = parse_id)]
        ids: Vec<TaskId>,
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
    Retry {
        /// Ids of tasks
        #[arg(value_name = "ID", required = true, value_parser = parse_id)]
        ids: Vec<TaskId>,
    },
    /// Publish copies of tasks, each with a new id
    ///
    /// Prints the new ids. Name, arguments, queue and settings are the task's; a dedup id is not copied.
    Rerun {
        /// Ids of tasks
        #[arg(value_name = "ID", required = true, value_parser = parse_id)]
        ids: Vec<TaskId>,
    },
}

#[derive(Debug, Args)]
struct ListArgs {
    /// In one of these states
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = super::states::parser())]
    states: Vec<TaskState>,
    /// Of this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
    /// Of this name
    #[arg(long, value_name = "NAME")]
    name: Option<TaskName>,
    /// Made by this schedule
    #[arg(long, value_name = "ID")]
    schedule: Option<ScheduleId>,
    /// With this label
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// First recorded since: 30m, 24h, or an instant
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Moment>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

impl TasksCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let session = context.session(Access::Existing).await?;
        match self.action {
            TasksAction::List(args) => list(context, &session, args).await,
            TasksAction::Show { id } => show(context, &session, id).await,
            TasksAction::Cancel { ids, reason } => {
                act(context, &session, ids, Action::Cancel { reason }).await
            }
            TasksAction::Retry { ids } => act(context, &session, ids, Action::Retry).await,
            TasksAction::Rerun { ids } => rerun(context, &session, ids).await,
        }
    }
}

async fn list(context: &Context, session: &Session, args: ListArgs) -> Result<(), Failure> {
    let filter = TaskFilter {
        states: args.states,
        queue: args.queue,
        name: args.name,
        schedule: args.schedule,
        tag: args.tag,
        since: args.since.map(|since| since.resolve(session.now())),
    };
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

fn unknown(id: TaskId) -> Failure {
    Failure::failed(format!("there is no task {id}")).page("no-such-task").advice(
        "it was never recorded, or its time of retention is over; `upbeat tasks list` shows those that are known",
    )
}

async fn act(context: &Context, session: &Session, ids: Vec<TaskId>, action: Action) -> Result<(), Failure> {
    let answers = session.stack.store.inspect.act(ids.clone(), action.clone()).await?;
    let told: Vec<Told> =
        ids.into_iter().zip(answers).map(|(id, answer)| Told::new(id, &action, answer)).collect();
    acts::report(&context.output, &told)
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
