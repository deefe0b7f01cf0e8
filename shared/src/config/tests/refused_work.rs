//! Each kind of mistake in tasks and schedules, as it is shown.

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
  = set one of `cron`, `every`, `repeat` and `at`
",
    );
}

#[test]
fn a_repetition_is_underlined_where_it_is_wrong() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[[schedule]]\nid = 'n'\ntask = 't'\nrepeat = 'R5/2026-02-30T09:00:00Z/P1M'\n",
        "\
error: `2026-02-30T09:00:00Z` is not an instant
 --> upbeat.toml:6:14
  |
6 | repeat = 'R5/2026-02-30T09:00:00Z/P1M'
  |              ^^^^^^^^^^^^^^^^^^^^
  = instants are written as `2026-01-31T09:00:00Z`, `2026-01-31T09:00:00+01:00` or `2026-01-31T09:00[Europe/Berlin]`
",
    );
}

#[test]
fn a_day_off_is_underlined_where_it_is_wrong() {
    refuses(
        "[calendars.office]\ndays_off = ['saturday', 'sumday']\n",
        "\
error: `sumday` is not a weekday
 --> upbeat.toml:2:25
  |
2 | days_off = ['saturday', 'sumday']
  |                         ^^^^^^^^
  = did you mean `sunday`?
",
    );
}

#[test]
fn a_calendar_that_is_not_described_is_refused() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[calendars.office]\ndays_off = ['sunday']\n[[schedule]]\nid = 'n'\ntask = 't'\n\
         cron = '@daily'\ncalendar = 'ofice'\n",
        "\
error: there is no calendar `ofice`
 --> upbeat.toml:9:12
  |
9 | calendar = 'ofice'
  |            ^^^^^^^
  = did you mean `office`?
",
    );
}

#[test]
fn a_schedule_that_its_calendar_never_lets_run_is_refused() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[calendars.office]\ndays_off = ['sunday']\n[[schedule]]\nid = 'n'\ntask = 't'\n\
         cron = '@weekly'\ncalendar = 'office'\n",
        "\
error: this never fires: the calendar `office` has every such day off
 --> upbeat.toml:9:13
  |
9 | calendar = 'office'
  |             ^^^^^^
  = choose other days, or move what falls on them with `on_holiday = \"next_business_day\"`
",
    );
}

#[test]
fn a_mistake_in_a_calendar_is_reported_once_and_with_its_line() {
    let world = World::with("[calendars.office]\nfile = 'days.ics'\n").file(
        "days.ics",
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Thanksgiving\nDTSTART;VALUE=DATE:20261126\n\
         RRULE:FREQ=YEARLY;BYDAY=4TH\nEND:VEVENT\nEND:VCALENDAR\n",
    );
    assert_eq!(
        world.refusal(),
        "\
error: days.ics, line 5: the event `Thanksgiving` repeats by a rule that is not understood: BYDAY=4TH
 --> upbeat.toml:2:8
  |
2 | file = 'days.ics'
  |        ^^^^^^^^^^
  = only the same date every year can be read (FREQ=YEARLY); write the dates of other rules as events of their own
"
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
