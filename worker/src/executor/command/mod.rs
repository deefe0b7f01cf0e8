//! Tasks that are programs of the operator. Never a shell: a program and its arguments, as the configuration lists them.
//!
//! What the program sees:
//!
//! | where | what |
//! |---|---|
//! | standard input | the task's arguments as JSON, then the end |
//! | `UPBEAT_TASK_ID`, `UPBEAT_TASK_NAME`, `UPBEAT_QUEUE` | which task |
//! | `UPBEAT_ATTEMPT` | from 1; grows with failures |
//! | `UPBEAT_FENCE` | grows with every run of this task |
//! | `UPBEAT_TOKEN` | the claim's own number: with id and fence, the program may settle its run in a transaction of its own |
//! | `UPBEAT_SCHEDULE_ID`, `UPBEAT_PLANNED_AT` | which instant of which schedule, if one made it (RFC 3339, UTC) |
//! | `TRACEPARENT`, `TRACESTATE` | the publisher's trace, if it has one |
//! | other variables | `PATH`, `HOME`, `USER`, `LANG`, `LC_ALL`, `TZ`, `TMPDIR` as the worker has them, and those configured |
//!
//! What its end means: 0 is success, with standard output as the result (JSON if it is JSON, else text); 65
//! (`EX_DATAERR` of `sysexits.h`) is a failure that no retry mends; 75 (`EX_TEMPFAIL`), every other code and every
//! signal is a failure to be retried. `on` of the task may say otherwise, by `exit:75` or `signal:9`. Only so much output is
//! kept; the rest is read and dropped.
//!
//! At the soft timeout the whole group is asked to end (`SIGTERM`). Should it have failed then, it was out of time; should it
//! still be there at the timeout, it is killed.
//!
//! The program leads a process group of its own. When it ends, and when it must, the whole group ends with it: first
//! asked (`SIGTERM`), then killed. A program that leaves its group (`setsid`) leaves this care too. Where there are no
//! process groups (Windows), the program alone is killed, unasked.

mod process;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::reaction;
use upbeat_shared::task::rfc3339_micros;

use super::{Executor, RunContext, TaskError};
use crate::process::group::Group;
use crate::process::output::Captured;
use process::End;

/// `EX_DATAERR`: the input was wrong in some way.
const EX_DATAERR: i32 = 65;
/// What the program gets of the worker's own environment, which holds secrets.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];
/// How much of the end of standard error goes into the error.
const STDERR_TAIL: usize = 4096;
/// How long to read on after the program ended: what it started may hold its output open.
const DRAIN: Duration = Duration::from_millis(500);

/// Runs a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTask {
    /// The program: a path, or a name to be found in `PATH`.
    pub program: PathBuf,
    /// Its arguments, given as they are.
    pub args: Vec<String>,
    /// Variables beside those that every program gets.
    pub env: BTreeMap<String, String>,
    /// Where it runs; where the worker runs unless told.
    pub cwd: Option<PathBuf>,
    /// Bytes of standard output that are kept.
    pub output_limit: usize,
    /// How long it may take to end after it was asked to, unless that was at its soft timeout.
    pub kill_grace: Duration,
}

impl CommandTask {
    /// A program without arguments: 64 KiB of output, 5 s to end.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            output_limit: 64 * 1024,
            kill_grace: Duration::from_secs(5),
        }
    }

    fn command(&self, run: &RunContext) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear();
        for name in INHERITED {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(&self.env).envs(variables(run));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        Group::lead(&mut command);
        command
    }

    fn not_started(&self, error: &std::io::Error) -> TaskError {
        let program = self.program.display();
        let missing_cwd = self.cwd.as_ref().filter(|cwd| !cwd.is_dir());
        TaskError::retry(match (error.kind(), missing_cwd) {
            (_, Some(cwd)) => format!("cannot start {program}: there is no directory {}", cwd.display()),
            (ErrorKind::NotFound, None) => {
                format!(
                    "cannot start {program}: there is no such program on this worker (or its interpreter is missing)"
                )
            }
            (ErrorKind::PermissionDenied, None) => {
                format!("cannot start {program}: this worker may not execute it")
            }
            _ => format!("cannot start {program}: {error}"),
        })
        .code("not_started")
    }
}

