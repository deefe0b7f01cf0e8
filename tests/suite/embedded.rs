//! The embedded adapters pass every suite of their ports.

mod ledger {
    upbeat_tests::ledger_conformance!(upbeat_tests::conformance::embedded::Ledger);
}

mod transaction {
    upbeat_tests::transaction_conformance!(upbeat_tests::conformance::embedded::Ledger);
}

mod transport {
    upbeat_tests::transport_conformance!(upbeat_tests::conformance::embedded::Broker);
}
