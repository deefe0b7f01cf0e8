//! The ledger on Postgres passes the suite of its ports, and keeps its own promises.

mod claimed;
mod connections;
mod crowd;
mod plans;
mod schema;
mod text;
mod unique;

mod ledger {
    upbeat_tests::ledger_conformance!(upbeat_tests::conformance::postgres::Ledger);
}

mod transaction {
    upbeat_tests::transaction_conformance!(upbeat_tests::conformance::postgres::Ledger);
}
