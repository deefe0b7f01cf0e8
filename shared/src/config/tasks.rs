//! `[tasks.NAME]`: what runs a task, where it waits, how long it may take.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::keys;
use super::policies::policy;
use super::reactions;
use super::secret::Secret;
use super::section::Section;
use super::settings::{Ack, ExecutorConfig, HttpTarget, TaskConfig, WorkerConfig};
use super::show::{Bytes, bare_or_quoted};
use super::tables::{CANCEL_GRACE, MAX_TIMEOUT, MIN_TIMEOUT, misnamed, queue, retry, url_fault};
use super::tree::Value;
use super::url::ServiceUrl;
use super::value::{At, Fault, Found, Spot, show_duration};
use crate::hook::is_notice;
use crate::name::{QueueName, TaskName};

/// How much of a program's output is kept, if nothing else is said.
const OUTPUT_LIMIT: usize = 64 * 1024;
const MAX_OUTPUT_LIMIT: u64 = 16 << 20;
const COMMAND_KEYS: [&str; 3] = ["env", "cwd", "output_limit"];
const HTTP_KEYS: [&str; 3] = ["headers", "secret", "secret_file"];

/// The tasks of the file.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// Those without a mistake.
    pub(super) configs: BTreeMap<TaskName, TaskConfig>,
    /// Every name that is mentioned or built in: a schedule of a task with a mistake is no second mistake.
    pub(super) names: BTreeSet<TaskName>,
    /// The queues that tasks and schedules send to, and where that is said.
    pub(super) queues: Vec<(QueueName, Option<At>)>,
}

/// Reads every `[tasks.NAME]`.
pub(super) fn read(top: &mut Section<'_, '_>, worker: &WorkerConfig) -> Tasks {
    let known = top.cx.known();
    let mut tasks = Tasks {
        names: known.iter().map(|task| task.name.clone()).collect(),
        queues: known.iter().filter_map(|task| Some((task.queue.clone()?, None))).collect(),
        ..Tasks::default()
    };
    for field in top.named("tasks") {
        let name = match TaskName::new(&field.name) {
            Ok(name) => name,
            Err(error) => {
                top.cx.fault(Some(At::Text(field.at)), misnamed(&error));
                continue;
            }
        };
        if is_notice(&name) {
            let help = "[hooks.dead] and [hooks.overdue] say where these tasks go";
            let fault = Fault::new(format!("`{name}` is a task of Upbeat's own"));
            top.cx.fault(Some(At::Text(field.at)), fault.help(help));
            continue;
        }
        tasks.names.insert(name.clone());
        let line = top.cx.line(field.at.start);
        let table = format!("tasks.{}", bare_or_quoted(name.as_str()));
        let mut section = Section::new(top.cx, &keys::TASK, table, Some(field.node));
        let known = known.iter().find(|task| task.name == name);
        let executor = executor(&mut section, &name, known.is_some());
        let home = known.and_then(|task| task.queue.clone()).unwrap_or_else(QueueName::default_queue);
        let queue = section.get("queue", home, queue);
        tasks.queues.push((queue.clone(), section.place("queue")));
        let limit = policy(&mut section);
        let mut per_key = section.child("per_key", &keys::PER_KEY);
        let limit_per_key = policy(&mut per_key);
        per_key.finish();
        let acks = [("settled", Ack::Settled), ("claimed", Ack::Claimed)];
        let ack = section.get("ack", Ack::default(), |found| found.choice(&acks));
        let mut section = section.inherits("worker");
        let timeout = known.and_then(|task| task.timeout).unwrap_or(worker.timeout);
        let timeout = section.get("timeout", timeout, |found| found.duration(MIN_TIMEOUT..=MAX_TIMEOUT));
        let cancel_grace = section.find("cancel_grace", |found| found.duration(CANCEL_GRACE));
        let base = known.and_then(|task| task.retry).unwrap_or(worker.retry);
        let retry = retry(section.child("retry", &keys::RETRY).inherits("worker"), base);
        let soft_timeout = soft_timeout(&mut section, timeout, known.and_then(|task| task.soft_timeout));
        let on = reactions::read(&mut section, executor.as_ref(), retry);
        section.finish();
        if let Some(executor) = executor {
            let task = TaskConfig {
                queue,
                timeout,
                cancel_grace,
                soft_timeout,
                retry,
                on,
                limit,
                limit_per_key,
                ack,
                executor,
                line,
            };
            tasks.configs.insert(name, task);
        }
    }
    tasks
}

/// Told at its timeout to wind up, nobody could.
fn soft_timeout(
    section: &mut Section<'_, '_>,
    timeout: Duration,
    programs: Option<Duration>,
) -> Option<Duration> {
    let soft = section.find("soft_timeout", |found| found.duration(MIN_TIMEOUT..=MAX_TIMEOUT));
    if let (None, Some(programs)) = (soft, programs.filter(|soft| *soft >= timeout)) {
        let programs = show_duration(programs);
        let message = format!(
            "nobody is told to wind up: the program's own soft timeout is {programs}, no less than this"
        );
        section.cx.warn(section.place("timeout"), message);
    }
    let soft = soft?;
    if soft >= timeout {
        let message =
            format!("`soft_timeout` is not shorter than `timeout`, which is {}", show_duration(timeout));
        let help = "a run is told to wind up at the first, and stopped at the second";
        section.fault("soft_timeout", Fault::new(message).help(help));
    }
    Some(soft)
}

