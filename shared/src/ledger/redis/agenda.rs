//! What is due: added, leased, marked, postponed, parked.

use std::time::Duration;

use super::error::Fault;
use super::packed::{Packed, Unpacked, exact};
use super::reply;
use super::row::{self, Row, duration_micros, error_text, instant, micros, micros_or_none, state_of};
use super::script::{Args, Call};
use super::session::Session;
use super::settle::note;
use crate::id::{OwnerId, TaskId};
use crate::ledger::rule::{OVERTAKEN, UNCLAIMED, UNCLAIMED_MAX};
use crate::ledger::{
    AddAnswer, Due, DueBatch, DueEntry, DueReason, Lost, Mark, NewEntry, Park, ParkAnswer, Postpone,
    ReapReport,
};
use crate::message::Message;
use crate::name::QueueName;
use crate::task::TaskState;
use crate::unique::{OnTaken, Until};
use crate::verdict::RunError;

/// How long an entry is left alone that this program cannot read: a newer one may have written it.
const UNREADABLE: Duration = Duration::from_secs(3600);

/// So many entries are leased at once at most.
const LEASED: usize = 1000;

/// Of so many tasks that wait longest is looked which waits longest in its queue.
const LONGEST: i64 = 1000;

pub(super) fn push_entry(args: &mut Args, entry: &NewEntry) -> Result<(), Fault> {
    let message = &entry.message;
    let (how, due) = match entry.due {
        Due::At(at) => (0, micros(at)),
        Due::In(delay) => (1, duration_micros(delay)),
    };
    let numbers = Packed::of_id(message.id)
        .long(message.seq.0)
        .int(message.attempts)
        .int(message.crashes)
        .long(micros_or_none(message.must_start_by()))
        .byte(how | unique_flags(message))
        .long(due)
        .long(duration_micros(entry.cover));
    row::push(args, with_key(numbers, message), message)
}

/// What a script is told of a unique key: that there is one, and whether the entry takes its holder's place.
fn unique_flags(message: &Message) -> u8 {
    const UNIQUE: u8 = 2;
    const REPLACING: u8 = 4;
    match message.unique.as_ref().map(|unique| unique.on_taken) {
        None => 0,
        Some(OnTaken::Keep) => UNIQUE,
        Some(OnTaken::Replace) => UNIQUE | REPLACING,
    }
}

/// A unique key stands behind the numbers, with its window; zero means until the task has ended.
fn with_key(numbers: Packed, message: &Message) -> Packed {
    let (Some(key), Some(unique)) = (message.unique_key(), &message.unique) else { return numbers };
    let window = match unique.until {
        Until::Finished => 0,
        Until::Window(window) => duration_micros(window).max(1),
    };
    numbers.bytes(key.0.as_bytes()).long(window)
}

