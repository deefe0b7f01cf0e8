//! `upbeat queues`: what waits where and how fast it moves, and stopping the taking of work.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use upbeat_shared::client::Record;
use upbeat_shared::ledger::{LimitRecord, QueueRecord};
use upbeat_shared::name::QueueName;

use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::limit_view;
use super::moment::parse_duration;
use super::queue_view::{self as view, Queue};
use super::rates::{self, Reading, Readings};

/// Between the two readings of a listing for a person.
const SAMPLE: Duration = Duration::from_secs(1);

/// The longest time between two readings: who wants to see more watches.
const LONGEST_SAMPLE: Duration = Duration::from_secs(60);

/// Between two drawings of `--watch`.
const REDRAW: Duration = Duration::from_secs(2);

/// Limits shown, those with the longest lines first.
const LIMITS: usize = 20;

/// The same for programs.
const LIMITS_JSON: usize = 1000;

const COLUMNS: &str = "\
READY and UNACKED are messages at the broker: waiting, and with a worker. CONSUMERS take from it. A dash
stands for what the broker does not tell. The other numbers are tasks on record, by state. What RabbitMQ's
management tells (UNACKED, rates) is some seconds old; what the ledger tells is as of now.

IN/s and OUT/s are the broker's own rates where it tells them: published, and acknowledged. Otherwise they
are measured between two readings of the ledger's counters, --sample apart:
  OUT/s  growth of the tasks that have ended: succeeded, dead, cancelled or expired
  IN/s   growth of all tasks, whatever their state; where tasks get their record when a worker takes them
         ([queues.NAME] record = \"claim\"), also of what waits at the broker without one
A retry counts in neither. What retention removes between the readings counts against both, never below 0.

Limits and fair queues stand below, those with the longest lines first: SLOTS and how many of them
are TAKEN, the tasks that wait IN LINE, and the first instant of a rate that is free. With --json,
these are further objects, each with a \"limit\" instead of a \"name\", at most 1000.

Examples:
  upbeat queues list
  upbeat queues list --watch
  upbeat queues list --sample 5s --json";

/// Look at queues, pause and resume them
#[derive(Debug, Args)]
pub(crate) struct QueuesCommand {
    #[command(subcommand)]
    action: QueuesAction,
}

#[derive(Debug, Subcommand)]
enum QueuesAction {
    /// List queues: what waits at the broker, how fast it moves, and the tasks on record by state
    #[command(after_help = COLUMNS)]
    List {
        /// Measure rates over this long, at most 60s; 0 for none. 1s, and with --json 0 unless told
        #[arg(long, value_name = "DURATION", value_parser = parse_sample)]
        sample: Option<Duration>,
        /// List again every 2 s, with the rates since the last time, until Ctrl-C
        #[arg(long, conflicts_with = "sample")]
        watch: bool,
    },
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

/// A duration, or `0`.
fn parse_sample(text: &str) -> Result<Duration, String> {
    let sample = if text.trim() == "0" { Duration::ZERO } else { parse_duration(text)? };
    if sample > LONGEST_SAMPLE {
        return Err(format!("it is longer than {LONGEST_SAMPLE:?}; --watch goes on for as long as you like"));
    }
    Ok(sample)
}

impl QueuesCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            QueuesAction::List { watch: true, .. } => watch(context).await,
            QueuesAction::List { sample, watch: false } => list(context, sample).await,
            QueuesAction::Pause { queue } => pause(context, queue, true).await,
            QueuesAction::Resume { queue } => pause(context, queue, false).await,
        }
    }
}

async fn list(context: &Context, sample: Option<Duration>) -> Result<(), Failure> {
    let session = context.session(Access::Existing).await?;
    let sample = sample.unwrap_or(if context.output.is_json() { Duration::ZERO } else { SAMPLE });
    let (mut queues, mut readings) = read(context, &session).await?;
    let mut before = None;
    if !sample.is_zero() && queues.iter().any(Queue::is_silent_on_rates) {
        tokio::time::sleep(sample).await;
        before = Some(readings);
        (queues, readings) = read(context, &session).await?;
    }
    print(context, queues, before.as_ref(), &readings)?;
    print_limits(context, &session).await
}

/// Where tasks wait that are on nobody's agenda.
async fn print_limits(context: &Context, session: &Session) -> Result<(), Failure> {
    let output = &context.output;
    let most = if output.is_json() { LIMITS_JSON } else { LIMITS };
    let mut limits: Vec<LimitRecord> = session.stack.store.inspect.limits(most + 1).await?;
    let are_more = limits.len() > most;
    limits.truncate(most);
    if !limits.is_empty() && !output.is_json() {
        output.line("")?;
    }
    let now = session.now();
    output.list(&limit_view::HEADER, &limits, |limit| limit_view::cells(now, limit), limit_view::json)?;
    if are_more {
        output.note(format_args!("there are more limits; these {most} have the longest lines"));
    }
    Ok(())
}

/// Draws until it is told to end.
async fn watch(context: &Context) -> Result<(), Failure> {
    let session = context.session(Access::Existing).await?;
    let drawing = async {
        let mut before = None;
        loop {
            let (queues, readings) = read(context, &session).await?;
            context.output.clear()?;
            print(context, queues, before.as_ref(), &readings)?;
            print_limits(context, &session).await?;
            before = Some(readings);
            tokio::time::sleep(REDRAW).await;
        }
    };
    tokio::select! {
        failed = drawing => failed,
        // An error says that nobody can listen for it: then it ends the process as it always does.
        Ok(()) = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn print(
    context: &Context,
    mut queues: Vec<Queue>,
    before: Option<&Readings>,
    now: &Readings,
) -> Result<(), Failure> {
    for queue in &mut queues {
        queue.flow = rates::flow(&queue.record.name, queue.depth.as_ref(), before, now);
    }
    let states = view::states(&queues);
    context.output.list(&view::header(&states), &queues, |queue| view::cells(queue, &states), view::json)
}

/// Every queue that the ledger, or the configuration mentions.
async fn read(context: &Context, session: &Session) -> Result<(Vec<Queue>, Readings), Failure> {
    let config = session.config();
    let mentioned = config.queues.keys().chain(config.worker.queues.iter().map(|(name, _)| name));
    let empty = |name: &QueueName| QueueRecord { name: name.clone(), paused: false, counts: Vec::new() };
    let mut records: BTreeMap<QueueName, QueueRecord> =
        mentioned.map(|name| (name.clone(), empty(name))).collect();
    for record in session.stack.store.inspect.queues().await? {
        records.insert(record.name.clone(), record);
    }
    let mut readings = Readings { at: context.clock.monotonic(), queues: BTreeMap::new() };
    let options = session.stack.client.options();
    let mut queues = Vec::with_capacity(records.len());
    for (name, record) in records {
        let depth = session.stack.transport.depth(&name).await?;
        let when = options.record_by_queue.get(&name).copied().unwrap_or(options.record);
        let reading = Reading::new(&record, depth.as_ref(), when == Record::Claim);
        readings.queues.insert(name, reading);
        queues.push(Queue { record, depth, flow: None });
    }
    Ok((queues, readings))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_duration_or_none_and_has_a_bound() {
        assert_eq!(parse_sample("0"), Ok(Duration::ZERO));
        assert_eq!(parse_sample("250ms"), Ok(Duration::from_millis(250)));
        assert!(parse_sample("2").is_err(), "two what?");
        assert!(parse_sample("2m").unwrap_err().contains("--watch"));
    }
}
