//! The ledger on Redis passes the suite of its ports, and keeps its own promises.

mod ledger {
    upbeat_tests::ledger_conformance!(upbeat_tests::conformance::redis::Ledger);
}
