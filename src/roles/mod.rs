//! Roles in a process: opened, started, waited for, ended. Installs nothing: no signal handler, no subscriber.

#[cfg(feature = "beat")]
mod apply;
mod health;
mod members;
mod options;
mod running;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
#[cfg(feature = "beat")]
use upbeat_broker::BeatError;
use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::config::{self, Config, ConfigErrors, Overrides, Sources};
use upbeat_worker::WorkerError;
use upbeat_worker::suspect::SuspectProgram;

use crate::app::Program;
#[cfg(feature = "beat")]
use crate::app::ScheduleError;
use crate::executors::RegistryError;
use crate::stack::{OpenError, Stack};

#[cfg(feature = "beat")]
pub(crate) use apply::{apply, sources};
#[cfg(feature = "cli")]
pub(crate) use health::Readiness;
pub(crate) use members::Members;
#[cfg(all(feature = "testing", feature = "beat"))]
pub(crate) use members::{beat, worker};
#[cfg(any(feature = "cli", all(feature = "testing", feature = "beat")))]
pub(crate) use options::{beat as beat_options, worker as worker_options};
#[cfg(feature = "cli")]
pub(crate) use options::{connection_name, host_prefix, member_name};
pub use running::Running;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Time into messages.
    #[cfg(feature = "beat")]
    Beat,
    /// Messages into finished work.
    Worker,
}

impl Role {
    /// As in listings.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            #[cfg(feature = "beat")]
            Self::Beat => "beat",
            Self::Worker => "worker",
        }
    }
}

/// Why roles could not start, or ended without being asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// The configuration has mistakes; each is shown where it was written.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A worker cannot be given its tasks.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A schedule of the program is wrong.
    #[cfg(feature = "beat")]
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A schedule is in the program and in the configuration.
    #[error("the schedule {id} is in the program and in {file}: give one of them another id, or remove it")]
    ScheduledTwice {
        /// Which.
        id: String,
        /// Where the other one is written.
        file: String,
    },
    /// Broker or ledger cannot be opened; one that is merely away is waited for.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The beat could not go on.
    #[cfg(feature = "beat")]
    #[error(transparent)]
    Beat(#[from] BeatError),
    /// The worker could not go on.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A role ended by itself, which is a defect of this program.
    #[error("the {0} ended by itself; please report this")]
    Ended(&'static str),
    /// A role panicked, which is a defect of this program.
    #[error("a role panicked: {0}; please report this")]
    Panicked(String),
}

impl RoleError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Config(errors) => errors.page(),
            Self::Registry(error) => error.page(),
            #[cfg(feature = "beat")]
            Self::Schedule(error) => error.page(),
            Self::ScheduledTwice { .. } => "schedule-twice",
            Self::Open(error) => error.page(),
            #[cfg(feature = "beat")]
            Self::Beat(error) => error.page(),
            Self::Worker(error) => error.page(),
            Self::Ended(_) | Self::Panicked(_) => "defect",
        }
    }
}

/// Roles of a program, to be run inside a tokio program that has more to do.
///
/// Made by [`App::worker`](crate::App::worker), [`App::beat`](crate::App::beat) and [`App::up`](crate::App::up). Reads
/// `upbeat.toml` and the environment as the command line does, unless it is given a configuration.
///
/// ```no_run
/// # use upbeat::prelude::*;
/// # #[derive(serde::Serialize, serde::Deserialize, Task)] #[task(name = "hello")] struct Hello;
/// # async fn hello(_: Hello) -> Result<(), Error> { Ok(()) }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let upbeat = App::new().task(hello).up().start().await?;
/// upbeat.client().publish(Hello).await?; // from your handlers of requests, say
/// // …
/// upbeat.stop().await?; // running tasks finish, within the grace period
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing runs until it is started"]
pub struct Roles {
    program: Program,
    which: &'static [Role],
    config: Option<Config>,
    overrides: Overrides,
    clock: Arc<dyn Clock>,
}

