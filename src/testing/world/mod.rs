//! A world: made of a program.

mod clock;
mod drained;
mod drive;
mod expect;
mod inline;
mod look;
mod perform;
mod runs;
mod time;
mod wait;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use upbeat_broker::BeatStepper;
use upbeat_shared::client::Client;
use upbeat_shared::clock::Clock;
use upbeat_shared::config::Config;
use upbeat_shared::ledger::Store;
use upbeat_shared::ledger::memory::{MemoryLedger, MemoryOptions};
use upbeat_shared::transport::Transport;
use upbeat_shared::transport::memory::MemoryBroker;
use upbeat_worker::stepper::Stepper;

use crate::app::{App, Program};
use crate::roles::{self, RoleError};
use crate::stack::Stack;
use clock::WorldClock;
use inline::InlineTransport;
use wait::WaitingInspect;

pub use drained::Drained;
pub use expect::Expectation;
pub use look::Published;
pub use perform::RunFailed;
pub use runs::{Outcome, Run};

/// A program's tasks and schedules in a world of their own, in memory. Cheap to clone; clones are the same world.
///
/// See [the module](crate::testing) for how to use it.
#[derive(Clone, Debug)]
pub struct World {
    inner: Arc<Inner>,
}

/// How a world is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorldOptions {
    /// Settings of tasks, queues and limits, as `upbeat.toml` has them. Its broker and ledger are not used.
    pub config: Config,
    /// What the clock shows at first.
    pub start: Timestamp,
    /// Ids and the jitter of retries follow from it: the same seed, the same ids.
    pub seed: u64,
    /// How many runs a drain or an advance may make before it is given up: a task that publishes itself has no end.
    pub max_runs: usize,
    /// How long one run may take, by tokio's clock, before the test is given up: it may wait for something that only the test
    /// can do.
    pub patience: Duration,
}

impl Default for WorldOptions {
    /// An empty configuration, the beginning of 2026, 100,000 runs, a minute.
    fn default() -> Self {
        Self {
            config: Config::default(),
            start: Timestamp::constant(1_767_225_600, 0),
            seed: 0,
            max_runs: 100_000,
            patience: Duration::from_secs(60),
        }
    }
}

/// What a world consists of.
struct Inner {
    clock: Arc<WorldClock>,
    client: Client,
    store: Store,
    /// A broker that nothing is taken from but by [`World::run`], and a client of it.
    aside: Arc<dyn Transport>,
    aside_client: Client,
    worker: Stepper,
    beat: tokio::sync::Mutex<BeatStepper>,
    /// Every run so far.
    runs: Mutex<Vec<Run>>,
    inline: AtomicBool,
    /// Waits in a row that found nothing to do.
    fruitless: AtomicU32,
    /// Drains within drains.
    depth: AtomicUsize,
    /// So many runs may have been made by the end of the outermost.
    limit: AtomicUsize,
    max_runs: usize,
    patience: Duration,
}

impl World {
    /// A world of this program: its clock stands at the beginning of 2026 (UTC), its schedules are in force from then on.
    ///
    /// # Panics
    ///
    /// If the program is refused, as its roles would refuse it: a task that is registered twice, a schedule that cannot be
    /// understood. And outside of a tokio runtime.
    #[track_caller]
    pub fn new<S>(app: App<S>) -> Self {
        Self::with(app, WorldOptions::default())
    }

    /// A world of this program, made as the options say.
    ///
    /// ```
    /// use upbeat::prelude::*;
    /// use upbeat::testing::{World, WorldOptions};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut options = WorldOptions::default();
    /// options.start = "2026-03-28T12:00:00Z".parse().unwrap(); // the day before clocks change in Europe
    /// let world = World::with(App::new(), options);
    /// assert_eq!(world.now().to_string(), "2026-03-28T12:00:00Z");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`World::new`] does.
    #[track_caller]
    pub fn with<S>(app: App<S>, options: WorldOptions) -> Self {
        match Inner::make(&app.into_program(), options) {
            Ok(inner) => Self { inner },
            Err(error) => panic!("this program cannot run: {error}"),
        }
    }

