//! `upbeat import`: takes over what another ledger exported. It may be done again: what is here already is left alone.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use clap::Args;
use upbeat_shared::failpoint;
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{KeyWindow, RestoreAnswer, RestoredSchedule};
use upbeat_shared::message::Limits;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskRecord;

use super::archive::{Fault, Header, Line, Reader};
use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::live;
use super::progress::Progress;
use super::words::counted;

/// Tasks in one transaction, and how many bytes of them.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Take over the tasks and schedules of an export
///
/// Ids, due times, attempts and cursors stay. What is known here already is left alone, so that an import that was
/// interrupted can be done again. A file is checked to its end before anything is changed. See docs/moving.md.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  upbeat import all.jsonl --dry-run\n  upbeat import all.jsonl")]
pub(crate) struct ImportCommand {
    /// Where from; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Check every line, say what would be new here, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on though members live here, or the export is of another namespace
    #[arg(long)]
    force: bool,
}

/// Lines that are taken over together.
#[derive(Debug, Default)]
struct Batch {
    tasks: Vec<TaskRecord>,
    bytes: usize,
    schedules: Vec<RestoredSchedule>,
    paused: Vec<QueueName>,
    windows: Vec<KeyWindow>,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    tasks: u64,
    known_tasks: u64,
    schedules: u64,
    known_schedules: u64,
    other_schedules: u64,
    paused: u64,
    windows: u64,
}

/// What is done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Only its lines are checked.
    Check,
    /// It is compared with what is here.
    Compare,
    /// It is taken over.
    Restore,
}

impl ImportCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        let limits = settings.config().limits;
        let is_file = self.file.as_os_str() != "-";
        let session = context.session_with(settings, Access::Create).await?;
        if !self.force && !self.dry_run {
            live::refuse(&session, "they would work on a part of what is imported").await?;
        }
        if is_file && !self.dry_run {
            // Nothing is changed by a file that is wrong somewhere.
            self.pass(context, &session, &limits, Mode::Check).await?;
        }
        let mode = if self.dry_run { Mode::Compare } else { Mode::Restore };
        let told = self.pass(context, &session, &limits, mode).await?;
        report(context, told, self.dry_run)
    }

    async fn pass(
        &self,
        context: &Context,
        session: &Session,
        limits: &Limits,
        mode: Mode,
    ) -> Result<Told, Failure> {
        let (mut reader, header) = Reader::open(self.open()?).map_err(|fault| self.wrong(&fault))?;
        self.check(&header, session)?;
        let verb = if mode == Mode::Restore { "imported" } else { "checked" };
        let mut progress = Progress::new(context, verb, None);
        let (mut batch, mut told, mut done) = (Batch::default(), Told::default(), reader.line());
        let in_part = |fault: &Fault, done: u64| {
            let failure = self.wrong(fault);
            if mode != Mode::Restore || done <= 1 {
                return failure;
            }
            failure.advice(format!(
                "everything up to line {done} is imported; mend the export and import it again: what is here is left alone"
            ))
        };
        while let Some((line, bytes)) = reader.next().map_err(|fault| in_part(&fault, done))? {
            let added = batch.add(line, bytes, limits);
            added.map_err(|what| in_part(&reader.fault(what), done))?;
            if batch.is_full() {
                progress.advance(batch.tasks.len());
                told.add(std::mem::take(&mut batch).done(session, mode).await?);
                done = reader.line();
            }
        }
        told.add(batch.done(session, mode).await?);
        Ok(told)
    }

    fn open(&self) -> Result<Box<dyn BufRead + Send>, Failure> {
        if self.file.as_os_str() == "-" {
            return Ok(Box::new(BufReader::new(std::io::stdin())));
        }
        let opened = File::open(&self.file).map_err(|error| {
            Failure::failed(format!("cannot read {}: {error}", self.file.display())).page("export-invalid")
        });
        Ok(Box::new(BufReader::new(opened?)))
    }

    fn wrong(&self, fault: &Fault) -> Failure {
        let place = if self.file.as_os_str() == "-" {
            "standard input".into()
        } else {
            self.file.display().to_string()
        };
        Failure::failed(format!("{place}, line {}: {}", fault.line, fault.what)).page("export-invalid")
    }

    fn check(&self, header: &Header, session: &Session) -> Result<(), Failure> {
        let here = &session.config().namespace;
        if self.force || header.namespace == *here {
            return Ok(());
        }
        let message = format!("the export is of the namespace {}, and this one is {here}", header.namespace);
        Err(Failure::failed(message).page("export-invalid").advice(
            "--namespace names the other one; with --force it is imported here, where a repeat of a task with a dedup id gets another id",
        ))
    }
}

