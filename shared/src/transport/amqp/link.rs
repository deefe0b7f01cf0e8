//! One connection and its supervisor: makes it when it is asked for, makes it again when it was lost, and says how it is.
//! The library's own recovery stays off: it would not bring back what was agreed on the old connection.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::sync::{OnceCell, watch};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::greeting::{Greeting, Support};
use super::stream::{self, Handshake};
use super::{PATIENCE, explain, in_time, in_time_raw};
use crate::clock::Clock;
use crate::telemetry;
use crate::transport::TransportError;

/// The wait before the second attempt; it doubles with each failure, up to [`LONGEST_WAIT`].
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

const OPENING: &str = "opening a channel";

/// What a connection is for. A blocked publisher must stop neither acknowledgements nor heartbeats, so each has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Publish,
    /// Deliveries, and all that is asked of the broker besides.
    Consume,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
        }
    }
}

/// See the module.
pub(super) struct Link {
    role: Role,
    name: String,
    address: Arc<Address>,
    tls: Option<TlsConnector>,
    clock: Arc<dyn Clock>,
    closed: CancellationToken,
    current: RwLock<Option<Arc<Live>>>,
    attempts: tokio::sync::Mutex<Attempts>,
    /// Of the last attempt, if it failed.
    failure: Mutex<Option<TransportError>>,
}

/// What the supervisor remembers between attempts.
#[derive(Default)]
struct Attempts {
    made: u64,
    failed_in_a_row: u32,
    /// On the clock's monotonic time.
    not_before: Duration,
    /// How many connections there were.
    connections: u64,
}

/// A connection that stood when it was handed out.
pub(super) struct Live {
    connection: Connection,
    pub(super) greeting: Greeting,
    /// Not the first one of its link.
    pub(super) is_rebuilt: bool,
    /// Set once what a rebuilt connection needs has been declared.
    pub(super) prepared: OnceCell<()>,
    blocked: watch::Receiver<Option<String>>,
    spare: Mutex<Option<Channel>>,
    /// Every channel that it could have is used, or lost to the library's memory: the next caller gets a new connection.
    spent: AtomicBool,
}

