//! `[[schedule]]`: when, which task, and what becomes of occurrences that were missed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use upbeat_schedule::{CatchUp, CatchUpPolicy, Fold, Gap, OnHoliday, TimingError, TimingSpec};

use super::calendars::{self, Calendars};
use super::keys;
use super::section::Section;
use super::settings::Config;
use super::sources::KnownTask;
use super::tables::{MAX_TIMEOUT, MIN_TIMEOUT, OVERDUE_AFTER, name, queue, retry};
use super::tasks::Tasks;
use super::tree::{Node, Value};
use super::value::{Fault, Found, Spot, nearest};
use crate::ledger::NewSchedule;
use crate::message::Limits;
use crate::name::{QueueName, ScheduleId, TaskName};
use crate::occurrence::{ScheduleDefinition, TaskTemplate, default_grace};
use crate::unique::{MAX_WINDOW, Unique};

/// Longer than this, a policy that looks back is a mistake.
const MAX_LOOK_BACK: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Reads every `[[schedule]]`.
pub(super) fn read(
    top: &mut Section<'_, '_>,
    config: &Config,
    tasks: &mut Tasks,
    calendars: &Calendars,
) -> Vec<NewSchedule> {
    let mut schedules = Vec::new();
    let mut lines: BTreeMap<ScheduleId, usize> = BTreeMap::new();
    for content in top.list("schedule") {
        let line = top.cx.line(content.span.start);
        let source = top.cx.file().map(|file| file.display().to_string()).unwrap_or_default();
        let mut section = Section::new(top.cx, &keys::SCHEDULE, "[schedule]", Some(content));
        let id: Option<ScheduleId> =
            required(&mut section, "id", "give it a name that no other schedule has");
        if let Some(first) = id.as_ref().and_then(|id| lines.get(id)) {
            let help = format!("the other one is on line {first}; ids tell schedules apart");
            section.fault("id", Fault::new("there are two schedules with this id").help(help));
        }
        let definition = definition(&mut section, config, tasks, calendars);
        section.finish();
        if let Some(id) = id {
            lines.entry(id.clone()).or_insert(line);
            schedules.extend(definition.map(|definition| NewSchedule { id, definition, source }));
        }
    }
    schedules
}

