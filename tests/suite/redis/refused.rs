//! Servers that will not do are refused before anything is written, and it is said why.

use upbeat_shared::config::ServiceUrl;
use upbeat_shared::ledger::redis::RedisLedger;
use upbeat_shared::ledger::{Agenda, Due, Inspect, LedgerError, Schema, TaskFilter};
use upbeat_shared::task::TaskState;
use upbeat_tests::conformance::redis::Space;
use upbeat_tests::message::{entry, message};
use upbeat_tests::services::{Kind, Server};

fn set(space: &Space, name: &str, value: &str) {
    space.ask::<()>(&["CONFIG", "SET", name, value]);
}

async fn server(configuration: &str) -> (Server, Space) {
    let server = Server::start_with(Kind::Redis, &[("extra.conf", configuration)]).await;
    let space = Space::on(server.url().parse().expect("a URL"));
    (server, space)
}

/// As somebody else than who made the space.
async fn open_as(space: &Space, user: &str) -> Result<std::sync::Arc<RedisLedger>, LedgerError> {
    let url = space.url.expose().replace("redis://", &format!("redis://{user}@"));
    let mut options = space.options(1);
    options.url = url.parse::<ServiceUrl>().expect("a URL");
    RedisLedger::open(options).await
}

#[tokio::test]
async fn a_server_that_throws_keys_away_is_refused() {
    let (_server, space) = server("").await;
    for policy in ["allkeys-lru", "volatile-lru", "allkeys-random", "volatile-ttl"] {
        set(&space, "maxmemory-policy", policy);

        let refused = RedisLedger::open(space.options(1)).await.expect_err("it may throw keys away");

        let said = refused.to_string();
        assert!(matches!(refused, LedgerError::Invalid(_)), "{said}");
        assert!(said.contains(policy) && said.contains("maxmemory-policy noeviction"), "{said}");
        assert!(space.keys().is_empty(), "{policy}: something was written");
    }
    set(&space, "maxmemory-policy", "noeviction");
    space.open(1).await;
}

#[tokio::test]
async fn where_its_settings_are_secret_the_server_still_tells_whether_it_throws_keys_away() {
    let configuration = "user tenant on >secret ~upbeat:* +@all -config\n\
                         user blind on >secret ~upbeat:* +@all -config -info\n\
                         appendonly yes\n";
    let (_server, space) = server(configuration).await;

    let ledger = open_as(&space, "tenant:secret").await.expect("INFO tells enough");
    let said = ledger.describe();
    assert!(said.contains("how often it is written to the disk is not told"), "{said}");
    set(&space, "maxmemory-policy", "allkeys-lfu");
    let refused = open_as(&space, "tenant:secret").await.expect_err("it may throw keys away").to_string();
    assert!(refused.contains("allkeys-lfu"), "{refused}");
    let refused = open_as(&space, "blind:secret").await.expect_err("nobody can know").to_string();
    assert!(refused.contains("INFO") && refused.contains("maxmemory-policy"), "{refused}");
}

#[tokio::test]
async fn a_wrong_password_is_a_persons_business() {
    let (_server, space) = server("user tenant on >secret ~upbeat:* +@all\n").await;

    let refused = open_as(&space, "tenant:wrong").await.expect_err("that is not the password");

    let said = refused.to_string();
    assert!(matches!(refused, LedgerError::Invalid(_)), "{said}");
    assert!(said.contains("check user and password"), "{said}");
    assert!(!said.contains("wrong"), "the password is shown: {said}");
}

#[tokio::test]
async fn what_a_newer_program_wrote_is_left_alone() {
    let space = Space::random();
    let key = format!("{}schema", space.prefix());
    space.ask::<()>(&["SET", &key, "99"]);

    let refused = RedisLedger::open(space.options(1)).await.expect_err("it is newer");

    assert!(matches!(refused, LedgerError::NewerSchema { found: 99, .. }), "{refused}");
}

#[tokio::test]
async fn a_server_without_memory_refuses_whole_batches_and_takes_them_later() {
    let (_server, space) = server("maxmemory 4mb\n").await;
    let ledger = space.open(1).await;
    let batch = || (0..50).map(|_| entry(&large(), Due::In(std::time::Duration::ZERO))).collect::<Vec<_>>();
    let mut added = 0;

    let refused = loop {
        match ledger.add(batch()).await {
            Ok(answers) => added += answers.len(),
            Err(error) => break error,
        }
        assert!(added < 10_000, "its memory never ends");
    };

    let said = refused.to_string();
    assert!(matches!(refused, LedgerError::Unavailable(_)), "{said}");
    assert!(said.contains("raise maxmemory"), "{said}");
    let scheduled = async || -> u64 {
        let queues = ledger.queues().await.expect("looking takes no memory");
        queues[0]
            .counts
            .iter()
            .filter(|(state, _)| *state == TaskState::Scheduled)
            .map(|(_, count)| count)
            .sum()
    };
    assert_eq!(scheduled().await, added as u64, "nothing of the refused batch is there");
    let page = ledger.list(TaskFilter::default(), None, 10_000).await.expect("looking takes no memory");
    assert_eq!(page.tasks.len(), added);
    set(&space, "maxmemory", "0");
    ledger.add(batch()).await.expect("there is memory now");
    assert_eq!(scheduled().await, added as u64 + 50);
}

/// A task with a page of arguments.
fn large() -> upbeat_shared::message::Message {
    let args = upbeat_shared::message::Payload::json(&"x".repeat(4000)).expect("plain data");
    upbeat_shared::message::Message { args, ..message() }
}
