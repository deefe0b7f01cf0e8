//! The suite of ledgers that take part in transactions of the user's own.

use async_trait::async_trait;
use upbeat_shared::client::{Client, ClientOptions, NewTask, PublishError, TaskHandle};
use upbeat_shared::clock::{StoreClock, SystemClock};
use upbeat_shared::ledger::{CommitError, Settlement, Store};
use upbeat_shared::transport::memory::MemoryBroker;

use std::sync::Arc;

use super::LedgerWorld;

mod postgres;
pub mod publish;
pub mod settle;
mod sqlite;
pub mod unique;

/// How a user's transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its commit.
    Commit,
    /// With nothing.
    Rollback,
}

/// A ledger, and transactions beside it in which a user writes effects.
#[async_trait]
pub trait TransactionWorld: LedgerWorld {
    /// Writes this effect in a new transaction, publishes tasks in it, and ends it so.
    async fn publish(
        &self,
        client: &Client,
        effect: &str,
        tasks: Vec<NewTask>,
        end: End,
    ) -> Result<Vec<TaskHandle>, PublishError>;

    /// Writes this effect in a new transaction of this world, settles in it by the ledger of a world, and commits it.
    async fn commit(&self, ledger: &Store, effect: &str, settlement: &Settlement) -> Result<(), CommitError>;

    /// The effects that were committed.
    async fn effects(&self) -> Vec<String>;
}

/// A client of this world.
pub(super) fn client(world: &impl LedgerWorld) -> Client {
    client_over(world.store())
}

/// A client over this ledger.
pub fn client_over(store: Store) -> Client {
    let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
    Client::new(MemoryBroker::new().connect(), store, clock, ClientOptions::default())
}

/// Makes a test of every case of the suite, for the world whose full path is given.
#[macro_export]
macro_rules! transaction_conformance {
    ($world:ty) => {
        mod publish {
            $crate::transaction_publish_conformance!($world);
        }
        mod settle {
            $crate::transaction_settle_conformance!($world);
        }
        mod unique {
            $crate::transaction_unique_conformance!($world);
        }
    };
}
