//! `upbeat config`: what is in force, and where it comes from.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use upbeat_shared::config::Entry;

use super::context::{Context, Settings};
use super::failure::Failure;
use super::reference::ReferenceCommand;
use super::words::counted;

/// Check the configuration, print it, or look up its keys
///
/// Flags, environment, file, default: the first that says something wins. Secrets are masked.
#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Say what is wrong, and where; exit with 2 if anything is
    #[command(
        after_help = "Examples:\n  upbeat config check\n  upbeat config check --config /etc/upbeat.toml"
    )]
    Check,
    /// Print every setting in force, with where it comes from
    #[command(
        after_help = "Examples:\n  upbeat config print\n  upbeat config print --json | jq 'select(.origin != \"default\")'"
    )]
    Print,
    Reference(ReferenceCommand),
}

impl ConfigCommand {
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            ConfigAction::Check => {
                let settings = context.settings()?;
                context.warn_about(&settings);
                check(context, &settings)
            }
            ConfigAction::Print => print(context, &context.settings()?),
            ConfigAction::Reference(command) => command.run(context),
        }
    }
}

fn check(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let config = settings.config();
    let place = place(settings);
    let human = || {
        let tasks = counted(config.tasks.len() as u64, "task");
        let schedules = counted(config.schedules.len() as u64, "schedule");
        format!("{place}: nothing wrong; {tasks}, {schedules}")
    };
    context.output.result(human, || {
        json!({
            "ok": true,
            "file": settings.loaded.file.as_ref().map(|file| file.display().to_string()),
            "quickstart": settings.quickstart,
            "tasks": config.tasks.len(),
            "schedules": config.schedules.len(),
            "warnings": settings.loaded.warnings.iter().map(|warning| warning.message.as_str()).collect::<Vec<_>>(),
        })
    })
}

fn place(settings: &Settings) -> String {
    match &settings.loaded.file {
        _ if settings.quickstart => "no upbeat.toml here; the built-in quickstart is in force".to_owned(),
        Some(file) => file.display().to_string(),
        None => "no upbeat.toml here; flags, environment and defaults are in force".to_owned(),
    }
}

fn print(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let entries = settings.loaded.provenance.entries();
    if context.output.is_json() {
        return entries.iter().try_for_each(|entry| context.output.object(&entry_json(entry)));
    }
    context.output.line(format_args!("# {}", place(settings)))?;
    context.output.line(as_toml(entries))
}

fn entry_json(entry: &Entry) -> Value {
    json!({
        "key": entry.path(),
        "value": entry.value,
        "origin": entry.origin.to_string(),
    })
}

/// TOML that can be read again, each line with where its value comes from.
fn as_toml(entries: &[Entry]) -> String {
    let setting = |entry: &Entry| match &entry.value {
        Some(value) => format!("{} = {value}", entry.key),
        None => format!("# {} is not set", entry.key),
    };
    let lines: Vec<String> = entries.iter().map(setting).collect();
    let width = lines.iter().map(|line| line.chars().count()).filter(|width| *width <= 50).max().unwrap_or(0);
    let mut text: Vec<String> = Vec::new();
    let mut table = "";
    let mut seen: Vec<&str> = Vec::new();
    for (entry, line) in entries.iter().zip(&lines) {
        // Of an array of tables, the next one begins where a key comes again.
        if entry.table != table || seen.contains(&entry.key.as_str()) {
            text.push(format!("\n[{}]", entry.table));
            table = &entry.table;
            seen.clear();
        }
        seen.push(&entry.key);
        text.push(format!("{line:<width$}  # {}", entry.origin));
    }
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::config::{Overrides, Sources, load};

    #[test]
    fn what_is_printed_can_be_read_again() {
        let text = "namespace = \"shop\"\n[worker]\nconcurrency = 3\n[tasks.a]\ncommand = [\"true\"]\n\
                    [[schedule]]\nid = \"x\"\ntask = \"a\"\nevery = \"5s\"\n\
                    [[schedule]]\nid = \"y\"\ntask = \"a\"\nevery = \"6s\"\n";
        let read = |text: String| {
            let flags = Overrides { config: Some("test.toml".into()), ..Overrides::default() };
            let read = &|_: &std::path::Path| Ok(text.clone());
            load(Sources { flags, env: &|_| None, read, known: &[] }).unwrap()
        };
        let first = read(text.to_owned());
        let printed = as_toml(first.provenance.entries());
        assert!(printed.contains("concurrency = 3"), "{printed}");
        assert!(printed.contains("# test.toml:3"), "{printed}");
        let again = read(printed.clone());
        assert_eq!(again.config.schedules.len(), 2, "{printed}");
        assert_eq!(again.config.worker, first.config.worker);
        assert_eq!(again.config.namespace, first.config.namespace);
    }
}
