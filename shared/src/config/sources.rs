//! Where configuration comes from: flags, environment, file. Nothing else reads any of them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::message::Priority;
use crate::name::{QueueName, TaskName};
use crate::retry::RetryPolicy;
use crate::typed::ArgsVersions;

/// The places that a configuration is read from; earlier ones win: flags, environment, file.
pub struct Sources<'a> {
    /// What the command line says.
    pub flags: Overrides,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file: the configuration, and those that `*_file` keys name.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Tasks that are handlers of this very program: they need no executor, and schedules may name them.
    pub known: &'a [KnownTask],
}

/// A task that is a handler of this very program, with what the handler's type says of it: what the file says wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTask {
    /// Its name.
    pub name: TaskName,
    /// The queue that its publishers use.
    pub queue: Option<QueueName>,
    /// The priority that its publishers use.
    pub priority: Option<Priority>,
    /// How long one run may take.
    pub timeout: Option<Duration>,
    /// How long it may take before it is told to wind up.
    pub soft_timeout: Option<Duration>,
    /// When to retry.
    pub retry: Option<RetryPolicy>,
    /// Which versions of its arguments it reads; every one where nothing is said.
    pub args: Option<ArgsVersions>,
}

impl KnownTask {
    /// One that says nothing but its name.
    pub fn new(name: TaskName) -> Self {
        Self { name, queue: None, priority: None, timeout: None, soft_timeout: None, retry: None, args: None }
    }
}

/// What the command line says; each names its flag.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`: the file. Without it `UPBEAT_CONFIG`, or else `upbeat.toml` in the working directory if there is one.
    pub config: Option<PathBuf>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--broker`: a URL.
    pub broker: Option<String>,
    /// `--ledger`: a URL.
    pub ledger: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// `--queues`: such as `critical=6,default=3,low`.
    pub queues: Option<String>,
    /// `--concurrency`.
    pub concurrency: Option<u32>,
    /// `--worker-name`.
    pub worker_name: Option<String>,
    /// `--grace`: a duration.
    pub grace: Option<String>,
    /// `--listen`: an address and a port.
    pub listen: Option<String>,
    /// `--log`: a level, or a list of `target=level`.
    pub log: Option<String>,
    /// `--log-format`.
    pub log_format: Option<String>,
}

impl Sources<'static> {
    /// This process's environment and files, and these flags.
    pub fn process(flags: Overrides) -> Self {
        Self {
            flags,
            env: &|name| std::env::var(name).ok(),
            read: &|path| std::fs::read_to_string(path),
            known: &[],
        }
    }
}

impl Overrides {
    /// By flag, as texts; all but the file.
    pub(super) fn texts(&self) -> BTreeMap<&'static str, String> {
        let flags = [
            ("--data", self.data.as_ref().map(|data| data.display().to_string())),
            ("--broker", self.broker.clone()),
            ("--ledger", self.ledger.clone()),
            ("--namespace", self.namespace.clone()),
            ("--queues", self.queues.clone()),
            ("--concurrency", self.concurrency.map(|concurrency| concurrency.to_string())),
            ("--worker-name", self.worker_name.clone()),
            ("--grace", self.grace.clone()),
            ("--listen", self.listen.clone()),
            ("--log", self.log.clone()),
            ("--log-format", self.log_format.clone()),
        ];
        flags.into_iter().filter_map(|(flag, text)| Some((flag, text?))).collect()
    }
}

impl fmt::Debug for Overrides {
    /// Which flags are given; a URL among them may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.config.as_ref().map(|_| "--config")).entries(self.texts().keys()).finish()
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("flags", &self.flags)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}
