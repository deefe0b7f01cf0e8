//! `upbeat beat`: time becomes tasks.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::launch::{self, ListenArgs, Roles, WorkerArgs};
use super::up;

/// Run a beat: turns time into tasks
///
/// Plans the occurrences of schedules, hands over what is due, and gives the tasks of lost workers to others. Any number of
/// beats may run: they share the work. Without one, nothing scheduled, delayed or to be retried runs.
///
/// When it starts, the configuration's schedules are put in force.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  upbeat beat\n  upbeat beat --config /etc/upbeat.toml --listen 0.0.0.0:9464"
)]
pub(crate) struct BeatCommand {
    #[command(flatten)]
    listen: ListenArgs,
}

impl BeatCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let flags = launch::overrides(context, self.listen, WorkerArgs::default());
        launch::run(context, Roles::Beat, &flags, |running| {
            if context.output.is_json() { context.output.object(&up::ready(running)) } else { Ok(()) }
        })
        .await
    }
}
