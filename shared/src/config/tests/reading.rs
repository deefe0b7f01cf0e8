//! What a file means.

use std::time::Duration;

use super::*;
use crate::client::Record;
use crate::config::{ExecutorConfig, TaskConfig};
use crate::name::QueueName;
use crate::occurrence::ScheduleDefinition;
use crate::retry::{Backoff, RetryPolicy};
use crate::task::TaskState;
use crate::unique::Unique;
use upbeat_schedule::{CatchUp, Gap, OnHoliday};

fn task(world: &World, name: &str) -> TaskConfig {
    world.config().tasks.remove(&TaskName::new(name).unwrap()).unwrap()
}

fn schedule(more: &str) -> ScheduleDefinition {
    let text =
        format!("[tasks.t]\ncommand = ['x']\nqueue = 'slow'\n[[schedule]]\nid = 'i'\ntask = 't'\n{more}");
    World::with(&text).config().schedules.remove(0).definition
}

fn queues(world: &World) -> Vec<(String, u32)> {
    world.config().worker.queues.iter().map(|(queue, weight)| (queue.to_string(), *weight)).collect()
}

fn named(queues: &[(&str, u32)]) -> Vec<(String, u32)> {
    queues.iter().map(|(queue, weight)| ((*queue).to_owned(), *weight)).collect()
}

#[test]
fn nothing_at_all_is_the_default() {
    assert_eq!(World::default().config(), default_as_loaded());
    assert_eq!(World::with("").config(), default_as_loaded());
}

#[test]
fn a_command_is_an_argv() {
    let text = "[tasks.x]\ncommand = ['sh', '-c', 'exit 1']\nenv = { A = 'b' }\ncwd = 'sub'\noutput_limit = '1KiB'\ntimeout = '30s'\n";
    let world = World::default().file("/etc/upbeat.toml", text).env("UPBEAT_CONFIG", "/etc/upbeat.toml");
    let task = task(&world, "x");
    assert_eq!((task.line, task.timeout), (1, Duration::from_secs(30)));
    let ExecutorConfig::Command { program, args, env, cwd, output_limit } = task.executor else {
        panic!("no command")
    };
    assert_eq!((program.as_str(), args), ("sh", vec!["-c".to_owned(), "exit 1".into()]));
    assert_eq!(env["A"].expose(), "b");
    assert_eq!((cwd, output_limit), (Some("/etc/sub".into()), 1024));
}

#[test]
fn a_request_is_a_url_or_a_table() {
    let text = "[tasks.a]\nhttp = 'http://h/a'\nsecret = 's'\nheaders = { A = 'b' }\n\
                [tasks.b]\nhttp = { url = 'http://h/a', secret = 's', headers = { A = 'b' } }\n";
    let world = World::with(text);
    assert_eq!(task(&world, "a").executor, task(&world, "b").executor);
}

#[test]
fn hooks_say_who_is_told_of_which_event() {
    let text = "[worker]\nretry = { max_attempts = 4 }\n[hooks.dead]\nurl = 'https://h/dead'\nsecret = 's'\n\
                headers = { A = 'b' }\nqueue = 'alerts'\ntimeout = '5s'\nretry = { delay = '1s' }\n";
    let hooks = World::with(text).config().hooks;
    let dead = hooks.dead.clone().unwrap();
    assert_eq!((dead.target.url.expose(), dead.timeout), ("https://h/dead", Duration::from_secs(5)));
    assert_eq!(dead.target.headers["A"].expose(), "b");
    assert_eq!((dead.retry.max_attempts, dead.retry.delay), (4, Duration::from_secs(1)));
    assert_eq!(hooks.overdue, None);
    let notices = hooks.notices();
    assert_eq!((notices.dead, notices.overdue), (Some(QueueName::new("alerts").unwrap()), None));
    let world = World::with(text);
    assert_eq!(queues(&world), named(&[("alerts", 1), ("default", 1)]), "somebody must deliver them");
}

#[test]
fn a_task_inherits_what_it_does_not_say_from_the_worker() {
    let text = "[worker]\ntimeout = '2m'\nretry = { max_attempts = 4, backoff = 'linear' }\n\
                [tasks.a]\ncommand = ['x']\n[tasks.b]\ncommand = ['x']\nretry = { max_attempts = 2 }\n";
    let world = World::with(text);
    let inherited = RetryPolicy { max_attempts: 4, backoff: Backoff::Linear, ..RetryPolicy::default() };
    assert_eq!(task(&world, "a").timeout, Duration::from_secs(120));
    assert_eq!(task(&world, "a").retry, inherited);
    assert_eq!(task(&world, "b").retry, RetryPolicy { max_attempts: 2, ..inherited });
}

