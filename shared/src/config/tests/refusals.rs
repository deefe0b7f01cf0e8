//! Each kind of mistake, as it is shown.

use super::*;

#[track_caller]
fn refuses(text: &str, shown: &str) {
    assert_eq!(World::with(text).refusal(), shown);
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    refuses(
        "\
[[schedule]]
id = 'n'
task = 't'
cron = '@daily'
timezon = 'Europe/Berlin'
[tasks.t]
command = ['x']
",
        "\
error: unknown key `timezon`
 --> upbeat.toml:5:1
  |
5 | timezon = 'Europe/Berlin'
  | ^^^^^^^
  = did you mean `timezone`?
",
    );
}

#[test]
fn an_unknown_table_is_refused_with_the_one_that_was_meant() {
    refuses(
        "[workers]\nconcurrency = 1\n",
        "\
error: unknown key `workers`
 --> upbeat.toml:1:2
  |
1 | [workers]
  |  ^^^^^^^
  = did you mean `worker`?
",
    );
}

#[test]
fn a_key_like_no_other_is_refused_with_all_that_are_known() {
    refuses(
        "[http]\nfrobnicate = 1\n",
        "\
error: unknown key `frobnicate`
 --> upbeat.toml:2:1
  |
2 | frobnicate = 1
  | ^^^^^^^^^^
  = known here: listen, echo
",
    );
}

#[test]
fn an_unknown_zone_is_refused() {
    refuses(
        "\
[tasks.t]
command = ['x']
[[schedule]]
id = 'n'
task = 't'
cron = '@daily'
timezone = 'Europe/Berln'
",
        "\
error: `Europe/Berln` is not a time zone
 --> upbeat.toml:7:13
  |
7 | timezone = 'Europe/Berln'
  |             ^^^^^^^^^^^^
  = did you mean `Europe/Berlin`?
",
    );
}

#[test]
fn a_field_of_an_expression_is_underlined() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[[schedule]]\nid = 'n'\ntask = 't'\ncron = '0 25 * * *'\n",
        "\
error: 25 is not an hour
 --> upbeat.toml:6:11
  |
6 | cron = '0 25 * * *'
  |           ^^
  = hours go from 0 to 23
",
    );
}

#[test]
fn an_expression_that_never_fires_is_refused() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[[schedule]]\nid = 'n'\ntask = 't'\ncron = \"0 0 30 2 *\"\n",
        "\
error: this never fires: February has at most 29 days
 --> upbeat.toml:6:13
  |
6 | cron = \"0 0 30 2 *\"
  |             ^^
  = the last day of a month is `L`
",
    );
}

#[test]
fn a_schedule_needs_one_rule() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[[schedule]]\nid = 'n'\ntask = 't'\n",
        "\
error: the schedule says nothing about when it fires
 --> upbeat.toml:3:1
  |
3 | [[schedule]]
  | ^^^^^^^^^^^^
  = set one of `cron`, `every` and `at`
",
    );
}

#[test]
fn a_schedule_of_a_task_that_is_not_described_is_refused() {
    refuses(
        "\
[tasks.'report.load']
command = ['x']
[[schedule]]
id = 'n'
task = 'report.laod'
every = '1m'
",
        "\
error: there is no task `report.laod`
 --> upbeat.toml:5:8
  |
5 | task = 'report.laod'
  |        ^^^^^^^^^^^^^
  = did you mean `report.load`?
",
    );
}

#[test]
fn two_schedules_with_one_id_are_refused() {
    refuses(
        "\
[tasks.t]
command = ['x']
[[schedule]]
id = 'n'
task = 't'
every = '1m'
[[schedule]]
id = 'n'
task = 't'
every = '2m'
",
        "\
error: there are two schedules with this id
 --> upbeat.toml:8:6
  |
8 | id = 'n'
  |      ^^^
  = the other one is on line 3; ids tell schedules apart
",
    );
}

#[test]
fn a_task_that_is_described_twice_is_refused() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[tasks.t]\ncommand = ['y']\n",
        "\
error: the table [tasks.t] is written twice
 --> upbeat.toml:3:8
  |
3 | [tasks.t]
  |        ^
  = join the two, or rename one
",
    );
}

#[test]
fn a_task_without_an_executor_is_refused() {
    refuses(
        "[tasks.t]\nqueue = 'q'\n",
        "\
error: the task `t` has no executor
 --> upbeat.toml:1:1
  |
1 | [tasks.t]
  | ^^^^^^^^^
  = set `command = [\"program\", \"argument\"]` or `http = \"http://…\"`
",
    );
}

#[test]
fn a_task_with_two_executors_is_refused() {
    refuses(
        "[tasks.t]\ncommand = ['x']\nhttp = 'http://h'\n",
        "\
error: the task `t` has two executors
 --> upbeat.toml:3:1
  |
3 | http = 'http://h'
  | ^^^^
  = keep `command` or `http`; one task is run by one thing
",
    );
}

