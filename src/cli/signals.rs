//! Signals of this process. The first asks it to finish what it does, the second ends it.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::output::Output;

/// What a shell reports for a process that SIGINT, or SIGTERM, ended.
const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// SIGINT and SIGTERM, in this process's hands from now on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes them over. Needs a runtime.
    pub(crate) fn take() -> Result<Self, Failure> {
        let take = |kind| {
            signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))
        };
        Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    /// Cancels `stop` at the first signal, ends the process at the second.
    pub(crate) async fn watch(mut self, stop: CancellationToken, output: Output) {
        self.next().await;
        if output.is_interactive() {
            output.note("\nfinishing what runs, then leaving; Ctrl-C again leaves at once");
        } else {
            tracing::info!(
                "asked to stop: finishing what runs, then leaving; a second signal leaves at once"
            );
        }
        stop.cancel();
        let code = self.next().await;
        tracing::warn!("asked again: leaving at once; what ran is run again by another worker");
        std::process::exit(code);
    }

    /// Waits for a signal; answers the exit code that goes with it.
    async fn next(&mut self) -> i32 {
        // Both arms only wait: a signal that arrives meanwhile is kept for the next call.
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
        }
    }
}