impl Link {
    pub(super) fn new(
        role: Role,
        name: &str,
        address: Arc<Address>,
        tls: Option<TlsConnector>,
        clock: Arc<dyn Clock>,
        closed: CancellationToken,
    ) -> Self {
        Self {
            role,
            name: format!("{name} {}", role.as_str()),
            address,
            tls,
            clock,
            closed,
            current: RwLock::default(),
            attempts: tokio::sync::Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// The connection; made first, if there is none that stands.
    pub(super) async fn live(&self) -> Result<Arc<Live>, TransportError> {
        if self.closed.is_cancelled() {
            return Err(TransportError::Closed);
        }
        if let Some(live) = self.current() {
            return Ok(live);
        }
        tokio::select! {
            () = self.closed.cancelled() => Err(TransportError::Closed),
            made = tokio::time::timeout(PATIENCE, self.make()) => made.unwrap_or_else(|_| Err(self.late())),
        }
    }

    /// The connection, if there is one that stands.
    pub(super) fn current(&self) -> Option<Arc<Live>> {
        let current = self.current.read().expect("no holder of the connection panics");
        current.as_ref().filter(|live| live.is_up()).cloned()
    }

    fn late(&self) -> TransportError {
        let failure = self.failure.lock().expect("no holder of the failure panics").clone();
        let silent = || {
            TransportError::Unavailable(format!(
                "{} does not answer within {} s",
                self.address,
                PATIENCE.as_secs()
            ))
        };
        failure.unwrap_or_else(silent)
    }

    /// One caller at a time tries. Those who waited for it share its failure: a crowd makes no more attempts than one.
    async fn make(&self) -> Result<Arc<Live>, TransportError> {
        let before = self.attempts.try_lock().map(|attempts| attempts.made).ok();
        let mut attempts = self.attempts.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let failure = self.failure.lock().expect("no holder of the failure panics").clone();
        if let (None, Some(failure)) = (before, failure) {
            return Err(failure);
        }
        let wait = attempts.not_before.saturating_sub(self.clock.monotonic());
        tokio::time::sleep(wait).await;
        attempts.made += 1;
        let made = self.connect(attempts.connections > 0).await;
        let mut failure = self.failure.lock().expect("no holder of the failure panics");
        match made {
            Ok(live) => {
                self.succeeded(&mut attempts, &live);
                *failure = None;
                Ok(live)
            }
            Err(error) => {
                attempts.failed_in_a_row += 1;
                attempts.not_before = self.clock.monotonic() + backoff(attempts.failed_in_a_row);
                *failure = Some(error.clone());
                Err(error)
            }
        }
    }

    fn succeeded(&self, attempts: &mut Attempts, live: &Arc<Live>) {
        attempts.failed_in_a_row = 0;
        // A connection that is lost as soon as it is made must not be made in a hot loop.
        attempts.not_before = self.clock.monotonic() + backoff(1);
        attempts.connections += 1;
        *self.current.write().expect("no holder of the connection panics") = Some(live.clone());
        if live.is_rebuilt {
            metrics::counter!(telemetry::RECONNECTS, "connection" => self.role.as_str()).increment(1);
            tracing::info!(connection = self.name, broker = %live.greeting, "connected to the broker again");
        }
    }

    async fn connect(&self, is_rebuilt: bool) -> Result<Arc<Live>, TransportError> {
        let handshake = Arc::new(Handshake::default());
        let properties = ConnectionProperties::default()
            .with_connection_name(self.name.as_str().into())
            .with_client_property("product".into(), "Upbeat".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        let (address, tls, watched) = (self.address.clone(), self.tls.clone(), handshake.clone());
        let open = async move |_, _| {
            stream::open(&address, tls.as_ref(), watched.clone()).await.map_err(lapin::Error::from)
        };
        let uri = self.address.uri.clone();
        let connection = Connection::connector(uri, stream::runtime(), open, properties).await;
        let connection = connection.map_err(|error| explain::connect(&error, &self.address))?;
        handshake.done.store(true, Ordering::Release);
        let greeting = handshake.greeting.get().cloned().unwrap_or_default();
        self.check(&greeting, is_rebuilt)?;
        let blocked = self.listen(&connection);
        let prepared = OnceCell::new();
        let (spare, spent) = (Mutex::default(), AtomicBool::new(false));
        Ok(Arc::new(Live { connection, greeting, is_rebuilt, prepared, blocked, spare, spent }))
    }

    fn check(&self, greeting: &Greeting, is_rebuilt: bool) -> Result<(), TransportError> {
        match greeting.support() {
            Support::Full => Ok(()),
            Support::Partial(reason) => {
                // Once for each process: the other connection would say the same.
                if self.role == Role::Publish && !is_rebuilt {
                    tracing::warn!(broker = %self.address, "{reason}");
                }
                Ok(())
            }
            Support::None(reason) => Err(TransportError::Refused(format!(
                "the broker at {} cannot be used: {reason}",
                self.address
            ))),
        }
    }

    /// Follows what the broker says about the connection, until it ends.
    fn listen(&self, connection: &Connection) -> watch::Receiver<Option<String>> {
        let (blocked, receiver) = watch::channel(None);
        let mut events = Box::pin(connection.events_listener());
        let (name, closed) = (self.name.clone(), self.closed.clone());
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = closed.cancelled() => return,
                    event = events.next() => event,
                };
                match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(
                            connection = name,
                            reason,
                            "the broker blocks publishers because of an alarm"
                        );
                        blocked.send_replace(Some(reason));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!(connection = name, "the broker takes messages again");
                        blocked.send_replace(None);
                    }
                    // A channel's end is reported here too, and to whoever uses it.
                    Some(_) => {}
                    None => return,
                }
            }
        });
        receiver
    }

    pub(super) async fn close(&self) {
        let live = self.current.write().expect("no holder of the connection panics").take();
        let Some(live) = live else { return };
        let goodbye = live.connection.close(200, "the program closes it".into());
        match tokio::time::timeout(GOODBYE, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(connection = self.name, %error, "the connection was gone already");
            }
            Err(_) => tracing::debug!(connection = self.name, "the broker does not say goodbye"),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Half of it is chance, so that those whom one broker's end has cut off do not come back in step.
fn backoff(failures: u32) -> Duration {
    let full =
        SHORTEST_WAIT.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_WAIT);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

impl Live {
    pub(super) fn is_up(&self) -> bool {
        self.connection.status().connected() && !self.spent.load(Ordering::Acquire)
    }

    pub(super) async fn channel(&self) -> Result<Channel, TransportError> {
        loop {
            match in_time_raw(OPENING, self.connection.create_channel()).await? {
                Ok(channel) => return Ok(channel),
                // The library remembers a channel's error by the channel's number, and repeats it when the numbers have
                // gone round. That number is not given out again, so that this comes to an end.
                Err(error) if explain::is_a_channels(&error) => {}
                Err(error) => {
                    if matches!(error.kind(), ErrorKind::ChannelsLimitReached) {
                        self.spent.store(true, Ordering::Release);
                    }
                    return Err(explain::call(&error, OPENING));
                }
            }
        }
    }

    /// Does something on a channel that serves for one thing after the other. The broker ends a channel with its first
    /// error; then the next one gets a new one.
    pub(super) async fn on_a_channel<T>(
        &self,
        work: impl AsyncFnOnce(&Channel) -> Result<T, TransportError>,
    ) -> Result<T, TransportError> {
        let kept = self.spare().take().filter(|channel| channel.status().connected());
        let channel = match kept {
            Some(channel) => channel,
            None => self.channel().await?,
        };
        let done = work(&channel).await;
        if !channel.status().connected() {
            return done;
        }
        // Two at once make two; one of them is enough for later.
        let surplus = self.spare().replace(channel);
        if let Some(surplus) = surplus {
            // Closed here and not by a drop, whose errors would end the whole connection.
            in_time("closing a channel", surplus.close(200, "done".into())).await?;
        }
        done
    }

    fn spare(&self) -> MutexGuard<'_, Option<Channel>> {
        self.spare.lock().expect("no holder of the channel panics")
    }

    /// Bytes of a frame, with all that is in it.
    pub(super) fn max_frame_bytes(&self) -> usize {
        usize::try_from(self.connection.configuration().frame_max()).unwrap_or(usize::MAX)
    }

    /// Why the broker takes no messages now, if it takes none.
    pub(super) fn blocked(&self) -> Option<TransportError> {
        if !self.connection.status().blocked() {
            return None;
        }
        let said = self.blocked.borrow().clone().unwrap_or_default();
        Some(TransportError::Unavailable(format!(
            "the broker blocks publishers because of an alarm ({said}); free memory or disk where it runs"
        )))
    }

    /// Waits until the broker takes messages, for as long as one waits for an answer.
    pub(super) async fn unblocked(&self) -> Result<(), TransportError> {
        if self.blocked().is_none() {
            return Ok(());
        }
        let mut said = self.blocked.clone();
        // The connection's own flag decides; the events only wake us.
        let free = async { while self.blocked().is_some() && said.changed().await.is_ok() {} };
        match tokio::time::timeout(PATIENCE, free).await {
            Ok(()) => Ok(()),
            Err(_) => self.blocked().map_or(Ok(()), Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_differ() {
        assert!((50..=100).contains(&backoff(1).as_millis()));
        assert!((200..=400).contains(&backoff(3).as_millis()));
        for failures in [10, 100, u32::MAX] {
            assert!((2500..=5000).contains(&backoff(failures).as_millis()));
        }
        let distinct: std::collections::BTreeSet<Duration> = (0..20).map(|_| backoff(5)).collect();
        assert!(distinct.len() > 1);
    }
}
