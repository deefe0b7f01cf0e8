//! How a program ends.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;

use crate::executor::RunContext;
use crate::process::group::Group;

/// The end of a program.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) status: ExitStatus,
    /// Its soft timeout came first.
    pub(super) was_asked: bool,
}

/// Waits for the program's end; asks for it at the soft timeout or when the run is told to stop, then forces it.
pub(super) async fn wait(
    child: &mut Child,
    group: &Group,
    run: &RunContext,
    kill_grace: Duration,
) -> io::Result<End> {
    let at_once = |status| End { status, was_asked: false };
    tokio::select! {
        // A run that is told to stop is past its soft timeout, too.
        biased;
        status = child.wait() => return status.map(at_once),
        () = run.cancel.cancelled() => return stop(child, group, kill_grace).await.map(at_once),
        () = run.soft_timeout.cancelled() => {}
    }
    group.ask(child);
    tokio::select! {
        biased;
        status = child.wait() => return status.map(|status| End { status, was_asked: true }),
        () = run.cancel.cancelled() => {}
    }
    // It has had its time to end.
    group.kill(child);
    child.wait().await.map(|status| End { status, was_asked: true })
}

async fn stop(child: &mut Child, group: &Group, kill_grace: Duration) -> io::Result<ExitStatus> {
    group.ask(child);
    if let Ok(status) = tokio::time::timeout(kill_grace, child.wait()).await {
        return status;
    }
    group.kill(child);
    child.wait().await
}
