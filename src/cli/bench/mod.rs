//! `upbeat bench`: what this machine, this broker and this ledger reach, beside the broker's own limit.

mod limits;
mod measure;
#[cfg_attr(not(feature = "amqp"), path = "no_raw.rs")]
mod raw;
mod report;
mod world;

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::context::Context;
use super::failure::Failure;
use super::moment::parse_duration;
use crate::logging;
use measure::Load;
use raw::Baseline;
use report::Report;
use world::World;

const EXAMPLES: &str = "\
Examples:
  upbeat bench
  upbeat bench --broker amqp://127.0.0.1 --ledger postgres://127.0.0.1/upbeat --tasks 100000
  upbeat bench --rate 1000 --seconds 10s --json";

/// Measure publishing, running and settling of no-op tasks
///
/// Works in a namespace of its own, `bench-…`, which is removed at the end: nothing of yours is touched, and nothing stays. On
/// RabbitMQ the same is done by a plain AMQP loop in the same process with the same durability, and the ratio is printed. CPU is this
/// process's own, without broker and ledger.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchCommand {
    /// How many tasks each part publishes and runs
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    tasks: u32,
    /// How long the arguments of each are
    #[arg(long, value_name = "BYTES", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    payload: u32,
    /// Tasks a second, where the time from publish to start is measured; 0 leaves that part out
    #[arg(long, value_name = "R", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=100_000))]
    rate: u32,
    /// For how long that time is measured
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    seconds: Duration,
    /// How many tasks the worker runs at once
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    concurrency: u32,
    /// What the queue is on RabbitMQ; workers use quorum queues
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = QueueKind::Quorum)]
    queue_type: QueueKind,
    /// Measure limits and a fair queue too, each beside the same without one
    #[arg(long)]
    limits: bool,
    /// Leave out the plain AMQP loop
    #[arg(long)]
    no_raw: bool,
}

/// What a queue is on RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueueKind {
    /// Replicated, written to disk before it is confirmed
    Quorum,
    /// On one node
    Classic,
}

impl BenchCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        logging::for_a_command(context.global.verbosity(), &settings.loaded, &context.clock);
        let load = Load {
            tasks: self.tasks as usize,
            payload: self.payload as usize,
            rate: self.rate,
            seconds: self.seconds,
            concurrency: self.concurrency,
            limits: self.limits,
        };
        let config = &world::config(settings.config())?;
        let mut report = Report::new(&context.output);
        let world = World::open(config, &context.clock, self.queue_type).await?;
        // Whatever goes wrong from here on, what was made is removed.
        let baseline = if self.no_raw {
            Ok(None)
        } else {
            Baseline::open(config, &context.clock, self.queue_type).await
        };
        let measured = match baseline {
            Ok(baseline) => measure_both(&load, &world, baseline, &mut report).await,
            Err(failure) => Err(failure),
        };
        let removed = world.remove().await;
        measured.and(removed)
    }
}

/// Measures until the end or until Ctrl-C, and removes the plain loop's queue.
async fn measure_both(
    load: &Load,
    world: &World,
    baseline: Option<Baseline>,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let measured = tokio::select! {
        measured = compare(load, world, baseline.as_ref(), report) => measured,
        _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted")),
    };
    let removed = match baseline {
        Some(baseline) => baseline.remove().await,
        None => Ok(()),
    };
    measured.and(removed)
}

/// Each part by the plain loop first, then by Upbeat.
async fn compare(
    load: &Load,
    world: &World,
    baseline: Option<&Baseline>,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    report.title(load, world)?;
    let raw = match baseline {
        Some(baseline) => Some(baseline.throughput(load).await?),
        None => None,
    };
    let publish = measure::publish(load, world).await?;
    report.rate("publish, confirmed", &publish, raw.map(|raw| raw.publish))?;
    let drain = measure::drain(load, world).await?;
    report.rate("drain: claim, run, settle, acknowledge", &drain, raw.map(|raw| raw.drain))?;
    let both = measure::both(load, world).await?;
    report.rate("publish to settled, both at once", &both, None)?;
    if load.limits {
        limits::compare(load, world, report).await?;
    }
    if load.rate == 0 {
        return Ok(());
    }
    let raw = match baseline {
        Some(baseline) => Some(baseline.latency(load).await?),
        None => None,
    };
    let latency = measure::latency(load, world).await?;
    report.latency(load, &latency, raw.as_ref())
}