#[test]
fn native_tasks_need_no_executor_and_no_description() {
    let text = "[tasks.a]\nqueue = 'q'\n[[schedule]]\nid = 's'\ntask = 'b'\nevery = '1m'\n";
    let world = World::with(text).native("a").native("b");
    assert_eq!(task(&world, "a").executor, ExecutorConfig::Native);
    assert_eq!(world.config().schedules.len(), 1);
}

#[test]
fn a_worker_takes_from_every_queue_that_is_named_unless_it_names_its_own() {
    let text = "[queues.a]\nweight = 5\n[tasks.t]\ncommand = ['x']\nqueue = 'b'\n\
                [[schedule]]\nid = 's'\ntask = 't'\nevery = '1m'\nqueue = 'c'\n";
    let world = World::with(text);
    assert_eq!(queues(&world), named(&[("a", 5), ("b", 1), ("c", 1), ("default", 1)]));
    let listed = World::with(&format!("[worker]\nqueues = ['b', 'a']\n{text}"));
    assert_eq!(queues(&listed), named(&[("b", 1), ("a", 5)]));
    let weighted = listed.env("UPBEAT_QUEUES", "z=6, a");
    assert_eq!(queues(&weighted), named(&[("z", 6), ("a", 5)]));
}

#[test]
fn a_queue_that_the_worker_leaves_out_is_worth_a_warning() {
    let text = "[worker]\nqueues = { a = 2 }\n[tasks.t]\ncommand = ['x']\nqueue = 'b'\n";
    let warnings = World::with(text).load().unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].to_string(),
        "warning: the worker described here takes nothing from `b`\n --> upbeat.toml:5:9\n  |\n5 | queue = 'b'\n  |         ^^^"
    );
}

#[test]
fn workers_that_share_a_file_are_not_warned() {
    let world = World::with("[tasks.t]\ncommand = ['x']\n").env("UPBEAT_QUEUES", "a");
    assert_eq!(world.load().unwrap().warnings, []);
}

#[test]
fn queues_have_settings_of_their_own() {
    let config = World::with("[queues.'a.b']\nrecord = 'claim'\n").config();
    let queue = &config.queues[&QueueName::new("a.b").unwrap()];
    assert_eq!((queue.record, queue.weight), (Some(Record::Claim), None));
}

#[test]
fn a_schedule_says_when_and_what() {
    let definition = schedule(
        "cron = '30 2 * * *'\ntimezone = 'Europe/Berlin'\ngap = 'skip'\nargs = { n = 1, when = 2026-01-31, deep = [true, 1.5] }\n\
         priority = 9\ntimeout = '1m'\ntags = ['a']\nexpires_after = '1h'\ndeadline_after = '2h'\ncatch_up = { mode = 'all', within = '6h' }\n\
         grace = '0s'\npaused = true\nretry = { max_attempts = 3 }\n",
    );
    assert_eq!(definition.timing.gap, Some(Gap::Skip));
    assert_eq!(definition.task.queue.as_str(), "slow");
    assert_eq!(
        definition.task.args,
        serde_json::json!({ "n": 1, "when": "2026-01-31", "deep": [true, 1.5] })
    );
    assert_eq!(definition.task.priority, Some(9));
    assert_eq!(definition.task.deadline_after, Some(std::time::Duration::from_secs(7200)));
    assert_eq!(definition.task.retry.map(|retry| retry.max_attempts), Some(3));
    assert_eq!(definition.catch_up.mode, CatchUp::All);
    assert_eq!(definition.catch_up.within.map(|within| within.as_secs()), Some(6 * 3600));
    assert!(definition.paused && definition.grace.is_zero());
}

#[test]
fn a_schedule_says_which_key_its_tasks_have() {
    let unique = |keys: &str| schedule(&format!("every = '1m'\n{keys}")).task.unique;
    assert_eq!(unique(""), None);
    assert_eq!(unique("unique = 'a b'\n"), Some(Unique::by("a b")));
    let hour = Duration::from_secs(3600);
    let all = unique("unique = 'k'\nunique_within = '1h'\nreplace = true\n");
    assert_eq!(all, Some(Unique::by("k").within(hour).replacing()));
}

#[test]
fn a_calendar_goes_whole_into_the_schedules_that_follow_it() {
    let text = "[calendars.office]\ndays_off = ['saturday', 2026-04-03]\nfile = 'days.ics'\n[tasks.t]\ncommand = ['x']\n\
                [[schedule]]\nid = 'i'\ntask = 't'\ncron = '@daily'\ncalendar = 'office'\non_holiday = 'previous_business_day'\n";
    let event = "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20001225\nRRULE:FREQ=YEARLY\nEND:VEVENT\n";
    let config =
        World::with(text).file("days.ics", &format!("BEGIN:VCALENDAR\n{event}END:VCALENDAR\n")).config();
    let timing = &config.schedules[0].definition.timing;
    let days: Vec<String> =
        timing.calendar.as_ref().unwrap().days_off().iter().map(ToString::to_string).collect();
    assert_eq!(days, ["saturday", "2026-04-03", "12-25"]);
    assert_eq!(timing.on_holiday, Some(OnHoliday::PreviousBusinessDay));
}

