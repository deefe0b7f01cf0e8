//! What the lists of keys say of a key is what the reader does with it.

use super::*;
use crate::config::keys::{self, Key, Keys, Takes};

/// A file in which one key of one table has this value, beside what the table needs.
fn with(table: &Keys, key: &Key, value: &str) -> World {
    let line = format!("{} = {value}\n", key.name);
    let least = "[tasks.x]\ncommand = ['x']\n";
    let text = match table.table {
        "" => line,
        "retry" => format!("[worker.retry]\n{line}"),
        "queues.NAME" => format!("[queues.x]\n{line}"),
        "tasks.NAME" if key.name == "command" => format!("[tasks.x]\n{line}"),
        "tasks.NAME" if ["http", "headers", "secret", "secret_file"].contains(&key.name) => {
            let url = if key.name == "http" { "" } else { "http = 'http://localhost/'\n" };
            format!("[tasks.x]\n{url}{line}")
        }
        "tasks.NAME" => format!("{least}{line}"),
        "queues.NAME.fair" => format!("[queues.x.fair]\n{line}"),
        // Exactly one of them.
        "tasks.NAME.on.CODE" => format!("{least}[tasks.x.on.timeout]\n{line}"),
        "tasks.NAME.per_key" => format!("{least}[tasks.x.per_key]\n{line}"),
        "tasks.NAME.http" if key.name == "url" => format!("[tasks.x.http]\n{line}"),
        "tasks.NAME.http" => format!("[tasks.x.http]\nurl = 'http://localhost/'\n{line}"),
        "calendars.NAME" => format!("[calendars.x]\n{line}"),
        "schedule" if key.name == "on_holiday" => format!(
            "{least}[calendars.x]\ndays_off = ['sunday']\n[[schedule]]\nid = 'x'\ntask = 'x'\ncron = '@daily'\n\
             calendar = 'x'\n{line}"
        ),
        "schedule" => {
            let others = [("id", "'x'"), ("task", "'x'"), ("every", "'1m'")];
            let timed = ["cron", "at", "repeat"].contains(&key.name);
            let others =
                others.into_iter().filter(|(name, _)| *name != key.name && !(timed && *name == "every"));
            let others: Vec<String> = others.map(|(name, value)| format!("{name} = {value}\n")).collect();
            format!("{least}[[schedule]]\n{}{line}", others.concat())
        }
        "schedule.catch_up" => {
            format!("{least}[[schedule]]\nid = 'x'\ntask = 'x'\nevery = '1m'\n[schedule.catch_up]\n{line}")
        }
        other => format!("[{other}]\n{line}"),
    };
    World::with(&text)
}

/// Values of other kinds than the one that a key takes.
fn strangers(takes: Takes) -> &'static [&'static str] {
    match takes {
        Takes::Name | Takes::Text | Takes::Path | Takes::Url | Takes::Address | Takes::Instant => {
            &["true", "17", "[]"]
        }
        Takes::Texts => &["true", "'text'", "[1]"],
        Takes::TextTable => &["true", "'text'", "{ a = 1 }"],
        Takes::Boolean => &["1", "'true'", "[]"],
        Takes::Number => &["true", "'17'", "1.5"],
        Takes::Duration => &["true", "17", "'17'"],
        Takes::Size => &["true", "'large'", "1.5"],
        Takes::Any => &[],
        Takes::Queues => &["true", "17", "{ a = 'x' }"],
        Takes::Weights => &["true", "17", "{ a = 'x' }", "{ a = 0 }"],
        Takes::Retry | Takes::Limit | Takes::Fair | Takes::On => &["true", "17", "'text'"],
        Takes::Choice(_) | Takes::Target | Takes::CatchUp(_) => &["true", "17", "'none of them'"],
    }
}

#[test]
fn a_value_of_another_kind_is_refused() {
    for table in keys::ALL {
        for key in table.keys {
            for value in strangers(key.takes) {
                let loaded = with(table, key, value).load();
                assert!(loaded.is_err(), "[{}] {} = {value}", table.table, key.name);
            }
        }
    }
}

#[test]
fn the_choices_are_those_that_are_accepted() {
    let mut choices = 0;
    for table in keys::ALL {
        for key in table.keys {
            let (Takes::Choice(words) | Takes::CatchUp(words)) = key.takes else { continue };
            for word in words {
                let loaded = with(table, key, &format!("'{word}'")).load();
                assert!(loaded.is_ok(), "[{}] {} = {word}: {}", table.table, key.name, loaded.unwrap_err());
            }
            // The reader names all that it knows.
            let refusal = with(table, key, "'none of them'").refusal();
            let allowed = refusal.split_once("= choose ").expect("it says what there is").1.trim();
            let all = crate::config::value::one_of(words);
            assert_eq!(allowed, all, "[{}] {}", table.table, key.name);
            choices += 1;
        }
    }
    assert!(choices > 5, "only {choices} choices");
}

#[test]
fn every_key_is_described_in_sentences() {
    for table in keys::ALL {
        for text in table.keys.iter().map(|key| key.meaning).chain([table.about]) {
            assert!(text.ends_with(['.', ']']) && !text.contains(['|', '\n']), "[{}]: {text}", table.table);
            assert!(!text.contains("  "), "[{}]: {text}", table.table);
        }
    }
}
