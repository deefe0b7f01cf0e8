//! The tables whose keys are fixed: top, broker, ledger, worker, beat, http, log, retention, limits, queues.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::keys;
use super::policies;
use super::section::Section;
use super::settings::{
    BeatConfig, BrokerConfig, Config, HttpConfig, LedgerConfig, LogConfig, LogFormat, QueueConfig, TlsFiles,
    WorkerConfig,
};
use super::show::{Bytes, bare_or_quoted};
use super::tree::Value;
use super::url::{BrokerUrl, LedgerUrl, ServiceUrl, UrlFault};
use super::value::{At, Fault, Found, Spot, brief, nearest};
use crate::client::Record;
use crate::ledger::Retention;
use crate::message::Limits;
use crate::name::{NameError, QueueName};
use crate::retry::{Backoff, Jitter, RetryPolicy};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// More than this on one worker is a mistake in the number, not a need.
const MAX_CONCURRENCY: u32 = 65_536;
const MAX_BLOCKING_THREADS: u32 = 1024;
/// Shares of a worker's slots need no finer scale.
const MAX_WEIGHT: u32 = 1000;
pub(super) const MAX_TIMEOUT: Duration = YEAR;
pub(super) const MIN_TIMEOUT: Duration = Duration::from_millis(1);
/// Whoever waits longer for a run to stop does not want to stop it.
pub(super) const CANCEL_GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);
/// Less is no lateness yet.
pub(super) const OVERDUE_AFTER: RangeInclusive<Duration> = SECOND..=YEAR;

/// Reads the tables with fixed keys; hooks, tasks and schedules stay as they are.
pub(super) fn read(top: &mut Section<'_, '_>) -> Config {
    let defaults = Config::default();
    Config {
        namespace: top.get("namespace", defaults.namespace, name),
        data: read_data(top, defaults.data),
        broker: broker(top.table("broker", &keys::BROKER)),
        ledger: ledger(top.table("ledger", &keys::LEDGER)),
        worker: worker(top.table("worker", &keys::WORKER)),
        beat: beat(top.table("beat", &keys::BEAT)),
        http: http(top.table("http", &keys::HTTP)),
        hooks: defaults.hooks,
        log: log(top.table("log", &keys::LOG)),
        retention: retention(top.table("retention", &keys::RETENTION)),
        limits: limits(top.table("limits", &keys::LIMITS)),
        queues: queues(top),
        tasks: defaults.tasks,
        schedules: defaults.schedules,
    }
}

/// A name of some kind.
pub(super) fn name<T: FromStr<Err = NameError>>(found: &Found) -> Result<T, Fault> {
    found.text()?.parse().map_err(|error: NameError| misnamed(&error))
}

/// A queue that tasks may wait in.
pub(super) fn queue(found: &Found) -> Result<QueueName, Fault> {
    queue_name(found.text()?)
}

/// `retry`, as far as it is written; the rest is as in `base`.
pub(super) fn retry(mut section: Section<'_, '_>, base: RetryPolicy) -> RetryPolicy {
    let backoffs =
        [("constant", Backoff::Constant), ("linear", Backoff::Linear), ("exponential", Backoff::Exponential)];
    let max_attempts = section.get("max_attempts", base.max_attempts, |found| found.small(1..=u32::MAX));
    let backoff = section.get("backoff", base.backoff, |found| found.choice(&backoffs));
    let delay = section.get("delay", base.delay, |found| found.duration(Duration::ZERO..=YEAR));
    let longest = base.max_delay.max(delay);
    let max_delay = section.get("max_delay", longest, |found| found.duration(Duration::ZERO..=YEAR));
    let jitters = [("none", Jitter::None), ("full", Jitter::Full)];
    let jitter = section.get("jitter", base.jitter, |found| found.choice(&jitters));
    if max_delay < delay {
        let help = "`delay` is the first one, `max_delay` what it never exceeds";
        section.fault("max_delay", Fault::new("`max_delay` is shorter than `delay`").help(help));
    }
    section.finish();
    RetryPolicy { max_attempts, backoff, delay, max_delay, jitter }
}

fn read_data(top: &mut Section<'_, '_>, default: PathBuf) -> PathBuf {
    let path = top.get("data", default, |found| found.filled().map(PathBuf::from));
    match top.place("data") {
        // Relative to the file only where the file says it.
        Some(At::Text(_)) if top.took("data") => top.cx.resolve(&path.to_string_lossy()),
        _ => path,
    }
}

