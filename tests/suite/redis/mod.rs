//! The ledger on Redis passes the suite of its ports, and keeps its own promises.

mod connections;
mod forgotten;
mod keys;
mod memory;
mod odd;
mod program;
mod refused;
mod worker;

mod ledger {
    upbeat_tests::ledger_conformance!(upbeat_tests::conformance::redis::Ledger);
}
