//! The command line: one file a subcommand. Branches here, works there.

mod acts;
mod archive;
mod args;
mod beat;
mod bench;
mod bulk;
mod completions;
mod config;
mod context;
mod crontab;
mod data_dir;
mod dead;
mod doctor;
mod examination;
mod explain;
mod export;
mod failure;
mod healthcheck;
mod import;
mod init;
mod launch;
mod limit_view;
mod live;
mod member_view;
mod migrate;
mod moment;
mod nearest;
mod output;
mod pages;
mod payload;
mod process;
mod progress;
mod publish;
mod queue_view;
mod queues;
mod quickstart;
mod rate;
mod rates;
mod reference;
mod run_view;
mod running;
mod schedule_explain;
mod schedule_forecast;
mod schedule_view;
mod schedules;
mod signals;
mod states;
mod table;
mod task_edit;
mod task_id;
mod task_view;
mod tasks;
mod up;
mod wait;
mod which;
mod words;
mod worker;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use upbeat_shared::clock::{Clock, SystemClock};

use crate::app::Program;
use args::{Cli, Command};
use context::Context;
use failure::{Exit, Failure};
use output::Output;

/// How long threads may take to end after everything else has.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Understands the arguments, runs what they ask for, reports how it ended.
pub(crate) fn run(program: Program, args: &[OsString]) -> ExitCode {
    let cli = match parse(&program, args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, args),
    };
    let output = Output::new(cli.global.json, cli.global.quiet > 0);
    let context = Context::new(program, cli.global, output.clone());
    let ended = runtime().and_then(|runtime| {
        let ended = runtime.block_on(dispatch(&context, cli.command));
        // A handler that never comes back must not keep the process: its task runs again elsewhere.
        runtime.shutdown_timeout(LAST_WAIT);
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Runs the one task that this process was started for, under the configuration of the worker that started it.
#[cfg(unix)]
pub(crate) fn run_suspect(
    program: &Program,
    args: &[OsString],
    suspect: std::io::Result<upbeat_worker::suspect::SuspectChild>,
) -> ! {
    let (config, clock) = match parse(program, args) {
        Ok(cli) => {
            let context = Context::new(program.clone(), cli.global, Output::new(false, false));
            let settings = context.settings().map_err(|failure| failure.to_string());
            if let Ok(settings) = &settings {
                crate::logging::for_a_role(context.global.verbosity(), &settings.loaded, &context.clock);
            }
            (settings.map(|settings| settings.loaded.config), context.clock)
        }
        Err(error) => {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
            (Err(error.to_string()), clock)
        }
    };
    crate::suspect::run(suspect, program, config, clock)
}

async fn dispatch(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(command) => command.run(context).await,
        Command::Beat(command) => command.run(context).await,
        Command::Worker(command) => command.run(context).await,
        Command::Publish(command) => command.run(context).await,
        Command::Tasks(command) => command.run(context).await,
        Command::Dead(command) => command.run(context).await,
        Command::Schedules(command) => command.run(context).await,
        Command::Queues(command) => command.run(context).await,
        Command::Workers(command) => command.run(context).await,
        Command::Export(command) => command.run(context).await,
        Command::Import(command) => command.run(context).await,
        Command::Config(command) => command.run(context),
        Command::Migrate(command) => command.run(context).await,
        Command::Bench(command) => command.run(context).await,
        Command::Doctor(command) => command.run(context).await,
        Command::Healthcheck(command) => command.run(context).await,
        Command::Init(command) => command.run(context),
        Command::Explain(command) => command.run(context),
        Command::Completions(command) => command.run(context),
    }
}

/// The command under the name that the user's binary has.
fn command(program: &Program) -> clap::Command {
    let mut command = Cli::command();
    if let Some(name) = &program.name {
        command = command.name(name.clone()).bin_name(name.clone());
    }
    command
}

fn parse(program: &Program, args: &[OsString]) -> Result<Cli, clap::Error> {
    let mut matches = command(program).try_get_matches_from(args)?;
    Cli::from_arg_matches_mut(&mut matches)
}

/// What clap has to say: help and version are answers, everything else is a mistake.
fn refuse(error: &clap::Error, args: &[OsString]) -> ExitCode {
    let json = args.iter().any(|arg| arg == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let mut lines = text.trim().lines();
        let first = lines.next().unwrap_or_default();
        let rest: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
        let failure = Failure::usage(first.trim_start_matches("error: ")).advice(rest.join("; "));
        Output::new(true, false).failure(&failure);
        return Exit::Usage.into();
    }
    // Nothing is left to do if the terminal is gone.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime's threads: {error}")))
}