fn broker(mut section: Section<'_, '_>) -> BrokerConfig {
    let url =
        section.get("url", BrokerUrl::default(), |found| BrokerUrl::parse(found.text()?).map_err(url_fault));
    let declare = section.get("declare", true, Found::boolean);
    let management = section
        .find("management", |found| ServiceUrl::parse(found.text()?, &["http", "https"]).map_err(url_fault));
    let tls = match &url {
        BrokerUrl::Embedded => {
            let tls = tls(&mut section);
            needless(
                &mut section,
                &["declare", "management", "tls_ca", "tls_cert", "tls_key"],
                "the embedded broker",
            );
            tls
        }
        BrokerUrl::Amqp(url) => {
            tls_if(&mut section, url.scheme() == "amqps", "write the URL with `amqps://`")
        }
    };
    section.finish();
    BrokerConfig { url, declare, management, tls }
}

/// The files of TLS, which a connection without it must not have: whoever named them believes that it is encrypted.
fn tls_if(section: &mut Section<'_, '_>, encrypted: bool, help: &str) -> TlsFiles {
    let files = tls(section);
    for key in ["tls_ca", "tls_cert", "tls_key"] {
        if !encrypted && section.took(key) {
            let fault = Fault::new(format!("`{key}` has no effect: this connection is not encrypted"));
            section.fault(key, fault.help(help));
        }
    }
    files
}

fn tls(section: &mut Section<'_, '_>) -> TlsFiles {
    let mut file = |key: &'static str| {
        let path = section.find(key, |found| found.filled().map(PathBuf::from))?;
        Some(section.cx.resolve(&path.to_string_lossy()))
    };
    let files = TlsFiles { ca: file("tls_ca"), cert: file("tls_cert"), key: file("tls_key") };
    if files.cert.is_some() != files.key.is_some() {
        let (there, missing) =
            if files.cert.is_some() { ("tls_cert", "tls_key") } else { ("tls_key", "tls_cert") };
        section.fault(there, Fault::new(format!("`{there}` needs `{missing}` beside it")));
    }
    files
}

fn needless(section: &mut Section<'_, '_>, keys: &[&str], what: &str) {
    for key in keys {
        if section.took(key) {
            let at = section.place(key);
            section.cx.warn(at, format!("{what} has no use for `{key}`"));
        }
    }
}

fn ledger(mut section: Section<'_, '_>) -> LedgerConfig {
    let defaults = LedgerConfig::default();
    let url = section.get("url", defaults.url, |found| LedgerUrl::parse(found.text()?).map_err(url_fault));
    let connections = section.get("connections", defaults.connections, |found| found.small(1..=1000));
    let tls = match &url {
        LedgerUrl::Embedded => {
            let tls = tls(&mut section);
            needless(&mut section, &["connections", "tls_ca", "tls_cert", "tls_key"], "the embedded ledger");
            tls
        }
        // Without a word about it Postgres is asked for encryption and goes on without, as `libpq` does.
        LedgerUrl::Postgres(url) => {
            let encrypted = url.expose().contains("sslmode=require");
            tls_if(&mut section, encrypted, "add `?sslmode=require` to the URL")
        }
        LedgerUrl::Redis(url) => {
            tls_if(&mut section, url.scheme() == "rediss", "write the URL with `rediss://`")
        }
    };
    let lease = section.get("lease", defaults.lease, |found| found.duration(SECOND..=SECOND * 600));
    section.finish();
    LedgerConfig { url, connections, tls, lease }
}

fn worker(mut section: Section<'_, '_>) -> WorkerConfig {
    let defaults = WorkerConfig::default();
    let config = WorkerConfig {
        name: section.find("name", |found| found.filled().map(str::to_owned)),
        queues: section.find("queues", weights).unwrap_or_default(),
        concurrency: section
            .get("concurrency", defaults.concurrency, |found| found.small(1..=MAX_CONCURRENCY)),
        blocking_threads: section.find("blocking_threads", |found| found.small(1..=MAX_BLOCKING_THREADS)),
        grace: section.get("grace", defaults.grace, |found| found.duration(Duration::ZERO..=DAY)),
        cancel_grace: section
            .get("cancel_grace", defaults.cancel_grace, |found| found.duration(CANCEL_GRACE)),
        timeout: section.get("timeout", defaults.timeout, |found| found.duration(MIN_TIMEOUT..=MAX_TIMEOUT)),
        retry: retry(section.child("retry", &keys::RETRY), defaults.retry),
    };
    section.finish();
    config
}