    /// Publishes tasks, as the program does; handlers have the same one in their context. Who waits for a result lets the
    /// world go on:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use upbeat::prelude::*;
    /// # use upbeat::testing::World;
    /// # #[derive(Serialize, Deserialize, Task)] #[task(name = "hello", output = String)] struct Hello { name: String }
    /// # async fn hello(task: Hello) -> Result<String, Error> { Ok(format!("hello {}", task.name)) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let world = World::new(App::new().task(hello));
    /// let handle = world.client().publish(Hello { name: "you".to_owned() }).await.unwrap();
    /// assert_eq!(handle.result().await.unwrap(), "hello you");
    /// # }
    /// ```
    pub fn client(&self) -> Client {
        self.inner.client.clone()
    }

    /// The ledger's ports, for what a world has no short word for.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }
}

impl Inner {
    fn make(program: &Program, options: WorldOptions) -> Result<Arc<Self>, RoleError> {
        let WorldOptions { mut config, start, seed, max_runs, patience } = options;
        config.worker.queues = program.queues(&config);
        config.worker.name.get_or_insert_with(|| "testing".to_owned());
        let registry = program.registry(&config)?;
        let schedules = roles::sources(program, &config, None)?;
        let clock = Arc::new(WorldClock::new(start, seed));
        let link = Link::default();
        let options = MemoryOptions { stale_after: config.retention.stale_after() };
        let store = Store::from_adapter(MemoryLedger::new(clock.clone(), options));
        // Whoever waits for a task to end lets the world go on.
        let inspect = Arc::new(WaitingInspect::new(store.inspect.clone(), link.clone()));
        let store = Store { inspect, ..store };
        let stack = |transport| {
            let stack = at_once(Stack::over(&config, transport, store.clone(), clock.clone()));
            stack.map(|stack| stack.with_layers(&program.publish_layers))
        };
        let main = MemoryBroker::new().connect();
        let roles = stack(main.clone())?;
        let publishers = stack(Arc::new(InlineTransport::new(main, link.clone())))?;
        let publishers = publishers.with_layers(&program.publish_layers);
        let aside = stack(MemoryBroker::new().connect())?.with_layers(&program.publish_layers);
        for (source, schedules) in schedules {
            at_once(roles::apply(&roles, &config, &source, schedules))?;
        }
        let beat = roles::beat(&roles, program, roles::beat_options(&config)).stepper();
        let worker_stack = Stack { client: publishers.client.clone(), ..roles };
        let worker = roles::worker(&worker_stack, program, registry, roles::worker_options(&config));
        let inner = Arc::new(Self {
            worker: at_once(worker.stepper())?,
            clock,
            client: publishers.client,
            aside: aside.transport,
            aside_client: aside.client,
            store,
            beat: tokio::sync::Mutex::new(beat),
            runs: Mutex::default(),
            inline: AtomicBool::new(false),
            fruitless: AtomicU32::new(0),
            depth: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            max_runs,
            patience,
        });
        link.tie(&inner);
        Ok(inner)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.clock.wall()).finish_non_exhaustive()
    }
}

/// The way from a world's ports back to the world.
#[derive(Clone, Debug, Default)]
struct Link(Arc<OnceLock<Weak<Inner>>>);

impl Link {
    fn tie(&self, inner: &Arc<Inner>) {
        // It is tied once, to the world that it was made for.
        let _ = self.0.set(Arc::downgrade(inner));
    }

    /// The world; `None` before it is made and after it is gone.
    fn world(&self) -> Option<Arc<Inner>> {
        self.0.get()?.upgrade()
    }
}

/// Of a future that never waits, as those of ports in memory: its answer.
pub(in crate::testing) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a ledger in memory answers at once"),
    }
}
