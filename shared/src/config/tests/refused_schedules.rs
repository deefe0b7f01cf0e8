//! Each kind of mistake in schedules and calendars, as it is shown.

use super::World;
use super::refusals::refuses;

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
fn a_window_without_a_key_is_refused() {
    refuses(
        "[tasks.t]\ncommand = ['x']\n[[schedule]]\nid = 'n'\ntask = 't'\nevery = '1m'\nunique_within = '1h'\n",
        "\
error: this schedule has no `unique`
 --> upbeat.toml:7:1
  |
7 | unique_within = '1h'
  | ^^^^^^^^^^^^^
  = name the key that one of its tasks has at a time
",
    );
    refuses(
        "[tasks.t]\ncommand = ['x']\n[[schedule]]\nid = 'n'\ntask = 't'\nevery = '1m'\nunique = ''\n",
        "\
error: a unique key has 1 to 512 bytes, this one has 0
 --> upbeat.toml:7:10
  |
7 | unique = ''
  |          ^^
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
