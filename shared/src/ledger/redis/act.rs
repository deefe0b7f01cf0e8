//! Acting on tasks: cancel, retry, drop.

use super::error::Fault;
use super::packed::Unpacked;
use super::reply;
use super::row::{self, state_of};
use super::script::Call;
use super::session::Session;
use super::settle::note;
use crate::id::TaskId;
use crate::ledger::{ActAnswer, Action, rule};

pub(super) async fn act(session: &Session, ids: &[TaskId], action: &Action) -> Result<Vec<ActAnswer>, Fault> {
    let (name, reason) = match action {
        Action::Cancel { reason } => ("cancel", note(reason)),
        Action::Retry => ("retry", ""),
        Action::Drop => ("drop", ""),
    };
    let mut args = session.begin(Call::Act);
    args.push(name).push(reason).push(row::tail(&rule::tombstone(TaskId(uuid::Uuid::nil()))));
    for id in ids {
        args.push(id.0.as_bytes());
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    let mut from = Unpacked(&answers);
    ids.iter().map(|_| one(&mut from)).collect()
}

fn one(from: &mut Unpacked<'_>) -> Result<ActAnswer, Fault> {
    let (answer, state) = (from.byte()?, state_of(from.byte()?)?);
    match answer {
        0 => Ok(ActAnswer::Applied(state)),
        1 => Ok(ActAnswer::Requested),
        2 => Ok(ActAnswer::Refused(state)),
        3 => Ok(ActAnswer::Unknown),
        4 => Ok(ActAnswer::KeyTaken { by: from.id()? }),
        other => Err(Fault::Invalid(format!("an action was answered with an unknown {other}"))),
    }
}
