//! Retries and dead tasks, as hooks are told of them. Called only when the ledger has them already.

use std::sync::Arc;

use upbeat_shared::hook::{Dead, Retry};
use upbeat_shared::ledger::Park;
use upbeat_shared::message::Message;
use upbeat_shared::verdict::{RunError, RunErrorKind, Verdict};

use super::settle::Ran;
use crate::runtime::Context;

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
        Verdict::Dead { error } => ctx.hooks.dead(|| Dead {
            message: ran.message.clone(),
            attempts,
            crashes: ran.crashes,
            error: error.clone(),
            at: at(),
        }),
        Verdict::Succeeded { .. }
        | Verdict::Snooze { .. }
        | Verdict::Cancelled { .. }
        | Verdict::Released { .. } => {}
    }
}

/// A claim was answered that its message is too old.
pub(super) fn stale(ctx: &Context, message: &Message) {
    tracing::warn!(id = %message.id, name = %message.name, "a message came so late that its id could have been forgotten; its task is dead");
    let why = "the message was first published so long ago that its id could have been forgotten";
    ctx.hooks.dead(|| never_ran(ctx, message, RunError::new(RunErrorKind::Stale, why)));
}

/// A task was parked for too long.
pub(super) fn parked(ctx: &Context, park: &Park) {
    let Some((_, kind)) = park.dead_after else { return };
    tracing::warn!(id = %park.message.id, name = %park.message.name, why = park.note, "a task waited for too long and is dead");
    ctx.hooks.dead(|| never_ran(ctx, &park.message, RunError::new(kind, park.note.clone())));
}

fn never_ran(ctx: &Context, message: &Message, error: RunError) -> Dead {
    Dead {
        message: Arc::new(message.clone()),
        attempts: message.attempts,
        crashes: message.crashes,
        error,
        at: ctx.clock.now(),
    }
}
