//! Reading connections: opened when needed, kept, at most a few.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{SqliteError, open};

/// Reads at a time; more wait.
const CONNECTIONS: usize = 4;

pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        Self { path: path.to_owned(), idle: Arc::default(), permits }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, SqliteError> {
        let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let idle = self.idle.clone();
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let kept = idle.lock().expect("no holder of the connections panics").pop();
            let connection = match kept {
                Some(connection) => connection,
                None => open::reader(&path)?,
            };
            let answer = operation(&connection);
            idle.lock().expect("no holder of the connections panics").push(connection);
            answer
        });
        read.await.map_err(|error| SqliteError::Unavailable(format!("the read was given up: {error}")))?
    }
}