fn beat(mut section: Section<'_, '_>) -> BeatConfig {
    let defaults = BeatConfig::default();
    let max_crashes = section.get("max_crashes", defaults.max_crashes, |found| found.small(1..=1000));
    let overdue_after =
        section.get("overdue_after", defaults.overdue_after, |found| found.duration(OVERDUE_AFTER));
    section.finish();
    BeatConfig { max_crashes, overdue_after }
}

fn http(mut section: Section<'_, '_>) -> HttpConfig {
    let listen = section.find("listen", |found| {
        let help = "write an address and a port: \"127.0.0.1:8321\", or \"0.0.0.0:8321\" for every interface";
        found
            .text()?
            .parse::<SocketAddr>()
            .map_err(|_| Fault::new("this is no address to listen on").help(help))
    });
    let echo = section.get("echo", false, Found::boolean);
    let place = section.place("echo");
    match listen {
        None if echo => section.cx.warn(place, "`echo` does nothing without `listen`"),
        Some(listen) if echo && !listen.ip().is_loopback() => {
            section.cx.warn(
                place,
                format!("`echo` answers everyone who reaches {listen}; it is meant for trying things out"),
            );
        }
        Some(_) | None => {}
    }
    section.finish();
    HttpConfig { listen, echo }
}

fn log(mut section: Section<'_, '_>) -> LogConfig {
    let defaults = LogConfig::default();
    let formats =
        [LogFormat::Auto, LogFormat::Human, LogFormat::Json].map(|format| (format.as_str(), format));
    let config = LogConfig {
        level: section.get("level", defaults.level, level),
        format: section.get("format", defaults.format, |found| found.choice(&formats)),
    };
    section.finish();
    config
}

fn retention(mut section: Section<'_, '_>) -> Retention {
    let defaults = Retention::default();
    let range = SECOND..=YEAR * 100;
    let ids = section.get("ids", defaults.ids, |found| found.duration(range.clone()));
    let details = section.get("details", defaults.details.min(ids), |found| found.duration(range.clone()));
    let [succeeded, cancelled, expired, dead] = ["succeeded", "cancelled", "expired", "dead"]
        .map(|state| section.find(state, |found| found.duration(range.clone())));
    let occurrences = section.get("occurrences", defaults.occurrences, |found| found.duration(range.clone()));
    let of_ended = [("succeeded", succeeded), ("cancelled", cancelled), ("expired", expired)];
    for (key, kept) in of_ended.into_iter().chain([("details", Some(details))]) {
        if kept.is_some_and(|kept| kept > ids) {
            let help = "without its id a task is forgotten, and its details with it";
            section.fault(key, Fault::new(format!("`{key}` are kept longer than `ids`")).help(help));
        }
    }
    section.finish();
    Retention { details, succeeded, cancelled, expired, dead, ids, occurrences }
}

fn limits(mut section: Section<'_, '_>) -> Limits {
    let defaults = Limits::default();
    let count = |found: &Found, most| found.small(1..=most);
    let body = section.get("body", Bytes(defaults.body_bytes), |found| found.size(1..=128 << 20).map(Bytes));
    let depth = section.get("depth", as_u32(defaults.depth), |found| count(found, 120));
    let headers = section.get("headers", as_u32(defaults.headers), |found| count(found, 1000));
    section.finish();
    Limits { body_bytes: body.0, depth: depth as usize, headers: headers as usize }
}

fn queues(top: &mut Section<'_, '_>) -> BTreeMap<QueueName, QueueConfig> {
    let mut queues = BTreeMap::new();
    for field in top.named("queues") {
        let queue = match queue_name(&field.name) {
            Ok(queue) => queue,
            Err(fault) => {
                top.cx.fault(Some(At::Text(field.at)), fault);
                continue;
            }
        };
        let table = format!("queues.{}", bare_or_quoted(queue.as_str()));
        let mut section = Section::new(top.cx, &keys::QUEUE, table, Some(field.node));
        let records = [("claim", Record::Claim), ("publish", Record::Publish)];
        let config = QueueConfig {
            record: section.find("record", |found| found.choice(&records)),
            weight: section.find("weight", weight),
            limit: policies::policy(&mut section),
            fair: policies::fair(&mut section),
        };
        section.finish();
        queues.insert(queue, config);
    }
    queues
}

