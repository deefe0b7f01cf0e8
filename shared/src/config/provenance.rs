//! Where every value came from. Never holds a secret: values are masked when they are written down here.

use std::fmt;
use std::path::PathBuf;

/// Every value of a configuration with its origin, in the order of the documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    entries: Vec<Entry>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its table, as in the file: `worker`, `tasks."report.load"`, `[schedule]` for one of an array; empty for the top.
    pub table: String,
    /// Its key.
    pub key: String,
    /// The value as TOML, secrets masked; `None` if it has none.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// Another table, such as `worker` for the timeout of a task that names none.
    Inherited(&'static str),
    /// The configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
}

impl Provenance {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Every value.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One value by its path, such as `worker.grace`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path() == path)
    }
}

impl Entry {
    /// Table and key: `worker.grace`.
    pub fn path(&self) -> String {
        if self.table.is_empty() { self.key.clone() } else { format!("{}.{}", self.table, self.key) }
    }
}

impl fmt::Display for Provenance {
    /// The whole configuration as TOML, with the origin of each value beside it. Secrets are masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = "";
        for (n, entry) in self.entries.iter().enumerate() {
            let begins_schedule = entry.table == "[schedule]" && entry.key == "id";
            if entry.table != table || begins_schedule {
                table = &entry.table;
                writeln!(f, "{}[{table}]", if n > 0 { "\n" } else { "" })?;
            }
            match &entry.value {
                Some(value) => {
                    let setting = format!("{} = {value}", entry.key);
                    writeln!(f, "{setting:<36} # {}", entry.origin)?;
                }
                None => writeln!(f, "# {} is not set", entry.key)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Inherited(table) => write!(f, "from [{table}]"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
