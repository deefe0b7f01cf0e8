//! Named leases.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;

use super::PostgresLedger;
use super::error::Fault;
use super::row::{duration_micros, text};
use super::session::{Session, Work, perform};
use crate::id::OwnerId;
use crate::ledger::{LeaseRequest, Leases, LedgerError};

#[async_trait]
impl Leases for PostgresLedger {
    async fn acquire(&self, owner: OwnerId, requests: Vec<LeaseRequest>) -> Result<Vec<bool>, LedgerError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        Ok(perform(&self.pool, &Acquire { owner, requests: &requests }).await?)
    }

    async fn give_up(&self, owner: OwnerId, names: Vec<String>) -> Result<(), LedgerError> {
        Ok(perform(&self.pool, &GiveUp { owner, names: &names }).await?)
    }
}

/// Takes or renews leases.
struct Acquire<'a> {
    owner: OwnerId,
    requests: &'a [LeaseRequest],
}

impl Work for Acquire<'_> {
    const CALL: &'static str = "acquire";
    type Answer = Vec<bool>;

    async fn run(&self, session: &mut Session) -> Result<Vec<bool>, Fault> {
        // Sorted: batches that overlap wait for each other, but never in a circle.
        let wanted: BTreeMap<String, i64> =
            self.requests.iter().map(|request| (text(&request.name), duration_micros(request.ttl))).collect();
        let (names, ttls): (Vec<String>, Vec<i64>) = wanted.into_iter().unzip();
        let sql = "insert into lease (name, owner, expires_at)
            select i.name, $1, n.now + i.ttl
            from unnest($2::text[], $3::bigint[]) with ordinality as i (name, ttl, ord),
                (select now_us() as now offset 0) n
            order by i.ord
            on conflict (name) do update set owner = excluded.owner, expires_at = excluded.expires_at
            where lease.owner = excluded.owner or lease.expires_at <= (select now_us())
            returning name";
        let rows = session.query(sql, &[&self.owner.0, &names, &ttls]).await?;
        let held: HashSet<&str> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        Ok(self.requests.iter().map(|request| held.contains(text(&request.name).as_str())).collect())
    }
}

/// Gives leases back.
struct GiveUp<'a> {
    owner: OwnerId,
    names: &'a [String],
}

impl Work for GiveUp<'_> {
    const CALL: &'static str = "give_up";
    type Answer = ();

    async fn run(&self, session: &mut Session) -> Result<(), Fault> {
        let names: Vec<String> = self.names.iter().map(|name| text(name)).collect();
        session
            .execute("delete from lease where name = any ($2) and owner = $1", &[&self.owner.0, &names])
            .await?;
        Ok(())
    }
}
