//! The keys that say what a process is: where broker and ledger are, how much it takes on, how long it waits.

use super::Takes::{
    Address, Boolean, Choice, Duration, Name, Number, Path, Queues, Retry, Size, Text, TextTable, Url,
};
use super::{Keys, key};

pub(in super::super) const TOP: Keys = Keys {
    table: "",
    about: "Above the first table.",
    keys: &[
        key(
            "namespace",
            Name,
            "One tenant's world: a prefix of every exchange, queue, key and row. Worlds do not see each other.",
        )
        .or("UPBEAT_NAMESPACE", "--namespace"),
        key("data", Path, "The directory in which the embedded broker and ledger keep their file.")
            .or("UPBEAT_DATA", "--data"),
    ],
};

pub(in super::super) const BROKER: Keys = Keys {
    table: "broker",
    about: "Where tasks travel.",
    keys: &[
        key(
            "url",
            Url,
            "`\"embedded\"`: an SQLite file in `data`. `\"amqp://user:password@host:5672/vhost\"`, or `amqps://`: \
             RabbitMQ. In user and password, write `/`, `?` and `#` as `%2F`, `%3F` and `%23`.",
        )
        .or("UPBEAT_BROKER", "--broker"),
        key("url_file", Path, "Instead of `url`: a file that holds it."),
        key(
            "declare",
            Boolean,
            "Make exchange and queues where they are missing. `false`: somebody else provides them.",
        ),
        key(
            "management",
            Url,
            "Where RabbitMQ's management API answers, `\"http://host:15672\"`: `upbeat queues list` asks it for \
             rates and for what is unacknowledged. Without a user in it, the user of `url` asks.",
        ),
        key("management_file", Path, "Instead of `management`: a file that holds it."),
        key(
            "tls_ca",
            Path,
            "For `amqps://`: certificates of the authorities that the broker is known by, in PEM; without it, the \
             system's.",
        ),
        key("tls_cert", Path, "This program's own certificate, in PEM, where the broker asks for one."),
        key("tls_key", Path, "Its private key, in PEM."),
    ],
};

pub(in super::super) const LEDGER: Keys = Keys {
    table: "ledger",
    about: "Where tasks are remembered.",
    keys: &[
        key(
            "url",
            Url,
            "`\"embedded\"`: the same SQLite file. `\"postgres://…\"` (or `postgresql://`): Postgres. `\"redis://…\"` \
             (or `rediss://`, with TLS): Redis or Valkey.",
        )
        .or("UPBEAT_LEDGER", "--ledger"),
        key("url_file", Path, "Instead of `url`: a file that holds it."),
        key("connections", Number, "How many connections each process opens at most."),
        key(
            "lease",
            Duration,
            "How long a worker or a beat may be silent before it counts as lost and its tasks are given to others. \
             From 1 s to 10 min.",
        ),
        key(
            "tls_ca",
            Path,
            "Certificates of the authorities that the store is known by, in PEM; without it, the system's.",
        ),
        key("tls_cert", Path, "This program's own certificate, in PEM, where the store asks for one."),
        key("tls_key", Path, "Its private key, in PEM."),
    ],
};

pub(in super::super) const WORKER: Keys = Keys {
    table: "worker",
    about: "How tasks become work.",
    keys: &[
        key("name", Text, "Its name in listings.")
            .or("UPBEAT_WORKER_NAME", "--worker-name")
            .unset("host and process id"),
        key(
            "queues",
            Queues,
            "The queues it takes work from, with their shares: `{ critical = 6, default = 3 }`. A list, \
             `[\"critical\", \"default\"]`, takes the shares from `[queues.NAME]`. In flag and variable: \
             `critical=6,default=3`. Without it: `default`, and every queue that this file names. Shares go from 1 \
             to 1000; no queue with work is ever starved by another.",
        )
        .or("UPBEAT_QUEUES", "--queues")
        .unset("all"),
        key("concurrency", Number, "How many tasks run at once; from 1 to 65,536.").or("UPBEAT_CONCURRENCY", "--concurrency"),
        key(
            "blocking_threads",
            Number,
            "How many tasks run at once whose handlers block their thread, in a program of your own; from 1 to 1024. \
             Others wait in their slots.",
        )
        .unset("the number of cores"),
        key(
            "grace",
            Duration,
            "How long running tasks may go on after the worker was asked to stop. Those still running then are \
             given to other workers.",
        )
        .or("UPBEAT_GRACE", "--grace"),
        key(
            "cancel_grace",
            Duration,
            "How long a run may go on after it was told to stop, because its task was cancelled or its timeout is over. Then \
             it is dropped: a handler at its next `await`, a request at once; a command gets a SIGTERM as soon as it is told \
             and a SIGKILL when this is over, with all that it started. From 0 to 10 minutes.",
        ),
        key("timeout", Duration, "How long one run may take, for tasks that do not say."),
        key("retry", Retry, "When failed tasks run again, for those that do not say.").unset("see `retry`"),
    ],
};

