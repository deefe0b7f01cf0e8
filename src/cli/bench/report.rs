//! The table of a benchmark, line by line as its parts end.

use std::time::Duration;

use serde_json::json;

use super::super::failure::Failure;
use super::super::output::Output;
use super::measure::{Latency, Load, Taken};
use super::world::World;

/// Prints what was measured.
pub(super) struct Report<'a> {
    output: &'a Output,
}

impl<'a> Report<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output }
    }

    pub(super) fn title(&self, load: &Load, world: &World) -> Result<(), Failure> {
        let (broker, ledger) = world.describe();
        let human = || {
            format!(
                "{} tasks with {} bytes each, {} at once\nbroker  {broker}\nledger  {ledger}\n\n{:<40}{:>14}{:>14}{:>9}{:>16}",
                load.tasks,
                load.payload,
                load.concurrency,
                "",
                "upbeat",
                "plain AMQP",
                "ratio",
                "CPU per 10,000",
            )
        };
        self.output.result(human, || {
            json!({ "tasks": load.tasks, "payload": load.payload, "concurrency": load.concurrency, "broker": broker, "ledger": ledger })
        })
    }

    /// A rate, beside that of the plain loop if there is one.
    pub(super) fn rate(&self, part: &str, taken: &Taken, raw: Option<f64>) -> Result<(), Failure> {
        let rate = per_second(taken);
        let ratio = raw.map(|raw| rate / raw);
        let cpu = taken.cpu.map(|cpu| cpu.as_secs_f64() * 10_000.0 / count(taken.tasks));
        let human = || {
            let raw = raw.map_or_else(|| "-".to_owned(), |raw| format!("{raw:.0} /s"));
            let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let cpu = cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.2} s"));
            format!("{part:<40}{:>14}{raw:>14}{ratio:>9}{cpu:>16}", format!("{rate:.0} /s"))
        };
        self.output.result(human, || {
            json!({ "part": part, "per_second": rate, "raw_per_second": raw, "ratio": ratio, "cpu_seconds_per_10000": cpu })
        })
    }

    /// Percentiles of the time from publish to start.
    pub(super) fn latency(&self, load: &Load, ours: &Latency, raw: Option<&Latency>) -> Result<(), Failure> {
        for ((name, ours), at) in ours.shown().into_iter().zip(0..) {
            let raw = raw.map(|raw| millis(raw.shown()[at].1));
            let ours = millis(ours);
            let part = format!("publish to start at {}/s, {name}", load.rate);
            let human = || {
                let text = |time: f64| format!("{time:.2} ms");
                let ratio = raw.map_or_else(|| "-".to_owned(), |raw| format!("{:.2}", ours / raw));
                let raw = raw.map_or_else(|| "-".to_owned(), text);
                format!("{part:<40}{:>14}{raw:>14}{ratio:>9}{:>16}", text(ours), "-")
            };
            let json = || json!({ "part": part, "milliseconds": ours, "raw_milliseconds": raw });
            self.output.result(human, json)?;
        }
        Ok(())
    }
}

fn per_second(taken: &Taken) -> f64 {
    count(taken.tasks) / taken.time.as_secs_f64().max(1e-9)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "nobody runs 2^53 tasks")]
fn count(tasks: usize) -> f64 {
    tasks as f64
}