#[test]
fn arguments_of_a_schedule_are_of_the_first_version_unless_told() {
    let version = |more: &str| {
        let text = format!("[[schedule]]\nid = 'i'\ntask = 't'\nevery = '1m'\n{more}");
        let config = World::with(&text).native_of("t", 1, 2).config();
        config.schedules[0].definition.task.args_version
    };
    assert_eq!(version(""), 1, "a file's arguments stay what they are when the program is changed");
    assert_eq!(version("args_version = 2\n"), 2);
    assert_eq!(version("args_version = 3\n"), 3, "a newer program may read them");
}

#[test]
fn an_instant_may_be_written_as_toml_writes_it() {
    assert_eq!(schedule("at = 2030-01-01T00:00:00Z\n").timing.at.as_deref(), Some("2030-01-01T00:00:00Z"));
    assert_eq!(schedule("every = '1h'\nstarts = 2030-01-01\n").timing.starts.as_deref(), Some("2030-01-01"));
}

#[test]
fn a_schedule_names_the_file_as_its_source() {
    let text = "[[schedule]]\nid = 'i'\ntask = 't'\nevery = '1m'\n";
    let world = World::default().file("/etc/u.toml", text).env("UPBEAT_CONFIG", "/etc/u.toml").native("t");
    assert_eq!(world.config().schedules[0].source, "/etc/u.toml");
}

#[test]
fn texts_of_the_environment_stand_for_any_kind_of_value() {
    let text = "[worker]\nconcurrency = '${N}'\n[http]\nlisten = '127.0.0.1:1'\necho = '${ECHO:-true}'\n";
    let config = World::with(text).env("N", "7").config();
    assert_eq!((config.worker.concurrency, config.http.echo), (7, true));
    assert!(World::with("[worker]\nconcurrency = '7'\n").load().is_err());
}

#[test]
fn paths_of_the_file_are_relative_to_it_and_others_to_the_working_directory() {
    let world = || {
        World::default().file("/etc/u/upbeat.toml", "data = 'd'").env("UPBEAT_CONFIG", "/etc/u/upbeat.toml")
    };
    assert_eq!(world().config().data, Path::new("/etc/u/d"));
    assert_eq!(world().env("UPBEAT_DATA", "d").config().data, Path::new("d"));
}

#[test]
fn a_variable_spares_the_file_that_it_outdoes() {
    let world = World::with("[broker]\nurl_file = 'gone'\n").env("UPBEAT_BROKER", "amqp://mq");
    assert_eq!(world.config().broker.url.to_string(), "amqp://mq");
}

#[test]
fn bounds_that_nobody_wrote_give_way_to_those_that_somebody_did() {
    let config = World::with("[worker]\nretry.delay = '1h'\n[retention]\nids = '1h'\n").config();
    assert_eq!(config.worker.retry.max_delay, Duration::from_secs(3600));
    assert_eq!(config.retention.details, Duration::from_secs(3600));
}

#[test]
fn each_end_is_kept_as_details_are_unless_it_says_otherwise() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let retention = World::with("[retention]\ndetails = '5h'\ncancelled = '1h'\n").config().retention;
    let of = |state| retention.details_of(state);
    assert_eq!(of(TaskState::Succeeded), Some(hours(5)));
    assert_eq!(of(TaskState::Cancelled), Some(hours(1)));
    assert_eq!(of(TaskState::Expired), Some(hours(5)));
    assert_eq!(of(TaskState::Dead), None);
}

#[test]
fn a_run_that_is_told_to_stop_has_the_time_of_its_task_or_of_its_worker() {
    let world = World::with(
        "[worker]\ncancel_grace = '1s'\n[tasks.a]\ncommand = ['a']\ncancel_grace = '2m'\n[tasks.b]\ncommand = ['b']\n",
    );
    assert_eq!(world.config().worker.cancel_grace, Duration::from_secs(1));
    assert_eq!(task(&world, "a").cancel_grace, Some(Duration::from_secs(120)));
    assert_eq!(task(&world, "b").cancel_grace, None);
}

#[test]
fn dead_tasks_stay_for_ever_unless_somebody_says_for_how_long() {
    assert_eq!(World::with("").config().retention.dead, None);
    let config = World::with("[retention]\ndead = '30d'\n").config();
    assert_eq!(config.retention.dead, Some(Duration::from_secs(30 * 24 * 3600)));
}
