//! The socket beneath a connection. Watches the handshake: keeps what the broker says about itself, which the library
//! throws away, and ends a handshake that goes on for ever, which the library does not. Then it only passes on.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::tcp::AsyncTcpStream;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;
use super::address::Address;
use super::greeting::Greeting;

/// The runtime that the library runs on: tokio, with our sockets.
pub(super) type Kit = RuntimeParts<Tokio, Sockets>;

pub(super) fn runtime() -> Runtime<Kit> {
    Runtime::new(RuntimeParts::new(Tokio::current(), Sockets(Tokio::current())))
}

/// What the one who connects and the socket tell each other.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    /// What the broker said first.
    pub(super) greeting: OnceLock<Greeting>,
    /// The handshake is over.
    pub(super) done: AtomicBool,
}

/// Opens the socket, and TLS on it where there is a connector.
pub(super) async fn open(
    address: &Address,
    tls: Option<&TlsConnector>,
    handshake: Arc<Handshake>,
) -> io::Result<AsyncTcpStream<Socket>> {
    let opening = async {
        let stream = TcpStream::connect((address.host(), address.port())).await?;
        stream.set_nodelay(true)?;
        let Some(connector) = tls else { return Ok(Wire::Plain(stream)) };
        let name = ServerName::try_from(address.host().to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Wire::Tls(Box::new(connector.connect(name, stream).await?)))
    };
    let late =
        || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs()));
    let wire = tokio::time::timeout(PATIENCE, opening).await.unwrap_or_else(|_| Err(late()))?;
    let watch =
        Watch { handshake, deadline: Box::pin(tokio::time::sleep(PATIENCE)), seen: Vec::with_capacity(1024) };
    Ok(AsyncTcpStream::Plain(Socket { wire, watch: Some(watch) }))
}

/// See the module.
pub(super) struct Socket {
    wire: Wire,
    watch: Option<Watch>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        read.map_ok(|()| buffer.filled().len())
    }
}

/// The handshake as the socket sees it.
struct Watch {
    handshake: Arc<Handshake>,
    deadline: Pin<Box<Sleep>>,
    seen: Vec<u8>,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.handshake.done.load(Ordering::Acquire)
    }

    fn saw(&mut self, bytes: &[u8]) {
        if self.handshake.greeting.get().is_none() && self.seen.len() < Greeting::MAX_BYTES {
            self.seen.extend_from_slice(bytes);
            if let Some(greeting) = Greeting::parse(&self.seen) {
                // Nobody else sets it.
                let _ = self.handshake.greeting.set(greeting);
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { wire, watch } = self.get_mut();
        let Some(watching) = watch else { return wire.poll_read(cx, buffer) };
        if watching.is_over() {
            *watch = None;
            return wire.poll_read(cx, buffer);
        }
        let read = wire.poll_read(cx, buffer);
        if let Poll::Ready(Ok(length)) = read {
            watching.saw(&buffer[..length]);
        }
        if read.is_pending() && watching.deadline.as_mut().poll(cx).is_ready() {
            let late = format!("it did not finish the handshake within {} s", PATIENCE.as_secs());
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buffer),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Tells the library which type our sockets have. It connects through [`open`] only.
#[derive(Clone, Debug)]
pub(super) struct Sockets(Tokio);

impl Reactor for Sockets {
    type TcpStream = Socket;
    type Sleep = Sleep;

    fn register<H: Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Socket, _>(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        // An `async fn` would borrow the reactor.
        let connecting = TcpStream::connect(address);
        async move { Ok(Socket { wire: Wire::Plain(connecting.await?), watch: None }) }
    }
}
