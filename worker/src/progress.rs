//! What runs say of how far they have come, on its way to the next heartbeat. Never a write of its own: telling costs a run
//! no more than a lock that nobody else wants.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use upbeat_shared::progress::Progress;

/// What one run said last, and when, on the monotonic clock.
#[derive(Default)]
pub(crate) struct Latest(Mutex<Option<(Duration, Progress)>>);

/// A run's way of telling.
#[derive(Clone, Default)]
pub(crate) struct Reporter {
    pub(crate) latest: Arc<Latest>,
    /// Brings the next heartbeat nearer; `None` outside of a worker.
    pub(crate) news: Option<Arc<Notify>>,
}

impl Latest {
    /// What was said, if anything was.
    pub(crate) fn get(&self) -> Option<(Duration, Progress)> {
        self.lock().clone()
    }

    /// When something was said last.
    pub(crate) fn changed(&self) -> Option<Duration> {
        self.lock().as_ref().map(|(at, _)| *at)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Duration, Progress)>> {
        self.0.lock().expect("no holder of the progress panics")
    }
}

impl Reporter {
    /// Keeps the newest. The first that a run says is told soon; the rest rides on the heartbeats as they come.
    pub(crate) fn tell(&self, now: Duration, progress: Progress) {
        let first = self.latest.lock().replace((now, progress)).is_none();
        if first && let Some(news) = &self.news {
            news.notify_one();
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reporter").field(&self.latest.get()).finish()
    }
}
