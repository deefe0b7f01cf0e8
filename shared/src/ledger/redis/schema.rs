//! The version of what is kept, and its end.

use async_trait::async_trait;
use redis::Value;

use super::error::Fault;
use super::reply;
use super::session::Session;
use super::{RedisLedger, holding};
use crate::ledger::holding::Holding;
use crate::ledger::{LedgerError, Schema, SchemaStatus};

/// The version that this program reads and writes. `lua/heartbeat.lua` names it too.
const KNOWN: u32 = 1;

/// So many keys are looked at, and removed, in one go.
const REMOVED: usize = 1000;

async fn found(session: &Session) -> Result<u32, Fault> {
    let mut command = redis::cmd("GET");
    command.arg(format!("{}schema", session.prefix));
    match reply::optional(session.command(&command).await?)? {
        None => Ok(0),
        Some(version) => {
            std::str::from_utf8(&version).ok().and_then(|version| version.parse().ok()).ok_or_else(|| {
                Fault::Invalid(format!("the key {}schema is no version of Upbeat's", session.prefix))
            })
        }
    }
}

/// Removes every key of the namespace.
pub(super) async fn remove(session: &Session) -> Result<(), Fault> {
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(format!("{}*", session.prefix)).arg("COUNT").arg(REMOVED);
        let [next, keys] = reply::parts(session.command(&scan).await?)?;
        let keys = reply::array(keys)?.into_iter().map(reply::bytes).collect::<Result<Vec<_>, _>>()?;
        if !keys.is_empty() {
            // Not DEL: what is large would stop the server for everybody.
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(&keys);
            session.command(&unlink).await?;
        }
        cursor = reply::text(next)?;
        if cursor == "0" {
            return Ok(());
        }
    }
}

impl RedisLedger {
    /// Brings the store to this program's version; refuses one that it cannot work with.
    pub(super) async fn bring_up(&self) -> Result<(), Fault> {
        let found = found(&self.session).await?;
        if found > KNOWN {
            return Err(Fault::Newer { found, known: KNOWN });
        }
        self.mark_version(found).await.map(drop)
    }

    async fn mark_version(&self, found: u32) -> Result<bool, Fault> {
        if found == KNOWN {
            return Ok(false);
        }
        let mut command = redis::cmd("SET");
        command.arg(format!("{}schema", self.session.prefix)).arg(KNOWN).arg("NX");
        Ok(self.session.command(&command).await? != Value::Nil)
    }
}

#[async_trait]
impl Schema for RedisLedger {
    async fn status(&self) -> Result<SchemaStatus, LedgerError> {
        Ok(SchemaStatus { found: found(&self.session).await?, known: KNOWN })
    }

    async fn up(&self) -> Result<Vec<u32>, LedgerError> {
        let found = found(&self.session).await?;
        if found > KNOWN {
            return Err(Fault::Newer { found, known: KNOWN }.into());
        }
        let is_new = self.mark_version(found).await?;
        Ok(if is_new { vec![KNOWN] } else { Vec::new() })
    }

    async fn holdings(&self) -> Result<Vec<Holding>, LedgerError> {
        Ok(holding::holdings(&self.session).await?)
    }

    fn describe(&self) -> String {
        let (server, durability) = (&self.server.product, &self.server.durability);
        format!("{server} at {}, keys {}* ({durability})", self.address, self.session.prefix)
    }

    fn advice(&self) -> Option<String> {
        self.server.durability.is_weak().then(|| {
            "set `appendonly yes` and `appendfsync everysec` (or `always`): what waits in the ledger is only as durable as the \
             server; see docs/guarantees.md"
                .to_owned()
        })
    }
}
