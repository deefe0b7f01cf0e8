//! A worker's life on the embedded adapters, with a ledger that fails and a broker that remembers.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected fails there")]

mod faults;
mod jobs;
mod outages;
mod stopping;
mod taking;
mod versions;
mod world;
