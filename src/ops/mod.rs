//! Health and metrics over HTTP: for load balancers, orchestrators and Prometheus. Never a way to act on tasks.

mod endpoints;
mod metrics;
mod process;

pub(crate) use endpoints::{Endpoints, serve};
pub(crate) use metrics::Metrics;
