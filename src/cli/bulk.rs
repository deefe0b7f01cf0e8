//! Acting on many tasks: one pass over a listing, in batches, at a rate, until it is done or asked to stop.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::task::{TaskRecord, TaskState, rfc3339_micros};

use super::context::{Context, Session};
use super::failure::Failure;
use super::moment::relative;
use super::pages::Pages;
use super::progress::Progress;
use super::rate::{Pacer, Rate};
use super::signals::Signals;
use super::table::{Cell, Table};
use super::words::counted;

/// So many are done in one transaction at most.
const BATCH: usize = 500;

/// So many are shown of what would be done.
const SAMPLES: usize = 5;

/// So many kinds of them are told apart.
const KINDS: usize = 20;

/// What is to be done to how many of which tasks.
pub(crate) struct Bulk<'a> {
    pub(crate) context: &'a Context,
    pub(crate) session: &'a Session,
    /// What the ledger looks for.
    pub(crate) filter: TaskFilter,
    /// What else must hold.
    pub(crate) matches: &'a (dyn Fn(&TaskRecord) -> bool + Sync),
    /// In the past tense: `replayed`.
    pub(crate) verb: &'static str,
    /// No more than these.
    pub(crate) limit: Option<u64>,
    /// No faster than this.
    pub(crate) rate: Option<Rate>,
    /// The command that goes on where this one stopped.
    pub(crate) again: String,
}

/// What became of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// It applies to so many.
    pub(crate) applied: u64,
    /// So many had changed meanwhile, or cannot be acted on.
    pub(crate) left: u64,
}

impl Bulk<'_> {
    /// Does it, batch by batch; each task is met once, whatever becomes of it meanwhile.
    pub(crate) async fn run(
        &self,
        act: impl AsyncFn(Vec<TaskRecord>) -> Result<Outcome, Failure>,
    ) -> Result<(), Failure> {
        let stop = CancellationToken::new();
        let watching = tokio::spawn(Signals::take()?.watch(stop.clone(), self.context.output.clone()));
        let mut progress = Progress::new(self.context, self.verb, self.total().await?);
        let done = self.pass(&stop, &mut progress, act).await;
        watching.abort();
        drop(progress);
        let (outcome, ended) = done?;
        if !ended {
            return Err(self.stopped(outcome));
        }
        let left = match outcome.left {
            0 => String::new(),
            n => format!("; {} left as it is", counted(n, "task")),
        };
        self.context.output.result(
            || format!("{} {}{left}", self.verb, counted(outcome.applied, "task")),
            || serde_json::json!({ self.verb: outcome.applied, "left": outcome.left }),
        )
    }

    async fn pass(
        &self,
        stop: &CancellationToken,
        progress: &mut Progress<'_>,
        act: impl AsyncFn(Vec<TaskRecord>) -> Result<Outcome, Failure>,
    ) -> Result<(Outcome, bool), Failure> {
        let mut pages = Pages::new(&self.session.stack.store, self.filter.clone());
        let pacer = self.rate.map(|rate| Pacer::new(self.context.clock.clone(), rate));
        let batch = self.rate.map_or(BATCH, |rate| rate.batch(BATCH));
        let mut outcome = Outcome::default();
        let mut begun = 0_u64;
        while let Some(page) = pages.next(u64::MAX).await? {
            let mut found = page.into_iter().filter(self.matches).peekable();
            while found.peek().is_some() {
                if stop.is_cancelled() {
                    return Ok((outcome, false));
                }
                let left = self.limit.map_or(u64::MAX, |limit| limit - begun);
                let tasks: Vec<TaskRecord> =
                    found.by_ref().take(batch.min(usize::try_from(left).unwrap_or(usize::MAX))).collect();
                if tasks.is_empty() {
                    return Ok((outcome, true));
                }
                begun += tasks.len() as u64;
                progress.advance(tasks.len());
                let done = act(tasks).await.map_err(|failure| self.after(outcome, failure))?;
                outcome.applied += done.applied;
                outcome.left += done.left;
                if let Some(pacer) = &pacer {
                    pacer.after(begun, stop).await;
                }
            }
        }
        Ok((outcome, true))
    }

    /// Tells what would be done, and does nothing.
    pub(crate) async fn rehearse(&self) -> Result<(), Failure> {
        let mut pages = Pages::new(&self.session.stack.store, self.filter.clone());
        let mut rehearsed = Rehearsed::default();
        let limit = self.limit.unwrap_or(u64::MAX);
        while rehearsed.tasks < limit
            && let Some(page) = pages.next(u64::MAX).await?
        {
            let left = usize::try_from(limit - rehearsed.tasks).unwrap_or(usize::MAX);
            page.into_iter().filter(self.matches).take(left).for_each(|task| rehearsed.add(task));
        }
        let now = self.session.now();
        let output = &self.context.output;
        output.result(
            || rehearsed.tell(now, self.verb, |table| output.render(table)),
            || rehearsed.to_json(self.verb),
        )
    }

    /// How many there are at most, where the counters tell.
    async fn total(&self) -> Result<Option<u64>, Failure> {
        let TaskFilter { states, queue, name, schedule, tag, since } = &self.filter;
        if name.is_some() || schedule.is_some() || tag.is_some() || since.is_some() || states.is_empty() {
            return Ok(self.limit);
        }
        let queues = self.session.stack.store.inspect.queues().await?;
        let chosen = queues.iter().filter(|record| queue.as_ref().is_none_or(|name| *name == record.name));
        let counts = chosen.flat_map(|record| &record.counts).filter(|(state, _)| states.contains(state));
        let total = counts.map(|(_, count)| count).sum();
        Ok(Some(self.limit.map_or(total, |limit| limit.min(total))))
    }

    fn stopped(&self, outcome: Outcome) -> Failure {
        Failure::failed(format!("stopped: {} {}", self.verb, counted(outcome.applied, "task")))
            .advice(format!("to go on with the others: {}", self.again))
    }

    fn after(&self, outcome: Outcome, failure: Failure) -> Failure {
        let message =
            format!("{} {}, then: {}", self.verb, counted(outcome.applied, "task"), failure.message);
        Failure { message, ..failure }.advice(format!("to go on with the others: {}", self.again))
    }
}

