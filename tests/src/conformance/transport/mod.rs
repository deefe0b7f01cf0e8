//! The suite of the transport's port.

use std::sync::Arc;

use async_trait::async_trait;
use upbeat_shared::transport::Transport;

pub mod consume;
pub mod desk;
pub mod publish;
pub mod sessions;
pub mod settle;

pub use desk::Desk;

/// One empty broker.
#[async_trait]
pub trait TransportWorld: Send + Sync + Sized {
    /// Without any queue.
    async fn create() -> Self;

    /// The connection of its first process.
    fn transport(&self) -> Arc<dyn Transport>;

    /// A connection of its own, as another process has.
    async fn connect(&self) -> Arc<dyn Transport>;
}

/// Makes a test of every case of the transport's suite, for the world whose full path is given.
#[macro_export]
macro_rules! transport_conformance {
    ($world:ty) => {
        mod consume {
            $crate::consume_conformance!($world);
        }
        mod publish {
            $crate::publish_conformance!($world);
        }
        mod sessions {
            $crate::sessions_conformance!($world);
        }
        mod settle_deliveries {
            $crate::deliveries_conformance!($world);
        }
    };
}
