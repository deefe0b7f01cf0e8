//! Notices occurrences that have not started long after their time, and tells of them: a count, a line of the log, the
//! hooks, the operator's endpoint. Changes nothing about them.

mod judge;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::hook::Overdue;
use upbeat_shared::ledger::{LedgerError, NewEntry};
use upbeat_shared::task::TaskRecord;
use upbeat_shared::telemetry;

use super::context::Context;
use super::health::{Fault, Part};
use judge::{Finding, advice, is_news, judge};
use watch::Told;

pub(super) use watch::{Watch, Watches};

/// How often to look whether a watch is due.
const LOOK: Duration = Duration::from_secs(1);

/// Occurrences in one question to the ledger. Rows come with all that they hold.
const BATCH: usize = 100;

/// Between two full batches: whoever takes over many schedules is in no hurry.
const PAUSE: Duration = Duration::from_millis(20);

/// Lines of the log in one round: who has many schedules and no worker knows it after these.
const LINES: usize = 20;

/// Looks at what is due to be looked at, until the beat is stopped.
pub(super) async fn run(ctx: Arc<Context>) {
    let mut failures = 0;
    loop {
        let outcome = round(&ctx).await;
        let pause = if outcome.as_ref().is_ok_and(|full| *full) { PAUSE } else { LOOK };
        ctx.conclude(Part::Overdue, outcome.map(drop), &mut failures).await;
        if !ctx.pause(pause).await {
            return;
        }
    }
}

/// Tells of what is overdue by now; answers when the next look is due, if there is something to look at.
#[cfg(feature = "testing")]
pub(super) async fn tell_due(ctx: &Context) -> Result<Option<Timestamp>, Fault> {
    while round(ctx).await? {}
    Ok(ctx.watches.next())
}

/// Judges one batch; answers whether more may be due.
async fn round(ctx: &Context) -> Result<bool, Fault> {
    let Some(now) = ctx.clock.now() else { return Ok(false) };
    let due = ctx.watches.due(now, BATCH);
    if due.is_empty() {
        return Ok(false);
    }
    let full = due.len() == BATCH;
    let rows = rows(ctx, &due).await?;
    let mut late = Vec::new();
    for ((watch, told), [row, row_of_told]) in due.into_iter().zip(rows) {
        match row.filter(|row| judge(Some(row)) == Finding::Overdue) {
            None => ctx.watches.judged(&watch, None),
            Some(row) if is_news(told, row_of_told.as_ref(), now) => late.push((watch, row)),
            Some(row) => {
                tracing::debug!(schedule = %watch.schedule, id = %row.id(), "still overdue");
                metrics::counter!(telemetry::OVERDUE).increment(1);
                ctx.watches.judged(&watch, told);
            }
        }
    }
    tell(ctx, late, now).await?;
    Ok(full)
}

/// The row of each watched occurrence, and that of the one of its schedule that was told of last.
async fn rows(
    ctx: &Context,
    due: &[(Watch, Option<Told>)],
) -> Result<Vec<[Option<TaskRecord>; 2]>, LedgerError> {
    let ids = due.iter().map(|(watch, _)| watch.id);
    let told = due.iter().filter_map(|(_, told)| told.map(|told| told.id));
    let ids: Vec<_> = ids.chain(told).collect();
    let mut rows = ctx.ledger("get", ctx.store.inspect.get(ids)).await?;
    let mut of_told = rows.split_off(due.len().min(rows.len())).into_iter();
    let pair =
        |((_, told), row): (&(Watch, Option<Told>), _)| [row, told.and_then(|_| of_told.next().flatten())];
    Ok(due.iter().zip(rows).map(pair).collect())
}

/// Tells of what is overdue. The notices first: if the ledger does not take them, all is told later.
async fn tell(ctx: &Context, late: Vec<(Watch, TaskRecord)>, now: Timestamp) -> Result<(), LedgerError> {
    if late.is_empty() {
        return Ok(());
    }
    let events: Vec<_> = late.iter().map(|(watch, row)| event(watch, row, now)).collect();
    let notices: Vec<NewEntry> = events
        .iter()
        .filter_map(|event| ctx.options.notices.of_overdue(&ctx.options.namespace, event))
        .collect();
    if !notices.is_empty() {
        ctx.ledger("add", ctx.store.agenda.add(notices)).await?;
    }
    metrics::counter!(telemetry::OVERDUE).increment(late.len() as u64);
    let more = late.len().saturating_sub(LINES);
    for (line, ((watch, row), event)) in late.into_iter().zip(events).enumerate() {
        if line < LINES {
            log(&event, &row);
        }
        ctx.watches.judged(&watch, Some(Told { id: watch.id, at: now }));
        ctx.hooks.overdue(|| event);
    }
    if more > 0 {
        tracing::warn!(schedules = more, "occurrences of further schedules are overdue");
    }
    Ok(())
}

fn event(watch: &Watch, row: &TaskRecord, now: Timestamp) -> Overdue {
    Overdue {
        message: Arc::new(row.message.clone()),
        schedule: watch.schedule.clone(),
        planned_at: watch.planned_at,
        due_at: watch.due_at,
        late_by: clock::until(watch.due_at, now),
        state: row.state,
        note: row.note.clone(),
        at: now,
    }
}

fn log(event: &Overdue, row: &TaskRecord) {
    tracing::warn!(
        schedule = %event.schedule,
        planned_at = %event.planned_at,
        id = %event.id(),
        queue = %event.message.queue,
        state = event.state.as_str(),
        note = event.note,
        late_by = ?event.late_by,
        "an occurrence is overdue: {}",
        advice(row)
    );
}

#[cfg(test)]
mod tests;
