//! Named leases.

use async_trait::async_trait;

use super::EmbeddedLedger;
use super::row::duration_micros;
use crate::id::OwnerId;
use crate::ledger::{LeaseRequest, Leases, LedgerError};
use crate::sqlite::{SqliteError, Write};

#[async_trait]
impl Leases for EmbeddedLedger {
    async fn acquire(&self, owner: OwnerId, requests: Vec<LeaseRequest>) -> Result<Vec<bool>, LedgerError> {
        Ok(self.file.write(move |write| acquire(write, owner, &requests)).await?)
    }

    async fn give_up(&self, owner: OwnerId, names: Vec<String>) -> Result<(), LedgerError> {
        let given = self.file.write(move |write| {
            let mut delete = write.prepare_cached("DELETE FROM lease WHERE name = ?1 AND owner = ?2")?;
            for name in &names {
                delete.execute((name, owner.0.as_bytes()))?;
            }
            Ok(())
        });
        Ok(given.await?)
    }
}

fn acquire(write: &Write<'_>, owner: OwnerId, requests: &[LeaseRequest]) -> Result<Vec<bool>, SqliteError> {
    let mut take = write.prepare_cached(
        "INSERT INTO lease (name, owner, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
         WHERE owner = excluded.owner OR expires_at <= ?4",
    )?;
    let mut held = Vec::with_capacity(requests.len());
    for request in requests {
        let until = write.now().saturating_add(duration_micros(request.ttl));
        held.push(take.execute((&request.name, owner.0.as_bytes(), until, write.now()))? == 1);
    }
    Ok(held)
}
