//! Named leases.

use super::error::Fault;
use super::packed::exact;
use super::reply;
use super::row::duration_micros;
use super::script::Call;
use super::session::Session;
use crate::id::OwnerId;
use crate::ledger::LeaseRequest;

pub(super) async fn acquire(
    session: &Session,
    owner: OwnerId,
    requests: &[LeaseRequest],
) -> Result<Vec<bool>, Fault> {
    let mut args = session.begin(Call::Lease);
    args.push(owner.0.as_bytes());
    for LeaseRequest { name, ttl } in requests {
        args.push(name).number(exact(duration_micros(*ttl)));
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    Ok(answers.iter().map(|answer| *answer == 1).collect())
}

pub(super) async fn give_up(session: &Session, owner: OwnerId, names: &[String]) -> Result<(), Fault> {
    let mut args = session.begin(Call::GiveUp);
    args.push(owner.0.as_bytes());
    for name in names {
        args.push(name);
    }
    session.run(&args).await.map(drop)
}
