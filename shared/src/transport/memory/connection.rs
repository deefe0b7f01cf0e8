//! A connection: what it holds comes back when it ends, whether it is closed or just gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::MemoryBroker;
use crate::transport::TransportError;

/// Held by the transport, its consumers and their acknowledgers: with the last of them it ends.
pub(super) struct Connection {
    broker: Arc<MemoryBroker>,
    number: u64,
    closed: AtomicBool,
}

impl Connection {
    pub(super) fn open(broker: Arc<MemoryBroker>) -> Arc<Self> {
        let number = broker.with(super::state::State::connect);
        Arc::new(Self { broker, number, closed: AtomicBool::new(false) })
    }

    pub(super) fn broker(&self) -> &MemoryBroker {
        &self.broker
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn check_open(&self) -> Result<(), TransportError> {
        if self.closed.load(Ordering::Acquire) { Err(TransportError::Closed) } else { Ok(()) }
    }

    /// Ends its consumers, and gives back what they hold.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.broker.with(|state| state.end_connection(self.number));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}
