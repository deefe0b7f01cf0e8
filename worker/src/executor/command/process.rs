//! The process group of a program, and how it ends.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use crate::executor::RunContext;

/// A process group; killed when dropped, whoever is left in it.
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group that a child leads. It was started with `process_group(0)`, so its number is the child's.
    pub(super) fn led_by(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // An error means that nobody is left in it.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Waits for the program's end; asks for it, then forces it, when the run is told to stop.
pub(super) async fn wait(
    child: &mut Child,
    group: &Group,
    run: &RunContext,
    kill_grace: Duration,
) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = run.cancel.cancelled() => group.signal(Signal::TERM),
    }
    if let Ok(status) = tokio::time::timeout(kill_grace, child.wait()).await {
        return status;
    }
    group.signal(Signal::KILL);
    child.wait().await
}
