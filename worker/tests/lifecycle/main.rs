//! A worker's life on the embedded adapters, with a ledger that fails and a broker that remembers.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected fails there")]

mod blocking;
mod bounds;
mod faults;
mod hooks;
mod jobs;
mod layers;
mod notices;
mod outages;
mod progress;
mod stopping;
mod taking;
mod versions;
mod world;
