//! Each kind of mistake in the file, its tables and its values, as it is shown.

use super::*;

#[track_caller]
pub(super) fn refuses(text: &str, shown: &str) {
    assert_eq!(World::with(text).refusal(), shown);
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
    refuses(
        "[retention]\ncancelled = '30d'\n",
        "\
error: `cancelled` are kept longer than `ids`
 --> upbeat.toml:2:13
  |
2 | cancelled = '30d'
  |             ^^^^^
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

#[test]
fn a_list_of_something_else_is_refused_at_the_item() {
    refuses(
        "[tasks.t]\ncommand = ['echo', 5]\n",
        "\
error: this should be a text, and is a whole number
 --> upbeat.toml:2:20
  |
2 | command = ['echo', 5]
  |                    ^
  = texts are written in quotes
",
    );
}

#[test]
fn a_queue_named_twice_is_refused() {
    refuses(
        "[worker]\nqueues = ['a', 'b', 'a']\n",
        "\
error: the queue `a` is named twice
 --> upbeat.toml:2:21
  |
2 | queues = ['a', 'b', 'a']
  |                     ^^^
",
    );
}

#[test]
fn a_mistake_far_out_on_a_long_line_is_shown_with_what_is_around_it() {
    refuses(
        "\
[tasks.t]
command = ['xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 5, 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy']
",
        "\
error: this should be a text, and is a whole number
 --> upbeat.toml:2:216
  |
2 | xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 5, 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
  |                                    ^
  = texts are written in quotes
",
    );
}

#[test]
fn every_mistake_is_reported_in_the_order_of_the_file() {
    refuses(
        "nmespace = 'x'\n[worker]\nconcurrency = 0\n[tasks.t]\ncomand = ['x']\n",
        "\
error: unknown key `nmespace`
 --> upbeat.toml:1:1
  |
1 | nmespace = 'x'
  | ^^^^^^^^
  = did you mean `namespace`?

error: this number is out of range
 --> upbeat.toml:3:15
  |
3 | concurrency = 0
  |               ^
  = it goes from 1 to 65536

error: the task `t` has no executor
 --> upbeat.toml:4:1
  |
4 | [tasks.t]
  | ^^^^^^^^^
  = set `command = [\"program\", \"argument\"]` or `http = \"http://…\"`

error: unknown key `comand`
 --> upbeat.toml:5:1
  |
5 | comand = ['x']
  | ^^^^^^
  = did you mean `command`?
",
    );
}
