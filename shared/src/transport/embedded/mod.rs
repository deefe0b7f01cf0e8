//! The transport on the embedded SQLite file: durable queues, priorities, prefetch, redelivery.
//!
//! Each process opens a session, and holds a lock on a file of that session's own for as long as it lives. When a
//! process dies, however it dies, the lock is free, and another process gives its deliveries back to their queues.

mod consumer;
mod message;
mod schema;
mod session;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Consumer, Depth, Outgoing, PublishAnswer, Transport, TransportError};
use crate::name::QueueName;
use crate::sqlite::{SqliteFile, migrate};

use session::Session;

/// Queues on the embedded file.
pub struct EmbeddedTransport {
    file: Arc<SqliteFile>,
    session: Arc<Session>,
}

impl EmbeddedTransport {
    /// Opens a session on the file. Must be called within a tokio runtime.
    pub async fn open(file: Arc<SqliteFile>) -> Result<Arc<Self>, TransportError> {
        file.write(|write| migrate(write, schema::COMPONENT, schema::MIGRATIONS)).await?;
        let session = Session::open(file.clone()).await?;
        Ok(Arc::new(Self { file, session }))
    }
}

impl fmt::Debug for EmbeddedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedTransport").field("file", &self.file).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for EmbeddedTransport {
    async fn declare(&self, queues: &[QueueName]) -> Result<(), TransportError> {
        let queues = queues.to_vec();
        Ok(self.file.write(move |write| message::declare(write, &queues)).await?)
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError> {
        self.session.check_open()?;
        Ok(self.file.write(move |write| message::publish(write, &batch)).await?)
    }

    async fn consume(&self, queue: &QueueName, prefetch: u32) -> Result<Box<dyn Consumer>, TransportError> {
        self.session.check_open()?;
        let name = queue.clone();
        let number = self.file.write(move |write| message::queue_number(write, &name)).await?;
        let Some(number) = number else {
            return Err(TransportError::Refused(format!("there is no queue {queue}; declare it first")));
        };
        Ok(Box::new(consumer::start(
            self.file.clone(),
            self.session.clone(),
            queue.clone(),
            number,
            prefetch,
        )))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Option<Depth>, TransportError> {
        let queue = queue.clone();
        Ok(self.file.read(move |read| message::depth(read, &queue)).await?)
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, TransportError> {
        let queue = queue.clone();
        Ok(self.file.write(move |write| message::purge(write, &queue)).await?)
    }

    async fn ping(&self) -> Result<(), TransportError> {
        self.session.check_open()?;
        Ok(self.file.read(|read| Ok(read.query_row("SELECT 1", [], |_| Ok(()))?)).await?)
    }

    fn describe(&self) -> String {
        format!("embedded SQLite {} at {}", SqliteFile::sqlite_version(), self.file.path().display())
    }

    async fn close(&self) {
        self.session.close().await;
    }
}
