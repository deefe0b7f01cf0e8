//! Runs that settle themselves in a transaction of their handler's: what the handler wrote and the task's end are committed
//! together, or not at all.

#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "embedded")]
pub mod sqlite;

use serde::Serialize;
use upbeat_shared::client::Client;
use upbeat_shared::ledger::{CommitError, OwnedClaim, Settlement};
use upbeat_shared::message::Payload;
use upbeat_shared::verdict::Verdict;

use crate::executor::RunContext;
use crate::executor::native::{Context, NIL};

/// Sealed: what is a run, or has one.
trait HasRun {
    fn of(&self) -> &RunContext;
}

impl HasRun for RunContext {
    fn of(&self) -> &RunContext {
        self
    }
}

impl<S> HasRun for Context<S> {
    fn of(&self) -> &RunContext {
        self.run()
    }
}

/// The success of a run, to be settled.
fn success<R: Serialize>(run: &RunContext, result: &R) -> Result<Settlement, CommitError> {
    let result = Payload::msgpack(result).map_err(|error| CommitError::Result(error.to_string()))?;
    if let Some(client) = &run.client {
        let fits = client.options().limits.check_body(result.bytes.len());
        fits.map_err(|_| {
            CommitError::Result(format!("it takes {} bytes, more than a message may", result.bytes.len()))
        })?;
    }
    let claim = OwnedClaim { id: run.id(), fence: run.fence, token: run.token };
    let result = (result.bytes != NIL).then_some(result);
    Ok(Settlement { owner: run.owner, claim, verdict: Verdict::Succeeded { result }, then: Vec::new() })
}

/// The settlement was committed.
fn committed(run: &RunContext, settlement: Settlement) {
    if let Verdict::Succeeded { result } = settlement.verdict {
        run.committed.with(result);
    }
}

/// Whose ledger takes part.
fn client(run: &RunContext) -> Result<&Client, CommitError> {
    run.client.as_ref().ok_or_else(|| CommitError::Elsewhere("this run is outside of any worker".into()))
}
