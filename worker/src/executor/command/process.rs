//! How a program ends.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;

use crate::executor::RunContext;
use crate::process::group::Group;

/// Waits for the program's end; asks for it, then forces it, when the run is told to stop.
pub(super) async fn wait(
    child: &mut Child,
    group: &Group,
    run: &RunContext,
    kill_grace: Duration,
) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = run.cancel.cancelled() => {}
    }
    group.ask(child);
    if let Ok(status) = tokio::time::timeout(kill_grace, child.wait()).await {
        return status;
    }
    group.kill(child);
    child.wait().await
}
