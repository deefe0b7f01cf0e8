//! `upbeat publish`: hands a task over, and waits for it if asked to.

use std::time::Duration;

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use upbeat_shared::client::{NewTask, Published};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Due;
use upbeat_shared::message::{Payload, Priority, TraceContext};
use upbeat_shared::name::{QueueName, TaskKey, TaskName};
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;

use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::moment::{parse_duration, parse_instant};
use super::nearest::nearest;
use super::payload::ArgsSource;
use super::progress::Progress;
use super::wait;
use super::words::counted;

const EXAMPLES: &str = r#"Examples:
  upbeat publish hello
  upbeat publish hello --args '{"name": "world"}' --wait
  upbeat publish billing.invoice --args @order.json --dedup-id order-17
  generate-args | upbeat publish report.load --args -
  upbeat publish crm.sync --unique customer-7
  upbeat publish mail.reminder --delay 5m --priority 9
  upbeat publish mail.reminder --at 2026-05-01T09:00[Europe/Berlin]
  upbeat publish noop --count 100000"#;

/// Tasks handed over in one call; the client divides it further.
const BATCH: usize = 500;

/// The ids of more tasks than this are counted, not listed, unless --json asks for each.
const LISTED: u64 = 1000;

/// Publish a task, now or later
///
/// Prints the task's id. Once it is printed, the task is kept: it will run and succeed, or be dead, cancelled or expired.
/// With a dedup id it runs once, however often it is published.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("due").args(["delay", "at"]))]
pub(crate) struct PublishCommand {
    /// The task's name, which chooses what runs it
    #[arg(value_name = "NAME", value_parser = clap::value_parser!(TaskName))]
    name: TaskName,
    /// The arguments: JSON, a file, or - for standard input
    #[arg(
        long,
        value_name = "JSON|@FILE|-",
        default_value = "null",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    args: ArgsSource,
    /// The version of the arguments' shape; the newest that this program's own handler reads, or 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    args_version: Option<u32>,
    /// The queue; the task's own from the configuration, or `default`
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
    /// Run it after this long: 90s, 5m, 1h 30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    delay: Option<Duration>,
    /// Run it at this instant: RFC 3339, or a time of this machine's zone
    #[arg(long, value_name = "TIME", value_parser = parse_instant)]
    at: Option<Timestamp>,
    /// Every task of this name with this id is the same task, and runs once
    #[arg(long, value_name = "ID")]
    dedup_id: Option<String>,
    /// Unless an unfinished task of this name has this key: then that one is the answer, and nothing new is made
    #[arg(long, value_name = "KEY")]
    unique: Option<String>,
    /// The key is taken for this long, however soon the task ends: 90s, 5m, 1h 30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "unique")]
    unique_within: Option<Duration>,
    /// Take the place of the task that has the key, if that one does not run yet
    #[arg(long, requires = "unique")]
    replace: bool,
    /// Whose it is: limits by key count it under this
    #[arg(long, value_name = "KEY")]
    key: Option<TaskKey>,
    /// From 0 (last) to 9 (first); that of this program's own handler, or 4
    #[arg(long, value_name = "0-9", value_parser = clap::value_parser!(u8).range(0..=i64::from(Priority::MAX)))]
    priority: Option<u8>,
    /// A label to find it by; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// After this long it must not start any more
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// After this long it must have ended, its retries too
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    deadline_in: Option<Duration>,
    /// By this instant it must have ended, its retries too
    #[arg(long, value_name = "TIME", value_parser = parse_instant, conflicts_with = "deadline_in")]
    deadline_at: Option<Timestamp>,
    /// The trace that it continues, as a W3C traceparent; that of the environment (TRACEPARENT, TRACESTATE) unless told
    #[arg(long, value_name = "TRACEPARENT")]
    traceparent: Option<String>,
    /// Publish it so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Wait until it has ended and print it; exit with 1 unless it succeeded
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "wait")]
    timeout: Option<Duration>,
}

