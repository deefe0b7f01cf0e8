//! The files that come with the program.

use super::*;
use crate::config::keys;
use crate::config::{ExecutorConfig, HooksConfig, TEMPLATE, TlsFiles};
use crate::retry::{Backoff, Jitter};

const QUICKSTART: &str = include_str!("../../../../examples/quickstart.toml");

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
        config.hooks = HooksConfig::default();
        (config.queues, config.tasks, config.schedules) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        assert_eq!(config, default_as_loaded());
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

/// Takes the `#` from settings, and leaves explanations.
fn uncommented(text: &str) -> String {
    let setting = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c != ' ' && c != '#'))
            .map(str::to_owned)
    };
    text.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}
