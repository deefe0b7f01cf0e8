//! Every key of the file: what it takes, what it is for, and where else its value can come from. Suggestions, the
//! reference and its page, and the tests of the template all read these lists.

mod process;
mod work;

pub(super) use process::{BEAT, BROKER, HOOK, HTTP, LEDGER, LIMITS, LOG, RETENTION, RETRY, TOP, WORKER};
pub(super) use work::{CALENDAR, CATCH_UP, FAIR, ON, PER_KEY, QUEUE, SCHEDULE, TARGET, TASK};

/// The keys of one table of the file.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the keys of a table are its keys")]
pub(super) struct Keys {
    /// The table's name in the documentation, `NAME` where the user chooses.
    pub(super) table: &'static str,
    /// What they are about, as the documentation says it.
    pub(super) about: &'static str,
    /// Its keys, in the order of the documentation.
    pub(super) keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// What it is for, as the documentation says it.
    pub(super) meaning: &'static str,
    /// What holds where nothing is written and there is no default to show.
    pub(super) unset: &'static str,
    /// The environment variable and the flag that win over it.
    pub(super) outside: Option<Outside>,
}

/// What can be written as a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Name,
    Text,
    Texts,
    TextTable,
    Path,
    Url,
    Address,
    Boolean,
    Number,
    Duration,
    Size,
    Instant,
    /// Whatever JSON can say.
    Any,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Queues with their shares, or without.
    Queues,
    /// The table [`RETRY`].
    Retry,
    /// The table [`PER_KEY`].
    Limit,
    /// A table of tables [`ON`], by code.
    On,
    /// The table [`FAIR`].
    Fair,
    /// Tenants with their weights.
    Weights,
    /// A URL, or the table [`TARGET`].
    Target,
    /// One of some words, or the table [`CATCH_UP`].
    CatchUp(&'static [&'static str]),
}

/// Where a value can come from beside the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outside {
    pub(super) env: &'static str,
    pub(super) flag: &'static str,
}

impl Keys {
    pub(super) fn get(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

const fn key(name: &'static str, takes: Takes, meaning: &'static str) -> Key {
    Key { name, takes, meaning, unset: "—", outside: None }
}

impl Key {
    const fn or(mut self, env: &'static str, flag: &'static str) -> Self {
        self.outside = Some(Outside { env, flag });
        self
    }

    const fn unset(mut self, what: &'static str) -> Self {
        self.unset = what;
        self
    }
}

/// The names of the tables, for suggestions; those of the top's own keys are in [`TOP`].
pub(super) const TABLES: [&str; 13] = [
    "broker",
    "ledger",
    "worker",
    "beat",
    "http",
    "hooks",
    "log",
    "retention",
    "limits",
    "queues",
    "tasks",
    "calendars",
    "schedule",
];

/// All of them, in the order of the documentation.
pub(super) const ALL: [&Keys; 20] = [
    &TOP, &BROKER, &LEDGER, &WORKER, &RETRY, &BEAT, &HTTP, &HOOK, &LOG, &RETENTION, &LIMITS, &QUEUE, &FAIR,
    &TASK, &ON, &PER_KEY, &TARGET, &CALENDAR, &SCHEDULE, &CATCH_UP,
];
