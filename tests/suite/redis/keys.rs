//! Keys: all of a namespace in one slot, and none left behind.

use std::time::Duration;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::redis::RedisLedger;
use upbeat_shared::ledger::{Action, Due, Expect, LeaseRequest, NewSchedule, Retention, Schema, Store};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::ledger::{LedgerWorld, Probe};
use upbeat_tests::conformance::redis::{Redis8, Space, ask, connect};
use upbeat_tests::harness::eventually;
use upbeat_tests::message::{definition, failure, full_message, message, message_for, queue, schedule_id};
use upbeat_tests::services::{Kind, Server};

use super::worker::work;

/// Everything that a ledger can be asked to keep.
async fn live(ledger: &Probe) {
    for state in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        ledger.ended(state).await;
    }
    let retried = message_for("mail");
    let run = ledger.acquire_any(&retried).await;
    ledger.settle(&run, Verdict::Retry { delay: Duration::ZERO, error: failure("again") }).await;
    ledger.queued(&full_message()).await;
    ledger.crash(&message()).await;
    let running = ledger.acquire_any(&message()).await;
    ledger.cancel(running.claim.id).await;
    ledger.park(&message()).await;
    let id = schedule_id("nightly");
    let schedule = NewSchedule { id: id.clone(), definition: definition(), source: "a test".to_owned() };
    ledger.store.catalog.put(schedule, Expect::Absent).await.expect("the store answers");
    ledger.add(&full_message(), Due::In(Duration::from_secs(60))).await;
    ledger.store.inspect.pause(queue("mail"), true).await.expect("the store pauses");
    let lease = LeaseRequest { name: "shard".to_owned(), ttl: Duration::from_secs(3) };
    ledger.store.leases.acquire(OwnerId::random(), vec![lease]).await.expect("the store answers");
}

#[tokio::test]
async fn every_key_carries_the_namespace_as_its_hash_tag() {
    let world = Redis8::create().await;
    live(&Probe::of(&world)).await;
    let prefix = world.space().prefix();
    assert!(prefix.contains(&format!("{{{}}}", world.space().namespace)), "{prefix}");

    let everything = world.space().keys();

    assert!(everything.len() > 12, "the life was too tame: {}", everything.len());
}

/// Two nodes of a cluster; the second has every slot.
async fn cluster() -> (Server, Server) {
    let files = [("extra.conf", "cluster-enabled yes\ncluster-config-file nodes.conf\n")];
    let (without, with) =
        tokio::join!(Server::start_with(Kind::Redis, &files), Server::start_with(Kind::Redis, &files));
    with.ctl(&["cluster", "addslotsrange", "0", "16383"]).await;
    let port = with.url().rsplit(':').next().expect("a port").to_owned();
    without.ctl(&["cluster", "meet", "127.0.0.1", &port]).await;
    for node in [&without, &with] {
        eventually("the cluster is whole", Duration::from_secs(60), async || {
            let info = node.ctl(&["cluster", "info"]).await;
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:2")
        })
        .await;
    }
    (without, with)
}

#[tokio::test]
async fn a_cluster_leads_to_the_node_that_has_the_keys() {
    let (without, with) = cluster().await;
    let space = Space::on(without.url().parse().expect("a URL"));

    let ledger = space.open(3).await;
    live(&Probe::over(Store::from_adapter(ledger.clone()))).await;
    let failures = std::sync::atomic::AtomicU32::new(0);
    work(&ledger, &failures, 3).await;

    assert_eq!(failures.into_inner(), 0);
    assert_eq!(ledger.status().await.expect("the store answers").found, 1);
    let keys =
        |server: &Server| ask::<usize>(&mut connect(&server.url().parse().expect("a URL")), &["DBSIZE"]);
    assert_eq!(keys(&without), 0);
    let there = Space { url: with.url().parse().expect("a URL"), namespace: space.namespace.clone() };
    assert_eq!(keys(&with), there.keys().len(), "every key begins as it should");
    assert!(keys(&with) > 12, "the life was too tame");
    RedisLedger::remove(space.options(1)).await.expect("it can be removed");
    assert_eq!(keys(&with), 0);
}

#[tokio::test]
async fn a_purge_leaves_nothing_of_what_has_ended() {
    let world = Redis8::create().await;
    let ledger = Probe::of(&world);
    // More than a segment of the log.
    let messages: Vec<Message> = (0..700).map(|_| full_message()).collect();
    let owner = OwnerId::random();
    let claims = ledger.claim_all(owner, &messages).await;
    assert_eq!(claims.len(), 700);
    let mine = ledger.store.ledger.mine(owner).await.expect("the store answers");
    ledger.store.ledger.release(owner, mine).await.expect("the store releases");
    for id in ledger.due_ids(1000).await {
        ledger.cancel(id).await;
    }
    for state in [TaskState::Succeeded, TaskState::Dead, TaskState::Expired] {
        let message = ledger.ended(state).await;
        ledger.act(message.id, Action::Drop).await;
    }
    ledger.store.ledger.leave(owner).await.expect("a member may leave");
    let purge = async || {
        let report = ledger.store.inspect.purge(Retention::default(), 1000).await;
        report.expect("the store purges")
    };

    world.forward(Retention::default().details + Duration::from_secs(1));
    assert_eq!(purge().await.details, 702, "all but the dead one, which was dropped");
    world.forward(Retention::default().ids);
    assert_eq!(purge().await.ids, 703);

    let left = world.space().keys();
    let mut left: Vec<String> = left.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    left.sort();
    let prefix = world.space().prefix();
    let expected = ["members", "number", "owners", "schema", "test_clock"];
    assert_eq!(left, expected.map(|name| format!("{prefix}{name}")));
}
