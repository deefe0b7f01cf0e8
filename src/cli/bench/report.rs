//! The table of a benchmark, line by line as its parts end.

use std::time::Duration;

use serde_json::json;

use super::super::failure::Failure;
use super::super::output::Output;
use super::measure::{Load, Taken};
use super::world::World;

/// Prints what was measured.
pub(super) struct Report<'a> {
    output: &'a Output,
}

/// A percentile that is shown, in per mille, with its name.
const PERCENTILES: [(&str, usize); 3] = [("p50", 500), ("p95", 950), ("p99", 990)];

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
    pub(super) fn latency(
        &self,
        load: &Load,
        times: &[Duration],
        raw: Option<&Vec<Duration>>,
    ) -> Result<(), Failure> {
        for (name, per_mille) in PERCENTILES {
            let (ours, theirs) =
                (percentile(times, per_mille), raw.and_then(|raw| percentile(raw, per_mille)));
            let part = format!("publish to start at {}/s, {name}", load.rate);
            let human = || {
                let text = |time: Option<Duration>| {
                    time.map_or_else(|| "-".to_owned(), |time| format!("{:.2} ms", millis(time)))
                };
                let ratio = ours.zip(theirs).map_or_else(
                    || "-".to_owned(),
                    |(ours, theirs)| format!("{:.2}", millis(ours) / millis(theirs)),
                );
                format!("{part:<40}{:>14}{:>14}{ratio:>9}{:>16}", text(ours), text(theirs), "-")
            };
            self.output.result(human, || {
                json!({ "part": part, "milliseconds": ours.map(millis), "raw_milliseconds": theirs.map(millis) })
            })?;
        }
        Ok(())
    }
}

/// Of times that are sorted; `None` if there are none.
fn percentile(times: &[Duration], per_mille: usize) -> Option<Duration> {
    let index = (times.len() * per_mille / 1000).min(times.len().checked_sub(1)?);
    times.get(index).copied()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 500), Some(Duration::from_millis(51)));
        assert_eq!(percentile(&times, 990), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&times[..1], 990), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 500), None);
    }
}