/// Between two tries to open a broker or a ledger that is away.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Roles {
    pub(crate) fn new(program: Program, which: &'static [Role]) -> Self {
        let clock = Arc::new(SystemClock::default());
        Self { program, which, config: None, overrides: Overrides::default(), clock }
    }

    /// With suspects in processes of their own.
    pub(crate) fn alone(mut self) -> Self {
        match SuspectProgram::this() {
            Ok(program) => self.program.suspects = Some(program),
            Err(error) => {
                tracing::warn!(%error, "this program cannot be started once more: suspects do not run alone");
            }
        }
        self
    }

    /// What it would run, and under which configuration, for a process that runs one task of it.
    #[cfg(unix)]
    pub(crate) fn into_parts(self) -> (Program, Result<Config, ConfigErrors>, Arc<dyn Clock>) {
        let Self { program, config, overrides, clock, .. } = self;
        let config = config.map_or_else(|| loaded(&program, overrides).map(|(config, _)| config), Ok);
        (program, config, clock)
    }

    /// With this configuration, in place of `upbeat.toml` and the environment. One that names no queues of the worker, such
    /// as [`Config::default`], has it take work from all that the program's tasks are sent to.
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// What wins over `upbeat.toml` and the environment, as flags of the command line do.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Runs until `stop` is cancelled or a role cannot go on. Then takes no more work, lets what runs finish within the
    /// grace period, and gives the rest back. Dropping the future ends everything at once, as a kill would; nothing is
    /// lost by it.
    pub async fn run_until(self, stop: CancellationToken) -> Result<(), RoleError> {
        match stop.run_until_cancelled(self.start()).await {
            None => Ok(()),
            Some(started) => started?.until(stop).await,
        }
    }

    /// Opens broker and ledger, waiting for those that are merely away, and starts the roles.
    pub async fn start(self) -> Result<Running, RoleError> {
        let (mut config, file) = match self.config {
            Some(config) => (config, None),
            None => loaded(&self.program, self.overrides)?,
        };
        config.worker.queues = self.program.queues(&config);
        // Everything that can be refused is refused before anything runs.
        let registry = self.program.registry(&config)?;
        #[cfg(feature = "beat")]
        let schedules = sources(&self.program, &config, file.as_deref())?;
        #[cfg(not(feature = "beat"))]
        drop(file);
        let names: Vec<_> = self.which.iter().map(|role| role.as_str()).collect();
        let stack = open_when_there(&config, &self.clock, &names.join("+")).await?;
        say_what_is_kept(&stack);
        let stack = stack.with_layers(&self.program.publish_layers);
        let mut members = Members::new(&stack);
        for role in self.which {
            match role {
                #[cfg(feature = "beat")]
                Role::Beat => {
                    for (source, schedules) in &schedules {
                        apply(&stack, &config, source, schedules.clone()).await?;
                    }
                    members.start_beat(&stack, &self.program, options::beat(&config));
                }
                Role::Worker => {
                    members.start_worker(&stack, &self.program, registry.clone(), options::worker(&config));
                }
            }
        }
        Ok(Running::new(stack, members))
    }
}

/// The configuration of `upbeat.toml` and the environment, and the file if there is one.
fn loaded(program: &Program, overrides: Overrides) -> Result<(Config, Option<PathBuf>), ConfigErrors> {
    let known = program.known();
    let loaded = config::load(Sources { known: &known, ..Sources::process(overrides) })?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok((loaded.config, loaded.file))
}

/// Once a start, so that nobody learns from a crash what the ledger's server forgets.
fn say_what_is_kept(stack: &Stack) {
    let schema = &stack.store.schema;
    let ledger = schema.describe();
    if let Some(advice) = schema.advice() {
        tracing::warn!(ledger, advice, "the ledger could keep more than it does");
    } else {
        tracing::info!(ledger, "the ledger is open");
    }
}

/// Opens broker and ledger for roles, which come up before them as well as after them: one that is merely away is waited
/// for.
pub(crate) async fn open_when_there(
    config: &Config,
    clock: &Arc<dyn Clock>,
    roles: &str,
) -> Result<Stack, OpenError> {
    let name = options::connection_name(config, roles);
    let mut waits = [1, 1, 2, 3].map(Duration::from_secs).into_iter();
    loop {
        match Stack::open(config, clock.clone(), &name).await {
            Err(error) if error.is_temporary(config) => {
                let wait = waits.next().unwrap_or(LONGEST_WAIT);
                tracing::warn!(%error, ?wait, "not started yet: what is needed is not there; trying again after the wait");
                tokio::time::sleep(wait).await;
            }
            opened => return opened,
        }
    }
}
