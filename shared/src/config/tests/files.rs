//! The files that come with the program, and the page that describes them.

use super::*;
use crate::config::keys;
use crate::config::{ExecutorConfig, Origin, TEMPLATE, TlsFiles};
use crate::retry::{Backoff, Jitter};

const QUICKSTART: &str = include_str!("../../../../examples/quickstart.toml");
const PAGE: &str = include_str!("../../../../docs/configuration.md");

#[test]
fn the_template_says_what_holds_without_a_file() {
    let template = World::with(TEMPLATE).config();
    let uncommented = World::with(&uncommented(TEMPLATE)).config();
    for mut config in [template, uncommented] {
        assert!(!config.tasks.is_empty() && !config.schedules.is_empty());
        // What has no default has an example.
        config.worker.name = None;
        config.worker.blocking_threads = None;
        config.http.listen = None;
        config.broker.management = None;
        config.broker.tls = TlsFiles::default();
        config.ledger.tls = TlsFiles::default();
        (config.queues, config.tasks, config.schedules) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        assert_eq!(config, Config::default());
    }
}

#[test]
fn the_template_names_every_key() {
    for table in keys::ALL {
        for key in table.names() {
            let words =
                |line: &str| line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == key);
            assert!(TEMPLATE.lines().any(words), "`{key}` of [{}] is missing", table.table);
        }
    }
}

#[test]
fn the_quickstart_is_a_configuration_without_warnings() {
    let loaded = World::default()
        .file("examples/quickstart.toml", QUICKSTART)
        .flags(Overrides { config: Some("examples/quickstart.toml".into()), ..Overrides::default() })
        .load()
        .unwrap();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert!(config.http.echo);
    let ids: Vec<&str> = config.schedules.iter().map(|schedule| schedule.id.as_str()).collect();
    assert_eq!(ids, ["machine-report", "ping", "nightly"]);
    let flaky = &config.tasks[&TaskName::new("flaky").unwrap()];
    assert_eq!((flaky.retry.backoff, flaky.retry.jitter), (Backoff::Constant, Jitter::None));
    let hello = &config.tasks[&TaskName::new("hello").unwrap()];
    assert!(matches!(&hello.executor, ExecutorConfig::Command { program, .. } if program == "sh"));
}

#[test]
fn the_page_describes_every_key() {
    for table in keys::ALL {
        for key in table.names() {
            row(table.table, key);
        }
    }
}

#[test]
fn the_page_describes_nothing_else() {
    for table in keys::ALL {
        let documented = rows(table.table).map(|row| row[0].trim_matches('`').to_owned());
        let names: Vec<&str> = table.names().collect();
        assert_eq!(documented.collect::<Vec<_>>(), names, "[{}]", table.table);
    }
}

#[test]
fn the_page_names_the_defaults_that_hold() {
    let text = "[tasks.NAME]\ncommand = ['x']\nretry = {}\n[queues.NAME]\n[[schedule]]\nid = 'x'\ntask = 'NAME'\nevery = '1m'\n\
                [[schedule]]\nid = 'y'\ntask = 'NAME'\nevery = '1m'\ncatch_up = {}\n";
    let provenance = World::with(text).load().unwrap().provenance;
    for table in keys::ALL {
        for key in table.names() {
            let path = match table.table {
                "" => key.to_owned(),
                "retry" => format!("worker.retry.{key}"),
                "schedule" => format!("[schedule].{key}"),
                "schedule.catch_up" => format!("[schedule].catch_up.{key}"),
                other => format!("{other}.{key}"),
            };
            let documented = &row(table.table, key)[2];
            match provenance.get(&path).filter(|entry| entry.origin == Origin::Default) {
                Some(entry) if entry.value.is_some() && path != "worker.queues" => {
                    assert_eq!(*documented, format!("`{}`", entry.value.as_ref().unwrap()), "{path}");
                }
                _ => {
                    assert!(!documented.starts_with("`\""), "{path} has no default of its own: {documented}");
                }
            }
        }
    }
}

#[test]
fn the_page_names_every_variable_and_flag() {
    for table in keys::ALL {
        for key in table.keys {
            let Some(outside) = key.outside else { continue };
            let path = if table.table.is_empty() {
                key.name.to_owned()
            } else {
                format!("{}.{}", table.table, key.name)
            };
            let line = format!("| `{path}` | `{}` | `{}` |", outside.env, outside.flag);
            assert!(PAGE.contains(&line), "missing: {line}");
        }
    }
}

/// The cells of the rows that describe a table's keys.
fn rows(table: &str) -> impl Iterator<Item = Vec<String>> {
    let heading = match table {
        "" => "## The top of the file".to_owned(),
        "retry" => "## `retry`".to_owned(),
        "schedule" => "## `[[schedule]]`".to_owned(),
        "schedule.catch_up" => "### `catch_up`".to_owned(),
        "tasks.NAME.http" => "### `http` as a table".to_owned(),
        table => format!("## `[{table}]`"),
    };
    let after =
        PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}")).1;
    let section = after.split("\n#").next().unwrap_or(after);
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect())
}

fn row(table: &str, key: &str) -> Vec<String> {
    let found = rows(table).find(|row| row[0] == format!("`{key}`"));
    found.unwrap_or_else(|| panic!("`{key}` of [{table}] is not described"))
}

/// Takes the `#` from settings, and leaves explanations.
fn uncommented(text: &str) -> String {
    let setting = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c != ' ' && c != '#'))
            .map(str::to_owned)
    };
    text.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}
