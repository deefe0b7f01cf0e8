//! `upbeat queues`: what waits where, and stopping the taking of work.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use upbeat_shared::ledger::QueueRecord;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::Depth;

use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::table::{Cell, Look};

/// Look at queues, pause and resume them
#[derive(Debug, Args)]
pub(crate) struct QueuesCommand {
    #[command(subcommand)]
    action: QueuesAction,
}

#[derive(Debug, Subcommand)]
enum QueuesAction {
    /// List queues: what waits at the broker, and the tasks on record by state
    List,
    /// Stop every worker from taking tasks from a queue; what runs goes on
    Pause {
        /// The queue
        #[arg(value_name = "QUEUE")]
        queue: QueueName,
    },
    /// Let workers take tasks from a queue again
    Resume {
        /// The queue
        #[arg(value_name = "QUEUE")]
        queue: QueueName,
    },
}

impl QueuesCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            QueuesAction::List => list(context).await,
            QueuesAction::Pause { queue } => pause(context, queue, true).await,
            QueuesAction::Resume { queue } => pause(context, queue, false).await,
        }
    }
}

/// A queue as ledger and broker know it.
struct Queue {
    record: QueueRecord,
    depth: Option<Depth>,
}

async fn list(context: &Context) -> Result<(), Failure> {
    let session = context.session(Access::Existing).await?;
    let queues = read(&session).await?;
    context.output.list(
        &[
            "QUEUE",
            "READY",
            "UNACKED",
            "SCHEDULED",
            "QUEUED",
            "RUNNING",
            "HELD",
            "SUCCEEDED",
            "DEAD",
            "STATUS",
        ],
        &queues,
        cells,
        to_json,
    )
}

/// Every queue that the ledger, or the configuration mentions.
async fn read(session: &Session) -> Result<Vec<Queue>, Failure> {
    let config = session.config();
    let mentioned = config.queues.keys().chain(config.worker.queues.iter().map(|(name, _)| name));
    let empty = |name: &QueueName| QueueRecord { name: name.clone(), paused: false, counts: Vec::new() };
    let mut records: BTreeMap<QueueName, QueueRecord> =
        mentioned.map(|name| (name.clone(), empty(name))).collect();
    for record in session.stack.store.inspect.queues().await? {
        records.insert(record.name.clone(), record);
    }
    let mut queues = Vec::with_capacity(records.len());
    for (name, record) in records {
        let depth = session.stack.transport.depth(&name).await?;
        queues.push(Queue { record, depth });
    }
    Ok(queues)
}

fn count(queue: &Queue, state: TaskState) -> u64 {
    queue.record.counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
}

fn cells(queue: &Queue) -> Vec<Cell> {
    let depth = |read: fn(&Depth) -> Option<u64>| {
        let depth = queue.depth.as_ref().and_then(read);
        Cell::number(depth.map_or_else(|| "-".to_owned(), |n| n.to_string()))
    };
    let counted = |state| Cell::number(count(queue, state));
    vec![
        Cell::plain(queue.record.name.as_str()),
        depth(|depth| Some(depth.ready)),
        depth(|depth| depth.unacknowledged),
        counted(TaskState::Scheduled),
        counted(TaskState::Queued),
        counted(TaskState::Running),
        counted(TaskState::Held),
        counted(TaskState::Succeeded),
        counted(TaskState::Dead),
        if queue.record.paused { Cell::new("paused", Look::Odd) } else { Cell::new("open", Look::Good) },
    ]
}

fn to_json(queue: &Queue) -> Value {
    let counts: Map<String, Value> =
        TaskState::ALL.iter().map(|state| (state.as_str().to_owned(), count(queue, *state).into())).collect();
    json!({
        "name": queue.record.name.as_str(),
        "paused": queue.record.paused,
        "ready": queue.depth.map(|depth| depth.ready),
        "unacknowledged": queue.depth.and_then(|depth| depth.unacknowledged),
        "tasks": counts,
    })
}

async fn pause(context: &Context, queue: QueueName, paused: bool) -> Result<(), Failure> {
    let session = context.session(Access::Create).await?;
    session.stack.store.inspect.pause(queue.clone(), paused).await?;
    let human = || {
        let effect = if paused { "is paused: workers stop taking" } else { "is open: workers go on taking" };
        format!("{queue} {effect} its tasks with their next heartbeat")
    };
    context.output.result(human, || json!({ "name": queue.as_str(), "paused": paused }))
}
