//! The worlds of the transport on RabbitMQ: a namespace of its own for each case, on a real broker of each version.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use upbeat_shared::clock::SystemClock;
use upbeat_shared::name::Namespace;
use upbeat_shared::transport::Transport;
use upbeat_shared::transport::amqp::{AmqpOptions, AmqpTransport};
use uuid::Uuid;

use super::TransportWorld;
use crate::harness::Management;
use crate::services::amqp::Version;

/// A namespace on a broker, removed with everything in it when it is dropped.
#[derive(Debug)]
pub struct Tenant {
    version: Version,
    namespace: Namespace,
}

impl Tenant {
    /// A new one, empty.
    pub fn new(version: Version) -> Self {
        let namespace =
            Namespace::new(format!("test-{}", Uuid::now_v7().simple())).expect("letters and digits");
        Self { version, namespace }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// How one connects to it. Its connections are named after it.
    pub fn options(&self) -> AmqpOptions {
        let mut options = AmqpOptions::new(self.version.url(), self.namespace.clone());
        options.name = format!("upbeat test {}", self.namespace);
        options
    }

    /// Connects to it, as a process does.
    pub async fn connect(&self) -> Arc<AmqpTransport> {
        open(self.options()).await
    }

    /// Its broker, as an operator sees it.
    pub fn management(&self) -> Management {
        Management::new(&self.version.management())
    }
}

/// Connects.
pub async fn open(options: AmqpOptions) -> Arc<AmqpTransport> {
    let transport = AmqpTransport::open(options, Arc::new(SystemClock::default())).await;
    transport.expect("the broker can be used")
}

impl Drop for Tenant {
    fn drop(&mut self) {
        let (management, namespace) = (self.management(), self.namespace.to_string());
        // A drop cannot wait on the runtime that it is on.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(management.remove_namespace(&namespace));
        });
        let removed = removing.join();
        // A test that fails already should say why itself.
        assert!(removed.is_ok() || std::thread::panicking(), "{} could not be removed", self.namespace);
    }
}

/// A broker, and the first process that is connected to it.
#[derive(Debug)]
struct World {
    transport: Mutex<Arc<dyn Transport>>,
    tenant: Tenant,
}

impl World {
    async fn create(version: Version) -> Self {
        let tenant = Tenant::new(version);
        Self { transport: Mutex::new(tenant.connect().await), tenant }
    }
}

macro_rules! worlds {
    ($($(#[$doc:meta])* $world:ident: $version:expr,)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $world(World);

            #[async_trait]
            impl TransportWorld for $world {
                async fn create() -> Self {
                    Self(World::create($version).await)
                }

                fn transport(&self) -> Arc<dyn Transport> {
                    self.0.transport.lock().expect("no holder panics").clone()
                }

                async fn connect(&self) -> Arc<dyn Transport> {
                    self.0.tenant.connect().await
                }
            }
        )+
    };
}

worlds! {
    /// RabbitMQ 4.0.
    V4_0: Version::V4_0,
    /// RabbitMQ 4.3.
    V4_3: Version::V4_3,
}
