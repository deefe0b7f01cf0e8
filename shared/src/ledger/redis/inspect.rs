//! Looking at tasks and queues, and forgetting them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::error::Fault;
use super::reply;
use super::row::{duration_micros, micros, record, state_number, state_of};
use super::script::Call;
use super::session::Session;
use super::{member, packed};
use crate::id::TaskId;
use crate::ledger::limit::KEPT;
use crate::ledger::rule::{DROPPED_BY_RETENTION, MEMBERS};
use crate::ledger::{PageCursor, PurgeReport, QueueRecord, Retention, TaskFilter, TaskPage};
use crate::name::QueueName;
use crate::task::{TaskRecord, TaskState};

/// So many rows are looked at in one go: everybody else waits for that long.
const LOOKS: i64 = 1000;

/// So many records are asked for in one go.
const RECORDS: usize = 500;

/// So many of a kind are removed in one go.
const PURGED: usize = 1000;

pub(super) async fn get(session: &Session, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, Fault> {
    let mut records = Vec::with_capacity(ids.len());
    for ids in ids.chunks(RECORDS) {
        let mut args = session.begin(Call::Get);
        for id in ids {
            args.push(id.0.as_bytes());
        }
        for value in reply::array(session.run(&args).await?)? {
            records.push(if value == redis::Value::Nil { None } else { Some(record(value)?) });
        }
    }
    Ok(records)
}

pub(super) async fn states(session: &Session, ids: &[TaskId]) -> Result<Vec<Option<TaskState>>, Fault> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut args = session.begin(Call::States);
    for id in ids {
        args.push(id.0.as_bytes());
    }
    let states = reply::array(session.run(&args).await?)?.into_iter().map(|state| match state {
        redis::Value::Nil => Ok(None),
        state => {
            let number = reply::number(&state)?;
            let unknown = |_| Fault::Invalid(format!("a row has the unknown state {number}"));
            Ok(Some(state_of(u8::try_from(number).map_err(unknown)?)?))
        }
    });
    states.collect()
}

/// Goes along the tasks, part by part, until the page is full.
pub(super) async fn list(
    session: &Session,
    filter: &TaskFilter,
    after: Option<PageCursor>,
    limit: usize,
) -> Result<TaskPage, Fault> {
    let mut below = after.map_or(-1, |PageCursor(number)| number);
    let (mut tasks, mut last) = (Vec::new(), None);
    loop {
        // One more than the page holds, to know whether there is another.
        let wanted = (limit - tasks.len()).saturating_add(1).min(RECORDS);
        let (next, found) = part(session, filter, below, wanted).await?;
        for (number, record) in found {
            if tasks.len() == limit {
                return Ok(TaskPage { tasks, next: last });
            }
            last = Some(PageCursor(number));
            tasks.push(record);
        }
        if next <= 0 {
            return Ok(TaskPage { tasks, next: None });
        }
        below = next;
    }
}

/// Some of what lies below a number, and below which the next part lies.
async fn part(
    session: &Session,
    filter: &TaskFilter,
    below: i64,
    limit: usize,
) -> Result<(i64, Vec<(i64, TaskRecord)>), Fault> {
    let states: String = filter.states.iter().map(|state| state_number(*state).to_string()).collect();
    let mut args = session.begin(Call::List);
    args.number(below)
        .number(i64::try_from(limit).unwrap_or(i64::MAX))
        .number(LOOKS)
        .push(states)
        .push(filter.queue.as_ref().map_or("", QueueName::as_str))
        .push(filter.name.as_ref().map_or("", |name| name.as_str()))
        .push(filter.schedule.as_ref().map_or("", |schedule| schedule.as_str()))
        .push(filter.tag.as_deref().unwrap_or_default())
        .number(filter.since.map_or(0, micros));
    let [next, found] = reply::parts(session.run(&args).await?)?;
    let found = reply::array(found)?.into_iter().map(|value| {
        let [number, value] = reply::parts(value)?;
        Ok((reply::number(&number)?, record(value)?))
    });
    Ok((reply::number(&next)?, found.collect::<Result<_, Fault>>()?))
}

/// How many tasks there are, by queue, and how long the oldest due one waits.
pub(super) struct Counts {
    pub(super) queues: Vec<QueueRecord>,
    pub(super) waits: HashMap<QueueName, Duration>,
}

