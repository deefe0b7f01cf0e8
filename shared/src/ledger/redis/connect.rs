//! Connections: how they are made, bounded, found dead, and led to the node of a cluster that has our keys.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo, RedisError,
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::RedisOptions;
use super::error::{Fault, chain};

/// How long a new connection may take, its TLS and its password included.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a call waits for a connection to be free.
const FREE: Duration = Duration::from_secs(4);

pub(super) type Pool = managed::Pool<Manager>;

/// A host and a port.
type Address = (String, u16);

/// Makes connections.
pub(super) struct Manager {
    url: Address,
    /// Where a cluster said that our keys are: all of them in one slot, and so on one node.
    moved: Mutex<Option<Address>>,
    settings: RedisConnectionInfo,
    tls: Option<TlsConnector>,
    name: String,
}

/// A connection, and the task that reads from it.
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    address: Address,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A pool of connections. Opens none yet.
pub(super) fn pool(options: &RedisOptions) -> Result<Pool, Fault> {
    Pool::builder(Manager::new(options)?)
        .max_size(usize::try_from(options.connections.max(1)).unwrap_or(usize::MAX))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(FREE))
        .create_timeout(Some(CONNECT))
        .recycle_timeout(Some(CONNECT))
        .build()
        .map_err(|error| Fault::Invalid(chain(&error)))
}

impl Manager {
    fn new(options: &RedisOptions) -> Result<Self, Fault> {
        let (url, settings) = parse(options)?;
        let tls = match options.url.scheme().as_str() {
            "rediss" => {
                let config = crate::tls::client_config(&options.tls).map_err(Fault::Invalid)?;
                Some(TlsConnector::from(Arc::new(config)))
            }
            _ => None,
        };
        // The server takes no spaces in a name.
        let name = options.name.split_whitespace().collect::<Vec<_>>().join("-");
        Ok(Self { url, moved: Mutex::new(None), settings, tls, name })
    }

    /// Connects there from now on; connections to elsewhere are not used again.
    pub(super) fn follow(&self, address: Address) {
        tracing::info!(
            host = address.0,
            port = address.1,
            "the cluster keeps this namespace on another node"
        );
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    fn address(&self) -> Address {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(|| self.url.clone())
    }

    async fn connect(&self, address: Address) -> Result<Link, Fault> {
        let (host, port) = &address;
        let failed = |error: std::io::Error| {
            Fault::Connection(format!("cannot connect to Redis at {host}:{port}: {error}"))
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let (connection, driver) = match &self.tls {
            None => spawn(
                MultiplexedConnection::new_with_config(&self.settings, stream, config)
                    .await
                    .map_err(refused)?,
            ),
            Some(tls) => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| Fault::Invalid(format!("{host} cannot be in a certificate: {error}")))?;
                let stream = tls.connect(name, stream).await.map_err(failed)?;
                spawn(
                    MultiplexedConnection::new_with_config(&self.settings, stream, config)
                        .await
                        .map_err(refused)?,
                )
            }
        };
        let mut link = Link { connection, driver, address };
        let name = redis::cmd("CLIENT").arg("SETNAME").arg(&self.name).take();
        match link.connection.send_packed_command(&name).await {
            // Whoever is not allowed to have a name can do without.
            Err(error) if error.code().is_none() => Err(error.into()),
            _ => Ok(link),
        }
    }
}

/// The driver ends with the connection.
fn spawn(
    (connection, driver): (MultiplexedConnection, impl Future<Output = ()> + Send + 'static),
) -> (MultiplexedConnection, JoinHandle<()>) {
    (connection, tokio::spawn(driver))
}

/// A password that is wrong stays wrong.
fn refused(error: RedisError) -> Fault {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return Fault::Invalid(format!("{}; check user and password in the ledger's URL", chain(&error)));
    }
    Fault::from(error)
}

impl managed::Manager for Manager {
    type Type = Link;
    type Error = Fault;

    async fn create(&self) -> Result<Link, Fault> {
        let address = self.address();
        let connected = self.connect(address.clone()).await;
        if connected.is_err() && address != self.url {
            // That node is gone: whoever the URL names knows where our keys went.
            *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return self.connect(self.url.clone()).await;
        }
        connected
    }

    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<Fault> {
        // No question to the server, which would cost each batch a second round trip: a connection that was closed has
        // ended its driver, and one that does not answer is thrown away by the call that waited.
        if link.driver.is_finished() || link.address != self.address() {
            return Err(RecycleError::message("the connection has ended"));
        }
        Ok(())
    }
}

fn parse(options: &RedisOptions) -> Result<(Address, RedisConnectionInfo), Fault> {
    let invalid =
        |error: &dyn std::fmt::Display| Fault::Invalid(format!("the ledger's URL {}: {error}", options.url));
    let text = options.url.expose();
    // The library's own TLS is not built: connections are made here.
    let plain = text.split_once("://").map_or_else(|| text.to_owned(), |(_, rest)| format!("redis://{rest}"));
    let info = plain
        .into_connection_info()
        .map_err(|error| invalid(&error.detail().unwrap_or("it cannot be read")))?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err(invalid(&"it names no host")) };
    let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP2);
    Ok(((host.clone(), *port), settings.set_skip_set_lib_name()))
}

/// Where it is, without secrets: host, port and database.
pub(super) fn address(options: &RedisOptions) -> String {
    match parse(options) {
        Ok(((host, port), settings)) => format!("{host}:{port}/{}", settings.db()),
        Err(_) => options.url.to_string(),
    }
}
