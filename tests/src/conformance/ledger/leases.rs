//! Named leases.

use std::time::Duration;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::LeaseRequest;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;

suite! { $ leases_conformance, LedgerWorld, ledger::leases:
    a_lease_is_exclusive,
    its_owner_renews_it,
    a_lease_that_ended_is_anyones,
    a_lease_given_up_is_free_at_once,
    nobody_gives_up_anothers_lease,
    leases_are_answered_in_order,
    two_processes_never_hold_the_same_lease,
}

const TTL: Duration = Duration::from_secs(3);

async fn acquire(ledger: &Probe, owner: OwnerId, names: &[&str]) -> Vec<bool> {
    let requests = names.iter().map(|name| LeaseRequest { name: (*name).to_owned(), ttl: TTL });
    ledger.store.leases.acquire(owner, requests.collect()).await.expect("the store answers")
}

async fn give_up(ledger: &Probe, owner: OwnerId, name: &str) {
    ledger.store.leases.give_up(owner, vec![name.to_owned()]).await.expect("the store answers");
}

async fn a_lease_is_exclusive(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (OwnerId::random(), OwnerId::random());

    assert_eq!(acquire(&ledger, one, &["shard-1"]).await, [true]);
    assert_eq!(acquire(&ledger, other, &["shard-1"]).await, [false]);
    assert_eq!(acquire(&ledger, other, &["shard-2"]).await, [true], "another name is another lease");
}

async fn its_owner_renews_it(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (OwnerId::random(), OwnerId::random());
    for _ in 0..5 {
        assert_eq!(acquire(&ledger, one, &["shard-1"]).await, [true]);
        world.forward(TTL.saturating_sub(Duration::from_secs(1)));
        assert_eq!(acquire(&ledger, other, &["shard-1"]).await, [false]);
    }
}

async fn a_lease_that_ended_is_anyones(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (OwnerId::random(), OwnerId::random());
    acquire(&ledger, one, &["shard-1"]).await;

    world.forward(TTL);

    assert_eq!(acquire(&ledger, other, &["shard-1"]).await, [true]);
    assert_eq!(acquire(&ledger, one, &["shard-1"]).await, [false], "its old owner finds it taken");
}

async fn a_lease_given_up_is_free_at_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (OwnerId::random(), OwnerId::random());
    acquire(&ledger, one, &["shard-1"]).await;

    give_up(&ledger, one, "shard-1").await;
    give_up(&ledger, one, "never-taken").await;

    assert_eq!(acquire(&ledger, other, &["shard-1"]).await, [true]);
}

async fn nobody_gives_up_anothers_lease(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (OwnerId::random(), OwnerId::random());
    acquire(&ledger, one, &["shard-1"]).await;

    give_up(&ledger, other, "shard-1").await;

    assert_eq!(acquire(&ledger, other, &["shard-1"]).await, [false]);
}

async fn leases_are_answered_in_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (OwnerId::random(), OwnerId::random());
    acquire(&ledger, one, &["b"]).await;

    assert_eq!(acquire(&ledger, other, &["c", "b", "a"]).await, [true, false, true]);
}

async fn two_processes_never_hold_the_same_lease(world: &impl LedgerWorld) {
    let (one, other) = (Probe::of(world), Probe::another(world).await);
    let names: Vec<String> = (0..20).map(|number| format!("shard-{number}")).collect();
    let forwards: Vec<&str> = names.iter().map(String::as_str).collect();
    let backwards: Vec<&str> = forwards.iter().rev().copied().collect();

    let (mut held, others) = tokio::join!(
        acquire(&one, OwnerId::random(), &forwards),
        acquire(&other, OwnerId::random(), &backwards)
    );

    for (mine, theirs) in held.iter_mut().zip(others.into_iter().rev()) {
        assert_ne!(*mine, theirs, "exactly one of them holds it");
    }
}