impl Batch {
    fn add(&mut self, line: Line, bytes: usize, limits: &Limits) -> Result<(), String> {
        self.bytes += bytes;
        match line {
            Line::Task(task) => self.tasks.push(task.read(limits)?),
            Line::Schedule(schedule) => self.schedules.push(schedule.read()?),
            Line::PausedQueue(queue) => self.paused.push(queue),
            Line::UniqueWindow(window) => self.windows.push(window.into()),
            Line::Header(_) | Line::End(_) => {}
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let lines = self.tasks.len() + self.schedules.len() + self.paused.len() + self.windows.len();
        lines >= BATCH || self.bytes >= BATCH_BYTES
    }

    async fn done(self, session: &Session, mode: Mode) -> Result<Told, Failure> {
        match mode {
            Mode::Check => Ok(Told::default()),
            Mode::Compare => self.compare(session).await,
            Mode::Restore => self.restore(session).await,
        }
    }

    async fn restore(self, session: &Session) -> Result<Told, Failure> {
        let store = &session.stack.store;
        let mut told = Told { paused: self.paused.len() as u64, ..Told::default() };
        for queue in self.paused {
            store.inspect.pause(queue, true).await?;
        }
        for schedule in self.schedules {
            let answers = store.records.restore_schedules(vec![schedule.clone()]).await?;
            if answers.first() == Some(&RestoreAnswer::Restored) {
                told.schedules += 1;
            } else {
                told.meet(&schedule, session).await?;
            }
        }
        let answers = store.records.restore(self.tasks).await?;
        failpoint!("import.batch");
        let held = store.records.restore_windows(self.windows).await?;
        told.windows = held.iter().filter(|answer| **answer == RestoreAnswer::Restored).count() as u64;
        let new = answers.iter().filter(|answer| **answer == RestoreAnswer::Restored).count();
        told.tasks = new as u64;
        told.known_tasks = (answers.len() - new) as u64;
        Ok(told)
    }

    async fn compare(self, session: &Session) -> Result<Told, Failure> {
        let ids: Vec<TaskId> = self.tasks.iter().map(TaskRecord::id).collect();
        let found = session.stack.store.inspect.get(ids).await?;
        let mut told = Told { paused: self.paused.len() as u64, ..Told::default() };
        told.known_tasks = found.iter().flatten().count() as u64;
        told.tasks = found.len() as u64 - told.known_tasks;
        for schedule in &self.schedules {
            if !told.meet(schedule, session).await? {
                told.schedules += 1;
            }
        }
        Ok(told)
    }
}

impl Told {
    /// Whether there is a schedule of this id; one that is not the same is told of.
    async fn meet(&mut self, schedule: &RestoredSchedule, session: &Session) -> Result<bool, Failure> {
        let id = &schedule.record.id;
        let found = session.stack.store.catalog.get(vec![id.clone()]).await?;
        let Some(here) = found.first() else { return Ok(false) };
        if here.incarnation == schedule.record.incarnation {
            self.known_schedules += 1;
        } else {
            self.other_schedules += 1;
            tracing::warn!(%id, source = here.source, "a schedule of this id is here already, and is another one: it is left alone");
        }
        Ok(true)
    }

    fn add(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.known_tasks += other.known_tasks;
        self.schedules += other.schedules;
        self.known_schedules += other.known_schedules;
        self.other_schedules += other.other_schedules;
        self.paused += other.paused;
        self.windows += other.windows;
    }
}

fn report(context: &Context, told: Told, dry_run: bool) -> Result<(), Failure> {
    let Told { tasks, known_tasks, schedules, known_schedules, other_schedules, paused, windows } = told;
    let verb = if dry_run { "would import" } else { "imported" };
    let human = || {
        let known = match known_tasks + known_schedules {
            0 => String::new(),
            n => format!("; {n} were here already"),
        };
        let (tasks, schedules) = (counted(tasks, "task"), counted(schedules, "schedule"));
        format!("{verb} {tasks}, {schedules} and {}{known}", counted(paused, "paused queue"))
    };
    let json = || {
        serde_json::json!({
            "dry_run": dry_run,
            "tasks": tasks,
            "known_tasks": known_tasks,
            "schedules": schedules,
            "known_schedules": known_schedules,
            "other_schedules": other_schedules,
            "paused_queues": paused,
            "unique_windows": windows,
        })
    };
    context.output.result(human, json)?;
    if other_schedules == 0 {
        return Ok(());
    }
    let message =
        format!("{} left as it is: others of the same id are here", counted(other_schedules, "schedule"));
    Err(Failure::failed(message).page("schedules-differ").advice(
        "take them out of the configuration and start a beat once, so that they are gone, then import again; or keep those that are here",
    ))
}