fn executor(section: &mut Section<'_, '_>, name: &TaskName, native: bool) -> Option<ExecutorConfig> {
    let (command_key, http_key) = (section.has("command"), section.has("http"));
    if native {
        let handler = format!("`{name}` is a handler of this program");
        for key in ["command", "http"].into_iter().chain(COMMAND_KEYS).chain(HTTP_KEYS) {
            section.refuse(key, &handler, "remove this key; `queue`, `timeout` and `retry` may stay");
        }
        return Some(ExecutorConfig::Native);
    }
    match (command_key, http_key) {
        (true, false) => command(section),
        (false, true) => http(section),
        (true, true) => {
            let message = format!("the task `{name}` has two executors");
            section.refuse("http", &message, "keep `command` or `http`; one task is run by one thing");
            section.forget(&[&["command"], &COMMAND_KEYS, &HTTP_KEYS]);
            None
        }
        (false, false) => {
            if !section.has_stray_table() {
                let help = "set `command = [\"program\", \"argument\"]` or `http = \"http://…\"`";
                section.fault("", Fault::new(format!("the task `{name}` has no executor")).help(help));
            }
            section.forget(&[&COMMAND_KEYS, &HTTP_KEYS]);
            None
        }
    }
}

fn command(section: &mut Section<'_, '_>) -> Option<ExecutorConfig> {
    for key in HTTP_KEYS {
        section.refuse(key, &format!("a command has no `{key}`"), "this key belongs to tasks with `http`");
    }
    let argv = section.find("command", argv);
    let env = section.find("env", |found| table_of_secrets(found, variable)).unwrap_or_default();
    let cwd = section.find("cwd", |found| found.filled().map(PathBuf::from));
    let cwd = cwd.map(|cwd| section.cx.resolve(&cwd.to_string_lossy()));
    let limit =
        section.get("output_limit", Bytes(OUTPUT_LIMIT), |found| found.size(0..=MAX_OUTPUT_LIMIT).map(Bytes));
    let mut argv = argv?.into_iter();
    let program = argv.next()?;
    Some(ExecutorConfig::Command { program, args: argv.collect(), env, cwd, output_limit: limit.0 })
}

fn argv(found: &Found) -> Result<Vec<String>, Fault> {
    if let Value::Text(_) = found.value {
        let help = "a command is started without a shell: write [\"program\", \"argument\"], or [\"sh\", \"-c\", \"…\"]";
        return Err(Fault::new("this should be a list of texts, and is a text").help(help));
    }
    let argv = found.texts()?;
    match argv.first() {
        None => Err(Fault::new("this command is empty").help("write [\"program\", \"argument\"]")),
        Some(program) if program.is_empty() => Err(Fault::new("this command names no program")),
        Some(_) if argv.iter().any(|arg| arg.contains('\0')) => Err(Fault::new("no argument can hold a NUL")),
        Some(_) => Ok(argv),
    }
}

fn http(section: &mut Section<'_, '_>) -> Option<ExecutorConfig> {
    for key in COMMAND_KEYS {
        section.refuse(key, &format!("a request has no `{key}`"), "this key belongs to tasks with `command`");
    }
    if !section.is_table("http") {
        return target(section, "http").map(ExecutorConfig::Http);
    }
    for key in HTTP_KEYS {
        section.refuse(
            key,
            &format!("`{key}` stands beside the table `http`"),
            "write it inside of the table",
        );
    }
    let mut table = section.child("http", &keys::TARGET);
    let target = target(&mut table, "url");
    if target.is_none() && !table.took("url") {
        table.fault("url", Fault::new("this request has no `url`").help("set `url = \"http://…\"`"));
    }
    table.finish();
    target.map(ExecutorConfig::Http)
}

/// Where requests go, and what goes with them.
pub(super) fn target(section: &mut Section<'_, '_>, url: &'static str) -> Option<HttpTarget> {
    let url = section.find(url, |found| {
        let url = ServiceUrl::parse(found.text()?, &["http", "https"]).map_err(url_fault)?;
        Ok(if found.sealed { url.sealed() } else { url })
    });
    let headers = section.find("headers", |found| table_of_secrets(found, header)).unwrap_or_default();
    let secret = section.find("secret", |found| found.filled().map(Secret::new));
    Some(HttpTarget { url: url?, headers, secret })
}

/// A table of texts that are not shown.
fn table_of_secrets(
    found: &Found,
    check: impl Fn(&str, &str) -> Result<(), Fault>,
) -> Result<BTreeMap<String, Secret>, Fault> {
    let Value::Table(fields) = &found.value else {
        return Err(found.unlike("a table of texts").help("write { NAME = \"text\" }"));
    };
    let mut secrets = BTreeMap::new();
    for field in fields {
        let value = found.inside(&field.node);
        let text = value.text().map_err(|fault| value.placed(fault))?;
        check(&field.name, text).map_err(|fault| Found::within(field.at.clone(), fault))?;
        secrets.insert(field.name.clone(), Secret::new(text));
    }
    Ok(secrets)
}

fn variable(name: &str, value: &str) -> Result<(), Fault> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Err(
            Fault::new("this is no environment variable").help("names hold no `=`, and nothing holds a NUL")
        );
    }
    if name.starts_with("UPBEAT_") {
        return Err(Fault::new("names that begin with `UPBEAT_` are reserved")
            .help("the worker sets them for each run"));
    }
    Ok(())
}

fn header(name: &str, value: &str) -> Result<(), Fault> {
    // The characters of a token in RFC 9110.
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(Fault::new("this is no name of a header").help("names hold letters, digits and `-`"));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Fault::new("the value of this header holds a control character").at(Spot::Whole));
    }
    Ok(())
}
