//! Publishes all the time, and remembers what was accepted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use upbeat::client::{Client, NewTask};
use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::id::TaskId;
use upbeat_shared::message::Payload;
use upbeat_tests::message::task_name;

/// How many publish at once.
const PUBLISHERS: usize = 4;
/// Between two batches of one of them: a load, not a flood.
const PAUSE: Duration = Duration::from_millis(20);
/// Tasks in one call.
const BATCH: usize = 10;

/// What it has achieved so far.
#[derive(Debug, Default)]
struct Tally {
    accepted: Mutex<Vec<TaskId>>,
    refused: AtomicUsize,
    longest: Mutex<Duration>,
}

impl Tally {
    fn took(&self, time: Duration) {
        let mut longest = self.longest.lock().expect("no holder panics");
        *longest = time.max(*longest);
    }
}

/// A load of tasks `work`, until it is stopped.
pub(super) struct Producer {
    tally: Arc<Tally>,
    stop: CancellationToken,
    publishers: JoinSet<()>,
}

impl Producer {
    pub(super) fn start(client: &Client) -> Self {
        let (tally, stop) = (Arc::<Tally>::default(), CancellationToken::new());
        let mut publishers = JoinSet::new();
        for _ in 0..PUBLISHERS {
            let publishing = publish(client.clone(), tally.clone(), stop.clone());
            publishers.spawn(publishing);
        }
        Self { tally, stop, publishers }
    }

    /// How many tasks were accepted so far.
    pub(super) fn accepted(&self) -> usize {
        self.tally.accepted.lock().expect("no holder panics").len()
    }

    /// How many calls have failed so far.
    pub(super) fn refused(&self) -> usize {
        self.tally.refused.load(Ordering::Relaxed)
    }

    /// The longest that a call has taken so far.
    pub(super) fn longest(&self) -> Duration {
        *self.tally.longest.lock().expect("no holder panics")
    }

    /// Stops, and answers every task that was accepted.
    pub(super) async fn stop(mut self) -> Vec<TaskId> {
        self.stop.cancel();
        while let Some(ended) = self.publishers.join_next().await {
            ended.expect("a publisher does not panic");
        }
        std::mem::take(&mut *self.tally.accepted.lock().expect("no holder panics"))
    }
}

async fn publish(client: Client, tally: Arc<Tally>, stop: CancellationToken) {
    let clock = SystemClock::default();
    while !stop.is_cancelled() {
        let batch =
            (0..BATCH).map(|_| NewTask::new(task_name("work"), Payload::json(&1).expect("a number is JSON")));
        let started = clock.monotonic();
        let published = client.publish_many(batch.collect()).await;
        tally.took(clock.monotonic().saturating_sub(started));
        match published {
            Ok(published) => {
                let ids = published.iter().map(|one| one.id);
                tally.accepted.lock().expect("no holder panics").extend(ids);
            }
            // Each may be accepted all the same; nobody was promised anything.
            Err(_) => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
