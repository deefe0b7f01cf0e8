//! Connections that break, stall and come back; scripts that the server forgets. Nothing is lost, nothing is done twice.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::ledger::{Inspect, Ledger, LedgerError, TaskFilter};
use upbeat_shared::task::TaskState;
use upbeat_tests::conformance::redis::{Connection, Space, ask, connect};
use upbeat_tests::services::{Kind, Server};

use super::worker::{insist, work};

/// Works with several workers while something is done to the server again and again; answers how many calls failed.
async fn work_while(space: &Space, mut disturb: impl FnMut(&mut Connection)) -> u32 {
    let ledger = space.open(4).await;
    let failures = AtomicU32::new(0);
    let mut times = 0;
    let disturbing = async {
        let mut connection = connect(&space.url);
        loop {
            disturb(&mut connection);
            times += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let working = async {
        tokio::join!(work(&ledger, &failures, 40), work(&ledger, &failures, 40), work(&ledger, &failures, 40))
    };
    let (one, other, third) = tokio::select! {
        done = working => done,
        () = disturbing => panic!("it disturbs to the end"),
    };
    assert!(times > 3, "it was hardly disturbed: {times}");

    let done = one.len() + other.len() + third.len();
    let counts = insist(&failures, async || ledger.queues().await).await;
    assert_eq!(counts.len(), 1);
    assert_eq!(counts[0].counts, [(TaskState::Succeeded, done as u64)], "each once, and nothing else");
    failures.load(Ordering::Relaxed)
}

#[tokio::test]
async fn connections_that_are_cut_under_load_lose_nothing() {
    let server = Server::start(Kind::Redis).await;
    let space = Space::on(server.url().parse().expect("a URL"));

    let failures = work_while(&space, |connection| {
        ask::<i64>(connection, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    })
    .await;

    assert!(failures > 0, "no call was cut: the test shows nothing");
}

#[tokio::test]
async fn scripts_that_the_server_forgets_are_sent_again_and_nobody_notices() {
    let server = Server::start(Kind::Redis).await;
    let space = Space::on(server.url().parse().expect("a URL"));

    let failures = work_while(&space, |connection| {
        ask::<()>(connection, &["SCRIPT", "FLUSH"]);
    })
    .await;

    assert_eq!(failures, 0, "a forgotten script is no failure");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time_and_used_again() {
    let server = Server::start(Kind::Redis).await;
    let space = Space::on(server.url().parse().expect("a URL"));
    let ledger = space.open(1).await;
    ledger.now().await.expect("it answers");
    let clock = SystemClock::default();

    space.ask::<()>(&["CLIENT", "PAUSE", "60000", "ALL"]);
    let asked = clock.monotonic();
    let answer = ledger.now().await;

    let waited = clock.monotonic().saturating_sub(asked);
    assert!(matches!(answer, Err(LedgerError::Unavailable(_))), "{answer:?}");
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    // What ends a pause waits behind it; ending the server ends it too.
    drop(server);
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let mut server = Server::start(Kind::Redis).await;
    let space = Space::on(server.url().parse().expect("a URL"));
    let ledger = space.open(2).await;

    server.kill().await;
    let answer = ledger.list(TaskFilter::default(), None, 10).await;
    assert!(matches!(answer, Err(LedgerError::Unavailable(_))), "{answer:?}");
    server.start_again().await;

    let failures = AtomicU32::new(0);
    work(&ledger, &failures, 2).await;
    assert_eq!(failures.load(Ordering::Relaxed), 0, "connections that have ended are not used again");
}
