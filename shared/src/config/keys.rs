//! Every key of the file, and where else its value can come from. Suggestions, and the tests of the documentation and of
//! the template, all read these lists.

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

const fn key(name: &'static str) -> Key {
    Key { name, outside: None }
}

impl Key {
    const fn or(mut self, env: &'static str, flag: &'static str) -> Self {
        self.outside = Some(Outside { env, flag });
        self
    }
}

/// The names of the tables, for suggestions; those of the top's own keys are in [`TOP`].
pub(super) const TABLES: [&str; 12] = [
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
    "schedule",
];

/// All of them, in the order of the documentation.
#[cfg(test)]
pub(super) const ALL: [&Keys; 16] = [
    &TOP, &BROKER, &LEDGER, &WORKER, &RETRY, &BEAT, &HTTP, &HOOK, &LOG, &RETENTION, &LIMITS, &QUEUE, &TASK,
    &TARGET, &SCHEDULE, &CATCH_UP,
];

pub(super) const TOP: Keys = Keys {
    table: "",
    keys: &[key("namespace").or("UPBEAT_NAMESPACE", "--namespace"), key("data").or("UPBEAT_DATA", "--data")],
};

pub(super) const BROKER: Keys = Keys {
    table: "broker",
    keys: &[
        key("url").or("UPBEAT_BROKER", "--broker"),
        key("url_file"),
        key("declare"),
        key("management"),
        key("management_file"),
        key("tls_ca"),
        key("tls_cert"),
        key("tls_key"),
    ],
};

pub(super) const LEDGER: Keys = Keys {
    table: "ledger",
    keys: &[
        key("url").or("UPBEAT_LEDGER", "--ledger"),
        key("url_file"),
        key("connections"),
        key("lease"),
        key("tls_ca"),
        key("tls_cert"),
        key("tls_key"),
    ],
};

pub(super) const WORKER: Keys = Keys {
    table: "worker",
    keys: &[
        key("name").or("UPBEAT_WORKER_NAME", "--worker-name"),
        key("queues").or("UPBEAT_QUEUES", "--queues"),
        key("concurrency").or("UPBEAT_CONCURRENCY", "--concurrency"),
        key("grace").or("UPBEAT_GRACE", "--grace"),
        key("timeout"),
        key("retry"),
    ],
};

pub(super) const RETRY: Keys = Keys {
    table: "retry",
    keys: &[key("max_attempts"), key("backoff"), key("delay"), key("max_delay"), key("jitter")],
};

pub(super) const BEAT: Keys = Keys { table: "beat", keys: &[key("max_crashes"), key("overdue_after")] };

pub(super) const HTTP: Keys =
    Keys { table: "http", keys: &[key("listen").or("UPBEAT_LISTEN", "--listen"), key("echo")] };

/// Of `hooks.dead` and `hooks.overdue`.
pub(super) const HOOK: Keys = Keys {
    table: "hooks.EVENT",
    keys: &[
        key("url"),
        key("url_file"),
        key("headers"),
        key("secret"),
        key("secret_file"),
        key("queue"),
        key("timeout"),
        key("retry"),
    ],
};

pub(super) const LOG: Keys = Keys {
    table: "log",
    keys: &[key("level").or("UPBEAT_LOG", "--log"), key("format").or("UPBEAT_LOG_FORMAT", "--log-format")],
};

pub(super) const RETENTION: Keys =
    Keys { table: "retention", keys: &[key("ids"), key("details"), key("occurrences")] };

pub(super) const LIMITS: Keys = Keys { table: "limits", keys: &[key("body"), key("depth"), key("headers")] };

pub(super) const QUEUE: Keys = Keys { table: "queues.NAME", keys: &[key("record"), key("weight")] };

pub(super) const TASK: Keys = Keys {
    table: "tasks.NAME",
    keys: &[
        key("command"),
        key("http"),
        key("queue"),
        key("timeout"),
        key("retry"),
        key("ack"),
        key("env"),
        key("cwd"),
        key("output_limit"),
        key("headers"),
        key("secret"),
        key("secret_file"),
    ],
};

/// `http` of a task, where it is a table.
pub(super) const TARGET: Keys =
    Keys { table: "tasks.NAME.http", keys: &[key("url"), key("headers"), key("secret"), key("secret_file")] };

pub(super) const SCHEDULE: Keys = Keys {
    table: "schedule",
    keys: &[
        key("id"),
        key("task"),
        key("cron"),
        key("every"),
        key("at"),
        key("timezone"),
        key("gap"),
        key("fold"),
        key("dom_and_dow"),
        key("starts"),
        key("ends"),
        key("jitter"),
        key("args"),
        key("queue"),
        key("priority"),
        key("timeout"),
        key("retry"),
        key("tags"),
        key("expires_after"),
        key("catch_up"),
        key("grace"),
        key("overdue_after"),
        key("paused"),
    ],
};

/// `catch_up` of a schedule, where it is a table.
pub(super) const CATCH_UP: Keys = Keys { table: "schedule.catch_up", keys: &[key("mode"), key("within")] };
