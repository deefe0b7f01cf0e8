//! The claim: the exclusive right to run a task.

use jiff::Timestamp;

use crate::id::{Fence, Seq, TaskId, Token};
use crate::limit::LimitUse;
use crate::message::Message;
use crate::task::TaskState;

/// Asks to run a message. The token is random, made and remembered before this is sent, so that asking again after a
/// lost reply gets the same answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRequest {
    /// What was delivered; stored whole with the claim, so that the ledger alone can run it again.
    pub message: Message,
    /// The delivery's token.
    pub token: Token,
    /// The limits that the task is under, the narrowest first; for most there is none.
    pub limits: Vec<LimitUse>,
}

impl ClaimRequest {
    /// Of a task that nothing limits.
    pub fn new(message: Message, token: Token) -> Self {
        Self { message, token, limits: Vec::new() }
    }

    /// Under these limits, the narrowest first.
    pub fn under(self, limits: Vec<LimitUse>) -> Self {
        Self { limits, ..self }
    }
}

/// What a claim was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimAnswer {
    /// Run it.
    Acquired(Claim),
    /// The task has ended: acknowledge.
    Done(TaskState),
    /// Somebody runs it, or an earlier twin in this batch asked: acknowledge. If that owner is lost, the beat promotes the row.
    Busy,
    /// The message is older than the row's schedule, or the row waits for others: acknowledge.
    Stale,
    /// Its time was over before it started; it is terminal now: acknowledge.
    Ended(TaskState),
    /// A limit is reached; the ledger keeps its place and makes it due when its turn comes: acknowledge.
    Limited {
        /// Which of the request's limits it waits for.
        by: usize,
        /// When it is due again, where that is known: not in a line for a slot.
        until: Option<Timestamp>,
    },
    /// This owner was declared lost: nothing was claimed. Come back as a new incarnation; give the delivery back.
    Retired,
}

/// The right to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Above every fence given for this task before.
    pub fence: Fence,
    /// The row's seq.
    pub seq: Seq,
    /// Failures that the task reported so far, by the row.
    pub attempts: u32,
    /// Workers lost while it ran so far, by the row.
    pub crashes: u32,
    /// When the row was due; `None` where this claim made it.
    pub due_at: Option<Timestamp>,
    /// The store's time of the claim.
    pub at: Timestamp,
    /// Somebody asked to stop it while it ran; set when a claim is answered again.
    pub cancel_requested: bool,
}

/// A running row, as its owner names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnedClaim {
    /// Which task.
    pub id: TaskId,
    /// With which fence.
    pub fence: Fence,
    /// With which token.
    pub token: Token,
}