#[async_trait]
impl Executor for CommandTask {
    async fn run(&self, run: &RunContext) -> Result<Option<Payload>, TaskError> {
        let input = super::output::as_json(&run.message.args)?;
        let mut child = self.command(run).spawn().map_err(|error| self.not_started(&error))?;
        // From here on the group dies with this future, at whichever await it is dropped.
        let group = Group::led_by(&child);
        let mut stdout = Captured::start(self.output_limit);
        let mut stderr = Captured::end(STDERR_TAIL);
        let io = converse(&mut child, &input, &mut stdout, &mut stderr);
        let ended = attend(process::wait(&mut child, &group, run, self.kill_grace), io).await;
        drop(group);
        let End { status, was_asked } =
            ended.map_err(|error| TaskError::Retry(format!("lost the program: {error}")))?;
        let result = conclude(status, stdout, &stderr);
        if was_asked { result.map_err(|error| out_of_time(&error)) } else { result }
    }

    fn runs_apart(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        // Not the variables: they may be secrets.
        format!("command {} {}", self.program.display(), self.args.join(" ")).trim_end().to_owned()
    }
}

fn variables(run: &RunContext) -> Vec<(&'static str, String)> {
    let message: &Message = &run.message;
    let mut variables = vec![
        ("UPBEAT_TASK_ID", message.id.to_string()),
        ("UPBEAT_TASK_NAME", message.name.to_string()),
        ("UPBEAT_QUEUE", message.queue.to_string()),
        ("UPBEAT_ATTEMPT", run.attempt.to_string()),
        ("UPBEAT_FENCE", run.fence.0.to_string()),
        ("UPBEAT_TOKEN", run.token.0.to_string()),
    ];
    if let Some(planned) = &message.occurrence {
        variables.push(("UPBEAT_SCHEDULE_ID", planned.schedule_id.to_string()));
        variables.push(("UPBEAT_PLANNED_AT", rfc3339_micros(planned.planned_at)));
    }
    if let Some(trace) = &message.trace {
        variables.push(("TRACEPARENT", trace.traceparent.clone()));
        variables.extend(trace.tracestate.clone().map(|state| ("TRACESTATE", state)));
    }
    // A NUL can be in no variable, and would keep the program from being started at all.
    variables.retain(|(_, value)| !value.contains('\0'));
    variables
}

/// Writes the input and reads the output, all at once: a program that does not read its input, or writes a lot before
/// it does, must not block.
fn converse<'a>(
    child: &mut Child,
    input: &'a [u8],
    stdout: &'a mut Captured,
    stderr: &'a mut Captured,
) -> impl Future<Output = ()> + 'a {
    let stdin = child.stdin.take().expect("its standard input is piped");
    let mut out = child.stdout.take().expect("its standard output is piped");
    let mut err = child.stderr.take().expect("its standard error is piped");
    async move {
        tokio::join!(feed(stdin, input), stdout.read(&mut out), stderr.read(&mut err));
    }
}

/// Waits for the program's end, not for that of its output: whoever else holds it open is about to be killed.
async fn attend<T>(end: impl Future<Output = T>, io: impl Future<Output = ()>) -> T {
    let (mut end, mut io) = (pin!(end), pin!(io));
    let mut read = false;
    let ended = loop {
        tokio::select! {
            ended = &mut end => break ended,
            () = &mut io, if !read => read = true,
        }
    };
    if !read && tokio::time::timeout(DRAIN, io).await.is_err() {
        tracing::debug!("the program has ended, but something that it started holds its output open");
    }
    ended
}

/// Writes the input and closes it. A program need not read it.
async fn feed(mut stdin: ChildStdin, input: &[u8]) {
    if let Err(error) = stdin.write_all(input).await {
        tracing::debug!(%error, "the program did not read all of its input");
    }
}

/// What a program's failure means that was asked to end at its soft timeout.
fn out_of_time(error: &TaskError) -> TaskError {
    TaskError::retry(format!("it was asked to end at its soft timeout: {error}")).code(reaction::TIMEOUT)
}

/// What the program's end means.
fn conclude(status: ExitStatus, stdout: Captured, stderr: &Captured) -> Result<Option<Payload>, TaskError> {
    if status.success() {
        return Ok(super::output::result(stdout.bytes, stdout.cut));
    }
    let text = stderr.text();
    let message = if text.is_empty() { ended(status) } else { format!("{}: {text}", ended(status)) };
    Err(match (status.code(), crate::process::signal_of(status)) {
        (Some(EX_DATAERR), _) => TaskError::GiveUp(message).code(format!("exit:{EX_DATAERR}")),
        (Some(code), _) => TaskError::Retry(message).code(format!("exit:{code}")),
        (None, Some(signal)) => TaskError::Retry(message).code(format!("signal:{signal}")),
        (None, None) => TaskError::Retry(message),
    })
}

fn ended(status: ExitStatus) -> String {
    crate::process::ended("the program", status)
}

#[cfg(test)]
mod tests;
