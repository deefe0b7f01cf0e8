//! Configuration: flags, environment and `upbeat.toml` become one checked [`Config`].
//!
//! [`load`] answers with everything or with every mistake it can find, each shown where it was written. Nothing of a
//! configuration with a mistake is used. Keeps for each value [where it came from](Provenance). Never opens a broker, a
//! ledger or a port, and never shows a secret.
//!
//! ```
//! use upbeat_shared::config::{Overrides, Sources, load};
//!
//! let flags = Overrides { concurrency: Some(8), ..Overrides::default() };
//! let loaded = load(Sources::process(flags))?;
//! assert_eq!(loaded.config.worker.concurrency, 8);
//! assert_eq!(loaded.provenance.get("worker.concurrency").unwrap().origin.to_string(), "flag --concurrency");
//! # Ok::<(), upbeat_shared::config::ConfigErrors>(())
//! ```

mod calendars;
mod context;
mod document;
mod env;
mod error;
mod hooks;
mod keys;
mod mask;
mod policies;
mod provenance;
mod reactions;
mod reference;
mod render;
mod schedules;
mod secret;
mod section;
mod settings;
mod show;
mod sources;
mod tables;
mod tasks;
#[cfg(test)]
mod tests;
mod tree;
mod url;
mod value;

use std::io;
use std::path::PathBuf;

use context::Context;
use document::{Document, MAX_BYTES};
use section::Section;
use show::Show;
use tasks::Tasks;
use tree::{Node, Value};
use value::At;

use crate::name::QueueName;

pub use error::{ConfigError, ConfigErrors, Place, TextPlace, Warning};
pub use provenance::{Entry, Origin, Provenance};
pub use reference::{Described, DescribedTable, reference};
pub use secret::{MASK, Secret};
pub use settings::{
    Ack, BeatConfig, BrokerConfig, Config, ExecutorConfig, HooksConfig, HttpConfig, HttpTarget, LedgerConfig,
    LogConfig, LogFormat, QueueConfig, TaskConfig, TlsFiles, WebhookConfig, WorkerConfig,
};
pub use sources::{KnownTask, Overrides, Sources};
pub use url::{BrokerUrl, LedgerUrl, ServiceUrl, UrlError};

/// The file that is read where nobody names another.
pub const DEFAULT_FILE: &str = "upbeat.toml";

/// A file to begin with: every key, commented, with its default.
pub const TEMPLATE: &str = include_str!("template.toml");

/// A configuration, and what is known about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Loaded {
    /// What to do.
    pub config: Config,
    /// Where each value came from.
    pub provenance: Provenance,
    /// What is allowed, and probably not meant.
    pub warnings: Vec<Warning>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// Reads, joins and checks the sources: all of it is right, or every mistake is named.
pub fn load(sources: Sources<'_>) -> Result<Loaded, ConfigErrors> {
    let Some((file, text)) = find_file(&sources)? else {
        return read(Context::new(sources, None), Node { value: Value::Table(Vec::new()), span: 0..0 }, None);
    };
    let (document, tree, faults) = Document::parse(file.clone(), text, sources.env);
    let broken = !faults.is_empty();
    let mut cx = Context::new(sources, Some(document));
    for (span, fault) in faults {
        cx.fault(Some(At::Text(span)), fault);
    }
    if broken {
        // What else is wrong cannot be told before the text can be read.
        cx.finish().map(|_| unreachable!("there are mistakes"))
    } else {
        read(cx, tree, Some(file))
    }
}

fn read(mut cx: Context<'_>, tree: Node, file: Option<PathBuf>) -> Result<Loaded, ConfigErrors> {
    let mut top = Section::new(&mut cx, &keys::TOP, "", Some(tree));
    let mut config = tables::read(&mut top);
    let mut tasks = tasks::read(&mut top, &config.worker);
    let calendars = calendars::read(&mut top);
    config.schedules = schedules::read(&mut top, &config, &mut tasks, &calendars);
    config.hooks = hooks::read(&mut top, &config, &mut tasks);
    top.finish();
    resolve_queues(&mut cx, &mut config, &tasks);
    config.tasks = tasks.configs;
    let (provenance, warnings) = cx.finish()?;
    Ok(Loaded { config, provenance, warnings, file })
}

/// A worker that names no queues takes from all that are named. One that does in the file is asked whether it left one
/// out; by flag or environment, workers share the queues of one file among them.
fn resolve_queues(cx: &mut Context<'_>, config: &mut Config, tasks: &Tasks) {
    let queues = &mut config.worker.queues;
    if queues.is_empty() {
        let named = config.queues.keys().chain(tasks.queues.iter().map(|(queue, _)| queue)).cloned();
        let all: std::collections::BTreeSet<QueueName> = named.chain([QueueName::default_queue()]).collect();
        queues.extend(all.into_iter().map(|queue| (queue, 0)));
    } else if cx.is_from_file("worker", "queues") {
        for (queue, at) in &tasks.queues {
            if !queues.iter().any(|(taken, _)| taken == queue) {
                cx.warn(at.clone(), format!("the worker described here takes nothing from `{queue}`"));
            }
        }
    }
    for (queue, weight) in queues.iter_mut().filter(|(_, weight)| *weight == 0) {
        *weight = config.queues.get(queue).and_then(|queue| queue.weight).unwrap_or(1);
    }
    cx.amend("worker", "queues", queues.show());
}

/// The file that was asked for, or the one in the working directory if there is one.
fn find_file(sources: &Sources<'_>) -> Result<Option<(PathBuf, String)>, ConfigErrors> {
    let from_env = || (sources.env)("UPBEAT_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let asked = sources.flags.config.clone().or_else(from_env);
    let path = asked.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let refuse = |message: String, help: &str| {
        let error = ConfigError { place: Place::File(path.clone()), message, help: Some(help.to_owned()) };
        Err(ConfigErrors::new(vec![error], 0))
    };
    match (sources.read)(&path) {
        Ok(text) if text.len() > MAX_BYTES => {
            refuse("this file is too large for a configuration".into(), "it may have up to 1 MiB")
        }
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && asked.is_none() => Ok(None),
        Err(error) => refuse(
            format!("cannot read the configuration: {error}"),
            "name another file with --config or UPBEAT_CONFIG; `upbeat init` writes one to begin with",
        ),
    }
}
