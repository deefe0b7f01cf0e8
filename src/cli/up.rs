//! `upbeat up`: everything in one process.

use clap::Args;
use serde_json::json;
use upbeat_shared::ledger::NewSchedule;

use super::context::Context;
use super::failure::Failure;
use super::launch::{self, ListenArgs, Roles, Running, WorkerArgs};
use super::quickstart;
use super::schedule_view;

const EXAMPLES: &str = "\
Examples:
  upbeat up
  upbeat up --data /var/lib/upbeat --listen 127.0.0.1:9464
  upbeat up --config upbeat.toml --queues critical=6,default=3 --concurrency 200";

/// Names shown before the rest is counted.
const NAMED: usize = 8;

/// Run every role in one process
///
/// A beat and a worker, on an SQLite file in the data directory unless the configuration names a broker and a ledger.
/// Where there is no upbeat.toml, a built-in quickstart is in force, so that there is something to see at once. Other
/// processes on the same data directory share the work: `upbeat worker` beside it adds a worker.
///
/// Ctrl-C or SIGTERM lets running tasks finish within the grace period; the second one leaves at once, and what ran is
/// run again later.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpCommand {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    worker: WorkerArgs,
}

impl UpCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let flags = launch::overrides(context, self.listen, self.worker);
        launch::run(context, Roles::Both, &flags, |running| announce(context, running)).await
    }
}

/// What is running, and what to type next.
fn announce(context: &Context, running: &Running<'_>) -> Result<(), Failure> {
    let output = &context.output;
    output.result(|| banner(running, &quickstart::invocation()), || ready(running))
}

/// The one line of `--json`, when everything is ready.
pub(crate) fn ready(running: &Running<'_>) -> serde_json::Value {
    let config = running.settings.config();
    json!({
        "ready": true,
        "roles": running.roles.names(),
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "namespace": config.namespace.as_str(),
        "ledger": running.stack.store.schema.describe(),
        "broker": running.stack.transport.describe(),
        "listen": running.listen.map(|address| address.to_string()),
        "tasks": running.tasks,
        "schedules": running.schedules.iter().map(|schedule| schedule.id.as_str()).collect::<Vec<_>>(),
    })
}

fn banner(running: &Running<'_>, upbeat: &str) -> String {
    let mut lines = vec![format!("Upbeat {} is running: a beat and a worker", env!("CARGO_PKG_VERSION"))];
    let mut line = |label: &str, text: String| lines.push(format!("  {label:<14} {text}"));
    line("configuration", configuration(running, upbeat));
    line("ledger", running.stack.store.schema.describe());
    line("broker", running.stack.transport.describe());
    if let Some(address) = running.listen {
        line("listening", format!("http://{address} (/healthz /readyz /metrics)"));
    }
    line("tasks", named(&running.tasks));
    line("schedules", named(&schedules(&running.schedules)));
    lines.push(String::new());
    lines.push("In another terminal, in this directory:".to_owned());
    lines.extend(next(upbeat, &running.tasks, running.settings.quickstart));
    lines.push("Ctrl-C lets running tasks finish, then leaves.".to_owned());
    lines.join("\n")
}

fn configuration(running: &Running<'_>, upbeat: &str) -> String {
    match &running.settings.loaded.file {
        _ if running.settings.quickstart => {
            format!("the built-in quickstart; `{upbeat} init` writes an upbeat.toml of your own")
        }
        Some(file) => file.display().to_string(),
        None => "flags, environment and defaults; no file".to_owned(),
    }
}

fn named(names: &[String]) -> String {
    match names.len() {
        0 => "none".to_owned(),
        n if n <= NAMED => names.join(", "),
        n => format!("{}, and {} more", names[..NAMED].join(", "), n - NAMED),
    }
}

fn schedules(schedules: &[NewSchedule]) -> Vec<String> {
    let shown =
        |schedule: &NewSchedule| format!("{} ({})", schedule.id, schedule_view::rule(&schedule.definition));
    schedules.iter().map(shown).collect()
}

/// Commands that can be typed as they are; the arguments of a task that is not the quickstart's are the user's to fill in.
fn next(upbeat: &str, tasks: &[String], quickstart: bool) -> Vec<String> {
    let mut commands = Vec::new();
    let hello = quickstart && tasks.iter().any(|name| name == "hello");
    let hello = hello.then(|| "hello".to_owned());
    if let Some(task) = hello.or_else(|| tasks.first().map(|name| format!("{name} --args '{{}}'"))) {
        commands.push((format!("publish {task} --wait"), "run a task and see what it returned"));
        commands.push((format!("publish {task} --delay 10s"), "run it later"));
    }
    commands.push(("tasks list".to_owned(), "what ran, what runs, what is due"));
    commands.push(("schedules list".to_owned(), "what will run by itself"));
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    commands.iter().map(|(command, why)| format!("  {upbeat} {command:<width$}   # {why}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_next_can_be_typed() {
        let lines = next("cargo run --release --", &["flaky".to_owned(), "hello".to_owned()], true);
        assert_eq!(
            lines[0],
            "  cargo run --release -- publish hello --wait        # run a task and see what it returned"
        );
        assert!(next("upbeat", &[], false).iter().all(|line| !line.contains("publish")));
    }

    #[test]
    fn many_names_are_counted() {
        let names: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
        assert!(named(&names).ends_with("t7, and 12 more"));
        assert_eq!(named(&[]), "none");
    }
}