/// `{ critical = 6, default = 3 }`, `["critical", "default"]`, or `critical=6,default=3` from outside of the file. A
/// weight of 0 means that none was written.
fn weights(found: &Found) -> Result<Vec<(QueueName, u32)>, Fault> {
    let mut weights: Vec<(QueueName, u32)> = Vec::new();
    let mut add = |queue: QueueName, weight| {
        if weights.iter().any(|(other, _)| *other == queue) {
            return Err(Fault::new(format!("the queue `{queue}` is named twice")));
        }
        weights.push((queue, weight));
        Ok(())
    };
    match &found.value {
        Value::Table(fields) => {
            for field in fields {
                let queue =
                    queue_name(&field.name).map_err(|fault| Found::within(field.at.clone(), fault))?;
                let value = found.inside(&field.node);
                add(queue, weight(&value).map_err(|fault| value.placed(fault))?)?;
            }
        }
        Value::List(_) => {
            for item in found.items("a list")? {
                queue(&item).and_then(|queue| add(queue, 0)).map_err(|fault| item.placed(fault))?;
            }
        }
        Value::Text(text) if found.loose => {
            for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                let (name, written) =
                    part.split_once('=').map_or((part, None), |(name, n)| (name.trim(), Some(n)));
                let number = written.map(|n| n.trim().parse().ok().filter(|n| (1..=MAX_WEIGHT).contains(n)));
                let Some(number) = number.unwrap_or(Some(0)) else { return Err(bad_weight()) };
                add(queue_name(name)?, number)?;
            }
        }
        _ => {
            let help = "write { critical = 6, default = 3 } or [\"critical\", \"default\"]";
            return Err(found.unlike("a table of weights or a list of queues").help(help));
        }
    }
    if weights.is_empty() {
        let help = "name at least one, or leave `queues` out to take work from all that this file names";
        return Err(Fault::new("a worker needs a queue to take work from").help(help));
    }
    Ok(weights)
}

fn weight(found: &Found) -> Result<u32, Fault> {
    match &found.value {
        Value::Integer(_) => found.small(1..=MAX_WEIGHT).map_err(|_| bad_weight()),
        _ => found.small(1..=MAX_WEIGHT),
    }
}

fn bad_weight() -> Fault {
    Fault::new("this weight is out of range")
        .help(format!("weights go from 1 to {MAX_WEIGHT}; leave a queue out to take nothing from it"))
}

fn queue_name(text: &str) -> Result<QueueName, Fault> {
    let queue = QueueName::new(text).map_err(|error| misnamed(&error))?;
    if queue == QueueName::undeliverable() {
        let help = "messages that cannot be understood go there; choose another name";
        return Err(Fault::new("no task can wait in `undeliverable`").help(help));
    }
    Ok(queue)
}

pub(super) fn misnamed(error: &NameError) -> Fault {
    Fault::new(format!("`{}` is no {}", brief(&error.text), error.noun)).help(error.reason.clone())
}

pub(super) fn url_fault(fault: UrlFault) -> Fault {
    Fault::new(fault.message).help(fault.help).at(Spot::Part(fault.span))
}

/// `info`, or `warn,upbeat=debug`. Directives for spans are left to the subscriber.
fn level(found: &Found) -> Result<String, Fault> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = found.filled()?;
    for directive in text.split(',').filter(|directive| !directive.contains(['[', '{', ']', '}'])) {
        let level = directive.rsplit('=').next().unwrap_or_default().trim();
        let plain_target = !directive.contains('=') && directive.contains("::");
        if plain_target || LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            continue;
        }
        let at = text.find(level).unwrap_or_default();
        let allowed = format!("levels are {}", super::value::one_of(&LEVELS));
        let help = nearest(level, LEVELS).map_or(allowed, |near| format!("did you mean `{near}`?"));
        let fault = Fault::new(format!("`{}` is no level", brief(level))).help(help);
        return Err(fault.at(Spot::Part(at..at + level.len())));
    }
    Ok(text.to_owned())
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
