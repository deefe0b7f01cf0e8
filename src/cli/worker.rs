//! `upbeat worker`: tasks become finished work.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::launch::{self, ListenArgs, Roles, WorkerArgs};
use super::up;

/// Run a worker: takes tasks from queues and runs them
///
/// Knows the tasks of the configuration, and those written in Rust if the program has any. Any number of workers may run.
/// A task whose name this worker does not know is put back for another one.
///
/// Ctrl-C or SIGTERM: it takes no more tasks, finishes what runs within the grace period and gives the rest back. The second
/// one leaves at once, and what ran is run again by another worker.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  upbeat worker\n  upbeat worker --queues critical=6,default=3,low --concurrency 50\n  \
                        upbeat worker --listen 0.0.0.0:9464 --grace 2m"
)]
pub(crate) struct WorkerCommand {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    worker: WorkerArgs,
}

impl WorkerCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let flags = launch::overrides(context, self.listen, self.worker);
        launch::run(context, Roles::Worker, &flags, |running| {
            if context.output.is_json() { context.output.object(&up::ready(running)) } else { Ok(()) }
        })
        .await
    }
}
