//! The ledger on Redis passes the suite of its ports, and keeps its own promises.

mod connections;
mod forgotten;
mod keys;
mod memory;
mod odd;
mod program;
mod refused;
mod worker;

mod on_redis_7 {
    upbeat_tests::ledger_conformance!(upbeat_tests::conformance::redis::Redis7);
}

mod on_redis_8 {
    upbeat_tests::ledger_conformance!(upbeat_tests::conformance::redis::Redis8);
}

mod on_valkey {
    upbeat_tests::ledger_conformance!(upbeat_tests::conformance::redis::Valkey);
}