pub(super) async fn counts(session: &Session, looks: i64) -> Result<Counts, Fault> {
    let mut args = session.begin(Call::Queues);
    args.number(looks);
    let [tally, paused, oldest] = reply::parts(session.run(&args).await?)?;
    let mut queues = BTreeMap::new();
    let record = |name: QueueName| QueueRecord { name, paused: false, counts: Vec::new() };
    let tally = reply::array(tally)?.into_iter().map(reply::text).collect::<Result<Vec<_>, _>>()?;
    for pair in tally.chunks_exact(2) {
        let (state, name) = state_and_queue(&pair[0])?;
        let count = pair[1].parse().unwrap_or(0);
        queues.entry(name.clone()).or_insert_with(|| record(name)).counts.push((state, count));
    }
    for name in member::queues(paused)? {
        queues.entry(name.clone()).or_insert_with(|| record(name)).paused = true;
    }
    let mut waits = HashMap::new();
    for wait in reply::array(oldest)? {
        let [queue, wait] = reply::parts(wait)?;
        let wait = Duration::from_micros(u64::try_from(reply::number(&wait)?).unwrap_or(0));
        waits.insert(member::queue(reply::text(queue)?)?, wait);
    }
    let mut queues: Vec<QueueRecord> = queues.into_values().collect();
    for queue in &mut queues {
        queue.counts.sort_by_key(|(state, _)| state_number(*state));
    }
    Ok(Counts { queues, waits })
}

/// A counter's name is a digit and a queue.
fn state_and_queue(field: &str) -> Result<(TaskState, QueueName), Fault> {
    let unknown = || Fault::Invalid(format!("the ledger counts an unknown `{field}`"));
    let state = field.bytes().next().filter(u8::is_ascii_digit).ok_or_else(unknown)?;
    Ok((state_of(state - b'0')?, member::queue(field[1..].to_owned())?))
}

pub(super) async fn pause(session: &Session, queue: &QueueName, paused: bool) -> Result<(), Fault> {
    let mut command = redis::cmd(if paused { "SADD" } else { "SREM" });
    command.arg(format!("{}paused", session.prefix)).arg(queue.as_str());
    session.command(&command).await.map(drop)
}

pub(super) async fn purge(
    session: &Session,
    retention: &Retention,
    limit: usize,
) -> Result<PurgeReport, Fault> {
    let mut args = session.begin(Call::Mend);
    args.number(duration_micros(KEPT));
    session.run(&args).await?;
    let mut report = PurgeReport::default();
    let mut left = limit;
    while left > 0 {
        let some = left.min(PURGED);
        let (purged, waits) = purge_some(session, retention, some).await?;
        report.details += purged.details;
        report.ids += purged.ids;
        report.occurrences += purged.occurrences;
        report.windows += purged.windows;
        report.dead += purged.dead;
        let most =
            purged.details.max(purged.ids).max(purged.occurrences).max(purged.windows).max(purged.dead);
        left = left.saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
        // There may be more behind those that only had to make way.
        report.more = most + waits >= some as u64;
        if !report.more {
            break;
        }
    }
    Ok(report)
}

/// Dead tasks stay.
const NEVER: i64 = -1;

/// What went, and how many were only put into their state's own list.
async fn purge_some(
    session: &Session,
    retention: &Retention,
    limit: usize,
) -> Result<(PurgeReport, u64), Fault> {
    let mut args = session.begin(Call::Purge);
    for age in [retention.ids, retention.occurrences, MEMBERS] {
        args.number(packed::exact(duration_micros(age)));
    }
    let dead = retention.dead.map_or(NEVER, |age| packed::exact(duration_micros(age)));
    args.number(i64::try_from(limit).unwrap_or(i64::MAX)).number(dead).push(DROPPED_BY_RETENTION);
    for state in [TaskState::Succeeded, TaskState::Cancelled, TaskState::Expired] {
        let age = retention.details_of(state).unwrap_or(retention.details);
        args.number(packed::exact(duration_micros(age)));
    }
    let [details, ids, occurrences, windows, dead, waits] = reply::parts(session.run(&args).await?)?;
    let purged = PurgeReport {
        details: reply::count(&details)?,
        ids: reply::count(&ids)?,
        occurrences: reply::count(&occurrences)?,
        windows: reply::count(&windows)?,
        dead: reply::count(&dead)?,
        more: false,
    };
    Ok((purged, reply::count(&waits)?))
}
