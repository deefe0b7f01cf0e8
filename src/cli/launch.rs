//! Runs roles in this process: opens what they need, starts them, waits for the end.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use upbeat_shared::config::{BrokerUrl, Overrides};
use upbeat_shared::ledger::NewSchedule;
use upbeat_worker::Registry;

use super::context::{Context, Settings, unopened};
use super::failure::Failure;
use super::process::Process;
use super::quickstart;
use crate::logging;
use crate::roles::{self, RoleError};
use crate::stack::Stack;

/// How long roles may take to be ready before their start is announced all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long RabbitMQ waits for an acknowledgement, unless it is told otherwise.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Which roles a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    Beat,
    Worker,
    Both,
}

impl Roles {
    fn beat(self) -> bool {
        matches!(self, Self::Beat | Self::Both)
    }

    fn worker(self) -> bool {
        matches!(self, Self::Worker | Self::Both)
    }

    /// Their names.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Beat => &["beat"],
            Self::Worker => &["worker"],
            Self::Both => &["beat", "worker"],
        }
    }
}

/// Where a role shows its health.
#[allow(clippy::doc_markdown, reason = "these lines are shown on terminals, where backticks would stand out")]
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ListenArgs {
    /// Serve /healthz, /readyz and /metrics here [env: UPBEAT_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<String>,
}

/// How a worker works.
#[allow(clippy::doc_markdown, reason = "these lines are shown on terminals, where backticks would stand out")]
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WorkerArgs {
    /// Queues to take tasks from, each with its weight: a queue of weight 6 gets six turns for one of weight 1 [env: UPBEAT_QUEUES]
    #[arg(long, value_name = "NAME[=WEIGHT],…")]
    pub(crate) queues: Option<String>,
    /// How many tasks run at once, at most [env: UPBEAT_CONCURRENCY]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: Option<u32>,
    /// What listings call it; host:pid unless told [env: UPBEAT_WORKER_NAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) worker_name: Option<String>,
    /// How long running tasks may take to finish after the worker was asked to stop [env: UPBEAT_GRACE]
    #[arg(long, value_name = "DURATION")]
    pub(crate) grace: Option<String>,
}

/// The flags of a role, for the configuration.
pub(crate) fn overrides(context: &Context, listen: ListenArgs, worker: WorkerArgs) -> Overrides {
    Overrides {
        listen: listen.listen,
        queues: worker.queues,
        concurrency: worker.concurrency,
        worker_name: worker.worker_name,
        grace: worker.grace,
        ..context.global.overrides()
    }
}

/// What runs, for those who announce it.
pub(crate) struct Running<'a> {
    pub(crate) roles: Roles,
    pub(crate) settings: &'a Settings,
    pub(crate) stack: &'a Stack,
    /// Where health and metrics are served, with the port that was found.
    pub(crate) listen: Option<SocketAddr>,
    /// The tasks that the worker knows.
    pub(crate) tasks: Vec<String>,
    /// The schedules of the configuration and of the program.
    pub(crate) schedules: Vec<NewSchedule>,
}

/// Runs roles until a signal, or until one of them cannot go on. `announce` is called when they are ready.
pub(crate) async fn run(
    context: &Context,
    which: Roles,
    flags: &Overrides,
    announce: impl FnOnce(&Running<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let settings = settings(context, which, flags)?;
    logging::for_a_role(context.global.verbosity(), &settings.loaded, &context.clock);
    let config = settings.config();
    // Everything that can be refused is refused before anything runs.
    let registry = context.program.registry(config).map_err(RoleError::from)?;
    let sources = roles::sources(&context.program, config, settings.loaded.file.as_deref())?;
    let schedules: Vec<NewSchedule> =
        sources.iter().flat_map(|(_, schedules)| schedules.iter().cloned()).collect();
    let tasks = registry.names().iter().map(ToString::to_string).collect();
    let listener = bind(config.http.listen).await?;
    let listen = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let stack = roles::open_when_there(config, &context.clock, &which.names().join("+")).await;
    let stack = stack.map_err(|error| unopened(&error))?.with_layers(&context.program.publish_layers);
    let (ledger, broker) = (stack.store.schema.describe(), stack.transport.describe());
    tracing::info!(ledger, broker, namespace = %config.namespace, "opened ledger and broker");

    if which.worker() {
        advise(&settings, &registry);
    }
    let mut process = Process::new(&stack, context.output.clone())?;
    if listener.is_some() {
        process.measure(config);
    }
    if which.beat() {
        apply(&stack, &settings, sources).await?;
        process.members().start_beat(&stack, &context.program, roles::beat_options(config));
    }
    if which.worker() {
        process.members().start_worker(&stack, &context.program, registry, roles::worker_options(config));
    }
    if let Some(listener) = listener {
        process.serve(listener, config.http.echo);
    }
    process.until_ready(PATIENCE).await;
    let told =
        announce(&Running { roles: which, settings: &settings, stack: &stack, listen, tasks, schedules });
    if told.is_err() {
        process.stop();
    }
    let ended = process.until_ended().await;
    stack.transport.close().await;
    told.and(ended)
}

/// Tells of tasks that are allowed to run longer than RabbitMQ waits for an acknowledgement. They are safe: the ledger knows
/// that they run. But their delivery comes again, and takes others with it.
fn advise(settings: &Settings, registry: &Registry) {
    if settings.config().broker.url == BrokerUrl::Embedded {
        return;
    }
    let long = registry.tasks().filter(|task| {
        !task.ack_when_claimed && task.timeout.is_some_and(|timeout| timeout > CONSUMER_TIMEOUT)
    });
    // Everybody has the default, and few have tasks that need it.
    let long = long.filter(|task| task.timeout != Some(settings.config().worker.timeout));
    let mut names: Vec<&str> = long.map(|task| task.name.as_str()).collect();
    names.sort_unstable();
    if !names.is_empty() {
        tracing::warn!(
            tasks = names.join(", "),
            "these tasks may run for more than 30 minutes, which is how long RabbitMQ waits for an acknowledgement unless it \
             is told otherwise: set `ack = \"claimed\"` for them, or a shorter `timeout`"
        );
    }
}

/// The configuration of a process that may not be the first on this host.
fn settings(context: &Context, roles: Roles, flags: &Overrides) -> Result<Settings, Failure> {
    let mut settings = context.settings_with(flags)?;
    context.warn_about(&settings);
    if roles != Roles::Both {
        settings.loaded.config.http.listen = settings.own_listen();
    }
    if settings.quickstart {
        tracing::info!("no upbeat.toml here: the built-in quickstart is in force");
    }
    Ok(settings)
}

async fn bind(listen: Option<SocketAddr>) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = listen else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    bound.map(Some).map_err(|error| {
        Failure::usage(format!("cannot listen on {address}: {error}")).page("cannot-listen").advice(
            "is another upbeat running here? choose another address with --listen; port 0 takes a free one",
        )
    })
}

/// Puts schedules in force, by where they are written; what an earlier configuration of the same name left is removed.
async fn apply(
    stack: &Stack,
    settings: &Settings,
    sources: Vec<(String, Vec<NewSchedule>)>,
) -> Result<(), Failure> {
    let config = settings.config();
    // Who has written a configuration has seen enough of the quickstart.
    let known = stack.store.catalog.snapshot().await?.schedules;
    if !settings.quickstart && known.iter().any(|schedule| schedule.source == quickstart::PATH) {
        roles::apply(stack, config, quickstart::PATH, Vec::new()).await?;
    }
    for (source, schedules) in sources {
        roles::apply(stack, config, &source, schedules).await?;
    }
    Ok(())
}
