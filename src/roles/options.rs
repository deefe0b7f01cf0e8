//! The configuration, as beat and worker take it.

#[cfg(feature = "beat")]
use upbeat_broker::BeatOptions;
use upbeat_shared::config::Config;
use upbeat_shared::limit::LimitPolicies;
use upbeat_worker::WorkerOptions;

/// How the beat behaves.
#[cfg(feature = "beat")]
pub(crate) fn beat(config: &Config) -> BeatOptions {
    BeatOptions {
        namespace: config.namespace.clone(),
        name: member_name(config),
        lease: config.ledger.lease,
        max_crashes: config.beat.max_crashes,
        overdue_after: config.beat.overdue_after,
        retention: config.retention,
        limits: config.limits,
        fair: config.fair_queues(),
        notices: config.hooks.notices(),
        ..BeatOptions::default()
    }
}

/// How the worker behaves.
pub(crate) fn worker(config: &Config) -> WorkerOptions {
    let defaults = WorkerOptions::default();
    WorkerOptions {
        namespace: config.namespace.clone(),
        name: member_name(config),
        queues: config.worker.queues.clone(),
        concurrency: config.worker.concurrency,
        blocking_threads: config.worker.blocking_threads.unwrap_or(defaults.blocking_threads),
        lease: config.ledger.lease,
        grace: config.worker.grace,
        cancel_grace: config.worker.cancel_grace,
        max_crashes: config.beat.max_crashes,
        default_timeout: config.worker.timeout,
        default_retry: config.worker.retry,
        limits: config.limits,
        policies: queue_limits(config),
        notices: config.hooks.notices(),
        ..defaults
    }
}

/// Those of queues; tasks bring their own.
fn queue_limits(config: &Config) -> LimitPolicies {
    let mut policies = LimitPolicies::default();
    let limited = config.queues.iter().filter(|(_, queue)| !queue.limit.is_none());
    policies.queues = limited.map(|(name, queue)| (name.clone(), queue.limit)).collect();
    policies
}

/// What listings call the members of this process.
pub(crate) fn member_name(config: &Config) -> String {
    config.worker.name.clone().unwrap_or_else(|| WorkerOptions::default().name)
}

/// What broker and ledger call the connections of this process.
pub(crate) fn connection_name(config: &Config, role: &str) -> String {
    format!("upbeat {role} {}", member_name(config))
}

/// What the names of this host's members begin with, where nobody named them.
#[cfg(feature = "cli")]
pub(crate) fn host_prefix() -> String {
    let name = WorkerOptions::default().name;
    let host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
    format!("{host}:")
}