fn definition(
    section: &mut Section<'_, '_>,
    config: &Config,
    tasks: &mut Tasks,
    calendars: &Calendars,
) -> Option<ScheduleDefinition> {
    let task: Option<TaskName> = required(section, "task", "name the task that each occurrence runs");
    if let Some(task) = task.as_ref().filter(|task| !tasks.names.contains(*task)) {
        let near = nearest(task.as_str(), tasks.names.iter().map(TaskName::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("describe it under [tasks.{}]", super::show::bare_or_quoted(task.as_str())),
        };
        section.fault("task", Fault::new(format!("there is no task `{task}`")).help(help));
    }
    let timing = timing(section, calendars);
    let args = section.find("args", |found| arguments(found, config.limits));
    let template = template(section, task.clone(), args, config, tasks);
    let catch_up = catch_up(section);
    let grace = section.get("grace", default_grace(), |found| found.duration(Duration::ZERO..=MAX_LOOK_BACK));
    let overdue_after = section.find("overdue_after", |found| found.duration(OVERDUE_AFTER));
    let paused = section.get("paused", false, Found::boolean);
    Some(ScheduleDefinition { timing, task: template?, catch_up, grace, overdue_after, paused })
}

fn template(
    section: &mut Section<'_, '_>,
    task: Option<TaskName>,
    args: Option<serde_json::Value>,
    config: &Config,
    tasks: &mut Tasks,
) -> Option<TaskTemplate> {
    let described = task.as_ref().and_then(|task| tasks.configs.get(task));
    let known = section.cx.known().iter().find(|known| Some(&known.name) == task.as_ref());
    let (home, base) = match (described, known) {
        (Some(task), _) => (task.queue.clone(), task.retry),
        (None, known) => (
            known.and_then(|task| task.queue.clone()).unwrap_or_else(QueueName::default_queue),
            known.and_then(|task| task.retry).unwrap_or(config.worker.retry),
        ),
    };
    let queue = match section.find("queue", queue) {
        Some(queue) => {
            tasks.queues.push((queue.clone(), section.place("queue")));
            queue
        }
        None => home,
    };
    let priority = section.find("priority", |found| {
        let number = found.number(0..=9)?;
        Ok(u8::try_from(number).expect("the range ends at 9"))
    });
    let priority = priority.or_else(|| Some(known?.priority?.get()));
    let timeout = section.find("timeout", |found| found.duration(MIN_TIMEOUT..=MAX_TIMEOUT));
    let retry =
        section.has("retry").then(|| retry(section.child("retry", &keys::RETRY).inherits("tasks"), base));
    let tags = section.find("tags", Found::texts).unwrap_or_default();
    let key = section.find("key", super::tables::name);
    let unique = unique(section);
    let expires_after = section.find("expires_after", |found| found.duration(MIN_TIMEOUT..=MAX_LOOK_BACK));
    let deadline_after = section.find("deadline_after", |found| found.duration(MIN_TIMEOUT..=MAX_LOOK_BACK));
    let args_version = args_version(section, known);
    let name = task?;
    let args = args.unwrap_or_default();
    Some(TaskTemplate {
        name,
        queue,
        args,
        args_version,
        priority,
        timeout,
        expires_after,
        deadline_after,
        retry,
        tags,
        key,
        unique,
    })
}

/// `unique`, and what only makes sense beside it.
fn unique(section: &mut Section<'_, '_>) -> Option<Unique> {
    let key = section.find("unique", |found| {
        let key = found.text()?;
        Unique::by(key).check().map_err(|error| Fault::new(error.to_string()))?;
        Ok(key.to_owned())
    });
    if !section.took("unique") {
        for beside in ["unique_within", "replace"] {
            section.refuse(
                beside,
                "this schedule has no `unique`",
                "name the key that one of its tasks has at a time",
            );
        }
        return None;
    }
    let within = section.find("unique_within", |found| found.duration(MIN_TIMEOUT..=MAX_WINDOW));
    let replace = section.get("replace", false, Found::boolean);
    let unique = Unique::by(key?);
    let unique = within.map_or(unique.clone(), |window| unique.within(window));
    Some(if replace { unique.replacing() } else { unique })
}

/// 1 unless told, whoever reads the file and whatever handlers it has: the file's arguments do not change with the program.
fn args_version(section: &mut Section<'_, '_>, known: Option<&KnownTask>) -> u32 {
    let version = section.get("args_version", 1, |found| found.small(1..=u32::MAX));
    if let Some(versions) = known.and_then(|known| known.args).filter(|versions| version < versions.oldest) {
        let message =
            format!("the handler reads no arguments of version {version}: the oldest is {}", versions.oldest);
        let help = format!("write `args` as they are today, and `args_version = {}`", versions.newest);
        section.fault("args_version", Fault::new(message).help(help));
    }
    version
}

/// What is written about time, checked by making a timetable of it.
fn timing(section: &mut Section<'_, '_>, calendars: &Calendars) -> TimingSpec {
    let faults = section.cx.faults();
    let gaps = [("run_after", Gap::RunAfter), ("skip", Gap::Skip)];
    let folds = [("first", Fold::First), ("second", Fold::Second), ("both", Fold::Both)];
    let on_holiday = [OnHoliday::Skip, OnHoliday::NextBusinessDay, OnHoliday::PreviousBusinessDay];
    let on_holiday = on_holiday.map(|rule| (rule.as_str(), rule));
    let spec = TimingSpec {
        cron: section.find("cron", |found| found.text().map(str::to_owned)),
        every: section.find("every", step),
        repeat: section.find("repeat", |found| found.text().map(str::to_owned)),
        at: section.find("at", instant),
        timezone: section.find("timezone", |found| found.text().map(str::to_owned)),
        gap: section.find("gap", |found| found.choice(&gaps)),
        fold: section.find("fold", |found| found.choice(&folds)),
        dom_and_dow: section.find("dom_and_dow", Found::boolean),
        starts: section.find("starts", instant),
        ends: section.find("ends", instant),
        calendar: calendars::named(section, calendars),
        on_holiday: section.find("on_holiday", |found| found.choice(&on_holiday)),
        jitter: section.find("jitter", step),
    };
    // A value that could not be read is reported already; without it the rest makes no sense.
    if section.cx.faults() == faults
        && let Err(error) = spec.compile()
    {
        report(section, &spec, error);
    }
    spec
}

fn report(section: &mut Section<'_, '_>, spec: &TimingSpec, error: TimingError) {
    let text = spec.text_of(error.field);
    let Some(at) = section.place(error.field) else { return };
    let fault = Fault { spot: Spot::Part(error.span), message: error.message, help: error.help };
    section.cx.text_fault(at, text, fault);
}

/// A step in time, as its own parser reads it.
fn step(found: &Found) -> Result<String, Fault> {
    match &found.value {
        Value::Integer(number) => {
            Err(Fault::new("a duration needs a unit").help(format!("for seconds write \"{number}s\"")))
        }
        _ => found.text().map(str::to_owned),
    }
}

/// An instant as text; TOML's own dates and times are instants too.
fn instant(found: &Found) -> Result<String, Fault> {
    match &found.value {
        Value::Datetime(datetime) => Ok(datetime.clone()),
        _ => found.text().map(str::to_owned),
    }
}

/// `"latest"`, or `{ mode = "all", within = "6h" }`.
fn catch_up(section: &mut Section<'_, '_>) -> CatchUpPolicy {
    let modes = [("none", CatchUp::None), ("latest", CatchUp::Latest), ("all", CatchUp::All)];
    if !section.is_table("catch_up") {
        return section.get("catch_up", CatchUp::default(), |found| found.choice(&modes)).into();
    }
    let mut table = section.child("catch_up", &keys::CATCH_UP);
    let mode = table.get("mode", CatchUp::default(), |found| found.choice(&modes));
    let within = table.find("within", |found| found.duration(Duration::ZERO..=MAX_LOOK_BACK));
    table.finish();
    CatchUpPolicy { mode, within: within.and_then(|within| SignedDuration::try_from(within).ok()) }
}

fn required<T>(section: &mut Section<'_, '_>, key: &'static str, help: &str) -> Option<T>
where
    T: std::str::FromStr<Err = crate::name::NameError> + super::show::Show,
{
    let value = section.find(key, name);
    if value.is_none() && !section.took(key) {
        section.fault(key, Fault::new(format!("this schedule has no `{key}`")).help(help));
    }
    value
}

/// Arguments as the worker will get them.
fn arguments(found: &Found, limits: Limits) -> Result<serde_json::Value, Fault> {
    let node = Node { value: found.value.clone(), span: found.span().unwrap_or_default() };
    let args = json(&node, limits.depth)?;
    limits.check_body(args.to_string().len()).map_err(|error| Fault::new(error.to_string()))?;
    Ok(args)
}

fn json(node: &Node, depth: usize) -> Result<serde_json::Value, Fault> {
    let fault =
        |message: &str, help: &str| Err(Fault::new(message).help(help).at(Spot::Bytes(node.span.clone())));
    Ok(match &node.value {
        Value::Boolean(value) => (*value).into(),
        // JSON has no dates; RFC 3339 is what everyone reads.
        Value::Text(text) | Value::Datetime(text) => text.as_str().into(),
        Value::Integer(number) => match i64::try_from(*number) {
            Ok(number) => number.into(),
            Err(_) => return fault("this number is too large", "numbers have up to 64 bits, as in TOML"),
        },
        Value::Float(number) => match serde_json::Number::from_f64(*number) {
            Some(number) => number.into(),
            None => {
                return fault(
                    "JSON has no such number",
                    "arguments are sent as JSON, which has no `inf` and `nan`",
                );
            }
        },
        Value::List(_) | Value::Table(_) if depth == 0 => {
            return fault(
                "these arguments are nested too deeply",
                "`depth` of [limits] says how far they may be",
            );
        }
        Value::List(items) => {
            items.iter().map(|item| json(item, depth - 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Table(fields) => {
            let fields = fields.iter().map(|field| Ok((field.name.clone(), json(&field.node, depth - 1)?)));
            serde_json::Value::Object(fields.collect::<Result<_, Fault>>()?)
        }
    })
}
