//! What every command is given: flags, output, configuration, and the way to broker and ledger.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::config::{
    self, BrokerUrl, Config, KnownTask, LedgerUrl, Loaded, Origin, Overrides, Sources,
};

use super::args::GlobalArgs;
use super::failure::Failure;
use super::output::Output;
use super::quickstart;
use crate::app::Program;
use crate::logging;
use crate::roles;
use crate::stack::{OpenError, Stack};

/// Made once, from the command line.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) program: Program,
    pub(crate) global: GlobalArgs,
    pub(crate) output: Output,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A configuration, and whether it is the one that comes with the program.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) loaded: Loaded,
    /// Nobody wrote a configuration: the built-in quickstart is in force.
    pub(crate) quickstart: bool,
}

impl Settings {
    pub(crate) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Where health is served by a process that may not be the only one here: the quickstart's address belongs to
    /// `up`, and a worker beside it must not want it, too.
    pub(crate) fn own_listen(&self) -> Option<SocketAddr> {
        let origin = self.loaded.provenance.get("http.listen").map(|entry| &entry.origin);
        let chosen = matches!(origin, Some(Origin::Flag(_) | Origin::Environment(_)));
        self.config().http.listen.filter(|_| chosen || !self.quickstart)
    }
}

/// A configuration and the open broker and ledger: what one-shot commands work with.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) settings: Settings,
    pub(crate) stack: Stack,
}

impl Session {
    pub(crate) fn config(&self) -> &Config {
        self.settings.config()
    }

    /// The store's time, or this machine's if the store has not told.
    pub(crate) fn now(&self) -> Timestamp {
        self.stack.clock.now().unwrap_or_else(|| self.stack.clock.clock().wall())
    }
}

/// Whether a command may make the embedded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It may: it brings something to keep.
    Create,
    /// There is nothing to look at in a new file: it must exist.
    Existing,
}

impl Context {
    pub(crate) fn new(program: Program, global: GlobalArgs, output: Output) -> Self {
        Self { program, global, output, clock: Arc::new(SystemClock::default()) }
    }

    /// Reads the configuration, with no other flags than those of every command.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        self.settings_with(&self.global.overrides())
    }

    /// Reads the configuration with these flags.
    pub(crate) fn settings_with(&self, flags: &Overrides) -> Result<Settings, Failure> {
        load(flags, &self.program.known())
    }

    /// Says what is odd about a configuration: where it is checked, and where it is put in force.
    pub(crate) fn warn_about(&self, settings: &Settings) {
        for warning in &settings.loaded.warnings {
            self.output.warn(warning.to_string().trim_start_matches("warning: "));
        }
    }

    /// Configuration, broker and ledger, for a command that looks or acts and then ends.
    pub(crate) async fn session(&self, access: Access) -> Result<Session, Failure> {
        let settings = self.settings()?;
        self.session_with(settings, access).await
    }

    /// As [`Context::session`], for a command that checks its input against the configuration before anything is opened.
    pub(crate) async fn session_with(&self, settings: Settings, access: Access) -> Result<Session, Failure> {
        logging::for_a_command(self.global.verbosity(), &settings.loaded, &self.clock);
        let stack = self.open(&settings, access, "command").await?;
        Ok(Session { settings, stack })
    }

    /// Opens broker and ledger, as this role.
    pub(crate) async fn open(
        &self,
        settings: &Settings,
        access: Access,
        role: &str,
    ) -> Result<Stack, Failure> {
        let config = settings.config();
        Self::may_open(config, access)?;
        let stack = Stack::open(config, self.clock.clone(), &roles::connection_name(config, role)).await;
        let stack = stack.map_err(|error| unopened(&error))?;
        Ok(stack.with_layers(&self.program.publish_layers))
    }

    /// Whether there is something to open.
    fn may_open(config: &Config, access: Access) -> Result<(), Failure> {
        if let (Access::Existing, Some(path)) = (access, Stack::embedded_file(config))
            && config.ledger.url == LedgerUrl::Embedded
            && !path.exists()
        {
            let message = format!("there is no ledger here yet: {} does not exist", path.display());
            return Err(Failure::unreachable(message).page("no-ledger-here").advice(
                "start `upbeat up` or publish a task first; or name another data directory with --data, another namespace with --namespace",
            ));
        }
        Ok(())
    }
}

/// Reads the configuration; where nobody wrote one and nothing but the embedded parts is asked for, the quickstart.
fn load(flags: &Overrides, known: &[KnownTask]) -> Result<Settings, Failure> {
    let sources = |flags| Sources { known, ..Sources::process(flags) };
    let loaded = config::load(sources(flags.clone())).map_err(|errors| Failure::from(&errors))?;
    // Where somebody chose a broker or a ledger, nobody wants to try the program out.
    let embedded =
        loaded.config.broker.url == BrokerUrl::Embedded && loaded.config.ledger.url == LedgerUrl::Embedded;
    if loaded.file.is_some() || !embedded || !known.is_empty() {
        return Ok(Settings { loaded, quickstart: false });
    }
    let flags = Overrides { config: Some(quickstart::PATH.into()), ..flags.clone() };
    let loaded = config::load(Sources { read: &quickstart::read, ..sources(flags) })
        .map_err(|errors| Failure::from(&errors))?;
    Ok(Settings { loaded, quickstart: true })
}

pub(crate) fn unopened(error: &OpenError) -> Failure {
    let failure = match error {
        OpenError::NoAdapter { .. } => {
            Failure::usage(error.to_string()).advice("use `embedded`, or a build that has the adapter")
        }
        OpenError::Ledger(_) | OpenError::Transport(_) => Failure::unreachable(error.to_string()),
    };
    failure.page(error.page())
}
