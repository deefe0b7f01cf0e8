//! The process's side: the one task that it was started for, and its end.

use std::fs::File;
use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rustix::process::{Signal, kill_current_process_group};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use upbeat_shared::client::Client;
use upbeat_shared::clock::StoreClock;
use upbeat_shared::failpoint;
use upbeat_shared::id::Fence;

use super::program::SuspectProgram;
use super::wire::{self, BEGIN, End, LONGEST, Says, Start, Told};
use crate::executor::{RunContext, TaskError};
use crate::job::panic_message;
use crate::layer::RunLayers;
use crate::progress::Reporter;
use crate::registry::TaskDefinition;

/// How often it tells how far it has come.
const TELL: Duration = Duration::from_millis(250);

/// A process that was started for one task.
#[derive(Debug)]
pub struct SuspectChild {
    start: Start,
    cancel: CancellationToken,
    soft_timeout: CancellationToken,
    to: File,
}

impl SuspectChild {
    /// Looks whether this process was started for one task; first thing, before anything reads standard input or writes to
    /// standard output. If so, both are the worker's from here on: what the program writes to its standard output goes to
    /// standard error, the end of which is kept should the process die.
    pub fn enter() -> Option<io::Result<Self>> {
        let worker = std::env::var(SuspectProgram::VARIABLE).ok()?;
        // What a suspect starts itself inherits the variable, and is meant by nobody.
        (worker == std::os::unix::process::parent_id().to_string()).then(Self::take_over)
    }

    fn take_over() -> io::Result<Self> {
        let keep = |fd| rustix::io::fcntl_dupfd_cloexec(fd, 3).map(File::from);
        let (mut from, mut to) = (keep(rustix::stdio::stdin())?, keep(rustix::stdio::stdout())?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        to.write_all(BEGIN)?;
        let Told::Run(start) = wire::receive_now(&mut from)? else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it was told to stop before it was told what to run",
            ));
        };
        let cancel = CancellationToken::new();
        let soft_timeout = cancel.child_token();
        let told = (cancel.clone(), soft_timeout.clone());
        std::thread::Builder::new()
            .name("upbeat-worker-watch".into())
            .spawn(move || watch(from, &told.0, &told.1))?;
        Ok(Self { start: *start, cancel, soft_timeout, to })
    }

    /// Runs the task as a worker with these tasks and layers would, tells the worker its outcome, and ends the process.
    pub async fn run(
        mut self,
        tasks: &[TaskDefinition],
        layers: &RunLayers,
        client: &Client,
        clock: Arc<StoreClock>,
    ) -> std::convert::Infallible {
        let name = &self.start.message.name;
        let Some(task) = tasks.iter().find(|task| task.name == *name) else {
            let message = format!("this program, started for this one task, has no handler for {name}");
            self.end(TaskError::Retry(message))
        };
        let context = self.context(client, clock);
        let latest = context.reporter.latest.clone();
        let span = tracing::info_span!("run", id = %context.id(), task = %name, attempt = context.attempt);
        let run = layers.around(task.executor.clone()).run(context).instrument(span);
        let mut run = pin!(AssertUnwindSafe(run).catch_unwind());
        let mut told = None;
        let ended = loop {
            tokio::select! {
                ended = &mut run => break ended,
                () = tokio::time::sleep(TELL) => {}
            }
            if let Some((changed, progress)) = latest.get()
                && told.replace(changed) != Some(changed)
            {
                self.say(&Says::Progress(progress));
            }
        };
        failpoint!("suspect.ran");
        self.conclude(match ended {
            Ok(Ok(Some(result))) if result.bytes.len() > LONGEST / 2 => {
                tracing::warn!(bytes = result.bytes.len(), "the result is too large; it is not kept");
                End::Done(None)
            }
            Ok(Ok(result)) => End::Done(result),
            Ok(Err(error)) => End::Failed(error),
            Err(panic) => End::Panicked(panic_message(&*panic).to_owned()),
        })
    }

    /// Tells the worker that the task could not be run, and ends the process.
    pub fn end(mut self, error: TaskError) -> ! {
        self.conclude(End::Failed(error))
    }

    fn conclude(&mut self, end: End) -> ! {
        self.say(&Says::Ended(end));
        std::process::exit(0)
    }

    fn say(&mut self, what: &Says) {
        // An error means that nobody listens: the other end of the pipe is watched.
        let _ = wire::send_now(&mut self.to, what);
    }

    fn context(&self, client: &Client, clock: Arc<StoreClock>) -> RunContext {
        let Start { message, attempt, crashes, owner, fence, token, deadline } = &self.start;
        RunContext {
            attempt: *attempt,
            crashes: *crashes,
            fence: Fence(*fence),
            token: *token,
            owner: *owner,
            committed: Arc::default(),
            deadline: upbeat_shared::clock::of_micros(*deadline),
            cancel: self.cancel.clone(),
            soft_timeout: self.soft_timeout.clone(),
            client: Some(client.continuing(message.trace.clone())),
            clock,
            seat: None,
            reporter: Reporter::default(),
            message: Arc::new(message.clone()),
        }
    }
}

/// Does what the worker says. When it says nothing any more, it is gone: somebody else may run the task by now.
fn watch(mut from: File, cancel: &CancellationToken, soft_timeout: &CancellationToken) {
    while let Ok(told) = wire::receive_now(&mut from) {
        match told {
            Told::WindUp => soft_timeout.cancel(),
            Told::Stop | Told::Run(_) => cancel.cancel(),
        }
    }
    // With all that it has started: the worker made it the leader of a group.
    let _ = kill_current_process_group(Signal::KILL);
    std::process::exit(1)
}
