//! Named leases.

use async_trait::async_trait;

use super::MemoryLedger;
use super::state::Write;
use crate::id::OwnerId;
use crate::ledger::stored::duration_micros;
use crate::ledger::{LeaseRequest, Leases, LedgerError};

#[async_trait]
impl Leases for MemoryLedger {
    async fn acquire(&self, owner: OwnerId, requests: Vec<LeaseRequest>) -> Result<Vec<bool>, LedgerError> {
        Ok(self.write(|write| requests.into_iter().map(|request| acquire(write, owner, request)).collect()))
    }

    async fn give_up(&self, owner: OwnerId, names: Vec<String>) -> Result<(), LedgerError> {
        self.write(|write| {
            let given = |name: &String, holder: OwnerId| holder == owner && names.contains(name);
            write.state.leases.retain(|name, (holder, _)| !given(name, *holder));
        });
        Ok(())
    }
}

fn acquire(write: &mut Write<'_>, owner: OwnerId, request: LeaseRequest) -> bool {
    let now = write.now();
    let until = now.saturating_add(duration_micros(request.ttl));
    let lease = write.state.leases.entry(request.name).or_insert((owner, until));
    let free = lease.0 == owner || lease.1 <= now;
    if free {
        *lease = (owner, until);
    }
    free
}
