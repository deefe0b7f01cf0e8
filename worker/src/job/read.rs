//! From bytes to something that can be claimed, or that has to go another way.

use std::sync::Arc;

use upbeat_shared::id::{TaskId, Token};
use upbeat_shared::message::{DecodeError, Message, WireMessage};
use upbeat_shared::name::QueueName;

use super::handlers::Handler;
use crate::queues::{Slot, Taken};
use crate::runtime::Context;
use crate::runtime::receipt::Receipt;
use crate::suspect::Turn;

/// A delivery that comes back more often than this is put on the agenda instead: brokers drop what is delivered too
/// often.
const MAX_REDELIVERIES: u32 = 100;

/// A message that this worker can run, if it gets the claim.
pub(crate) struct Candidate {
    pub(crate) message: Message,
    pub(crate) handler: Arc<Handler>,
    pub(crate) token: Token,
    pub(crate) receipt: Receipt,
    pub(crate) slot: Slot,
    /// Of a suspect: the right to run it alone.
    pub(crate) turn: Option<Turn>,
}

/// A message that is not claimed.
pub(crate) struct Odd {
    pub(crate) kind: OddKind,
    pub(crate) receipt: Receipt,
    /// Bounds how many of them are handled at once.
    pub(crate) slot: Slot,
}

/// Why a message is not claimed.
pub(crate) enum OddKind {
    /// It cannot be understood.
    Undeliverable { queue: QueueName, message: WireMessage, error: DecodeError },
    /// It has no id, and got a new one.
    WithoutId(Message),
    /// No handler here has its name.
    UnknownName(Message),
    /// Its arguments are of a version that the handler here does not know yet.
    TooNew {
        message: Message,
        /// The newest version that the handler reads.
        newest: u32,
    },
    /// It was given back too often.
    Worn(Message),
    /// It is a suspect, and as many as may run alone do.
    Crowded(Message),
}

/// Reads one delivery.
pub(crate) fn read(ctx: &Context, taken: Taken) -> Result<Candidate, Box<Odd>> {
    let Taken { queue, message: wire, redeliveries, receipt, slot } = taken;
    let clock = ctx.clock.clock();
    let mut without_id = false;
    let new_id = || {
        without_id = true;
        TaskId::drawn(ctx.clock.now().unwrap_or_else(|| clock.wall()), &**clock)
    };
    let options = &ctx.options;
    let decoded = Message::decode(&wire, &options.namespace, &queue, &options.limits, new_id);
    let (kind, receipt, slot) = match decoded {
        Err(error) => (OddKind::Undeliverable { queue, message: wire, error }, receipt, slot),
        Ok(message) if without_id => (OddKind::WithoutId(message), receipt, slot),
        Ok(message) => match ctx.handlers.get(&message.name) {
            None => (OddKind::UnknownName(message), receipt, slot),
            Some(handler) => match handler.task.too_new(message.args_version) {
                Some(newest) => (OddKind::TooNew { message, newest }, receipt, slot),
                None if redeliveries > MAX_REDELIVERIES => (OddKind::Worn(message), receipt, slot),
                None => {
                    let turn = ctx.runs_alone(message.crashes, &handler.task).then(|| ctx.suspects.turn());
                    if turn.as_ref().is_none_or(Option::is_some) {
                        let (handler, turn) = (handler.clone(), turn.flatten());
                        let claim = Token::drawn(&**clock);
                        return Ok(Candidate { message, handler, token: claim, receipt, slot, turn });
                    }
                    (OddKind::Crowded(message), receipt, slot)
                }
            },
        },
    };
    Err(Box::new(Odd { kind, receipt, slot }))
}
