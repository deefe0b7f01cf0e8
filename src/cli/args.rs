//! The command line's grammar: what every command shares, and which commands there are.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use upbeat_shared::config::Overrides;

use super::{
    beat::BeatCommand, completions::CompletionsCommand, config::ConfigCommand, dead::DeadCommand,
    doctor::DoctorCommand, healthcheck::HealthcheckCommand, init::InitCommand, migrate::MigrateCommand,
    publish::PublishCommand, queues::QueuesCommand, schedules::SchedulesCommand, tasks::TasksCommand,
    up::UpCommand, worker::WorkerCommand, workers::WorkersCommand,
};
use crate::logging::Verbosity;

const AFTER_HELP: &str = "\
Start here:
  upbeat up                        everything in one process, nothing to install
  upbeat publish hello             in another terminal, same directory: run a task
  upbeat tasks list                what ran, what runs, what is due
  upbeat init                      write a commented upbeat.toml of your own

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 cannot reach broker or ledger.
`upbeat help COMMAND` shows examples.";

/// A task broker and worker pool: schedules and tasks that can prove they ran once.
#[derive(Debug, Parser)]
#[command(name = "upbeat", version, about, after_help = AFTER_HELP, subcommand_required = true,
          arg_required_else_help = true, max_term_width = 100, disable_help_subcommand = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command. Flag, environment, file, default: the first that says something wins.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// The configuration file; `upbeat.toml` in the working directory if there is one [env: UPBEAT_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the embedded broker and ledger keep their file [env: UPBEAT_DATA]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The broker: `embedded` or amqp://… [env: UPBEAT_BROKER]
    #[arg(long, global = true, hide_short_help = true, value_name = "URL")]
    pub(crate) broker: Option<String>,
    /// The ledger: `embedded`, postgres://… or redis://… [env: UPBEAT_LEDGER]
    #[arg(long, global = true, hide_short_help = true, value_name = "URL")]
    pub(crate) ledger: Option<String>,
    /// One tenant's world; worlds do not see each other [env: UPBEAT_NAMESPACE]
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Print one JSON object a line, also for errors (on stderr)
    #[arg(long, global = true, env = "UPBEAT_JSON", hide_env_values = true)]
    pub(crate) json: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Say and log only what went wrong
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) quiet: u8,
    /// What is logged: a level, or a list of target=level [env: UPBEAT_LOG, RUST_LOG]
    #[arg(long, global = true, hide_short_help = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// How log lines look: `auto` is human on a terminal and JSON elsewhere [env: UPBEAT_LOG_FORMAT]
    #[arg(long, global = true, hide_short_help = true, value_name = "FORMAT", value_parser = ["auto", "human", "json"], hide_possible_values = false)]
    pub(crate) log_format: Option<String>,
}

impl GlobalArgs {
    /// What they say about logging.
    pub(crate) fn verbosity(&self) -> Verbosity {
        Verbosity { verbose: self.verbose, quiet: self.quiet }
    }

    /// As the configuration takes them.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            data: self.data.clone(),
            broker: self.broker.clone(),
            ledger: self.ledger.clone(),
            namespace: self.namespace.clone(),
            log: self.log.clone(),
            log_format: self.log_format.clone(),
            ..Overrides::default()
        }
    }
}

/// What to do. Each command is described where it is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(UpCommand),
    Beat(BeatCommand),
    Worker(WorkerCommand),
    Publish(PublishCommand),
    Tasks(TasksCommand),
    Dead(DeadCommand),
    Schedules(SchedulesCommand),
    Queues(QueuesCommand),
    Workers(WorkersCommand),
    Config(ConfigCommand),
    Migrate(MigrateCommand),
    Doctor(DoctorCommand),
    Healthcheck(HealthcheckCommand),
    Init(InitCommand),
    Completions(CompletionsCommand),
}
