//! Where log lines go, and how they look: human on a terminal, JSON elsewhere, always on stderr.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use jiff::tz::TimeZone;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use upbeat_shared::clock::Clock;
use upbeat_shared::config::{Loaded, LogFormat, Origin};

/// What flags say about logging.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verbosity {
    /// How often `-v` was given.
    pub(crate) verbose: u8,
    /// How often `-q` was given.
    pub(crate) quiet: u8,
}

/// For commands that run on: as the configuration says.
pub(crate) fn for_a_role(verbosity: Verbosity, loaded: &Loaded, clock: &Arc<dyn Clock>) {
    install(&directives(verbosity, loaded, &loaded.config.log.level), loaded, clock);
}

/// For commands that answer and end: what goes wrong is in their answer, so that only warnings are worth a line.
pub(crate) fn for_a_command(verbosity: Verbosity, loaded: &Loaded, clock: &Arc<dyn Clock>) {
    let asked_for = matches!(level_origin(loaded), Some(Origin::Flag(_) | Origin::Environment(_)));
    let level = if asked_for { loaded.config.log.level.as_str() } else { "warn" };
    install(&directives(verbosity, loaded, level), loaded, clock);
}

fn level_origin(loaded: &Loaded) -> Option<&Origin> {
    loaded.provenance.get("log.level").map(|entry| &entry.origin)
}

/// Flags, then our own variable, then `RUST_LOG`, then the file.
fn directives(verbosity: Verbosity, loaded: &Loaded, level: &str) -> String {
    match (verbosity.verbose, verbosity.quiet) {
        (1, _) => {
            return "info,upbeat=debug,upbeat_shared=debug,upbeat_broker=debug,upbeat_worker=debug"
                .to_owned();
        }
        (2.., _) => return "trace".to_owned(),
        (_, 1..) => return "error".to_owned(),
        (0, 0) => {}
    }
    let asked_for = matches!(level_origin(loaded), Some(Origin::Flag(_) | Origin::Environment(_)));
    let rust_log = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    match rust_log {
        Some(text) if !asked_for => text,
        _ => level.to_owned(),
    }
}

fn install(directives: &str, loaded: &Loaded, clock: &Arc<dyn Clock>) {
    // A directive that makes no sense is left out, and said to be on stderr.
    let filter = EnvFilter::builder().parse_lossy(without_echoes(directives));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let terminal = io::stderr().is_terminal();
    let human = match loaded.config.log.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let installed = if human {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let timer = LocalTime { clock: clock.clone(), zone: TimeZone::system() };
        builder.with_ansi(terminal && !plain).with_target(false).with_timer(timer).try_init()
    } else {
        let timer = UtcTime { clock: clock.clone() };
        builder.json().flatten_event(true).with_span_list(false).with_timer(timer).try_init()
    };
    // The user's program may have a subscriber of its own: then that is the one.
    if let Err(error) = installed {
        tracing::debug!(%error, "logs go to the program's own subscriber");
    }
}

/// Without the AMQP library's own lines, unless somebody asks for them or for everything: it calls an error whatever the
/// broker refuses, also what is asked only to learn whether it is there. What matters of it, the transport says.
fn without_echoes(directives: &str) -> String {
    if directives == "trace" || directives.contains("lapin") {
        return directives.to_owned();
    }
    format!("lapin=off,{directives}")
}

/// The time of day in this machine's zone, for eyes.
struct LocalTime {
    clock: Arc<dyn Clock>,
    zone: TimeZone,
}

impl FormatTime for LocalTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = self.clock.wall().to_zoned(self.zone.clone());
        write!(writer, "{}", now.strftime("%H:%M:%S%.3f"))
    }
}

/// RFC 3339 in UTC with microseconds, as in records.
struct UtcTime {
    clock: Arc<dyn Clock>,
}

impl FormatTime for UtcTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&upbeat_shared::task::rfc3339_micros(self.clock.wall()))
    }
}
