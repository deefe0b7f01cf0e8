//! Suspects: tasks that were running when a worker was lost, twice. The next time each runs alone, in a process of its own:
//! this program, started once more for that one task.
//!
//! A program that calls [`App::main`](crate::App::main) need not do anything. One that runs roles inside itself says, first
//! thing in its `main`, that it may be started so:
//!
//! ```no_run
//! # use upbeat::prelude::*;
//! # #[derive(serde::Serialize, serde::Deserialize, Task)] #[task(name = "hello")] struct Hello;
//! # async fn hello(_: Hello) -> Result<(), Error> { Ok(()) }
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let roles = upbeat::suspect::main(App::new().task(hello).up());
//!     let upbeat = roles.start().await?; // and what else there is to do
//!     # upbeat.stop().await?;
//!     Ok(())
//! }
//! ```
//!
//! Without that, and where there are no Unix processes, a suspect runs among the others, and the log says so once.

use crate::roles::Roles;
#[cfg(unix)]
pub(crate) use child::run;

/// Runs suspects of these roles in processes of their own. In such a process it does not return: it runs the one task that the
/// process was started for, and ends it. So what comes before it is done there, too: call it before anything else, and before
/// anything writes to standard output.
pub fn main(roles: Roles) -> Roles {
    #[cfg(unix)]
    if let Some(child) = upbeat_worker::suspect::SuspectChild::enter() {
        let (program, config, clock) = roles.into_parts();
        run(child, &program, config.map_err(|errors| errors.to_string()), clock);
    }
    roles.alone()
}

#[cfg(unix)]
mod child {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use upbeat_shared::clock::Clock;
    use upbeat_shared::config::Config;
    use upbeat_worker::TaskError;
    use upbeat_worker::suspect::SuspectChild;

    use crate::app::Program;
    use crate::stack::Stack;

    /// How much later a task runs for which broker or ledger could not be opened.
    const LATER: Duration = Duration::from_secs(10);

    /// Runs the one task that this process was started for, and ends the process.
    pub(crate) fn run(
        child: io::Result<SuspectChild>,
        program: &Program,
        config: Result<Config, String>,
        clock: Arc<dyn Clock>,
    ) -> ! {
        let child = child.unwrap_or_else(|error| {
            // The worker reads it as the last output of a process that died.
            tracing::error!(%error, "this process was started for one task, and cannot learn which");
            std::process::exit(1)
        });
        let config = match config {
            Ok(config) => config,
            Err(errors) => child.end(TaskError::Retry(format!("its process has no configuration: {errors}"))),
        };
        // On a thread of its own: whoever called may be in a runtime already.
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || match runtime() {
                Ok(runtime) => runtime.block_on(open_and_run(child, program, &config, clock)),
                Err(error) => {
                    child.end(TaskError::Retry(format!("its process cannot start threads: {error}")))
                }
            });
            // It ends the process, unless it panics.
            drop(thread.join());
        });
        std::process::exit(101)
    }

    fn runtime() -> io::Result<tokio::runtime::Runtime> {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    }

    async fn open_and_run(child: SuspectChild, program: &Program, config: &Config, clock: Arc<dyn Clock>) {
        let stack = match Stack::open(config, clock, "upbeat suspect").await {
            Ok(stack) => stack.with_layers(&program.publish_layers),
            Err(error) if error.is_temporary(config) => {
                tracing::warn!(%error, "the process of a suspect cannot open what it needs; the task runs later");
                child.end(TaskError::Snooze { delay: LATER })
            }
            Err(error) => {
                child.end(TaskError::Retry(format!("its process cannot open what it needs: {error}")))
            }
        };
        child.run(&program.tasks, &program.run_layers, &stack.client, stack.clock.clone()).await;
    }
}
