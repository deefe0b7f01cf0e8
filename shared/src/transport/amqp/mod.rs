//! The transport on RabbitMQ: durable quorum queues, confirmed publishes, deliveries that come again until they are
//! acknowledged.
//!
//! A process has two connections, one that publishes and one for all the rest: a broker in want of memory stops to read
//! from those that publish, and neither acknowledgements nor heartbeats may wait behind that. Each is made when it is first
//! needed, and made again after it was lost, when somebody needs it. Never recovers anything in silence: what was in flight
//! on a lost connection is an error for whoever waits for it, and comes again.

mod acknowledge;
mod address;
mod consume;
mod convert;
mod explain;
mod greeting;
mod holding;
mod link;
#[cfg(feature = "management")]
mod management;
mod options;
mod post;
mod publish;
pub mod raw;
mod returns;
mod stream;
mod topology;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lapin::Channel;
use lapin::options::{BasicQosOptions, QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use tokio_rustls::TlsConnector;

use super::{Consumer, Depth, Outgoing, PublishAnswer, Transport, TransportError};
use crate::clock::Clock;
use crate::config::TlsFiles;
use crate::name::QueueName;
use address::Address;
use consume::Afterlife;
use link::{Link, Live, Role};
use publish::Publisher;
use topology::Topology;

pub use options::{AmqpOptions, QueueType};

/// How long the broker may take for any answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Queues on RabbitMQ.
pub struct AmqpTransport {
    shared: Arc<Shared>,
    publisher: Publisher,
}

/// What the parts of a transport have in common.
struct Shared {
    address: Arc<Address>,
    topology: Topology,
    publishing: Link,
    consuming: Link,
    /// Queues that were declared here. A broker that lost its disk gets them again with the next connection.
    declared: Mutex<BTreeSet<QueueName>>,
    /// The broker's name and version, once known.
    broker: Mutex<String>,
    #[cfg(feature = "management")]
    management: Option<management::Management>,
    afterlife: Afterlife,
}

impl AmqpTransport {
    /// Connects, and checks that the broker can be used. Must be called within a tokio runtime.
    pub async fn open(options: AmqpOptions, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TransportError> {
        let address = Arc::new(Address::parse(&options.url)?);
        let tls = tls_connector(&address, &options.tls)?;
        let afterlife = Afterlife::default();
        let link = |role| {
            let (address, closed) = (address.clone(), afterlife.closed.clone());
            Link::new(role, &options.name, address, Option::clone(&tls), clock.clone(), closed)
        };
        #[cfg(feature = "management")]
        let management = match &options.management {
            Some(url) => Some(management::Management::new(url, &address)?),
            None => None,
        };
        let shared = Arc::new(Shared {
            #[cfg(feature = "management")]
            management,
            topology: Topology::new(options.namespace.clone(), options.queue_type, options.declare),
            publishing: link(Role::Publish),
            consuming: link(Role::Consume),
            declared: Mutex::default(),
            broker: Mutex::default(),
            address,
            afterlife,
        });
        shared.publishing().await?;
        Ok(Arc::new(Self { publisher: Publisher::new(shared.clone()), shared }))
    }

    /// Deletes these queues of a namespace with everything that is in them, and its exchange.
    pub async fn remove(
        options: AmqpOptions,
        queues: &[QueueName],
        clock: Arc<dyn Clock>,
    ) -> Result<(), TransportError> {
        let transport = Self::open(options, clock).await?;
        let shared = &transport.shared;
        let live = shared.consuming().await?;
        let removed = live.on_a_channel(async |channel| shared.topology.remove(channel, queues).await).await;
        transport.close().await;
        removed
    }
}

impl Shared {
    async fn publishing(&self) -> Result<Arc<Live>, TransportError> {
        self.ready(&self.publishing).await
    }

    async fn consuming(&self) -> Result<Arc<Live>, TransportError> {
        self.ready(&self.consuming).await
    }

    async fn ready(&self, link: &Link) -> Result<Arc<Live>, TransportError> {
        let live = link.live().await?;
        live.prepared.get_or_init(|| self.prepare(&live)).await;
        Ok(live)
    }

    /// What a new connection needs. A broker that was lost may come back without its queues.
    async fn prepare(&self, live: &Live) {
        *self.broker.lock().expect("no holder of the name panics") = live.greeting.to_string();
        let declared = self.declared();
        if !live.is_rebuilt || declared.is_empty() {
            return;
        }
        let declaring = live.on_a_channel(async |channel| self.topology.declare(channel, &declared).await);
        if let Err(error) = declaring.await {
            tracing::warn!(%error, "the queues could not be declared on the new connection");
        }
    }

    fn declared(&self) -> Vec<QueueName> {
        self.declared.lock().expect("no holder of the names panics").iter().cloned().collect()
    }

    /// What the management API adds to a queue's depth, if it is asked and answers. Its own counts are some seconds old.
    #[cfg(feature = "management")]
    async fn more_of(&self, queue: &str, depth: Depth) -> Depth {
        let Some(management) = &self.management else { return depth };
        match management.depth(queue).await {
            Ok(Some(more)) => Depth { ready: depth.ready, ..more },
            Ok(None) => depth,
            Err(error) => {
                tracing::warn!(%error, "the management API cannot be asked; depths are shown without rates");
                depth
            }
        }
    }

    #[cfg(not(feature = "management"))]
    #[allow(clippy::unused_async, reason = "called where the build with the feature waits")]
    async fn more_of(&self, _queue: &str, depth: Depth) -> Depth {
        depth
    }

    async fn round_trip(live: &Live) -> Result<(), TransportError> {
        live.blocked().map_or(Ok(()), Err)?;
        // Nobody consumes on that channel: the answer is all that matters.
        live.on_a_channel(async |channel| {
            in_time("pinging", channel.basic_qos(1, BasicQosOptions::default())).await
        })
        .await
    }
}

impl Drop for AmqpTransport {
    fn drop(&mut self) {
        self.shared.afterlife.closed.cancel();
    }
}

impl fmt::Debug for AmqpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpTransport").field("address", &self.shared.address).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for AmqpTransport {
    async fn declare(&self, queues: &[QueueName]) -> Result<(), TransportError> {
        let shared = &self.shared;
        let live = shared.consuming().await?;
        live.on_a_channel(async |channel| shared.topology.declare(channel, queues).await).await?;
        shared.declared.lock().expect("no holder of the names panics").extend(queues.iter().cloned());
        Ok(())
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError> {
        self.publisher.publish(&self.shared.topology, batch).await
    }

    async fn consume(&self, queue: &QueueName, prefetch: u32) -> Result<Box<dyn Consumer>, TransportError> {
        let shared = &self.shared;
        let live = shared.consuming().await?;
        let afterlife = shared.afterlife.clone();
        Ok(Box::new(consume::start(&live, &shared.topology, queue, prefetch, afterlife).await?))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<Depth>, TransportError> {
        let shared = &self.shared;
        let live = shared.consuming().await?;
        let name = shared.topology.queue(queue);
        let doing = format!("looking at the queue {name}");
        let look = async |channel: &Channel| {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let looking = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            match in_time_raw(&doing, looking).await? {
                Ok(queue) => Ok(Some(Depth {
                    ready: u64::from(queue.message_count()),
                    consumers: Some(u64::from(queue.consumer_count())),
                    ..Depth::default()
                })),
                Err(error) if explain::is_missing(&error) => Ok(None),
                Err(error) => Err(explain::call(&error, &doing)),
            }
        };
        let depth = live.on_a_channel(look).await?;
        Ok(match depth {
            Some(depth) => Some(shared.more_of(&name, depth).await),
            None => None,
        })
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, TransportError> {
        let shared = &self.shared;
        let live = shared.consuming().await?;
        let name = shared.topology.queue(queue);
        let doing = format!("purging the queue {name}");
        let purge = async |channel: &Channel| {
            let purging = channel.queue_purge(name.into(), QueuePurgeOptions::default());
            match in_time_raw(&doing, purging).await? {
                Ok(count) => Ok(u64::from(count)),
                Err(error) if explain::is_missing(&error) => Ok(0),
                Err(error) => Err(explain::call(&error, &doing)),
            }
        };
        live.on_a_channel(purge).await
    }

    async fn ping(&self) -> Result<(), TransportError> {
        let shared = &self.shared;
        let (publishing, consuming) = tokio::try_join!(shared.publishing(), shared.consuming())?;
        tokio::try_join!(Shared::round_trip(&publishing), Shared::round_trip(&consuming))?;
        Ok(())
    }

    fn describe(&self) -> String {
        let broker = self.shared.broker.lock().expect("no holder of the name panics");
        format!("{broker} at {} vhost {}", self.shared.address, self.shared.address.vhost())
    }

    async fn close(&self) {
        let shared = &self.shared;
        shared.afterlife.closed.cancel();
        self.publisher.close();
        shared.afterlife.tasks.close();
        shared.afterlife.linger().await;
        tokio::join!(shared.publishing.close(), shared.consuming.close());
        shared.afterlife.tasks.wait().await;
    }
}

fn tls_connector(address: &Address, files: &TlsFiles) -> Result<Option<TlsConnector>, TransportError> {
    if !address.is_tls() {
        return Ok(None);
    }
    let config = crate::tls::client_config(files).map_err(TransportError::Refused)?;
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

fn late(doing: &str) -> TransportError {
    TransportError::Unavailable(format!("{doing}: the broker did not answer within {} s", PATIENCE.as_secs()))
}

/// The answer in time, be it an error of the broker or not.
async fn in_time_raw<T>(
    doing: &str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<lapin::Result<T>, TransportError> {
    tokio::time::timeout(PATIENCE, call).await.map_err(|_| late(doing))
}

/// The answer of the broker, if it comes in time.
async fn in_time<T>(doing: &str, call: impl Future<Output = lapin::Result<T>>) -> Result<T, TransportError> {
    in_time_raw(doing, call).await?.map_err(|error| explain::call(&error, doing))
}
