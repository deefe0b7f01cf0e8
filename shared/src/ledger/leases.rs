//! Named leases, for work that one member does at a time to save effort. Nothing is wrong if two do it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;
use crate::id::OwnerId;

/// Asks for a lease, or for more of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Its name.
    pub name: String,
    /// How long it lasts from now.
    pub ttl: Duration,
}

/// Named leases.
#[async_trait]
pub trait Leases: Send + Sync + fmt::Debug {
    /// Takes or renews leases; answers for each whether the owner has it now.
    async fn acquire(&self, owner: OwnerId, requests: Vec<LeaseRequest>) -> Result<Vec<bool>, LedgerError>;

    /// Gives leases back; those of others are left alone.
    async fn give_up(&self, owner: OwnerId, names: Vec<String>) -> Result<(), LedgerError>;
}
