//! The keys that say what there is to do: queues, tasks and schedules.

use super::Takes::{
    Any, Boolean, CatchUp, Choice, Duration, Fair, Instant, Limit, Name, Number, On, Path, Retry, Size,
    Target, Text, TextTable, Texts, Url, Weights,
};
use super::{Keys, key};

pub(in super::super) const QUEUE: Keys = Keys {
    table: "queues.NAME",
    about: "Settings of one queue. Queues need no description; this is for those with settings of \
            their own.",
    keys: &[
        key(
            "record",
            Choice(&["claim", "publish"]),
            "When a task that is published for now becomes a row of the ledger. `\"publish\"`: at once, so that \
             queued tasks can be listed and cancelled, and publishing works while the broker is down. `\"claim\"`: \
             when a worker takes it, one write less. Embedded it is `\"publish\"`, on RabbitMQ `\"claim\"`.",
        )
        .unset("the broker's"),
        key("weight", Number, "Its share of a worker that names no shares itself; from 1 to 1000.").unset("`1`"),
        key("running", Number, "So many of its tasks run at once, over all workers.").unset("no limit"),
        key("rate", Text, "So often one of its tasks starts, over all workers: `\"100/1s\"`, spread evenly.")
            .unset("no limit"),
        key("burst", Number, "So many may start together after a quiet time, before the rate holds.").unset("`1`"),
        key("fair", Fair, "Its tenants take turns: no tenant's tasks wait for all of another's.").unset("not fair"),
    ],
};

/// `fair` of a queue.
pub(in super::super) const FAIR: Keys = Keys {
    table: "queues.NAME.fair",
    about: "How the tenants of a queue share it. A tenant is the key of its tasks. They are recorded when they are published, and \
            handed to the broker in turn.",
    keys: &[
        key(
            "slots",
            Number,
            "So many of the queue's tasks are with the broker or run at once; the others wait for their turn. More than all its \
             workers run together, or they wait for work.",
        )
        .unset("`500`"),
        key("weights", Weights, "How many tasks of a tenant go for one of another: `{ acme = 5 }`.").unset("`1` each"),
    ],
};

pub(in super::super) const TASK: Keys = Keys {
    table: "tasks.NAME",
    about: "What can be run, by `command` or by `http`; exactly one of them.",
    keys: &[
        key(
            "command",
            Texts,
            "A program with its arguments, started without a shell: `[\"python3\", \"load.py\"]`. Where a shell is \
             wanted, name it: `[\"sh\", \"-c\", \"…\"]`. The task's arguments arrive as JSON on standard input; exit \
             code 0 means success.",
        ),
        key(
            "http",
            Target,
            "An `http://` or `https://` URL to which the task's arguments are posted as JSON; a 2xx answer means \
             success.",
        ),
        key("queue", Name, "The queue of tasks that are published without one."),
        key("timeout", Duration, "How long one run may take.").unset("as `[worker]`"),
        key("cancel_grace", Duration, "How long a run may go on after it was told to stop.").unset("as `[worker]`"),
        key(
            "soft_timeout",
            Duration,
            "How long a run may take before it is told to wind up: a command gets `SIGTERM`, a handler of your own program \
             is told by `ctx.soft_timeout()`, a request goes on. Shorter than `timeout`, at which it is stopped.",
        )
        .unset("none"),
        key("retry", Retry, "When it runs again after a failure.").unset("as `[worker]`"),
        key(
            "on",
            On,
            "What becomes of a run that fails in one way: `on.timeout = { give_up = true }`, `on.\"http:429\" = { \
             retry_after = \"30s\" }`.",
        )
        .unset("as `retry`"),
        key("running", Number, "So many of these tasks run at once, over all workers.").unset("no limit"),
        key("rate", Text, "So often one of these tasks starts, over all workers: `\"10/1m\"`, spread evenly.")
            .unset("no limit"),
        key("burst", Number, "So many may start together after a quiet time, before the rate holds.").unset("`1`"),
        key("per_key", Limit, "The same limits again, for the tasks of each key by themselves.").unset("no limit"),
        key(
            "ack",
            Choice(&["settled", "claimed"]),
            "When the broker may forget its delivery: when its run is `\"settled\"`, or as soon as it is \
             `\"claimed\"`. Either way the ledger keeps the task. `\"claimed\"` is for tasks that may run longer than \
             RabbitMQ waits for an acknowledgement (30 minutes, unless told otherwise).",
        ),
        key(
            "env",
            TextTable,
            "For a command: environment variables beside those of the worker. Names that begin with `UPBEAT_` are \
             set by the worker.",
        )
        .unset("none"),
        key("cwd", Path, "For a command: where it runs.").unset("the worker's"),
        key(
            "output_limit",
            Size,
            "For a command: how much of each of its outputs is kept with the task; up to 16 MiB.",
        ),
        key("headers", TextTable, "For a request: further headers.").unset("none"),
        key("secret", Text, "For a request: signs it with an HMAC under this key.").unset("none"),
        key("secret_file", Path, "Instead of `secret`: a file that holds it."),
    ],
};

