//! The adapters in memory pass every suite of their ports, answer as those on a file do, and do the same in every run.

mod history;
mod twins;

use history::History;
use twins::Twins;

mod ledger {
    upbeat_tests::ledger_conformance!(upbeat_tests::conformance::memory::Ledger);
}

mod transport {
    upbeat_tests::transport_conformance!(upbeat_tests::conformance::memory::Broker);
}

#[tokio::test]
async fn to_any_history_the_ledger_in_memory_answers_as_the_embedded_one_does() {
    for seed in 1..=3 {
        let twins = Twins::in_memory_and_embedded().await;
        History::new(seed).tell(&twins, 1200).await;
    }
}

#[tokio::test]
async fn the_same_history_gets_the_same_answers_in_the_same_order() {
    let twins = Twins::in_memory();
    History::new(0x0dd_5eed).tell(&twins, 5000).await;
}
