//! `upbeat export`: everything that another ledger needs to go on where this one stopped.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use upbeat_shared::client::Record;
use upbeat_shared::ledger::{PageCursor, TaskFilter};
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;

use super::archive::{Counts, Header, Line, ScheduleLine, TaskLine, VERSION};
use super::context::{Access, Context, Session};
use super::failure::Failure;
use super::live;
use super::progress::Progress;
use super::words::counted;

/// Tasks in one round trip.
const PAGE: usize = 500;

/// Of each schedule's past, so much goes along.
const PAST: usize = 1000;

/// Write tasks and schedules into a file, to be imported elsewhere
///
/// Tasks that have not ended and dead ones, schedules with their cursors, and which queues are paused. Nothing may work here
/// meanwhile, nor afterwards, or tasks run in both places: stop every beat and worker first. See docs/moving.md.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(
    after_help = "Examples:\n  upbeat export all.jsonl --finished\n  upbeat export - | gzip > all.jsonl.gz"
)]
pub(crate) struct ExportCommand {
    /// Where to; - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only tasks
    #[arg(long, conflicts_with = "schedules")]
    tasks: bool,
    /// Only schedules
    #[arg(long)]
    schedules: bool,
    /// Tasks that succeeded, were cancelled or expired, too, so that a repeat of them is recognised
    #[arg(long)]
    finished: bool,
    /// Go on though members live here, or messages wait that the ledger does not know
    #[arg(long)]
    force: bool,
}

/// Where lines go.
struct Target {
    to: BufWriter<Box<dyn Write + Send>>,
    file: Option<(PathBuf, File)>,
    counts: Counts,
}

impl ExportCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let session = context.session(Access::Existing).await?;
        if !self.force {
            live::refuse(&session, "what they do meanwhile would be missing").await?;
            if !self.schedules {
                refuse_unknown_messages(&session).await?;
            }
        }
        let mut target = Target::open(&self.file)?;
        let written = self.write(context, &session, &mut target).await;
        let counts = target.close(written)?;
        let told = format!(
            "exported {}, {} and {}",
            counted(counts.tasks, "task"),
            counted(counts.schedules, "schedule"),
            counted(counts.paused_queues, "paused queue")
        );
        if self.file.as_os_str() == "-" {
            context.output.note(told);
            return Ok(());
        }
        let file = self.file.display();
        context.output.note(format_args!(
            "nothing may work here any more: `upbeat import {file}` elsewhere, and start members there"
        ));
        context.output.result(
            || format!("{told} to {file}"),
            || serde_json::json!({ "file": file.to_string(), "exported": counts }),
        )
    }

    async fn write(&self, context: &Context, session: &Session, target: &mut Target) -> Result<(), Failure> {
        let now = session.stack.store.ledger.now().await?;
        target.line(&Line::Header(Header {
            version: VERSION,
            namespace: session.config().namespace.clone(),
            exported_at: now,
            upbeat: env!("CARGO_PKG_VERSION").to_owned(),
            finished: self.finished,
        }))?;
        if !self.tasks {
            write_schedules(session, target).await?;
        }
        if !self.schedules {
            for queue in session.stack.store.inspect.queues().await? {
                if queue.paused {
                    target.line(&Line::PausedQueue(queue.name))?;
                }
            }
            self.write_tasks(context, session, target, now).await?;
            write_windows(session, target).await?;
        }
        let end = Line::End(target.counts);
        target.line(&end)
    }

    /// The oldest recorded first, so that listings of the other ledger have the same order: pages come the newest first.
    async fn write_tasks(
        &self,
        context: &Context,
        session: &Session,
        target: &mut Target,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let inspect = &session.stack.store.inspect;
        let wanted = |state: &TaskState| self.finished || !state.is_terminal() || *state == TaskState::Dead;
        let states = TaskState::ALL.into_iter().filter(wanted).collect();
        let filter = TaskFilter { states, ..TaskFilter::default() };
        let mut pages: Vec<Option<PageCursor>> = vec![None];
        while let Some(last) = pages.last() {
            match inspect.list(filter.clone(), *last, PAGE).await?.next {
                Some(next) => pages.push(Some(next)),
                None => break,
            }
        }
        let mut progress = Progress::new(context, "exported", None);
        for page in pages.into_iter().rev() {
            let tasks = inspect.list(filter.clone(), page, PAGE).await?.tasks;
            progress.advance(tasks.len());
            for task in tasks.into_iter().rev() {
                let line =
                    TaskLine::of(task, now).map_err(|error| Failure::failed(error).page("export-invalid"))?;
                target.line(&Line::Task(Box::new(line)))?;
            }
        }
        Ok(())
    }
}

