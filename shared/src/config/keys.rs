//! Every key of the file: what it is called, what it takes, what it is without. Suggestions, the tests of the
//! documentation and those of the template all read this one table.

/// The keys of one table of the file.
#[derive(Debug)]
pub(super) struct Keys {
    /// The table's name in the documentation, `NAME` where the user chooses.
    pub(super) table: &'static str,
    /// Its keys, in the order of the documentation.
    pub(super) keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it takes, in the documentation's words.
    pub(super) kind: &'static str,
    /// As TOML; empty if there is none.
    pub(super) default: &'static str,
    /// The environment variable and the flag that win over it.
    pub(super) outside: Option<Outside>,
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

const fn key(name: &'static str, kind: &'static str, default: &'static str) -> Key {
    Key { name, kind, default, outside: None }
}

impl Key {
    const fn or(mut self, env: &'static str, flag: &'static str) -> Self {
        self.outside = Some(Outside { env, flag });
        self
    }
}

/// The names of the tables, for suggestions; those of the top's own keys are in [`TOP`].
pub(super) const TABLES: [&str; 11] =
    ["broker", "ledger", "worker", "beat", "http", "log", "retention", "limits", "queues", "tasks", "schedule"];

/// All of them, in the order of the documentation.
#[cfg(test)]
pub(super) const ALL: [&Keys; 15] = [
    &TOP, &BROKER, &LEDGER, &WORKER, &RETRY, &BEAT, &HTTP, &LOG, &RETENTION, &LIMITS, &QUEUE, &TASK, &TARGET, &SCHEDULE,
    &CATCH_UP,
];

pub(super) const TOP: Keys = Keys {
    table: "",
    keys: &[
        key("namespace", "name", "\"default\"").or("UPBEAT_NAMESPACE", "--namespace"),
        key("data", "path", "\".upbeat\"").or("UPBEAT_DATA", "--data"),
    ],
};

pub(super) const BROKER: Keys = Keys {
    table: "broker",
    keys: &[
        key("url", "URL", "\"embedded\"").or("UPBEAT_BROKER", "--broker"),
        key("url_file", "path", ""),
    ],
};

pub(super) const LEDGER: Keys = Keys {
    table: "ledger",
    keys: &[
        key("url", "URL", "\"embedded\"").or("UPBEAT_LEDGER", "--ledger"),
        key("url_file", "path", ""),
        key("lease", "duration", "\"15s\""),
    ],
};

pub(super) const WORKER: Keys = Keys {
    table: "worker",
    keys: &[
        key("name", "text", "").or("UPBEAT_WORKER_NAME", "--worker-name"),
        key("queues", "weights", "").or("UPBEAT_QUEUES", "--queues"),
        key("concurrency", "number", "64").or("UPBEAT_CONCURRENCY", "--concurrency"),
        key("grace", "duration", "\"25s\"").or("UPBEAT_GRACE", "--grace"),
        key("timeout", "duration", "\"1h\""),
        key("retry", "retry", ""),
    ],
};

pub(super) const RETRY: Keys = Keys {
    table: "retry",
    keys: &[
        key("max_attempts", "number", "10"),
        key("backoff", "choice", "\"exponential\""),
        key("delay", "duration", "\"5s\""),
        key("max_delay", "duration", "\"10m\""),
        key("jitter", "choice", "\"full\""),
    ],
};

pub(super) const BEAT: Keys = Keys { table: "beat", keys: &[key("max_crashes", "number", "3")] };

pub(super) const HTTP: Keys = Keys {
    table: "http",
    keys: &[
        key("listen", "address", "").or("UPBEAT_LISTEN", "--listen"),
        key("echo", "boolean", "false"),
    ],
};

pub(super) const LOG: Keys = Keys {
    table: "log",
    keys: &[
        key("level", "level", "\"info\"").or("UPBEAT_LOG", "--log"),
        key("format", "choice", "\"auto\"").or("UPBEAT_LOG_FORMAT", "--log-format"),
    ],
};

pub(super) const RETENTION: Keys = Keys {
    table: "retention",
    keys: &[
        key("ids", "duration", "\"7d\""),
        key("details", "duration", "\"24h\""),
        key("occurrences", "duration", "\"365d\""),
    ],
};

pub(super) const LIMITS: Keys = Keys {
    table: "limits",
    keys: &[key("body", "size", "\"1MiB\""), key("depth", "number", "64"), key("headers", "number", "64")],
};

pub(super) const QUEUE: Keys =
    Keys { table: "queues.NAME", keys: &[key("record", "choice", ""), key("weight", "number", "1")] };

pub(super) const TASK: Keys = Keys {
    table: "tasks.NAME",
    keys: &[
        key("command", "list of texts", ""),
        key("http", "URL or table", ""),
        key("queue", "name", "\"default\""),
        key("timeout", "duration", ""),
        key("retry", "retry", ""),
        key("env", "table of texts", ""),
        key("cwd", "path", ""),
        key("output_limit", "size", "\"64KiB\""),
        key("headers", "table of texts", ""),
        key("secret", "text", ""),
        key("secret_file", "path", ""),
    ],
};

/// `http` of a task, where it is a table.
pub(super) const TARGET: Keys = Keys {
    table: "tasks.NAME.http",
    keys: &[
        key("url", "URL", ""),
        key("headers", "table of texts", ""),
        key("secret", "text", ""),
        key("secret_file", "path", ""),
    ],
};

pub(super) const SCHEDULE: Keys = Keys {
    table: "schedule",
    keys: &[
        key("id", "name", ""),
        key("task", "name", ""),
        key("cron", "expression", ""),
        key("every", "step", ""),
        key("at", "instant", ""),
        key("timezone", "zone", "\"UTC\""),
        key("gap", "choice", "\"run_after\""),
        key("fold", "choice", "\"first\""),
        key("dom_and_dow", "boolean", "false"),
        key("starts", "instant", ""),
        key("ends", "instant", ""),
        key("jitter", "step", ""),
        key("args", "any", ""),
        key("queue", "name", ""),
        key("priority", "number", "4"),
        key("timeout", "duration", ""),
        key("retry", "retry", ""),
        key("tags", "list of texts", ""),
        key("expires_after", "duration", ""),
        key("catch_up", "choice or table", "\"latest\""),
        key("grace", "duration", "\"1m\""),
        key("paused", "boolean", "false"),
    ],
};

/// `catch_up` of a schedule, where it is a table.
pub(super) const CATCH_UP: Keys =
    Keys { table: "schedule.catch_up", keys: &[key("mode", "choice", "\"latest\""), key("within", "duration", "")] };