/// Makes rows, scheduled; leaves ids alone that exist.
pub(super) async fn add(session: &Session, entries: &[NewEntry]) -> Result<Vec<AddAnswer>, Fault> {
    const ADDED: u8 = 255;
    const TAKEN: u8 = 16;
    let mut args = session.begin(Call::Add);
    for entry in entries {
        push_entry(&mut args, entry)?;
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    let mut from = Unpacked(&answers);
    let answers = entries.iter().map(|entry| match from.byte()? {
        ADDED => Ok(AddAnswer::Added(entry.message.seq)),
        taken if taken >= TAKEN => Ok(AddAnswer::Taken { state: state_of(taken - TAKEN)?, by: from.id()? }),
        state => Ok(AddAnswer::Exists(state_of(state)?)),
    });
    answers.collect()
}

pub(super) async fn due(session: &Session, limit: usize, lease: Duration) -> Result<DueBatch, Fault> {
    let mut args = session.begin(Call::Due);
    args.number(i64::try_from(limit.min(LEASED)).unwrap_or(i64::MAX))
        .number(exact(duration_micros(lease)))
        .number(duration_micros(OVERTAKEN));
    let [now, next, found] = reply::parts(session.run(&args).await?)?;
    let mut found = reply::array(found)?.into_iter();
    let (mut entries, mut unreadable) = (Vec::with_capacity(found.len() / 3), Vec::new());
    while let (Some(row), Some(body), Some(overtaken)) = (found.next(), found.next(), found.next()) {
        let (row, body) = (reply::bytes(row)?, reply::optional(body)?);
        let row = Row::read(&row)?;
        match entry(&row, body.as_deref(), reply::number(&overtaken)? == 1) {
            Ok(entry) => entries.push(entry),
            // It must not keep those behind it waiting.
            Err(fault) => {
                let error = crate::ledger::LedgerError::from(fault);
                tracing::error!(id = %row.id, %error, "an entry of the agenda cannot be read; it is looked at again in an hour");
                unreadable.push(Postpone { id: row.id, seq: row.seq, by: UNREADABLE });
            }
        }
    }
    if !unreadable.is_empty() {
        postpone(session, &unreadable).await?;
    }
    let next = match next {
        redis::Value::Nil => None,
        next => Some(instant(reply::number(&next)?)),
    };
    Ok(DueBatch { now: instant(reply::number(&now)?), entries, next })
}

fn entry(row: &Row<'_>, body: Option<&[u8]>, overtaken: bool) -> Result<DueEntry, Fault> {
    let body = body.ok_or_else(|| Fault::Invalid("its message is gone".into()))?;
    let reason = match row.state {
        TaskState::Queued => DueReason::Unclaimed { overtaken, looks: u32::from(row.looks) },
        _ => DueReason::Due,
    };
    Ok(DueEntry { message: row.message(body)?, due_at: instant(row.due), reason })
}

pub(super) async fn mark(session: &Session, marks: &[Mark]) -> Result<Vec<bool>, Fault> {
    let mut args = session.begin(Call::Mark);
    args.number(duration_micros(UNCLAIMED)).number(duration_micros(UNCLAIMED_MAX));
    for Mark { id, seq } in marks {
        args.push(Packed::of_id(*id).long(seq.0));
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    Ok(answers.iter().map(|answer| *answer == 1).collect())
}

pub(super) async fn postpone(session: &Session, postponed: &[Postpone]) -> Result<(), Fault> {
    let mut args = session.begin(Call::Postpone);
    for Postpone { id, seq, by } in postponed {
        args.push(Packed::of_id(*id).long(seq.0).long(duration_micros(*by)));
    }
    session.run(&args).await.map(drop)
}

pub(super) async fn park(session: &Session, parks: &[Park]) -> Result<Vec<ParkAnswer>, Fault> {
    const NEVER: i64 = -1;
    let mut args = session.begin(Call::Park);
    for park in parks {
        let message = &park.message;
        let dead_after = park.dead_after.map_or(NEVER, |(after, _)| duration_micros(after));
        let numbers = Packed::of_id(message.id)
            .long(message.seq.0)
            .int(message.attempts)
            .int(message.crashes)
            .long(micros_or_none(message.must_start_by()))
            .long(duration_micros(park.delay))
            .long(duration_micros(park.max_delay))
            .long(dead_after);
        row::push(&mut args, numbers, message)?;
        let error = park.dead_after.map(|(_, kind)| error_text(&RunError::new(kind, park.note.clone())));
        args.push(note(&park.note)).push(error.transpose()?.unwrap_or_default());
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    let mut from = Unpacked(&answers);
    parks.iter().map(|_| parked(&mut from)).collect()
}

fn parked(from: &mut Unpacked<'_>) -> Result<ParkAnswer, Fault> {
    let (answer, due) = (from.byte()?, from.long()?);
    match answer {
        0 => Ok(ParkAnswer::Parked(instant(due))),
        1 => Ok(ParkAnswer::Dead),
        2 => Ok(ParkAnswer::Ignored),
        other => Err(Fault::Invalid(format!("a park was answered with an unknown {other}"))),
    }
}

pub(super) async fn reap(session: &Session, lost: &[Lost], max_crashes: u32) -> Result<ReapReport, Fault> {
    let mut args = session.begin(Call::Reap);
    args.number(i64::from(max_crashes));
    for Lost { owner, counter } in lost {
        let counter = i64::try_from(*counter).unwrap_or(i64::MAX);
        args.push(Packed::default().bytes(owner.0.as_bytes()).long(counter));
    }
    let [retired, dead, rescheduled, cancelled] = reply::parts(session.run(&args).await?)?;
    let owners = reply::array(retired)?.into_iter().map(|owner| Unpacked(&reply::bytes(owner)?).owner());
    let dead = reply::array(dead)?.into_iter().map(|id| Unpacked(&reply::bytes(id)?).id());
    Ok(ReapReport {
        retired: owners.collect::<Result<Vec<OwnerId>, Fault>>()?,
        rescheduled: reply::count(&rescheduled)?,
        dead: dead.collect::<Result<Vec<TaskId>, Fault>>()?,
        cancelled: reply::count(&cancelled)?,
    })
}

/// Entries scheduled or queued, and the longest that a due one waits, by queue. Only queues of the thousand tasks that wait
/// longest have a wait: to look at all of them would stop the server for everybody.
pub(super) async fn backlog(session: &Session) -> Result<Vec<(QueueName, u64, Duration)>, Fault> {
    let found = super::inspect::counts(session, LONGEST).await?;
    let mut backlog = Vec::new();
    for queue in found.queues {
        let waiting = queue
            .counts
            .iter()
            .filter(|(state, _)| matches!(state, TaskState::Scheduled | TaskState::Queued));
        let tasks = waiting.map(|(_, count)| count).sum();
        let waits = found.waits.get(&queue.name).copied().unwrap_or_default();
        if tasks > 0 {
            backlog.push((queue.name, tasks, waits));
        }
    }
    Ok(backlog)
}
