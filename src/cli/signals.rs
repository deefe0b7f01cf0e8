//! Signals of this process. The first asks it to finish what it does, the second ends it.

use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::output::Output;
pub(crate) use system::Signals;

/// What a shell reports for a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

impl Signals {
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
}

fn deaf(error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot listen for signals: {error}"))
}

#[cfg(unix)]
mod system {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::{Failure, INTERRUPTED, deaf};

    /// What a shell reports for a process that SIGTERM ended.
    const TERMINATED: i32 = 143;

    /// SIGINT and SIGTERM, in this process's hands from now on.
    pub(crate) struct Signals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Signals {
        /// Takes them over. Needs a runtime.
        pub(crate) fn take() -> Result<Self, Failure> {
            let take = |kind| signal(kind).map_err(|error| deaf(&error));
            Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
        }

        /// Waits for a signal; answers the exit code that goes with it.
        pub(super) async fn next(&mut self) -> i32 {
            // Both arms only wait: a signal that arrives meanwhile is kept for the next call.
            tokio::select! {
                _ = self.interrupt.recv() => INTERRUPTED,
                _ = self.terminate.recv() => TERMINATED,
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, CtrlShutdown};
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    use super::{Failure, INTERRUPTED, deaf};

    /// What the console tells of, in this process's hands from now on.
    pub(crate) struct Signals {
        interrupt: CtrlC,
        end: CtrlBreak,
        close: CtrlClose,
        shutdown: CtrlShutdown,
    }

    impl Signals {
        /// Takes them over. Needs a runtime.
        pub(crate) fn take() -> Result<Self, Failure> {
            let told = || {
                Ok(Self {
                    interrupt: ctrl_c()?,
                    end: ctrl_break()?,
                    close: ctrl_close()?,
                    shutdown: ctrl_shutdown()?,
                })
            };
            told().map_err(|error| deaf(&error))
        }

        /// Waits for one of them; answers the exit code that goes with it.
        pub(super) async fn next(&mut self) -> i32 {
            // Every arm only waits: what arrives meanwhile is kept for the next call.
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.end.recv() => {}
                _ = self.close.recv() => {}
                _ = self.shutdown.recv() => {}
            }
            INTERRUPTED
        }
    }
}
