//! Retries and dead tasks, as others are told of them: hooks, when the ledger has them already; the operator's endpoint, by
//! a task that goes on the agenda together with the verdict where there is one.

use std::sync::Arc;

use upbeat_shared::hook::{Dead, Retry};
use upbeat_shared::ledger::{LedgerError, NewEntry, Park, ParkAnswer};
use upbeat_shared::message::Message;
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use super::settle::Ran;
use crate::runtime::Context;

/// How often the ledger is asked to take notices, at most.
const TRIES: u32 = 10;

/// A verdict applies and stands.
pub(super) fn settled(ctx: &Context, ran: &Ran, verdict: &Verdict) {
    let attempts = ran.attempts.saturating_add(1);
    let at = || ctx.clock.now();
    match verdict {
        Verdict::Retry { delay, error } => ctx.hooks.retry(|| Retry {
            message: ran.message.clone(),
            attempt: attempts,
            crashes: ran.crashes,
            delay: *delay,
            error: error.clone(),
            at: at(),
        }),
        Verdict::Dead { .. } | Verdict::Crashed { again: None, .. } => {
            if let Some(dead) = died(ctx, ran, verdict) {
                ctx.hooks.dead(|| dead);
            }
        }
        Verdict::Succeeded { .. }
        | Verdict::Snooze { .. }
        | Verdict::Cancelled { .. }
        | Verdict::Crashed { again: Some(_), .. }
        | Verdict::Released { .. } => {}
    }
}

/// What goes on the agenda with a verdict, in the same transaction: the notice of a dead task.
pub(super) fn then(ctx: &Context, ran: &Ran, verdict: &Verdict) -> Vec<NewEntry> {
    if ctx.options.notices.dead.is_none() {
        return Vec::new();
    }
    died(ctx, ran, verdict).and_then(|dead| notice(ctx, &dead)).into_iter().collect()
}

/// What there is to tell of a task that this verdict ends badly.
fn died(ctx: &Context, ran: &Ran, verdict: &Verdict) -> Option<Dead> {
    let (failed, crashed, error) = match verdict {
        Verdict::Dead { error } => (1, 0, error),
        Verdict::Crashed { error, again: None } => (0, 1, error),
        _ => return None,
    };
    Some(Dead {
        message: ran.message.clone(),
        attempts: ran.attempts.saturating_add(failed),
        crashes: ran.crashes.saturating_add(crashed),
        error: error.clone(),
        at: ctx.clock.now(),
    })
}

/// Claims were answered that their messages are too old.
pub(super) async fn stale(ctx: Arc<Context>, messages: Vec<Message>) {
    let why = "the message was first published so long ago that its id could have been forgotten";
    let mut notices = Vec::new();
    for message in messages {
        tracing::warn!(id = %message.id, name = %message.name, "a task is dead: {why}");
        notices.extend(never_ran(&ctx, message, RunError::new(RunErrorKind::Stale, why)));
    }
    publish(&ctx, notices).await;
}

/// Some of these tasks may have been parked for too long.
pub(super) async fn parked(ctx: &Context, parks: Vec<Park>, answers: Vec<ParkAnswer>) {
    let mut notices = Vec::new();
    for (park, answer) in parks.into_iter().zip(answers) {
        let (ParkAnswer::Dead, Some((_, kind))) = (answer, park.dead_after) else { continue };
        tracing::warn!(id = %park.message.id, name = %park.message.name, why = park.note, "a task waited for too long and is dead");
        notices.extend(never_ran(ctx, park.message, RunError::new(kind, park.note)));
    }
    publish(ctx, notices).await;
}

/// Tells the hooks; answers the notice.
fn never_ran(ctx: &Context, message: Message, error: RunError) -> Option<NewEntry> {
    let Message { attempts, crashes, .. } = message;
    let dead = Dead { message: Arc::new(message), attempts, crashes, error, at: ctx.clock.now() };
    let notice = notice(ctx, &dead);
    ctx.hooks.dead(|| dead);
    notice
}

fn notice(ctx: &Context, dead: &Dead) -> Option<NewEntry> {
    ctx.options.notices.of_dead(&ctx.options.namespace, dead)
}

/// Puts notices on the agenda that could not go there with a verdict.
async fn publish(ctx: &Context, notices: Vec<NewEntry>) {
    if notices.is_empty() {
        return;
    }
    for _ in 0..TRIES {
        match ctx.ledger("add", ctx.store.agenda.add(notices.clone())).await {
            Ok(_) => return,
            Err(LedgerError::Unavailable(_)) => {}
            Err(_) => break,
        }
        // Told to stop at once, nobody waits for it.
        if ctx.drop_runs.run_until_cancelled(tokio::time::sleep(ctx.ledger_backoff())).await.is_none() {
            break;
        }
    }
    let ids: Vec<String> = notices.iter().filter_map(|notice| notice.message.dedup_id.clone()).collect();
    tracing::error!(
        ?ids,
        "the notices of these dead tasks could not be put on the agenda: nobody is told of them"
    );
}
