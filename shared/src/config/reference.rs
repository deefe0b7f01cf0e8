//! The reference of the configuration: every key with what it takes, its default and what it is for, made from the lists
//! of keys and from the defaults of the settings. The page in the documentation is written from it.

use std::fmt;
use std::io;

use super::keys::{self, Key, Keys, Takes};
use super::provenance::{Origin, Provenance};
use super::value::one_of;
use super::{Overrides, Sources, load};

/// A file in which every table stands and says as little as it may: what it gets is what holds by default.
const LEAST: &str = "\
[tasks.NAME]\ncommand = ['program']\n[queues.NAME]\n[hooks.dead]\nurl = 'http://host'\n\
[[schedule]]\nid = 'plain'\ntask = 'NAME'\nevery = '1m'\n\
[[schedule]]\nid = 'catch_up'\ntask = 'NAME'\nevery = '1m'\ncatch_up = {}\n";

/// The keys of one table of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DescribedTable {
    /// As in its header, `NAME` where the user chooses; empty for the top of the file, `schedule` for `[[schedule]]`.
    pub table: &'static str,
    /// What its keys are about. Markdown.
    pub about: &'static str,
    /// The keys, in the order of the documentation.
    pub keys: Vec<Described>,
}

/// One key of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Described {
    /// Its name in its table.
    pub key: &'static str,
    /// What can be written, in words.
    pub takes: String,
    /// The value that holds where nothing is written, as TOML.
    pub default: Option<String>,
    /// What holds instead where there is no such value. Markdown.
    pub unset: &'static str,
    /// The environment variable that wins over the file.
    pub env: Option<&'static str>,
    /// The flag that wins over the environment.
    pub flag: Option<&'static str>,
    /// What it is for. Markdown.
    pub meaning: &'static str,
}

/// Every key of the configuration.
///
/// ```
/// let reference = upbeat_shared::config::reference();
/// let worker = reference.iter().find(|table| table.table == "worker").unwrap();
/// let concurrency = worker.keys.iter().find(|key| key.key == "concurrency").unwrap();
/// assert_eq!(concurrency.default.as_deref(), Some("64"));
/// assert_eq!(concurrency.flag, Some("--concurrency"));
/// ```
pub fn reference() -> Vec<DescribedTable> {
    let defaults = defaults();
    let described = |table: &Keys, key: &Key| Described {
        key: key.name,
        takes: key.takes.to_string(),
        default: default(&defaults, table.table, key),
        unset: key.unset,
        env: key.outside.map(|outside| outside.env),
        flag: key.outside.map(|outside| outside.flag),
        meaning: key.meaning,
    };
    let table = |table: &'static Keys| DescribedTable {
        table: table.table,
        about: table.about,
        keys: table.keys.iter().map(|key| described(table, key)).collect(),
    };
    keys::ALL.into_iter().map(table).collect()
}

impl DescribedTable {
    /// Where a key stands: `worker.grace`, `tasks.NAME.command`, `namespace`.
    pub fn path(&self, key: &Described) -> String {
        match self.table {
            "" => key.key.to_owned(),
            table => format!("{table}.{}", key.key),
        }
    }
}

/// What holds where a file says as little as it may.
fn defaults() -> Provenance {
    let read = |_: &std::path::Path| io::Result::Ok(LEAST.to_owned());
    let flags = Overrides { config: Some("upbeat.toml".into()), ..Overrides::default() };
    let loaded = load(Sources { flags, env: &|_| None, read: &read, known: &[] });
    loaded.expect("a file that says as little as it may has no mistakes").provenance
}

fn default(defaults: &Provenance, table: &str, key: &Key) -> Option<String> {
    // Its value follows from the rest of the file, which the sample has none of.
    if matches!(key.takes, Takes::Queues) {
        return None;
    }
    let path = match table {
        "" => key.name.to_owned(),
        "retry" => format!("worker.retry.{}", key.name),
        "hooks.EVENT" => format!("hooks.dead.{}", key.name),
        "schedule" => format!("[schedule].{}", key.name),
        "schedule.catch_up" => format!("[schedule].catch_up.{}", key.name),
        table => format!("{table}.{}", key.name),
    };
    let entry = defaults.get(&path).filter(|entry| entry.origin == Origin::Default)?;
    entry.value.clone()
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Text => "text",
            Self::Texts => "list of texts",
            Self::TextTable => "table of texts",
            Self::Path => "path",
            Self::Url => "URL",
            Self::Address => "address",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Instant => "instant",
            Self::Any => "any",
            Self::Queues => "table or list",
            Self::Retry | Self::Limit | Self::Fair => "table",
            Self::Weights => "table of numbers",
            Self::On => "table of tables",
            Self::Target => "URL or table",
            Self::Choice(words) => return f.write_str(&choice(words)),
            Self::CatchUp(words) => return write!(f, "{}, or table", choice(words)),
        })
    }
}

/// `"a"`, `"b"` or `"c"`, as they are written.
fn choice(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    one_of(&quoted.iter().map(String::as_str).collect::<Vec<_>>())
}
