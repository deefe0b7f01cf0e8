//! Members: beats, workers and programs that publish, each in a process of its own, with the code that runs in production.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use upbeat_shared::client::{Client, PublishLayers};
use upbeat_shared::clock::Clock;
use upbeat_shared::config::Config;
use upbeat_shared::ledger::Store;
use upbeat_shared::ledger::memory::MemoryLedger;
use upbeat_shared::transport::memory::MemoryBroker;
use upbeat_worker::Registry;

use super::broker::FarBroker;
use super::clock::MemberHost;
use super::journal::{Journal, Witness};
use super::law::Law;
use super::ledger::FarLedger;
use super::net::{Line, Net};
use super::process::Process;
use crate::app::Program;
use crate::roles;
use crate::stack::Stack;
use crate::testing::chance::Dice;

/// How long a process that cannot reach its stores waits before it tries again.
const START_AGAIN: Duration = Duration::from_secs(1);

/// A program that publishes, in the hands of its scenario.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Its own client. Its calls fail as anybody's do: a publish that returned an error may have been accepted all the same.
    pub client: Client,
    /// Which one it is, from 0.
    pub number: usize,
}

/// What a publisher does.
pub(super) type Scenario = Arc<dyn Fn(Publisher) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What members do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Beat,
    Worker,
    Publisher(usize),
}

/// What every process is made of.
pub(super) struct Ground {
    pub(super) program: Program,
    pub(super) registry: Registry,
    pub(super) config: Config,
    pub(super) start: Timestamp,
    pub(super) scenario: Scenario,
    pub(super) net: Arc<Net>,
    pub(super) law: Arc<Law>,
    pub(super) journal: Arc<Journal>,
    pub(super) broker: Arc<MemoryBroker>,
    pub(super) ledger: Arc<MemoryLedger>,
    pub(super) store_host: Arc<dyn Clock>,
}

/// One member, whose processes come and go.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) part: Part,
    pub(super) number: usize,
    pub(super) wrong_by: SignedDuration,
    /// How many processes it has had.
    pub(super) life: u64,
    pub(super) living: Option<Living>,
    /// Until when it stands still.
    pub(super) frozen: Option<u64>,
    /// Its process has ended by itself, as it should: it need not be started again.
    pub(super) done: Arc<AtomicBool>,
}

/// A member's process.
pub(super) struct Living {
    pub(super) process: Process,
    pub(super) broker: Arc<FarBroker>,
    pub(super) stop: CancellationToken,
    /// The process has come to its end.
    pub(super) ended: Arc<AtomicBool>,
}

impl Member {
    pub(super) fn new(number: usize, name: String, part: Part, wrong_by: SignedDuration) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        Self { name, part, number, wrong_by, life: 0, living: None, frozen: None, done }
    }

    pub(super) fn is_publisher(&self) -> bool {
        matches!(self.part, Part::Publisher(_))
    }

    /// Starts a process of it.
    pub(super) fn begin(&mut self, ground: &Ground, now: u64, dice: &mut Dice) {
        self.life += 1;
        let line = Line { net: ground.net.clone(), member: self.number, life: self.life };
        let process = Process::new(now);
        let host_dice = Dice::new(dice.next());
        let host = MemberHost::new(ground.start, self.wrong_by, now, process.origin(), host_dice);
        let broker =
            FarBroker::new(line.clone(), ground.broker.clone(), ground.law.clone(), Dice::new(dice.next()));
        let raw = ground.ledger.another(ground.store_host.clone());
        let store = Store::from_adapter(FarLedger::new(line.clone(), raw, ground.law.clone()));
        let witness = Witness { line, journal: ground.journal.clone(), law: ground.law.clone() };
        let mut program = ground.program.clone();
        program.run_layers = program.run_layers.with(witness.clone());
        let (stop, ended) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let config = Config { worker: ground.config.worker.clone(), ..ground.config.clone() };
        let inside = Life {
            config: named(config, &self.name),
            host: Arc::new(host),
            layers: program.publish_layers.clone().with(witness),
            program,
            registry: ground.registry.clone(),
            broker: broker.clone(),
            store,
            stop: stop.clone(),
        };
        let (part, scenario) = (self.part, ground.scenario.clone());
        let (done, over) = (self.done.clone(), ended.clone());
        process.spawn(async move {
            inside.live(part, scenario).await;
            done.store(matches!(part, Part::Publisher(_)), Ordering::Relaxed);
            over.store(true, Ordering::Relaxed);
        });
        self.frozen = None;
        self.living = Some(Living { process, broker, stop, ended });
    }
}

fn named(mut config: Config, name: &str) -> Config {
    config.worker.name = Some(name.to_owned());
    config
}

/// What a process brings along.
struct Life {
    config: Config,
    host: Arc<MemberHost>,
    program: Program,
    layers: PublishLayers,
    registry: Registry,
    broker: Arc<FarBroker>,
    store: Store,
    stop: CancellationToken,
}

impl Life {
    async fn live(self, part: Part, scenario: Scenario) {
        let stack = self.open().await;
        match part {
            Part::Beat => {
                let beat = roles::beat(&stack, &self.program, roles::beat_options(&self.config));
                // However it ended, it is started again.
                drop(beat.run(self.stop).await);
            }
            Part::Worker => {
                let options = roles::worker_options(&self.config);
                let worker = roles::worker(&stack, &self.program, self.registry, options);
                drop(worker.run(self.stop).await);
            }
            Part::Publisher(number) => scenario(Publisher { client: stack.client.clone(), number }).await,
        }
    }

    /// As a process does that starts before its stores are there.
    async fn open(&self) -> Stack {
        loop {
            let opened =
                Stack::over(&self.config, self.broker.clone(), self.store.clone(), self.host.clone());
            match opened.await {
                Ok(stack) => return stack.with_layers(&self.layers),
                Err(_) => tokio::time::sleep(START_AGAIN).await,
            }
        }
    }
}