#[test]
fn a_command_as_a_text_is_refused() {
    refuses(
        "[tasks.t]\ncommand = 'echo hi'\n",
        "\
error: this should be a list of texts, and is a text
 --> upbeat.toml:2:11
  |
2 | command = 'echo hi'
  |           ^^^^^^^^^
  = a command is started without a shell: write [\"program\", \"argument\"], or [\"sh\", \"-c\", \"…\"]
",
    );
}

#[test]
fn a_key_of_the_other_executor_is_refused() {
    refuses(
        "[tasks.t]\nhttp = 'http://h'\ncwd = '/tmp'\n",
        "\
error: a request has no `cwd`
 --> upbeat.toml:3:1
  |
3 | cwd = '/tmp'
  | ^^^
  = this key belongs to tasks with `command`
",
    );
}

#[test]
fn a_dot_in_a_bare_task_name_is_explained() {
    refuses(
        "[tasks.report.load]\ncommand = ['x']\n",
        "\
error: a task has no table `load`
 --> upbeat.toml:1:15
  |
1 | [tasks.report.load]
  |               ^^^^
  = a name with a dot is written in quotes: [tasks.\"report.load\"]
",
    );
}

#[test]
fn a_weight_of_zero_is_refused() {
    refuses(
        "[worker]\nqueues = { critical = 6, low = 0 }\n",
        "\
error: this weight is out of range
 --> upbeat.toml:2:32
  |
2 | queues = { critical = 6, low = 0 }
  |                                ^
  = weights go from 1 to 1000; leave a queue out to take nothing from it
",
    );
}

#[test]
fn a_duration_without_a_unit_is_refused() {
    refuses(
        "[worker]\ntimeout = 30\n",
        "\
error: a duration needs a unit
 --> upbeat.toml:2:11
  |
2 | timeout = 30
  |           ^^
  = for seconds write \"30s\"
",
    );
}

#[test]
fn a_duration_that_is_none_is_refused() {
    refuses(
        "[worker]\ngrace = 'soon'\n",
        "\
error: this is no duration
 --> upbeat.toml:2:9
  |
2 | grace = 'soon'
  |         ^^^^^^
  = durations are written as \"250ms\", \"30s\", \"1h 30m\" or \"7d\"
",
    );
}

#[test]
fn a_choice_that_is_none_is_refused() {
    refuses(
        "[worker]\nretry = { backoff = 'expnential' }\n",
        "\
error: `expnential` is none of the choices
 --> upbeat.toml:2:21
  |
2 | retry = { backoff = 'expnential' }
  |                     ^^^^^^^^^^^^
  = choose `constant`, `linear` or `exponential`
",
    );
}

#[test]
fn a_variable_that_is_not_set_is_refused() {
    refuses(
        "[broker]\nurl = 'amqp://u:${AMQP_PASSWORD}@mq'\n",
        "\
error: the environment variable `AMQP_PASSWORD` is not set
 --> upbeat.toml:2:17
  |
2 | url = 'amqp://u:${AMQP_PASSWORD}@mq'
  |                 ^^^^^^^^^^^^^^^^
  = set it, or give a default: `${NAME:-default}`; `$$` stands for a `$`
",
    );
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    refuses(
        "[broker]\nurl_file = '/run/secrets/amqp'\n",
        "\
error: cannot read /run/secrets/amqp: No such file or directory
 --> upbeat.toml:2:12
  |
2 | url_file = '/run/secrets/amqp'
  |            ^^^^^^^^^^^^^^^^^^^
  = paths are relative to the directory of this file
",
    );
}

#[test]
fn an_unknown_scheme_is_refused() {
    refuses(
        "[ledger]\nurl = 'mysql://user:pw@db/x'\n",
        "\
error: the scheme `mysql` is not known here
 --> upbeat.toml:2:8
  |
2 | url = 'mysql://user:**@db/x'
  |        ^^^^^
  = write it as `embedded`, `postgres://…`, `postgresql://…`, `redis://…` or `rediss://…`
",
    );
}

#[test]
fn a_name_with_a_bad_character_is_refused() {
    refuses(
        "[tasks.t]\ncommand = ['x']\nqueue = 'my queue'\n",
        "\
error: `my queue` is no queue name
 --> upbeat.toml:3:9
  |
3 | queue = 'my queue'
  |         ^^^^^^^^^^
  = ' ' is not allowed; use letters, digits and any of _ - .
",
    );
}

#[test]
fn a_level_that_is_none_is_refused() {
    refuses(
        "[log]\nlevel = 'info,upbeat=debgu'\n",
        "\
error: `debgu` is no level
 --> upbeat.toml:2:22
  |
2 | level = 'info,upbeat=debgu'
  |                      ^^^^^
  = did you mean `debug`?
",
    );
}

#[test]
fn details_cannot_outlive_ids() {
    refuses(
        "[retention]\nids = '1h'\ndetails = '2h'\n",
        "\
error: `details` are kept longer than `ids`
 --> upbeat.toml:3:11
  |
3 | details = '2h'
  |           ^^^^
  = without its id a task is forgotten, and its details with it
",
    );
}

#[test]
fn one_bracket_too_few_is_refused() {
    refuses(
        "[schedule]\nid = 'x'\n",
        "\
error: there can be several of `schedule`
 --> upbeat.toml:1:1
  |
1 | [schedule]
  | ^^^^^^^^^^
  = write [[schedule]], with two brackets, above each
",
    );
}

#[test]
fn what_is_no_toml_is_refused() {
    refuses(
        "[worker]\nconcurrency = many\n",
        "\
error: there is no value here that TOML knows
 --> upbeat.toml:2:15
  |
2 | concurrency = many
  |               ^^^^
  = texts are written in quotes: key = \"text\"
",
    );
}

#[test]
fn an_unclosed_text_is_refused() {
    refuses(
        "namespace = \"abc\n[worker]\n",
        "\
error: this text has no closing quote
 --> upbeat.toml:1:17
  |
1 | namespace = \"abc
  |                 ^
  = a text of several lines is written in \"\"\" or '''
",
    );
}
