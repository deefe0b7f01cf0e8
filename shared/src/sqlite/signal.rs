//! Who is woken by a commit: this process's waiters at once, another process's within [`LOOK`].

use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::SqliteError;

/// How often the watcher looks for another process's commits: a read of shared memory, some microseconds.
const LOOK: Duration = Duration::from_millis(50);

/// What a commit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Messages wait in a queue.
    Queue,
    /// The agenda or the catalog.
    Agenda,
    /// Some task ended.
    Ended,
}

/// A counter for each topic.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    topics: [watch::Sender<u64>; 3],
}

impl Signals {
    pub(crate) fn raise(&self, topic: Topic) {
        self.topics[topic as usize].send_modify(|count| *count += 1);
    }

    fn raise_all(&self) {
        for topic in [Topic::Queue, Topic::Agenda, Topic::Ended] {
            self.raise(topic);
        }
    }

    /// Sees every raise from now on.
    pub(crate) fn subscribe(&self, topic: Topic) -> watch::Receiver<u64> {
        self.topics[topic as usize].subscribe()
    }
}

/// Starts the thread that sees other processes' commits. It ends with the file.
pub(super) fn watch(connection: Connection, signals: Weak<Signals>) -> Result<(), SqliteError> {
    let thread = std::thread::Builder::new().name("upbeat-watch".into());
    let spawned = thread.spawn(move || watch_until_dropped(&connection, &signals));
    spawned.map_err(|error| SqliteError::Unavailable(format!("cannot start a thread: {error}")))?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the watcher's own thread sleeps; no runtime stands still")]
fn watch_until_dropped(connection: &Connection, signals: &Weak<Signals>) {
    let mut seen = None;
    loop {
        let Some(signals) = Weak::upgrade(signals) else { return };
        let version = data_version(connection);
        if version != seen {
            seen = version;
            signals.raise_all();
        }
        drop::<Arc<Signals>>(signals);
        std::thread::sleep(LOOK);
    }
}

/// Changes whenever another connection committed; `None` while the file cannot be read.
fn data_version(connection: &Connection) -> Option<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0)).ok()
}