/// `on` of a task, for each code.
pub(in super::super) const ON: Keys = Keys {
    table: "tasks.NAME.on.CODE",
    about: "What becomes of a run that fails with this code; exactly one of these keys. Codes are `exit:75`, `signal:9`, \
            `http:503`, `http:no_answer`, `timeout`, `panic`, and whatever handlers of your own program call their errors. \
            `http:5xx` is for every such status, `exit`, `signal` and `http` for all of their kind; the most special one counts.",
    keys: &[
        key("give_up", Boolean, "`true`: the task is dead at once, whatever attempts are left.").unset("not said"),
        key(
            "retry",
            Retry,
            "It runs again by this policy, in place of the task's. `max_attempts` counts every failure of the task.",
        )
        .unset("not said"),
        key(
            "retry_after",
            Duration,
            "It runs again after so long, each time, while the task's policy leaves an attempt.",
        )
        .unset("not said"),
        key("snooze", Duration, "It runs again after so long, and no attempt is counted.").unset("not said"),
    ],
};

/// `per_key` of a task.
pub(in super::super) const PER_KEY: Keys = Keys {
    table: "tasks.NAME.per_key",
    about: "Limits of the tasks of one key (a customer, an account), which their publisher names. Tasks without a key \
            are not under them.",
    keys: &[
        key("running", Number, "So many of a key's tasks run at once, over all workers.").unset("no limit"),
        key(
            "rate",
            Text,
            "So often one of a key's tasks starts, over all workers: `\"10/1m\"`, spread evenly.",
        )
        .unset("no limit"),
        key("burst", Number, "So many may start together after a quiet time, before the rate holds.")
            .unset("`1`"),
    ],
};

/// `http` of a task, where it is a table.
pub(in super::super) const TARGET: Keys = Keys {
    table: "tasks.NAME.http",
    about: "The request of a task, with everything in one place.",
    keys: &[
        key("url", Url, "Where to."),
        key("headers", TextTable, "Further headers.").unset("none"),
        key("secret", Text, "Signs each request with an HMAC under this key.").unset("none"),
        key("secret_file", Path, "Instead of `secret`: a file that holds it."),
    ],
};

pub(in super::super) const CALENDAR: Keys = Keys {
    table: "calendars.NAME",
    about: "Days off, for schedules that name it with `calendar`.",
    keys: &[
        key(
            "days_off",
            Texts,
            "Weekdays (`\"saturday\"`), days of every year (`\"12-25\"`), dates (`\"2026-04-03\"`) and ranges \
             (`\"2026-12-28/2026-12-31\"`), in any order.",
        )
        .unset("none"),
        key(
            "file",
            Path,
            "An iCalendar file (`.ics`) whose all-day events are days off, beside `days_off`. Events may repeat every \
             year on their date; other rules are refused. Read whenever this file is.",
        ),
    ],
};

