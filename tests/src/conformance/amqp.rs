//! The worlds of the transport on RabbitMQ: a namespace of its own for each case, on a real broker of each version.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use upbeat_shared::clock::SystemClock;
use upbeat_shared::config::ServiceUrl;
use upbeat_shared::name::Namespace;
use upbeat_shared::transport::Transport;
use upbeat_shared::transport::amqp::{AmqpOptions, AmqpTransport};
use uuid::Uuid;

use super::TransportWorld;
use crate::harness::Management;
use crate::services::amqp::Version;

/// Of the users that tests make.
const PASSWORD: &str = "of-a-test";

/// A namespace on a broker, removed with everything in it when it is dropped.
#[derive(Debug)]
pub struct Tenant {
    version: Version,
    management: ServiceUrl,
    namespace: Namespace,
    /// It logs in under its namespace's name.
    has_a_user: bool,
}

impl Tenant {
    /// A new one, empty.
    pub fn new(version: Version) -> Self {
        let namespace =
            Namespace::new(format!("test-{}", Uuid::now_v7().simple())).expect("letters and digits");
        // Made here: a broker that is not there should fail the test, not the clearing up after it.
        let management = version.management();
        Self { version, management, namespace, has_a_user: false }
    }

    /// A new one, empty, with a user of its own, so that its connections can be closed and nobody else's.
    pub async fn with_a_user(version: Version) -> Self {
        let mut tenant = Self::new(version);
        tenant.has_a_user = true;
        tenant.management().add_user(tenant.namespace.as_str(), PASSWORD).await;
        tenant
    }

    /// Closes its connections, as an operator would, once there are so many.
    pub async fn close_connections(&self, count: usize) {
        assert!(self.has_a_user, "the others' connections would be closed too");
        self.management().close_connections_of(self.namespace.as_str(), count).await;
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// How one connects to it. Its connections are named after it.
    pub fn options(&self) -> AmqpOptions {
        let url = if self.has_a_user {
            url_of(self.version, &format!("{}:{PASSWORD}", self.namespace))
        } else {
            self.version.url()
        };
        let mut options = AmqpOptions::new(url, self.namespace.clone());
        options.name = format!("upbeat test {}", self.namespace);
        options
    }

    /// Connects to it, as a process does.
    pub async fn connect(&self) -> Arc<AmqpTransport> {
        open(self.options()).await
    }

    /// Its broker, as an operator sees it.
    pub fn management(&self) -> Management {
        // A client of its own: connections that another runtime has opened stand still while this one runs.
        Management::new(&self.management)
    }
}

/// Where the broker is, for a user: `name:password`.
pub fn url_of(version: Version, user: &str) -> ServiceUrl {
    let url = version.url();
    let (scheme, rest) = url.expose().split_once("://").expect("a URL has a scheme");
    let host = rest.rsplit('@').next().expect("a URL has a host").trim_end_matches('/');
    format!("{scheme}://{user}@{host}").parse().expect("a URL with a user is one")
}

/// Connects.
pub async fn open(options: AmqpOptions) -> Arc<AmqpTransport> {
    let transport = AmqpTransport::open(options, Arc::new(SystemClock::default())).await;
    transport.expect("the broker can be used")
}

impl Drop for Tenant {
    fn drop(&mut self) {
        let (version, namespace) = (self.version, self.namespace.to_string());
        let has_a_user = self.has_a_user;
        // A drop cannot wait on the runtime that it is on.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                // One of its own: the other's connections are driven by the runtime that stands still now.
                let management = Management::new(&version.management());
                management.remove_namespace(&namespace).await;
                if has_a_user {
                    management.delete(&format!("users/{namespace}")).await;
                }
            });
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
