//! How a worker behaves. Plain data; checked once, when the worker starts.

use std::collections::HashSet;
use std::time::Duration;

use upbeat_shared::hook::Notices;
use upbeat_shared::limit::LimitPolicies;
use upbeat_shared::member;
use upbeat_shared::message::Limits;
use upbeat_shared::name::{Namespace, QueueName};
use upbeat_shared::retry::RetryPolicy;

/// How a worker behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerOptions {
    /// Whose world it works in.
    pub namespace: Namespace,
    /// What it is called in listings; `host:pid` unless told.
    pub name: String,
    /// The version of the program, for listings.
    pub version: String,
    /// The queues it takes work from, each with its weight: 1 to [`WorkerOptions::MAX_WEIGHT`].
    pub queues: Vec<(QueueName, u32)>,
    /// How many tasks it runs at once at most.
    pub concurrency: u32,
    /// How many threads it has for handlers that block; as many tasks of such handlers run at once. They are started with
    /// the worker, if it has such a handler.
    pub blocking_threads: u32,
    /// How long its heartbeat may stand still before a beat declares it lost. It renews every fifth of it.
    pub lease: Duration,
    /// How long running tasks may take to finish when the worker stops.
    pub grace: Duration,
    /// How long a run that was told to stop (cancelled, out of time) may go on before it is dropped, where its task does not
    /// say.
    pub cancel_grace: Duration,
    /// A task is dead that was lost so many times; the second to last time, at most after two, it runs alone.
    pub max_crashes: u32,
    /// How many suspects run at once, each alone in a process of its own; the number of cores unless told.
    pub suspects: u32,
    /// How long one run may take, where neither the message nor the task says.
    pub default_timeout: Duration,
    /// When to retry, where neither the message nor the task says.
    pub default_retry: RetryPolicy,
    /// What a message may cost. A result larger than a body may be is not kept.
    pub limits: Limits,
    /// How many tasks run at once and how often one starts, over all workers, beside what the tasks themselves say. Every
    /// worker of these tasks and queues must know them.
    pub policies: LimitPolicies,
    /// What happens to a task whose name is unknown here. One whose arguments are newer than the handler here waits with the
    /// same delays, but for as long as it takes.
    pub unknown_name: UnknownName,
    /// Which events become tasks that tell the operator.
    pub notices: Notices,
}

/// What happens to a task whose name is unknown here: it is parked, because a newer worker may be on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The first delay; doubled with every further one.
    pub delay: Duration,
    /// What the delay never exceeds.
    pub max_delay: Duration,
    /// Unknown for longer than this, the task is dead.
    pub dead_after: Duration,
}

impl Default for UnknownName {
    /// 1 s, doubled up to 5 minutes; dead after an hour.
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(1),
            max_delay: Duration::from_mins(5),
            dead_after: Duration::from_hours(1),
        }
    }
}

impl Default for WorkerOptions {
    /// The queue `default`, 100 tasks at once, a blocking thread for each core, 25 s to finish (a pod gets 30), 10 s to obey, an hour for a run.
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            name: format!("{}:{}", host(), std::process::id()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: vec![(QueueName::default_queue(), 1)],
            concurrency: 100,
            blocking_threads: cores(),
            lease: member::LEASE,
            grace: Duration::from_secs(25),
            cancel_grace: Duration::from_secs(10),
            max_crashes: 3,
            suspects: cores(),
            default_timeout: Duration::from_hours(1),
            default_retry: RetryPolicy::default(),
            limits: Limits::default(),
            policies: LimitPolicies::default(),
            unknown_name: UnknownName::default(),
            notices: Notices::default(),
        }
    }
}

impl WorkerOptions {
    /// The highest weight of a queue.
    pub const MAX_WEIGHT: u32 = 1000;
    /// The most tasks at once.
    pub const MAX_CONCURRENCY: u32 = 65_536;
    /// The most threads for handlers that block.
    pub const MAX_BLOCKING_THREADS: u32 = 1024;
    /// The shortest lease: renewing it must leave room for a slow answer.
    pub const MIN_LEASE: Duration = Duration::from_secs(1);

    /// Says what is wrong, for a person.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.queues.is_empty() {
            return Err("the worker has no queue to take work from; name at least one".into());
        }
        let mut seen = HashSet::new();
        for (queue, weight) in &self.queues {
            if *queue == QueueName::undeliverable() {
                return Err("the queue \"undeliverable\" is emptied by the beat, not by workers".into());
            }
            if !seen.insert(queue) {
                return Err(format!("the queue {queue} is named twice; name it once, with its weight"));
            }
            if !(1..=Self::MAX_WEIGHT).contains(weight) {
                return Err(format!(
                    "the queue {queue} has the weight {weight}; a weight is 1 to {}",
                    Self::MAX_WEIGHT
                ));
            }
        }
        if !(1..=Self::MAX_CONCURRENCY).contains(&self.concurrency) {
            return Err(format!(
                "the concurrency is {}; it is 1 to {}",
                self.concurrency,
                Self::MAX_CONCURRENCY
            ));
        }
        if !(1..=Self::MAX_BLOCKING_THREADS).contains(&self.blocking_threads) {
            return Err(format!(
                "there are {} blocking threads; there can be 1 to {}",
                self.blocking_threads,
                Self::MAX_BLOCKING_THREADS
            ));
        }
        if self.lease < Self::MIN_LEASE {
            return Err(format!("the lease is {:?}; it is at least {:?}", self.lease, Self::MIN_LEASE));
        }
        Ok(())
    }
}

/// How many threads this process can run at once, as far as the system tells.
fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores)
        .map_or(WorkerOptions::MAX_BLOCKING_THREADS, |cores| cores.min(WorkerOptions::MAX_BLOCKING_THREADS))
}

/// The host's name, as far as it can be known without asking the network.
fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let told = || ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let name = kernel.or_else(told).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_queues(queues: &[(&str, u32)]) -> WorkerOptions {
        let queues = queues.iter().map(|(name, weight)| (QueueName::new(name).unwrap(), *weight)).collect();
        WorkerOptions { queues, ..WorkerOptions::default() }
    }

    #[test]
    fn the_defaults_hold() {
        assert_eq!(WorkerOptions::default().check(), Ok(()));
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        let refused = |options: WorkerOptions| options.check().unwrap_err();
        assert!(refused(with_queues(&[])).contains("name at least one"));
        assert!(refused(with_queues(&[("a", 1), ("a", 2)])).contains("twice"));
        assert!(refused(with_queues(&[("a", 0)])).contains("weight is 1 to 1000"));
        assert!(refused(with_queues(&[("undeliverable", 1)])).contains("beat"));
        assert!(
            refused(WorkerOptions { concurrency: 0, ..WorkerOptions::default() }).contains("concurrency")
        );
    }
}
