//! The world of the adapters in memory: values, and a clock moved by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use upbeat_shared::ledger::Store;
use upbeat_shared::ledger::memory::{MemoryLedger, MemoryOptions};
use upbeat_shared::transport::Transport;
use upbeat_shared::transport::memory::{MemoryBroker, MemoryTransport};

use super::{LedgerWorld, TransportWorld};
use crate::clock::HandClock;

/// A ledger in memory.
#[derive(Debug)]
pub struct Ledger {
    clock: Arc<HandClock>,
    first: Mutex<Arc<MemoryLedger>>,
}

impl Ledger {
    fn another(&self) -> Arc<MemoryLedger> {
        self.first.lock().expect("no holder panics").another(self.clock.clone())
    }
}

#[async_trait]
impl LedgerWorld for Ledger {
    async fn create() -> Self {
        let clock = HandClock::noon();
        let first = MemoryLedger::new(clock.clone(), MemoryOptions::default());
        Self { clock, first: Mutex::new(first) }
    }

    fn store(&self) -> Store {
        Store::from_adapter(self.first.lock().expect("no holder panics").clone())
    }

    async fn connect(&self) -> Store {
        Store::from_adapter(self.another())
    }

    fn forward(&self, by: Duration) {
        self.clock.forward(by);
    }

    async fn set_back(&self, by: Duration) {
        self.clock.set_wall(-SignedDuration::try_from(by).expect("some hours or days"));
        let first = self.another();
        *self.first.lock().expect("no holder panics") = first;
    }
}

/// A broker in memory.
#[derive(Debug)]
pub struct Broker {
    broker: Arc<MemoryBroker>,
    first: Arc<MemoryTransport>,
}

#[async_trait]
impl TransportWorld for Broker {
    async fn create() -> Self {
        let broker = MemoryBroker::new();
        let first = broker.connect();
        Self { broker, first }
    }

    fn transport(&self) -> Arc<dyn Transport> {
        self.first.clone()
    }

    async fn connect(&self) -> Arc<dyn Transport> {
        self.broker.connect()
    }
}
