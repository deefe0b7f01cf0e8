//! The configuration in its typed form: checked, complete, with every default filled in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
use super::url::{BrokerUrl, LedgerUrl, ServiceUrl};
use crate::client::Record;
use crate::hook::{DEAD_NOTICE, Notices, OVERDUE_NOTICE};
use crate::ledger::{NewSchedule, Retention};
use crate::limit::{FairPolicy, FairQueues, LimitPolicy};
use crate::member::LEASE;
use crate::message::Limits;
use crate::name::{Namespace, QueueName, TaskName};
use crate::reaction::Reactions;
use crate::retry::RetryPolicy;

/// Everything that a role of Upbeat can be told.
///
/// [`Config::default`] is what [`load`](super::load) answers without a file, an environment and flags.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whose world it is: a prefix of every exchange, queue, key and row.
    pub namespace: Namespace,
    /// Where the embedded broker and ledger keep their file.
    pub data: PathBuf,
    /// Where tasks travel.
    pub broker: BrokerConfig,
    /// Where tasks are remembered.
    pub ledger: LedgerConfig,
    /// How tasks are run.
    pub worker: WorkerConfig,
    /// How time becomes tasks.
    pub beat: BeatConfig,
    /// The endpoint for health and metrics.
    pub http: HttpConfig,
    /// Who is told of dead and overdue tasks.
    pub hooks: HooksConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// How long what is kept.
    pub retention: Retention,
    /// What a message may cost.
    pub limits: Limits,
    /// Queues with settings of their own.
    pub queues: BTreeMap<QueueName, QueueConfig>,
    /// Tasks that this process can run.
    pub tasks: BTreeMap<TaskName, TaskConfig>,
    /// Schedules of the file, in its order.
    pub schedules: Vec<NewSchedule>,
}

/// `[broker]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// Which broker. A kind that this program was built without is refused when it is opened, not here.
    pub url: BrokerUrl,
    /// Make exchange and queues where they are missing. Otherwise somebody else provides them.
    pub declare: bool,
    /// Where RabbitMQ's management API answers, with the user that asks; without one, the broker URL's user asks.
    pub management: Option<ServiceUrl>,
    /// How the broker is known, and how this program shows who it is.
    pub tls: TlsFiles,
}

/// Files for TLS, in PEM. Without any, a server is known by the system's certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that servers are known by, in place of the system's.
    pub ca: Option<PathBuf>,
    /// This program's own certificate, and those between it and an authority.
    pub cert: Option<PathBuf>,
    /// The certificate's private key.
    pub key: Option<PathBuf>,
}

/// `[ledger]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerConfig {
    /// Which store. A kind that this program was built without is refused when it is opened, not here.
    pub url: LedgerUrl,
    /// How many connections a process opens at most.
    pub connections: u32,
    /// How the store is known, and how this program shows who it is.
    pub tls: TlsFiles,
    /// How long a member's heartbeat may stand still before a beat declares it lost.
    pub lease: Duration,
}

/// `[worker]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// Its name in listings; `host:pid` where there is none.
    pub name: Option<String>,
    /// The queues it takes work from, by name, with their weights (at least 1). Empty, as in a configuration that was not
    /// loaded, for all that its tasks and schedules name.
    pub queues: Vec<(QueueName, u32)>,
    /// How many tasks it runs at once, at least 1.
    pub concurrency: u32,
    /// How many of them block their thread at once, at least 1; the number of cores where nothing is said.
    pub blocking_threads: Option<u32>,
    /// How long running tasks may go on after the worker was asked to stop.
    pub grace: Duration,
    /// How long a run may go on after it was told to stop, for tasks that say nothing.
    pub cancel_grace: Duration,
    /// How long one run may take, for tasks that say nothing.
    pub timeout: Duration,
    /// When failed tasks run again, for tasks that say nothing.
    pub retry: RetryPolicy,
}

/// `[beat]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BeatConfig {
    /// A task during whose runs so many workers were lost is dead.
    pub max_crashes: u32,
    /// So long after its instant, an occurrence whose task has not started is overdue, unless its schedule says otherwise.
    pub overdue_after: Duration,
}

/// `[http]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Where health and metrics are served; nowhere if `None`.
    pub listen: Option<SocketAddr>,
    /// Answer `POST /echo` with its own body, for trying out tasks with `http`.
    pub echo: bool,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogConfig {
    /// A level, or a list of `target=level`, as in `RUST_LOG`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For reading.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[queues.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueConfig {
    /// When a row is made for a task that is published now; the broker's default if `None`.
    pub record: Option<Record>,
    /// Its weight among a worker's queues, where the worker names none.
    pub weight: Option<u32>,
    /// How many of its tasks run at once, and how often one starts, over all workers.
    pub limit: LimitPolicy,
    /// How its tenants share it, if it is a fair queue.
    pub fair: Option<FairPolicy>,
}

