//! What a worker says of itself to those who watch it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A worker's state, to be asked at any time. Cheap to clone; outlives the worker.
#[derive(Clone, Debug)]
pub struct WorkerHealth {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// What keeps the worker from its work, by what it concerns.
    troubles: Mutex<BTreeMap<String, String>>,
    running: AtomicU32,
}

/// What the trouble concerns that is told of before and after the work.
const LIFE: &str = "worker";

impl WorkerHealth {
    pub(crate) fn new() -> Self {
        let health =
            Self { inner: Arc::new(Inner { troubles: Mutex::default(), running: AtomicU32::new(0) }) };
        health.trouble(LIFE, "not started");
        health
    }

    /// Whether it takes work from all its queues.
    pub fn ready(&self) -> bool {
        self.troubles().is_empty()
    }

    /// What keeps it from its work: one line each, empty when it is ready.
    pub fn why_not(&self) -> Vec<String> {
        self.troubles().iter().map(|(what, why)| format!("{what}: {why}")).collect()
    }

    /// How many tasks it runs now.
    pub fn running(&self) -> u32 {
        self.inner.running.load(Ordering::Relaxed)
    }

    pub(crate) fn started(&self) {
        self.well(LIFE);
    }

    pub(crate) fn stopping(&self) {
        self.trouble(LIFE, "stopping");
    }

    pub(crate) fn stopped(&self) {
        self.trouble(LIFE, "stopped");
    }

    pub(crate) fn trouble(&self, what: &str, why: impl Into<String>) {
        self.troubles().insert(what.to_owned(), why.into());
    }

    pub(crate) fn well(&self, what: &str) {
        self.troubles().remove(what);
    }

    pub(crate) fn run_started(&self) {
        self.inner.running.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn run_ended(&self) {
        self.inner.running.fetch_sub(1, Ordering::Relaxed);
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.inner.troubles.lock().expect("no holder of the troubles panics")
    }
}
