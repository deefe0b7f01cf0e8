//! The metrics of this process, as Prometheus reads them.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use upbeat_shared::telemetry;

/// Upper bounds of histograms, in seconds: from a millisecond, where queues wait, to an hour, where tasks run.
const SECONDS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 600.0, 3600.0];

/// How often what was measured is folded into buckets, so that it takes no more room.
const UPKEEP: Duration = Duration::from_secs(5);

/// What was measured since the process started.
#[derive(Clone)]
pub(crate) struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Makes this process measure. Only once in a process; the user's own recorder, if there is one, stays.
    pub(crate) fn install() -> Result<Self, String> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .map_err(|error| error.to_string())?;
        let handle = builder.install_recorder().map_err(|error| error.to_string())?;
        telemetry::describe();
        metrics::gauge!(telemetry::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle })
    }

    /// In Prometheus's text format.
    pub(crate) fn render(&self) -> String {
        super::process::show();
        self.handle.render()
    }

    /// Keeps the measurements small until told to stop.
    pub(crate) async fn keep_up(self, stop: CancellationToken) {
        let mut every = tokio::time::interval(UPKEEP);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}