pub(in super::super) const SCHEDULE: Keys = Keys {
    table: "schedule",
    about: "When tasks are run; two brackets, since there can be many. `id`, `task` and exactly one \
            of `cron`, `every`, `repeat` and `at` are needed.",
    keys: &[
        key("id", Name, "Its name, which no other schedule has. Under another id it is another schedule."),
        key("task", Name, "What each occurrence runs: one of `[tasks]`, or a handler of your own program."),
        key(
            "cron",
            Text,
            "A cron expression of 5 fields (minute, hour, day of the month, month, day of the week), of 6 with \
             seconds first, of 7 with years last; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.",
        ),
        key(
            "every",
            Text,
            "A step: elapsed time (`\"15m\"`, `\"1h 30m\"`), or a step on the calendar of `timezone` (`\"1 day\"`, \
             `\"1 month\"`). Counted from `starts`, or else from 1970, so that it does not depend on when the beat \
             started.",
        ),
        key(
            "repeat",
            Text,
            "An ISO 8601 repetition, `\"R5/2026-01-31T09:00:00Z/P1M\"`: five times, from that start on, a month apart. \
             `R/` repeats without end. The n-th is start + n × duration, and the zone of the start is kept.",
        ),
        key(
            "at",
            Instant,
            "Once: `\"2026-01-31T09:00:00Z\"`, `\"2026-01-31T09:00:00+01:00\"`, or a time on the clocks of \
             `timezone`, `\"2026-01-31T09:00\"`. TOML's own dates and times, without quotes, are accepted too.",
        ),
        key("timezone", Text, "The IANA name of the zone whose clocks count: `\"Europe/Berlin\"`.").unset("UTC"),
        key(
            "gap",
            Choice(&["run_after", "skip"]),
            "A time that a change of the clocks skips: `\"run_after\"`: it runs right after the gap. `\"skip\"`: not \
             that day.",
        )
        .unset("`run_after`"),
        key(
            "fold",
            Choice(&["first", "second", "both"]),
            "A time that a change of the clocks repeats: it runs `\"first\"`, the `\"second\"` time, or `\"both\"`.",
        )
        .unset("`first`"),
        key(
            "dom_and_dow",
            Boolean,
            "If a cron expression restricts the day of the month and the day of the week: both have to fit, where \
             a crontab is content with either.",
        )
        .unset("`false`"),
        key("starts", Instant, "Nothing fires before. A date means its beginning."),
        key("ends", Instant, "Nothing fires after. A date includes the whole day."),
        key(
            "calendar",
            Text,
            "Days off: one of `[calendars]`. Its days are days of `timezone`, and it travels with the schedule: a change \
             of the calendar is a change of the schedule.",
        ),
        key(
            "on_holiday",
            Choice(&["skip", "next_business_day", "previous_business_day"]),
            "An occurrence on a day off is skipped, and recorded as that; or it runs at the same time on the \
             `\"next_business_day\"` or the `\"previous_business_day\"`.",
        )
        .unset("`skip`"),
        key(
            "jitter",
            Text,
            "A window of time: each occurrence is delayed by its own part of it, the same on every beat.",
        )
        .unset("none"),
        key("args", Any, "What each task is given, sent as JSON; dates become texts.").unset("none"),
        key("args_version", Number, "The version of the arguments' shape, where the task's type counts versions."),
        key("queue", Name, "The queue of its tasks.").unset("the task's"),
        key("priority", Number, "0 (last) to 9 (first).").unset("the task's, or `4`"),
        key("timeout", Duration, "How long one run may take.").unset("the task's"),
        key("retry", Retry, "When its tasks run again after a failure.").unset("the task's"),
        key("tags", Texts, "Labels of its tasks, to find them by.").unset("none"),
        key("key", Name, "Whose its tasks are: limits by key count them under this.").unset("none"),
        key(
            "unique",
            Text,
            "A key that one of its tasks has at a time, until that one has ended. An occurrence that finds it taken is \
             recorded as merged into the task that has it.",
        )
        .unset("none"),
        key("unique_within", Duration, "The task has the key for so long, however soon it ends.")
            .unset("until it has ended"),
        key("replace", Boolean, "A task that has the key and does not run yet is cancelled, and the new one takes its place.")
            .unset("`false`"),
        key("expires_after", Duration, "How long after its planned instant a task may still start.")
            .unset("never"),
        key(
            "deadline_after",
            Duration,
            "How long after its planned instant a task must have ended, its retries too: a run is stopped then.",
        )
        .unset("none"),
        key(
            "catch_up",
            CatchUp(&["none", "latest", "all"]),
            "What becomes of occurrences that were missed while no beat ran: `\"none\"` of them runs, one for the \
             `\"latest\"`, or `\"all\"`.",
        ),
        key("grace", Duration, "How late an occurrence may be planned before it counts as missed."),
        key(
            "overdue_after",
            Duration,
            "How late its task may start before it is overdue: longer for what may wait.",
        )
        .unset("as `[beat]`"),
        key("paused", Boolean, "Nothing runs; occurrences that pass are recorded as skipped."),
    ],
};

/// `catch_up` of a schedule, where it is a table.
pub(in super::super) const CATCH_UP: Keys = Keys {
    table: "schedule.catch_up",
    about: "What becomes of missed occurrences, where one word is not enough.",
    keys: &[
        key("mode", Choice(&["none", "latest", "all"]), "Which of the missed occurrences run, as above."),
        key("within", Duration, "Occurrences planned longer ago than this are not made up for.")
            .unset("for ever"),
    ],
};