async fn write_windows(session: &Session, target: &mut Target) -> Result<(), Failure> {
    let mut last = None;
    loop {
        let windows = session.stack.store.records.windows(last, PAGE).await?;
        for window in &windows {
            target.line(&Line::UniqueWindow((*window).into()))?;
        }
        last = windows.last().copied();
        if windows.len() < PAGE {
            return Ok(());
        }
    }
}

async fn write_schedules(session: &Session, target: &mut Target) -> Result<(), Failure> {
    let catalog = &session.stack.store.catalog;
    for schedule in catalog.snapshot().await?.schedules {
        let past = catalog.occurrences(schedule.id.clone(), PAST).await?;
        target.line(&Line::Schedule(Box::new(ScheduleLine::of(schedule, past))))?;
    }
    Ok(())
}

/// Tasks that were published without a row are known to the broker alone, and stay behind with it.
async fn refuse_unknown_messages(session: &Session) -> Result<(), Failure> {
    let config = session.config();
    let known = session.stack.store.inspect.queues().await?;
    let mut names: BTreeSet<QueueName> = known.iter().map(|record| record.name.clone()).collect();
    names.extend(config.queues.keys().cloned());
    names.extend(config.worker.queues.iter().map(|(name, _)| name.clone()));
    names.insert(QueueName::undeliverable());
    let mut unknown = Vec::new();
    let options = session.stack.client.options();
    let without_rows = |name: &QueueName| {
        let record = options.record_by_queue.get(name).copied().unwrap_or(options.record);
        record == Record::Claim || *name == QueueName::undeliverable()
    };
    // Elsewhere a message has a row, be it of a task that has ended.
    for name in names.into_iter().filter(without_rows) {
        let Some(depth) = session.stack.transport.depth(&name).await? else { continue };
        let record = known.iter().find(|record| record.name == name);
        let counts = record.map(|record| record.counts.as_slice()).unwrap_or_default();
        let queued: u64 =
            counts.iter().filter(|(state, _)| *state == TaskState::Queued).map(|(_, n)| n).sum();
        let held = depth.ready + depth.unacknowledged.unwrap_or(0);
        if held > queued {
            unknown.push(format!("{} in the queue {name}", counted(held - queued, "message")));
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!("the broker holds what the ledger does not know: {}", unknown.join(", "));
    Err(Failure::failed(message).page("messages-unknown").advice(
        "let workers take them in first, and a beat those in `undeliverable`; --force leaves them in their queues, which is right if the broker stays",
    ))
}

impl Target {
    /// A new file, which nobody else may read: it holds the arguments of tasks.
    fn open(path: &std::path::Path) -> Result<Self, Failure> {
        let counts = Counts::default();
        if path.as_os_str() == "-" {
            return Ok(Self { to: BufWriter::new(Box::new(std::io::stdout())), file: None, counts });
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.open(path).and_then(|file| Ok((file.try_clone()?, file)));
        let (to, file) = opened.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::failed(format!("{} exists: nothing was written", path.display()))
                    .page("file-exists")
                    .advice("name another file, or remove this one")
            }
            _ => Failure::failed(format!("cannot write {}: {error}", path.display())).page("file-exists"),
        })?;
        Ok(Self { to: BufWriter::new(Box::new(to)), file: Some((path.to_owned(), file)), counts })
    }

    fn line(&mut self, line: &Line) -> Result<(), Failure> {
        self.counts.count(line);
        let mut text = serde_json::to_vec(line)
            .map_err(|error| Failure::failed(format!("a line cannot be written as JSON: {error}")))?;
        text.push(b'\n');
        self.to.write_all(&text).map_err(|error| self.unwritten(error))
    }

    /// What is not whole is removed: nobody must take it for an export.
    fn close(mut self, written: Result<(), Failure>) -> Result<Counts, Failure> {
        let flushed = written.and_then(|()| {
            let flushed =
                self.to.flush().and_then(|()| self.file.as_ref().map_or(Ok(()), |(_, file)| file.sync_all()));
            flushed.map_err(|error| self.unwritten(error))
        });
        if let (Err(_), Some((path, _))) = (&flushed, &self.file) {
            // It lacks its last line, and is refused by every import, even if it cannot be removed.
            drop(std::fs::remove_file(path));
        }
        flushed.map(|()| self.counts)
    }

    fn unwritten(&self, error: std::io::Error) -> Failure {
        match &self.file {
            Some((path, _)) => {
                Failure::failed(format!("cannot write {}: {error}", path.display())).page("file-exists")
            }
            None => error.into(),
        }
    }
}
