//! Runs that settled themselves, in a transaction that the handler committed. Such a success stands, whatever the handler does
//! afterwards.

use std::sync::OnceLock;

use upbeat_shared::ledger::Settlement;
use upbeat_shared::message::Payload;
use upbeat_shared::task::TaskState;

use super::verdict::Outcome;
use crate::runtime::Context;

/// What a run committed, if it did.
#[derive(Debug, Default)]
pub(crate) struct Committed(OnceLock<Option<Payload>>);

impl Committed {
    /// The run has settled itself as succeeded, with this result.
    #[cfg_attr(
        not(any(feature = "embedded", feature = "postgres")),
        allow(dead_code, reason = "runs settle themselves in transactions of such ledgers")
    )]
    pub(crate) fn with(&self, result: Option<Payload>) {
        // A run is settled once: there is nothing to be set twice.
        let _ = self.0.set(result);
    }

    /// What became of the run, if it ended like this.
    pub(crate) fn stands(&self, ended: Outcome) -> Outcome {
        let Some(result) = self.0.get() else { return ended };
        match &ended {
            Outcome::Succeeded(None) => {}
            Outcome::Succeeded(returned) if returned == result => {}
            Outcome::Succeeded(_) => tracing::warn!(
                "what the handler returned after its commit is not kept: give the result to `commit_with`"
            ),
            Outcome::Failed(_) | Outcome::Panicked(_) | Outcome::Stopped(_) => tracing::warn!(
                ?ended,
                "the run committed its transaction, and ended otherwise afterwards; the success stands"
            ),
        }
        Outcome::Succeeded(result.clone())
    }
}

/// Whether a verdict that was settled before falls away because its run has succeeded: the answer to its commit was lost,
/// or a program or an endpoint settled it by itself. A settle of our own whose answer was lost is no such thing.
pub(super) async fn has_succeeded(ctx: &Context, settlement: &Settlement) -> bool {
    let claim = settlement.claim;
    let Ok(records) = ctx.ledger("get", ctx.store.inspect.get(vec![claim.id])).await else { return false };
    let record = records.into_iter().flatten().next();
    record.is_some_and(|it| it.fence == Some(claim.fence) && it.state == TaskState::Succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::TaskError;
    use crate::job::verdict::StopReason;

    #[test]
    fn a_committed_success_stands_whatever_comes_after_it() {
        let committed = Committed::default();
        let failed = || Outcome::Failed(TaskError::Retry("no".into()));
        assert_eq!(committed.stands(failed()), failed(), "nothing was committed");
        let result = Some(Payload::json(&7).unwrap());
        committed.with(result.clone());
        let others = [
            failed(),
            Outcome::Panicked("boom".into()),
            Outcome::Stopped(StopReason::Cancelled),
            Outcome::Succeeded(Some(Payload::json(&8).unwrap())),
            Outcome::Succeeded(None),
        ];
        for other in others {
            assert_eq!(committed.stands(other), Outcome::Succeeded(result.clone()));
        }
    }
}
