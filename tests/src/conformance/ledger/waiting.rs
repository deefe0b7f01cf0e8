//! Waiting for ends, by a client over the ledger.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use upbeat_shared::client::{Client, ClientOptions};
use upbeat_shared::clock::{Clock, StoreClock, SystemClock};
use upbeat_shared::id::{OwnerId, TaskId, Token};
use upbeat_shared::ledger::{ClaimRequest, OwnedClaim, Store};
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::memory::MemoryBroker;
use upbeat_shared::verdict::Verdict;
use uuid::Uuid;

use super::{LedgerWorld, Probe, Running};
use crate::conformance::suite;
use crate::counted::Counted;
use crate::harness::eventually;
use crate::message::message;

suite! { $ waiting_conformance, LedgerWorld, ledger::waiting:
    states_come_in_the_order_asked,
    whoever_waits_hears_of_an_end_in_another_process,
    what_has_ended_already_is_answered_at_once,
    a_crowd_that_waits_costs_few_questions,
}

/// How many wait in the crowd; more only to measure.
const CROWD: usize = 2000;

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that only waits.
pub fn client(store: Store) -> Client {
    let clock = StoreClock::new(Arc::new(SystemClock::default()));
    Client::new(MemoryBroker::new().connect(), store, Arc::new(clock), ClientOptions::default())
}

async fn states_come_in_the_order_asked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let ended = [TaskState::Expired, TaskState::Succeeded, TaskState::Dead, TaskState::Cancelled];
    let mut ids = vec![TaskId(Uuid::now_v7())];
    for state in ended {
        ids.push(ledger.ended(state).await.id);
    }
    ids.push(ledger.acquire_any(&message()).await.claim.id);

    let states = ledger.store.inspect.states(ids).await.expect("the store looks");

    assert_eq!(states[0], None);
    assert_eq!(states[1..5], ended.map(Some));
    assert_eq!(states[5], Some(TaskState::Running));
    assert_eq!(ledger.store.inspect.states(Vec::new()).await.expect("the store looks"), []);
}

async fn whoever_waits_hears_of_an_end_in_another_process(world: &impl LedgerWorld) {
    let (here, there) = (Probe::of(world), Probe::another(world).await);
    let run = there.acquire_any(&message()).await;
    let (counted, store) = Counted::before(here.store.clone(), false);
    let waiting = client(store);
    let settled = async {
        eventually("it is looked at", PATIENCE, async || counted.questions() > 0).await;
        there.succeed(&run).await;
    };

    let (record, ()) = tokio::join!(waiting.wait(run.claim.id, PATIENCE), settled);

    assert_eq!(record.expect("it ended").state, TaskState::Succeeded);
}

async fn what_has_ended_already_is_answered_at_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let client = client(ledger.store.clone());
    for state in [TaskState::Succeeded, TaskState::Dead, TaskState::Cancelled, TaskState::Expired] {
        let id = ledger.ended(state).await.id;
        assert_eq!(client.wait(id, PATIENCE).await.expect("it has ended").state, state);
    }
}

/// Claims tasks that wait for nothing else, in batches.
async fn crowd(ledger: &Probe) -> Vec<Running> {
    let owner = OwnerId::random();
    let mut runs = Vec::new();
    while runs.len() < CROWD {
        let batch: Vec<ClaimRequest> =
            (0..500).map(|_| ClaimRequest::new(message(), Token::random())).collect();
        let claimed: Vec<(TaskId, Token)> = batch.iter().map(|one| (one.message.id, one.token)).collect();
        for ((id, token), answer) in claimed.into_iter().zip(ledger.claim_batch(owner, batch).await) {
            let granted = super::probe::granted(&answer);
            runs.push(Running { owner, claim: OwnedClaim { id, fence: granted.fence, token }, granted });
        }
    }
    runs
}

async fn a_crowd_that_waits_costs_few_questions(world: &impl LedgerWorld) {
    let worker = Probe::another(world).await;
    let (counted, store) = Counted::before(world.store(), false);
    let client = client(store);
    let runs = crowd(&worker).await;
    let clock = SystemClock::default();
    let started = clock.monotonic();
    let waiting = try_join_all(runs.iter().map(|run| client.wait(run.claim.id, PATIENCE)));
    let settled = async {
        let looks = (CROWD / 1000) as u64;
        eventually("all of them are looked at", PATIENCE, async || counted.questions() >= looks).await;
        for runs in runs.chunks(500) {
            let verdict = |run: &Running| run.settlement(Verdict::Succeeded { result: None });
            worker.settle_all(runs.iter().map(verdict).collect()).await;
        }
    };

    let (records, ()) = tokio::join!(waiting, settled);

    let (answered, records) = (clock.monotonic(), records.expect("all of them end"));
    assert!(records.iter().all(|record| record.state == TaskState::Succeeded));
    assert_eq!(counted.records(), CROWD as u64, "each record is read once");
    assert!(counted.largest() <= 1000, "{} at once", counted.largest());
    // A look at all of them is two questions; what has ended is read a hundred at a time. There are at most a hundred looks
    // a second.
    let looks = u64::try_from(answered.saturating_sub(started).as_millis() / 10).expect("some seconds");
    let most = (CROWD as u64 / 1000) * (looks + 2) + CROWD as u64 / 100 + looks;
    assert!(counted.questions() <= most, "{} of {most}", counted.questions());
}