impl Config {
    /// Its fair queues.
    pub fn fair_queues(&self) -> FairQueues {
        let fair = self.queues.iter().filter_map(|(name, queue)| Some((name.clone(), queue.fair.clone()?)));
        FairQueues(fair.collect())
    }
}

/// `[tasks.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskConfig {
    /// The queue of tasks that are published without one.
    pub queue: QueueName,
    /// How long one run may take.
    pub timeout: Duration,
    /// How long a run may go on after it was told to stop, where that is said of it.
    pub cancel_grace: Option<Duration>,
    /// How long one run may take before it is told to wind up, if anybody is to tell it.
    pub soft_timeout: Option<Duration>,
    /// When a failed task runs again.
    pub retry: RetryPolicy,
    /// What becomes of failures by their code, where it is something else.
    pub on: Reactions,
    /// How many of these tasks run at once, and how often one starts, over all workers.
    pub limit: LimitPolicy,
    /// The same of each key by itself.
    pub limit_per_key: LimitPolicy,
    /// When its delivery is acknowledged.
    pub ack: Ack,
    /// What runs it.
    pub executor: ExecutorConfig,
    /// The line of the file on which it is described; 0 if nothing is.
    pub line: usize,
}

/// When the broker may forget a delivery. Either way the ledger keeps the task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// After the run was settled.
    #[default]
    Settled,
    /// As soon as the task is claimed: for runs that may be longer than the broker waits for an acknowledgement.
    Claimed,
}

impl Ack {
    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Claimed => "claimed",
        }
    }
}

/// What runs a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorConfig {
    /// A program, started without a shell; the arguments arrive as JSON on its standard input.
    Command {
        /// The program, looked up in `PATH`.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// Environment variables beyond those of the worker.
        env: BTreeMap<String, Secret>,
        /// Where it runs; the worker's own directory if `None`.
        cwd: Option<PathBuf>,
        /// How many bytes of each output stream are kept.
        output_limit: usize,
    },
    /// A POST request with the arguments as its JSON body.
    Http(HttpTarget),
    /// A handler of this very program.
    Native,
}

/// An endpoint that gets POST requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Where to.
    pub url: ServiceUrl,
    /// Further headers.
    pub headers: BTreeMap<String, Secret>,
    /// Signs each request with an HMAC, if given.
    pub secret: Option<Secret>,
}

/// `[hooks]`: the endpoints that are told of events, by tasks of Upbeat's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HooksConfig {
    /// Of dead tasks.
    pub dead: Option<WebhookConfig>,
    /// Of overdue tasks.
    pub overdue: Option<WebhookConfig>,
}

/// `[hooks.EVENT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookConfig {
    /// Who is told.
    pub target: HttpTarget,
    /// The queue in which notices wait for a worker.
    pub queue: QueueName,
    /// How long one request may take.
    pub timeout: Duration,
    /// When a notice is sent again that was not heard.
    pub retry: RetryPolicy,
}

impl HooksConfig {
    /// Which events become tasks, as beats and workers make them.
    pub fn notices(&self) -> Notices {
        let queue = |webhook: &Option<WebhookConfig>| webhook.as_ref().map(|webhook| webhook.queue.clone());
        Notices { dead: queue(&self.dead), overdue: queue(&self.overdue) }
    }

    /// The notices' tasks, by name.
    pub fn tasks(&self) -> impl Iterator<Item = (&'static str, &WebhookConfig)> {
        let named = [(DEAD_NOTICE, &self.dead), (OVERDUE_NOTICE, &self.overdue)];
        named.into_iter().filter_map(|(name, webhook)| Some((name, webhook.as_ref()?)))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            data: PathBuf::from(".upbeat"),
            broker: BrokerConfig::default(),
            ledger: LedgerConfig::default(),
            worker: WorkerConfig::default(),
            beat: BeatConfig::default(),
            http: HttpConfig::default(),
            hooks: HooksConfig::default(),
            log: LogConfig::default(),
            retention: Retention::default(),
            limits: Limits::default(),
            queues: BTreeMap::new(),
            tasks: BTreeMap::new(),
            schedules: Vec::new(),
        }
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self { url: BrokerUrl::default(), declare: true, management: None, tls: TlsFiles::default() }
    }
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { url: LedgerUrl::default(), connections: 8, tls: TlsFiles::default(), lease: LEASE }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            name: None,
            queues: Vec::new(),
            concurrency: 64,
            blocking_threads: None,
            grace: Duration::from_secs(25),
            cancel_grace: Duration::from_secs(10),
            timeout: Duration::from_secs(3600),
            retry: RetryPolicy::default(),
        }
    }
}

impl Default for BeatConfig {
    fn default() -> Self {
        Self { max_crashes: 3, overdue_after: Duration::from_secs(60) }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

impl LogFormat {
    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}
