//! The worker's side: starts the process, tells it what to run, and learns how that ended.

use std::io;
use std::panic::resume_unwind;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use upbeat_shared::failpoint;
use upbeat_shared::progress::Progress;

use super::program::SuspectProgram;
use super::wire::{self, BEGIN, End, Says, Start, Told};
use crate::executor::{Executor, RunContext, RunResult, TaskError};
use crate::process;
use crate::process::group::Group;
use crate::process::output::Captured;

/// How much of the process's last output is kept.
const LAST_OUTPUT: usize = 4096;
/// How long a process may take to be gone after it has told its outcome, or has closed its pipe.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// How much later a suspect runs that no process could be started for.
const NOT_STARTED: Duration = Duration::from_secs(10);
/// How long to read on after the process ended: what it has started may hold its pipes open.
const DRAIN: Duration = Duration::from_millis(500);

/// Runs a task alone, in a process of its own.
pub(crate) struct Alone {
    pub(crate) program: SuspectProgram,
}

#[async_trait]
impl Executor for Alone {
    async fn run(&self, run: &RunContext) -> RunResult {
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, "no process can be started for a suspect; it runs later");
                return Err(TaskError::Snooze { delay: NOT_STARTED });
            }
        };
        // From here on the group dies with this future, at whichever await it is dropped.
        let group = Group::led_by(&child);
        tracing::info!(process = child.id(), "the task is a suspect and runs alone");
        let mut output = Output::new();
        let told = converse(&mut child, run, &mut output).await;
        let status = tokio::time::timeout(LAST_WAIT, child.wait()).await;
        drop(group);
        match told {
            Some(End::Done(result)) => Ok(result),
            Some(End::Failed(error)) => Err(error),
            // As if it had panicked here: the hook has told of it there.
            Some(End::Panicked(message)) => resume_unwind(Box::new(message)),
            None => Err(TaskError::Crashed(died(status.ok().and_then(Result::ok), &output))),
        }
    }

    fn describe(&self) -> String {
        "native, alone".to_owned()
    }
}

impl Alone {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program.program);
        command.args(&self.program.args).env(SuspectProgram::VARIABLE, std::process::id().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        Group::lead(&mut command);
        command
    }
}

/// Tells the process what to run and, when it must, to stop; answers its outcome, or `None` if it ended without one.
async fn converse(child: &mut Child, run: &RunContext, output: &mut Output) -> Option<End> {
    let stdin = child.stdin.take().expect("its standard input is piped");
    let stdout = child.stdout.take().expect("its standard output is piped");
    let mut stderr = child.stderr.take().expect("its standard error is piped");
    let Output { start, rest } = output;
    let (mut heard, mut told) = (pin!(hear(stdout, run, start)), pin!(tell(stdin, run)));
    let mut read = pin!(rest.read(&mut stderr));
    let mut is_read = false;
    let end = loop {
        tokio::select! {
            end = &mut heard => break end,
            // Whoever holds the pipe open that it has left behind says no more.
            _ = child.wait() => break tokio::time::timeout(DRAIN, heard).await.ok().flatten(),
            () = &mut told => {}
            () = &mut read, if !is_read => is_read = true,
        }
    };
    if !is_read {
        // As above: what it has started is about to be killed.
        let _ = tokio::time::timeout(DRAIN, read).await;
    }
    end
}

/// Never ends: the process ends itself when this closes its pipe.
async fn tell(mut stdin: ChildStdin, run: &RunContext) {
    let start = Start {
        message: (*run.message).clone(),
        attempt: run.attempt,
        crashes: run.crashes,
        owner: run.owner,
        fence: run.fence.0,
        token: run.token,
        deadline: run.deadline.as_microsecond(),
    };
    let told = async {
        wire::send(&mut stdin, &Told::Run(Box::new(start))).await?;
        failpoint!("worker.suspect.told");
        run.soft_timeout.cancelled().await;
        if !run.cancel.is_cancelled() {
            wire::send(&mut stdin, &Told::WindUp).await?;
        }
        run.cancel.cancelled().await;
        wire::send(&mut stdin, &Told::Stop).await
    };
    if let Err(error) = told.await {
        tracing::debug!(%error, "the process of a suspect does not listen");
    }
    std::future::pending::<()>().await;
}

async fn hear(stdout: ChildStdout, run: &RunContext, start: &mut Vec<u8>) -> Option<End> {
    let mut from = BufReader::new(stdout);
    let heard = async {
        until_begin(&mut from, start).await?;
        loop {
            match wire::receive(&mut from).await? {
                Says::Progress(Progress { done, total, note }) => run.progress(done, total, note),
                Says::Ended(end) => return Ok::<_, io::Error>(end),
            }
        }
    };
    heard.await.inspect_err(|error| tracing::debug!(%error, "the process of a suspect says no more")).ok()
}

/// Reads what a program writes before it looks what it was started for.
async fn until_begin(from: &mut (impl AsyncRead + Unpin), start: &mut Vec<u8>) -> io::Result<()> {
    while !start.ends_with(BEGIN) {
        start.push(from.read_u8().await?);
        if start.len() > 2 * LAST_OUTPUT {
            start.drain(..LAST_OUTPUT);
        }
    }
    start.truncate(start.len() - BEGIN.len());
    Ok(())
}

/// What a process has written last.
struct Output {
    /// Before it looked what it was started for.
    start: Vec<u8>,
    rest: Captured,
}

impl Output {
    fn new() -> Self {
        Self { start: Vec::new(), rest: Captured::end(LAST_OUTPUT) }
    }

    fn text(&self) -> String {
        let start = String::from_utf8_lossy(&self.start);
        let text = format!("{}\n{}", start.trim(), self.rest.text());
        let text = text.trim();
        text[text.ceil_char_boundary(text.len().saturating_sub(LAST_OUTPUT))..].to_owned()
    }
}

/// For the record.
fn died(status: Option<ExitStatus>, output: &Output) -> String {
    let process = "the process in which the task ran alone";
    let how = status.map_or_else(|| format!("{process} was lost"), |status| process::ended(process, status));
    let output = output.text();
    if output.is_empty() {
        format!("{how}; it had written nothing")
    } else {
        format!("{how}; its last output: {output}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_program_writes_before_it_looks_is_output() {
        let text = [b"starting \0up\n".as_slice(), BEGIN, b"x"].concat();
        let (mut from, mut start) = (text.as_slice(), Vec::new());
        until_begin(&mut from, &mut start).await.unwrap();
        assert_eq!((start.as_slice(), from), (b"starting \0up\n".as_slice(), b"x".as_slice()));
    }

    #[tokio::test]
    async fn no_more_of_it_is_kept_than_can_be_shown() {
        let text = [b"x".repeat(100_000).as_slice(), BEGIN].concat();
        let mut start = Vec::new();
        until_begin(&mut text.as_slice(), &mut start).await.unwrap();
        let output = Output { start, rest: Captured::end(LAST_OUTPUT) };
        assert_eq!(output.text().len(), LAST_OUTPUT);
    }
}