pub(in super::super) const RETRY: Keys = Keys {
    table: "retry",
    about: "When failed tasks run again: a table of `[worker]`, of a task and of a schedule.",
    keys: &[
        key(
            "max_attempts",
            Number,
            "How often a task may run and fail, the first time included. After that it is dead: kept until it is \
             replayed or dropped. `1` means no retry.",
        ),
        key(
            "backoff",
            Choice(&["constant", "linear", "exponential"]),
            "How the delay grows with the number of failures n: `\"constant\"`: delay, `\"linear\"`: delay × n, \
             `\"exponential\"`: delay × 2ⁿ⁻¹.",
        ),
        key("delay", Duration, "The first delay."),
        key(
            "max_delay",
            Duration,
            "What the delay never exceeds. If only `delay` is written and longer than this, then `delay`.",
        ),
        key(
            "jitter",
            Choice(&["none", "full"]),
            "`\"full\"`: anything from nothing to the delay, so that tasks which failed together do not come back \
             together. `\"none\"`: the delay itself.",
        ),
    ],
};

pub(in super::super) const BEAT: Keys = Keys {
    table: "beat",
    about: "How time becomes tasks.",
    keys: &[
        key(
            "max_crashes",
            Number,
            "A task during whose runs so many workers, or processes of its own, were lost is dead, since it may be what kills them.",
        ),
        key(
            "overdue_after",
            Duration,
            "So long after its instant and jitter, an occurrence whose task has not started is overdue: counted, logged \
             and told to [hooks](hooks.md#when-a-task-is-overdue). From 1 s.",
        ),
    ],
};

pub(in super::super) const HTTP: Keys = Keys {
    table: "http",
    about: "The endpoint for health and metrics.",
    keys: &[
        key(
            "listen",
            Address,
            "Address and port, such as `\"127.0.0.1:8321\"`, `\"[::1]:8321\"`, or `\"0.0.0.0:8321\"` for every \
             interface.",
        )
        .or("UPBEAT_LISTEN", "--listen")
        .unset("nowhere"),
        key(
            "echo",
            Boolean,
            "Answer `POST /echo` with its own body, for trying out tasks with `http`. Warned about where others \
             can reach it.",
        ),
    ],
};

/// Of `hooks.dead` and `hooks.overdue`.
pub(in super::super) const HOOK: Keys = Keys {
    table: "hooks.EVENT",
    about: "Which endpoint is told of what needs a person: `[hooks.dead]` of tasks that failed for good, \
            `[hooks.overdue]` of occurrences that have not started long after their time.",
    keys: &[
        key(
            "url",
            Url,
            "An `http://` or `https://` URL to which notices are posted as JSON; a 2xx answer means that it was heard.",
        ),
        key("url_file", Path, "Instead of `url`: a file that holds it."),
        key("headers", TextTable, "Further headers.").unset("none"),
        key("secret", Text, "Signs each request with an HMAC under this key.").unset("none"),
        key("secret_file", Path, "Instead of `secret`: a file that holds it."),
        key("queue", Name, "The queue in which notices wait for a worker."),
        key("timeout", Duration, "How long one request may take."),
        key("retry", Retry, "When a notice is sent again that was not heard.").unset("as `[worker]`"),
    ],
};

pub(in super::super) const LOG: Keys = Keys {
    table: "log",
    about: "What is logged, and how.",
    keys: &[
        key(
            "level",
            Text,
            "`off`, `error`, `warn`, `info`, `debug` or `trace`; or by module: `\"info,upbeat_worker=debug\"`.",
        )
        .or("UPBEAT_LOG", "--log"),
        key(
            "format",
            Choice(&["auto", "human", "json"]),
            "`\"human\"`, `\"json\"` (one object a line), or `\"auto\"`: human on a terminal and JSON elsewhere.",
        )
        .or("UPBEAT_LOG_FORMAT", "--log-format"),
    ],
};

pub(in super::super) const RETENTION: Keys = Keys {
    table: "retention",
    about: "How long the ledger keeps what.",
    keys: &[
        key(
            "ids",
            Duration,
            "Ids of finished tasks. For so long a repeat of a task is recognised and not run again.",
        ),
        key(
            "details",
            Duration,
            "Arguments, results and errors of finished tasks; never longer than `ids`. Dead tasks stay.",
        ),
        key("succeeded", Duration, "The same of tasks that succeeded.").unset("as `details`"),
        key("cancelled", Duration, "The same of tasks that were cancelled.").unset("as `details`"),
        key("expired", Duration, "The same of tasks that expired.").unset("as `details`"),
        key(
            "dead",
            Duration,
            "Dead tasks, with everything, before they are dropped as by `upbeat dead drop`. Not set, they stay until \
             somebody drops them.",
        ),
        key("occurrences", Duration, "What became of each occurrence of each schedule."),
    ],
};

pub(in super::super) const LIMITS: Keys = Keys {
    table: "limits",
    about: "What one message may cost its reader.",
    keys: &[
        key(
            "body",
            Size,
            "How large the arguments of a message may be; up to 128 MiB. Large data is better stored elsewhere and \
             referred to.",
        ),
        key("depth", Number, "How deeply the arguments of a message may be nested; up to 120."),
        key("headers", Number, "How many headers a message may have; up to 1000."),
    ],
};
