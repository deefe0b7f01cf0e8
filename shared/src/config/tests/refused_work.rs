//! Each kind of mistake in tasks and hooks, as it is shown.

use super::World;
use super::refusals::refuses;

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
fn an_argument_that_json_lacks_is_refused() {
    refuses(
        "\
[tasks.t]
command = ['x']
[[schedule]]
id = 'n'
task = 't'
every = '1m'
args = { x = [1, nan] }
",
        "\
error: JSON has no such number
 --> upbeat.toml:7:18
  |
7 | args = { x = [1, nan] }
  |                  ^^^
  = arguments are sent as JSON, which has no `inf` and `nan`
",
    );
}

#[test]
fn a_hook_for_an_unknown_event_is_refused() {
    refuses(
        "[hooks.daed]\nurl = 'http://h'\n",
        "\
error: there is no hook `daed`
 --> upbeat.toml:1:8
  |
1 | [hooks.daed]
  |        ^^^^
  = did you mean [hooks.dead]?
",
    );
    refuses(
        "[hooks.retry]\nurl = 'http://h'\n",
        "\
error: there is no hook `retry`
 --> upbeat.toml:1:8
  |
1 | [hooks.retry]
  |        ^^^^^
  = there are [hooks.dead] and [hooks.overdue]
",
    );
}

#[test]
fn a_hook_without_an_address_is_refused() {
    refuses(
        "[hooks.overdue]\nsecret = 'x'\n",
        "\
error: this hook has no `url`
 --> upbeat.toml:1:1
  |
1 | [hooks.overdue]
  | ^^^^^^^^^^^^^^^
  = set `url = \"https://…\"`
",
    );
}

#[test]
fn a_hook_whose_notices_no_worker_could_read_is_refused() {
    refuses(
        "[limits]\nbody = '1KiB'\n[hooks.dead]\nurl = 'http://h'\n",
        "\
error: what a hook is told can be larger than `body` of [limits] allows
 --> upbeat.toml:3:8
  |
3 | [hooks.dead]
  |        ^^^^
  = let `body` of [limits] be 64KiB at least
",
    );
}

#[test]
fn a_task_of_upbeats_own_is_refused() {
    refuses(
        "[tasks.\"upbeat.hook.dead\"]\nhttp = 'http://h'\n",
        "\
error: `upbeat.hook.dead` is a task of Upbeat's own
 --> upbeat.toml:1:8
  |
1 | [tasks.\"upbeat.hook.dead\"]
  |        ^^^^^^^^^^^^^^^^^^
  = [hooks.dead] and [hooks.overdue] say where these tasks go
",
    );
}

#[test]
fn arguments_that_the_programs_handler_reads_no_more_are_refused() {
    let text = "[[schedule]]\nid = 'n'\ntask = 't'\nevery = '1m'\nargs_version = 2\n";
    let world = World::with(text).native_of("t", 3, 4);
    assert_eq!(
        world.refusal(),
        "\
error: the handler reads no arguments of version 2: the oldest is 3
 --> upbeat.toml:5:16
  |
5 | args_version = 2
  |                ^
  = write `args` as they are today, and `args_version = 4`
"
    );
}
