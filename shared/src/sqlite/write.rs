//! The writer: one thread, one connection, groups of operations in one transaction.

use std::cell::Cell;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::signal::{Signals, Topic};
use super::{SqliteError, open};
use crate::clock::HostTime;

/// Operations in one transaction at most. Each may be a batch of hundreds of rows.
const GROUP: usize = 64;

/// Operations waiting for the writer at most; further callers wait.
const WAITING: usize = 1024;

/// How long the writer leaves the lock alone after a commit, when another process writes too: without it the others,
/// which poll, would hardly ever get in.
const TURN: Duration = Duration::from_micros(700);

/// The transaction that an operation runs in.
pub(crate) struct Write<'a> {
    connection: &'a Connection,
    now: i64,
    touched: Cell<u8>,
}

impl<'a> Write<'a> {
    /// A transaction that the user began on a connection of their own, at this time. Whom it touches is not told.
    pub(crate) fn of_user(transaction: &'a rusqlite::Transaction<'_>, now: i64) -> Self {
        Self { connection: transaction, now, touched: Cell::new(0) }
    }

    /// Runs `operation`, which leaves nothing behind if it fails.
    pub(crate) fn in_savepoint<T>(
        &self,
        operation: impl FnOnce(&Write<'_>) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        in_savepoint(self, operation)
    }

    /// The store's time of this transaction, in microseconds.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Wakes those who wait for this topic, after the commit.
    pub(crate) fn touch(&self, topic: Topic) {
        self.touched.set(self.touched.get() | 1 << topic as u8);
    }
}

impl Deref for Write<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// What waits for the writer: run once inside a transaction, or refused without having run.
trait Operation: Send {
    /// Answers what to tell the caller once the transaction has ended.
    fn run(self: Box<Self>, write: &Write<'_>) -> Answer;
    fn refuse(self: Box<Self>, error: SqliteError);
}

type Answer = Box<dyn FnOnce(Result<(), SqliteError>)>;

struct Waiting<F, T> {
    operation: F,
    reply: oneshot::Sender<Result<T, SqliteError>>,
}

impl<F, T> Operation for Waiting<F, T>
where
    F: FnOnce(&Write<'_>) -> Result<T, SqliteError> + Send,
    T: Send + 'static,
{
    fn run(self: Box<Self>, write: &Write<'_>) -> Answer {
        let outcome = in_savepoint(write, self.operation);
        let reply = self.reply;
        // The caller may have given up; its operation stands all the same.
        Box::new(move |committed| drop(reply.send(committed.and(outcome))))
    }

    fn refuse(self: Box<Self>, error: SqliteError) {
        drop(self.reply.send(Err(error)));
    }
}

/// Hands operations to the thread.
pub(super) struct Writer {
    sender: mpsc::Sender<Box<dyn Operation>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        time: Arc<HostTime>,
        signals: Arc<Signals>,
    ) -> Result<Self, SqliteError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let state = State { connection, path: path.to_owned(), time, signals, seen: 0 };
        let thread = std::thread::Builder::new().name("upbeat-writer".into());
        thread
            .spawn(move || state.run(receiver))
            .map_err(|error| SqliteError::Unavailable(format!("cannot start a thread: {error}")))?;
        Ok(Self { sender })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Write<'_>) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, SqliteError> {
        let (reply, answer) = oneshot::channel();
        let gone = || SqliteError::Unavailable("the writer of the data file has ended".into());
        self.sender.send(Box::new(Waiting { operation, reply })).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// An operation that fails leaves nothing behind, and the others of its group go on.
fn in_savepoint<T>(
    write: &Write<'_>,
    operation: impl FnOnce(&Write<'_>) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    write.prepare_cached("SAVEPOINT operation")?.execute([])?;
    let outcome = operation(write);
    if outcome.is_err() && !write.is_autocommit() {
        write.prepare_cached("ROLLBACK TO operation")?.execute([])?;
    }
    // A full disk rolls the whole transaction back, savepoints and all.
    if !write.is_autocommit() {
        write.prepare_cached("RELEASE operation")?.execute([])?;
    }
    outcome
}

struct State {
    connection: Connection,
    path: std::path::PathBuf,
    time: Arc<HostTime>,
    signals: Arc<Signals>,
    /// Changes when another process has committed since we looked.
    seen: i64,
}

impl State {
    fn run(mut self, mut receiver: mpsc::Receiver<Box<dyn Operation>>) {
        let mut group = Vec::with_capacity(GROUP);
        while receiver.blocking_recv_many(&mut group, GROUP) > 0 {
            let shared = self.commit(&mut group);
            if shared {
                pause(TURN);
            }
        }
    }

    /// Runs a group in one transaction; answers whether another process writes too.
    fn commit(&mut self, group: &mut Vec<Box<dyn Operation>>) -> bool {
        let mut answers = Vec::with_capacity(group.len());
        let mut refused = Vec::new();
        let mut touched = 0;
        let mut shared = false;
        let outcome = self.begin().and_then(|version| {
            shared = version != self.seen;
            self.seen = version;
            let write = Write { connection: &self.connection, now: self.time.now(), touched: Cell::new(0) };
            let mut waiting = group.drain(..);
            // A full disk may roll the transaction back in the middle: the rest must not run outside of one.
            while !write.is_autocommit()
                && let Some(operation) = waiting.next()
            {
                answers.push(operation.run(&write));
            }
            refused.extend(waiting);
            touched = write.touched.get();
            self.end()
        });
        if let Err(error) = &outcome {
            self.abandon(error);
        }
        for answer in answers {
            answer(outcome.clone());
        }
        let error = outcome.as_ref().err().cloned().unwrap_or_else(rolled_back);
        for operation in refused.into_iter().chain(group.drain(..)) {
            operation.refuse(error.clone());
        }
        if outcome.is_ok() {
            self.raise(touched);
        }
        shared
    }

    fn begin(&self) -> Result<i64, SqliteError> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let version =
            self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        Ok(version)
    }

    fn end(&self) -> Result<(), SqliteError> {
        if self.connection.is_autocommit() {
            return Err(rolled_back());
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Leaves no transaction open after a failure, and makes a new connection if the old one cannot even do that.
    fn abandon(&mut self, error: &SqliteError) {
        tracing::debug!(%error, "a transaction on the data file failed and was rolled back");
        if self.connection.is_autocommit() {
            return;
        }
        if self.connection.execute_batch("ROLLBACK").is_err()
            && let Ok(connection) = open::writer(&self.path)
        {
            self.connection = connection;
        }
    }

    fn raise(&self, touched: u8) {
        for topic in [Topic::Queue, Topic::Agenda, Topic::Ended] {
            if touched & 1 << topic as u8 != 0 {
                self.signals.raise(topic);
            }
        }
    }
}

fn rolled_back() -> SqliteError {
    SqliteError::Unavailable("the disk is full or failing: the transaction was rolled back".into())
}

#[allow(clippy::disallowed_methods, reason = "the writer's own thread waits; no runtime stands still")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
