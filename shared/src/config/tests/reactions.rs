//! What becomes of failures, and soft timeouts, as they are written.

use std::time::Duration;

use super::World;
use super::refusals::refuses;
use crate::reaction::Reaction;
use crate::retry::RetryPolicy;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_kind_of_failure_may_be_dealt_with_in_its_own_way() {
    let config = World::with(
        "[tasks.c]\ncommand = ['x']\ntimeout = '30s'\nsoft_timeout = '25s'\nretry = { max_attempts = 4, delay = '7s' }\n\
         on.timeout = { give_up = true }\n[tasks.c.on.'exit:75']\nretry_after = '1m'\n\
         [tasks.c.on.exit.retry]\nmax_attempts = 2\n[tasks.h]\nhttp = 'http://h'\non.'http:5xx'.snooze = '5m'\n",
    )
    .config();
    let command = &config.tasks[&"c".parse().unwrap()];
    assert_eq!(command.soft_timeout, Some(SECOND * 25));
    assert_eq!(command.on.to("timeout"), Some(Reaction::GiveUp));
    assert_eq!(command.on.to("exit:75"), Some(Reaction::RetryAfter(SECOND * 60)));
    // What it does not say is as the task says.
    let retry = RetryPolicy { max_attempts: 2, ..command.retry };
    assert_eq!((command.on.to("exit:1"), retry.delay), (Some(Reaction::Retry(retry)), SECOND * 7));
    assert_eq!(command.on.to("signal:9"), None);
    let request = &config.tasks[&"h".parse().unwrap()];
    assert_eq!(request.on.to("http:503"), Some(Reaction::Snooze(SECOND * 300)));
}

#[test]
fn a_handler_of_the_program_has_codes_of_its_own() {
    let world = World::with("[tasks.n.on]\ncard_declined = { give_up = true }\npanic = { snooze = '1m' }\n")
        .native("n");
    let on = &world.config().tasks[&"n".parse().unwrap()].on;
    assert_eq!(on.to("card_declined"), Some(Reaction::GiveUp));
    assert_eq!(on.to("panic"), Some(Reaction::Snooze(SECOND * 60)));
}

#[test]
fn a_code_that_no_run_of_the_task_ends_with_is_refused_with_the_one_that_was_meant() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[tasks.t.on.'exitt:75']\ngive_up = true\n",
        "\
error: no run of this task fails with `exitt:75`
 --> upbeat.toml:3:13
  |
3 | [tasks.t.on.'exitt:75']
  |             ^^^^^^^^^^
  = did you mean `exit:75`?
",
    );
    refuses(
        "[tasks.t]\nhttp = 'http://h'\non.card_declined.give_up = true\n",
        "\
error: no run of this task fails with `card_declined`
 --> upbeat.toml:3:4
  |
3 | on.card_declined.give_up = true
  |    ^^^^^^^^^^^^^
  = known here: `http` or `timeout`
",
    );
    refuses(
        "[tasks.t]\nhttp = 'http://h'\non.'http:200'.give_up = true\n",
        "\
error: `http:200` is no error code
 --> upbeat.toml:3:4
  |
3 | on.'http:200'.give_up = true
  |    ^^^^^^^^^^
  = behind `http:` stands a status that is no success, such as 429, or 3xx, 4xx, 5xx or no_answer
",
    );
}

#[test]
fn exactly_one_thing_becomes_of_a_failure() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[tasks.t.on.timeout]\nsnooze = '1m'\ngive_up = true\n",
        "\
error: both `give_up` and `snooze` are set
 --> upbeat.toml:3:1
  |
3 | [tasks.t.on.timeout]
  | ^^^^^^^^^^^^^^^^^^^^
  = set exactly one of `give_up`, `retry`, `retry_after` or `snooze`
",
    );
    refuses(
        "[tasks.t]\ncommand = ['x']\n[tasks.t.on.timeout]\ngive_up = false\n",
        "\
error: `give_up` can only be `true`
 --> upbeat.toml:4:11
  |
4 | give_up = false
  |           ^^^^^
  = leave it out where it does not hold
",
    );
    refuses(
        "[tasks.t]\ncommand = ['x']\non = 'timeout'\n",
        "\
error: this should be a table of tables, and is a text
 --> upbeat.toml:3:6
  |
3 | on = 'timeout'
  |      ^^^^^^^^^
  = write on.timeout = { give_up = true }
",
    );
}

#[test]
fn a_soft_timeout_comes_before_the_timeout() {
    refuses(
        "[tasks.t]\ncommand = ['x']\ntimeout = '30s'\nsoft_timeout = '30s'\n",
        "\
error: `soft_timeout` is not shorter than `timeout`, which is 30s
 --> upbeat.toml:4:16
  |
4 | soft_timeout = '30s'
  |                ^^^^^
  = a run is told to wind up at the first, and stopped at the second
",
    );
}

#[test]
fn a_timeout_that_leaves_no_time_to_wind_up_is_pointed_out() {
    let mut world = World::with("[tasks.n]\ntimeout = '5s'\n").native("n");
    world.native[0].soft_timeout = Some(SECOND * 5);
    let warnings = world.load().unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.contains("the program's own soft timeout is 5s"), "{}", warnings[0].message);
    world.native[0].soft_timeout = Some(SECOND * 4);
    assert_eq!(world.load().unwrap().warnings, []);
}
