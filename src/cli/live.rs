//! Members that live: while they do, what is exported changes, and what is imported runs before all of it is there.

use upbeat_shared::member::MemberState;

use super::context::Session;
use super::failure::Failure;

/// So many of them are named.
const NAMED: usize = 5;

/// Refuses to go on while a member of this ledger lives.
pub(super) async fn refuse(session: &Session, why: &str) -> Result<(), Failure> {
    let now = session.stack.store.ledger.now().await?;
    let members = session.stack.store.inspect.members().await?;
    let live: Vec<String> = members
        .iter()
        .filter(|member| member.state(now) != MemberState::Lost)
        .map(|member| format!("the {} {}", member.role.as_str(), member.info.name))
        .collect();
    if live.is_empty() {
        return Ok(());
    }
    let more = match live.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let names = format!("{}{more}", live[..live.len().min(NAMED)].join(", "));
    Err(Failure::failed(format!("members live here: {names}; {why}")).page("members-live").advice(
        "stop every beat and worker first (one that was killed counts as alive until its lease is over); --force goes on all the same",
    ))
}
