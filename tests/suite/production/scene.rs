//! A world on RabbitMQ and Postgres of its own, which a test may stop, kill and starve.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use upbeat::Stack;
use upbeat_shared::clock::SystemClock;
use upbeat_shared::config::{KnownTask, Overrides, Sources, load};
use upbeat_shared::id::TaskId;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Journal, Process, World, count, eventually};
use upbeat_tests::message::task_name;
use upbeat_tests::services::{Kind, Server};

use super::producer::Producer;
use super::program::ENTRY;

/// How long something may take that must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Its servers, its configuration, and the journal of its tasks.
pub(super) struct Scene {
    pub(super) rabbitmq: Server,
    pub(super) postgres: Server,
    pub(super) world: World,
    pub(super) journal: Journal,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with("").await
    }

    /// With this at the end of its configuration.
    pub(super) async fn with(more: &str) -> Self {
        let (rabbitmq, postgres) =
            tokio::join!(Server::start(Kind::RabbitMq43), Server::start(Kind::Postgres));
        Self::on(rabbitmq, postgres, more)
    }

    /// On these servers.
    pub(super) fn on(rabbitmq: Server, postgres: Server, more: &str) -> Self {
        let configuration = format!(
            "[broker]\nurl = '{}'\nmanagement = '{}'\n[ledger]\nurl = '{}'\nlease = '3s'\n{more}",
            rabbitmq.url(),
            rabbitmq.management(),
            postgres.url(),
        );
        let world = World::new(env!("CARGO_BIN_EXE_upbeat"), "");
        // As it stands: URLs are full of `@`.
        world.write("upbeat.toml", &configuration);
        let journal = world.journal(World::JOURNAL);
        Self { rabbitmq, postgres, world, journal }
    }

    /// Starts a role of the program.
    pub(super) fn start(&self, args: &[&str]) -> Process {
        self.world.start_command(args, self.world.program(ENTRY, args))
    }

    pub(super) fn beat(&self) -> Process {
        self.start(&["beat"])
    }

    pub(super) fn worker(&self) -> Process {
        self.start(&["worker"])
    }

    /// Broker and ledger, opened by the test itself.
    pub(super) async fn stack(&self) -> Stack {
        let flags = Overrides { config: Some(self.world.path("upbeat.toml")), ..Overrides::default() };
        let known = ["work", "nap", "tick"].map(|name| KnownTask::new(task_name(name)));
        let loaded = load(Sources { env: &|_| None, known: &known, ..Sources::process(flags) })
            .expect("the scene is well configured");
        let stack = Stack::open(&loaded.config, Arc::new(SystemClock::default()), "upbeat test").await;
        stack.expect("broker and ledger are there")
    }

    /// Waits until so many tasks have succeeded.
    pub(super) async fn succeeded(&self, stack: &Stack, tasks: usize, within: Duration) {
        let what = format!("{tasks} tasks have succeeded");
        eventually(&what, within, async || {
            // A ledger that is away tells nothing.
            match stack.store.inspect.queues().await {
                Ok(_) => count(&stack.store, TaskState::Succeeded).await >= tasks as u64,
                Err(_) => false,
            }
        })
        .await;
    }

    /// Ends a load: what was accepted is done, each of it once, and the members stop in good order.
    pub(super) async fn ends_well(
        &self,
        producer: Producer,
        stack: &Stack,
        members: impl IntoIterator<Item = Process>,
    ) {
        let accepted = producer.stop().await;
        self.succeeded(stack, accepted.len(), PATIENCE).await;
        self.each_ran_once("work", &accepted);
        for member in members {
            member.stop().await;
        }
    }

    /// How often each task ran, by the journal.
    pub(super) fn runs(&self, word: &str) -> BTreeMap<String, usize> {
        self.journal.by_task(word)
    }

    /// Each of these tasks ran once, and no task ran twice.
    pub(super) fn each_ran_once(&self, word: &str, accepted: &[TaskId]) {
        let runs = self.runs(word);
        let twice: Vec<_> = runs.iter().filter(|(_, runs)| **runs != 1).collect();
        assert!(twice.is_empty(), "{} tasks ran more than once: {twice:?}", twice.len());
        let never: Vec<_> = accepted.iter().filter(|id| !runs.contains_key(&id.to_string())).collect();
        assert!(
            never.is_empty(),
            "{} accepted tasks of {} never ran: {never:?}",
            never.len(),
            accepted.len()
        );
    }
}
