//! The command line's grammar: what every command shares, and which commands there are.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use upbeat_shared::config::Overrides;

use super::{
    beat::BeatCommand, bench::BenchCommand, completions::CompletionsCommand, config::ConfigCommand,
    dead::DeadCommand, doctor::DoctorCommand, explain::ExplainCommand, export::ExportCommand,
    healthcheck::HealthcheckCommand, import::ImportCommand, init::InitCommand, migrate::MigrateCommand,
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
///
/// The configuration reads the environment itself, so that it can say where a value came from: clap only tells of it.
#[allow(clippy::doc_markdown, reason = "these lines are shown on terminals, where backticks would stand out")]
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
    /// The ledger: `embedded` or postgres://… [env: UPBEAT_LEDGER]
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
    Export(ExportCommand),
    Import(ImportCommand),
    Config(ConfigCommand),
    Migrate(MigrateCommand),
    Bench(BenchCommand),
    Doctor(DoctorCommand),
    Healthcheck(HealthcheckCommand),
    Init(InitCommand),
    Explain(ExplainCommand),
    Completions(CompletionsCommand),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("upbeat").chain(line.split_whitespace()))
    }

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_line_of_the_commands_table_is_understood() {
        let id = "0198a2f0-0000-7000-8000-000000000001";
        let table = [
            "up",
            "up --listen 127.0.0.1:0 --queues critical=6,default=3 --concurrency 8",
            "beat --listen 0.0.0.0:9464",
            "worker --queues critical=6,default=3 --concurrency 8 --grace 1m --worker-name a",
            "publish hello --args {} --queue q --delay 5m --dedup-id x --priority 9 --count 3 --wait --timeout 30s",
            "publish hello --at 2026-05-01T12:00:00Z --args @file --tag a --tag b --expires 1h",
            "publish hello --args -",
            "publish hello --args -1",
            "tasks list --state dead,running --queue q --name n --schedule s --since 1h --limit 7 --tag t",
            "tasks show ID",
            "tasks cancel ID ID --reason late",
            "tasks retry ID",
            "tasks retry --state dead,cancelled --name n --queue q --schedule s --tag t --since 1h",
            "tasks cancel --name n --dry-run --reason late",
            "tasks rerun ID ID",
            "dead list --name n --queue q --schedule s --tag t --error x --since 1h --until 5m --limit 7",
            "dead list --reason timed_out,undeliverable",
            "dead show ID --raw",
            "dead edit ID --args {} --name n --queue q --args-version 2 --replay",
            "dead edit ID --content-type application/json --without-header a --without-header b",
            "dead replay ID --args @file",
            "dead replay --all --name n",
            "dead replay --name n --reason failed --rate 50/s --limit 9 --dry-run",
            "dead drop --all",
            "dead drop ID --dry-run",
            "schedules list",
            "schedules show nightly",
            "schedules check upbeat.toml",
            "schedules trigger nightly",
            "queues list",
            "queues list --sample 0",
            "queues list --watch --json",
            "queues pause q",
            "queues resume q",
            "workers list --all",
            "workers show host:7",
            "export all.jsonl --finished --force",
            "export - --tasks",
            "export schedules.jsonl --schedules",
            "import all.jsonl --dry-run --force",
            "import -",
            "config check",
            "config print",
            "config reference",
            "config reference worker.grace",
            "migrate status",
            "migrate up",
            "doctor",
            "explain",
            "explain ledger-unavailable",
            "healthcheck --listen 127.0.0.1:9464",
            "init my.toml --force",
            "completions zsh",
            "tasks list --config c --data d --broker embedded --ledger embedded --namespace n --json -vv",
        ];
        for line in table {
            let line = line.replace("ID", id);
            assert!(parse(&line).is_ok(), "{line}: {}", parse(&line).unwrap_err());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = [
            ("publish", ErrorKind::MissingRequiredArgument),
            ("publish not/a name", ErrorKind::UnknownArgument),
            ("publish a --delay 5m --at 2026-05-01T12:00:00Z", ErrorKind::ArgumentConflict),
            ("publish a --delay 5", ErrorKind::ValueValidation),
            ("publish a --priority 10", ErrorKind::ValueValidation),
            ("publish a --count 0", ErrorKind::ValueValidation),
            ("publish a --timeout 5s", ErrorKind::MissingRequiredArgument),
            ("tasks list --state done", ErrorKind::InvalidValue),
            ("tasks rerun", ErrorKind::MissingRequiredArgument),
            ("tasks show 17", ErrorKind::ValueValidation),
            ("dead list --reason late", ErrorKind::ValueValidation),
            ("dead replay --all --rate 50", ErrorKind::ValueValidation),
            ("dead show 0198a2f0-0000-7000-8000-000000000001 --raw --json", ErrorKind::ArgumentConflict),
            ("export", ErrorKind::MissingRequiredArgument),
            ("export a --tasks --schedules", ErrorKind::ArgumentConflict),
            ("queues pause my@queue", ErrorKind::ValueValidation),
            ("queues list --watch --sample 1s", ErrorKind::ArgumentConflict),
            ("tasks list -v -q", ErrorKind::ArgumentConflict),
            ("completions tcsh", ErrorKind::InvalidValue),
        ];
        for (line, kind) in refused {
            assert_eq!(parse(line).unwrap_err().kind(), kind, "{line}");
        }
    }

    /// Every command, with the words that lead to it.
    fn all(command: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
        let mut found = Vec::new();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            found.extend(all(sub, &path));
            found.push((path, sub.clone()));
        }
        found
    }

    #[test]
    fn every_command_and_every_argument_is_explained() {
        for (path, command) in all(&Cli::command(), "upbeat") {
            assert!(command.get_about().is_some(), "{path} says nothing of itself");
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{path}: {} is not explained", arg.get_id());
            }
        }
    }

    #[test]
    fn the_examples_in_the_help_are_commands_that_exist() {
        let mut examples = 0;
        for (path, command) in all(&Cli::command(), "upbeat") {
            let Some(text) = command.get_after_help().map(ToString::to_string) else { continue };
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix("upbeat "));
            for line in lines {
                // What a shell would take away; quoted arguments have no spaces of their own to worry about here.
                let line = line.split(['|', '>']).next().unwrap_or_default();
                let line = line.replace("'{\"name\": \"world\"}'", "{\"name\":\"world\"}");
                assert!(parse(&line).is_ok(), "{path}: {line}: {}", parse(&line).unwrap_err());
                examples += 1;
            }
        }
        assert!(examples > 20, "only {examples} examples");
    }

    #[test]
    fn the_first_help_that_one_sees_fits_on_a_screen() {
        let help = Cli::command().term_width(100).render_help().to_string();
        insta::assert_snapshot!(help, @r"
        A task broker and worker pool: schedules and tasks that can prove they ran once

        Usage: upbeat [OPTIONS] <COMMAND>

        Commands:
          up           Run every role in one process
          beat         Run a beat: turns time into tasks
          worker       Run a worker: takes tasks from queues and runs them
          publish      Publish a task, now or later
          tasks        Look at tasks; cancel, retry and rerun them
          dead         Look at tasks that failed for good; edit, replay or drop them
          schedules    Look at schedules, check and trigger them
          queues       Look at queues, pause and resume them
          workers      Look at the workers
          export       Write tasks and schedules into a file, to be imported elsewhere
          import       Take over the tasks and schedules of an export
          config       Check the configuration, print it, or look up its keys
          migrate      Look at the ledger's schema, or bring it up to date
          bench        Measure publishing, running and settling of no-op tasks
          doctor       Reach everything; print versions and advice
          healthcheck  Answer whether the role on this host works; for containers
          init         Write a commented upbeat.toml
          explain      Explain an error: what it means, whether anything is lost, what to do
          completions  Print a completion script for a shell
          help         Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help (see more with '--help')
          -V, --version  Print version

        Global options:
              --config <FILE>  The configuration file; `upbeat.toml` in the working directory if there is
                               one [env: UPBEAT_CONFIG]
              --data <DIR>     Where the embedded broker and ledger keep their file [env: UPBEAT_DATA]
              --json           Print one JSON object a line, also for errors (on stderr) [env: UPBEAT_JSON]
          -v, --verbose...     Log more; twice for everything
          -q, --quiet...       Say and log only what went wrong

        Start here:
          upbeat up                        everything in one process, nothing to install
          upbeat publish hello             in another terminal, same directory: run a task
          upbeat tasks list                what ran, what runs, what is due
          upbeat init                      write a commented upbeat.toml of your own

        Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 cannot reach broker or ledger.
        `upbeat help COMMAND` shows examples.
        ");
    }
}