/// What was found.
#[derive(Debug, Default)]
struct Rehearsed {
    tasks: u64,
    /// By name and state or reason.
    kinds: BTreeMap<(String, &'static str), u64>,
    samples: Vec<TaskRecord>,
}

fn kind(task: &TaskRecord) -> &'static str {
    let died = task.error.as_ref().filter(|_| task.state == TaskState::Dead);
    died.map_or(task.state.as_str(), |error| error.kind.as_str())
}

impl Rehearsed {
    fn add(&mut self, task: TaskRecord) {
        self.tasks += 1;
        *self.kinds.entry((task.message.name.to_string(), kind(&task))).or_default() += 1;
        if self.samples.len() < SAMPLES {
            self.samples.push(task);
        }
    }

    fn tell(&self, now: Timestamp, verb: &str, render: impl Fn(&Table) -> String) -> String {
        let would = format!("{} would be {verb}; nothing was changed", counted(self.tasks, "task"));
        if self.tasks == 0 {
            return would;
        }
        let mut kinds = Table::new(&["NAME", "REASON", "TASKS"]);
        for ((name, kind), tasks) in self.kinds.iter().take(KINDS) {
            kinds.row(vec![Cell::plain(name.as_str()), Cell::plain(*kind), Cell::number(tasks)]);
        }
        let more = match self.kinds.len().saturating_sub(KINDS) {
            0 => String::new(),
            n => format!("and {} more\n", counted(n as u64, "kind")),
        };
        let mut samples = Table::new(&["FOR EXAMPLE", "WHEN", "ERROR"]);
        for task in &self.samples {
            let when = task.finished_at.or(task.due_at).map(|at| relative(now, at)).unwrap_or_default();
            let error = task.error.as_ref().map_or("", |error| error.message.as_str());
            let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
            samples.row(vec![
                Cell::plain(task.id().to_string()),
                Cell::plain(when),
                Cell::faint(error).cut(60),
            ]);
        }
        format!("{}{more}\n{}\n{would}", render(&kinds), render(&samples))
    }

    fn to_json(&self, verb: &str) -> serde_json::Value {
        let kinds = self
            .kinds
            .iter()
            .map(|((name, kind), tasks)| serde_json::json!({ "name": name, "reason": kind, "tasks": tasks }));
        let sample = |task: &TaskRecord| {
            serde_json::json!({
                "id": task.id().to_string(),
                "finished_at": task.finished_at.map(rfc3339_micros),
                "error": task.error.as_ref().map(|error| &error.message),
            })
        };
        serde_json::json!({
            "dry_run": true,
            format!("would_be_{verb}"): self.tasks,
            "kinds": kinds.collect::<Vec<_>>(),
            "samples": self.samples.iter().map(sample).collect::<Vec<_>>(),
        })
    }
}