impl PublishCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        let args = self.args.read(settings.config().limits.body_bytes)?;
        let trace = self.trace(context)?;
        let session = context.session_with(settings, Access::Create).await?;
        self.warn_if_unknown(context, &session);
        let mut task = self.task(context, &session, args);
        task.trace = trace;
        let published = self.publish(context, &session, task).await?;
        if self.wait {
            let ids: Vec<TaskId> = published.iter().map(|one| one.id).collect();
            return wait::until_ended(context, &session, &ids, self.timeout).await;
        }
        Ok(())
    }

    fn task(&self, context: &Context, session: &Session, args: Payload) -> NewTask {
        let configured = session.config().tasks.get(&self.name).map(|task| task.queue.clone());
        let native = context.program.tasks.iter().find(|task| task.name == self.name);
        let queue = self.queue.clone().or(configured).or_else(|| native?.queue.clone());
        let version = self.args_version.or_else(|| Some(native?.args?.newest));
        let mut task = NewTask::new(self.name.clone(), args);
        task.args_version = version.unwrap_or(task.args_version);
        task.queue = queue.unwrap_or_else(QueueName::default_queue);
        task.due = self.delay.map(Due::In).or(self.at.map(Due::At));
        task.dedup_id.clone_from(&self.dedup_id);
        task.unique = self.unique();
        let priority = self.priority.and_then(Priority::new).or_else(|| native?.priority);
        task.priority = priority.unwrap_or_default();
        task.expires = self.expires.map(Due::In);
        task.deadline = self.deadline_in.map(Due::In).or(self.deadline_at.map(Due::At));
        task.tags.clone_from(&self.tags);
        task.key.clone_from(&self.key);
        task
    }

    fn unique(&self) -> Option<Unique> {
        let unique = Unique::by(self.unique.clone()?);
        let unique = self.unique_within.map_or(unique.clone(), |window| unique.within(window));
        Some(if self.replace { unique.replacing() } else { unique })
    }

    /// What was given must be right. What merely lies in the environment is left out if it is not, as the standard asks: it
    /// may not be meant for us.
    fn trace(&self, context: &Context) -> Result<Option<TraceContext>, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        if let Some(given) = &self.traceparent {
            let trace = TraceContext::parse(given, None);
            return trace.map(Some).map_err(|error| Failure::usage(error.to_string()).page(error.page()));
        }
        let Some(parent) = variable("TRACEPARENT") else { return Ok(None) };
        match TraceContext::parse(&parent, variable("TRACESTATE").as_deref()) {
            Ok(trace) => Ok(Some(trace)),
            Err(error) => {
                context.output.warn(format_args!("TRACEPARENT is left out: {error}"));
                Ok(None)
            }
        }
    }

    /// A worker with handlers of its own may know a name that no configuration mentions.
    fn warn_if_unknown(&self, context: &Context, session: &Session) {
        let configured = &session.config().tasks;
        let natives = || context.program.tasks.iter().map(|task| &task.name);
        if configured.contains_key(&self.name) || natives().any(|name| *name == self.name) {
            return;
        }
        let names = configured.keys().chain(natives()).map(TaskName::as_str);
        let nearest = nearest(self.name.as_str(), names);
        let meant = nearest.map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
        context.output.warn(format_args!(
            "no task named {} is configured here; published all the same, since a worker elsewhere may know it.{meant}",
            self.name
        ));
    }

    /// Publishes all of them; answers the tasks to wait for.
    async fn publish(
        &self,
        context: &Context,
        session: &Session,
        task: NewTask,
    ) -> Result<Vec<Published>, Failure> {
        let output = &context.output;
        let listed = output.is_json() || self.count <= LISTED;
        let silent = self.wait && output.is_json();
        let mut progress = Progress::new(context, "published", Some(self.count));
        let mut kept = Vec::new();
        let mut duplicates = 0_u64;
        while progress.done() < self.count {
            let size = usize::try_from(self.count - progress.done()).unwrap_or(BATCH).min(BATCH);
            let published = session.stack.client.publish_many(vec![task.clone(); size]).await;
            let published = published.map_err(|error| after(progress.done(), error.into()))?;
            duplicates += published.iter().filter(|one| one.duplicate_of.is_some()).count() as u64;
            let fresh = self.fresh(&published, progress.done() == 0);
            progress.advance(size);
            for one in fresh.iter().filter(|_| listed && !silent) {
                output.result(|| one.id.to_string(), || published_json(one))?;
            }
            if self.wait {
                kept.extend(fresh);
            }
        }
        let pace = progress.pace();
        drop(progress);
        self.sum_up(context, listed, duplicates, &pace)?;
        Ok(kept)
    }

    /// With a dedup id all of them are one task, named once; with a unique key many are.
    fn fresh(&self, published: &[Published], first: bool) -> Vec<Published> {
        match (&self.dedup_id, first) {
            (None, _) => {
                let mut named = published.to_vec();
                named.dedup_by_key(|one| one.id);
                named
            }
            (Some(_), true) => published[..1].to_vec(),
            (Some(_), false) => Vec::new(),
        }
    }

    fn sum_up(&self, context: &Context, listed: bool, duplicates: u64, pace: &str) -> Result<(), Failure> {
        let output = &context.output;
        if !listed {
            output.line(format_args!("published {} tasks named {} {pace}", self.count, self.name))?;
        }
        match duplicates {
            0 => {}
            1 if self.count == 1 && self.unique.is_some() => {
                output.note("this task has the key already: nothing new was made");
            }
            1 if self.count == 1 => output.note("it was published before: nothing new was made"),
            n => output.note(format_args!(
                "{n} of {} were published before: nothing new was made of them",
                self.count
            )),
        }
        Ok(())
    }
}

fn after(done: u64, failure: Failure) -> Failure {
    if done == 0 {
        return failure;
    }
    failure.advice(format!("{} accepted before that", counted(done, "task")))
}

fn published_json(published: &Published) -> serde_json::Value {
    serde_json::json!({
        "id": published.id.to_string(),
        "duplicate_of": published.duplicate_of.map(TaskState::as_str),
    })
}
