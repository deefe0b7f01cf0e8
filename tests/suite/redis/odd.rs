//! Odd sizes and numbers: more than Lua can unpack at once, and what looks like nothing.

use upbeat_shared::id::{OwnerId, Token};
use upbeat_shared::ledger::{Action, ClaimAnswer, Due, SettleAnswer};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;
use upbeat_tests::conformance::ledger::{LedgerWorld, Probe};
use upbeat_tests::conformance::redis::Redis8;
use upbeat_tests::message::{entry, failure, message};

/// More than Lua's stack holds.
const MANY: usize = 10_000;

#[tokio::test]
async fn a_batch_of_any_size_is_one_script() {
    let world = Redis8::create().await;
    let ledger = Probe::of(&world);
    let owner = OwnerId::random();
    let messages: Vec<Message> = (0..MANY).map(|_| message()).collect();

    let answers = ledger.claim_all(owner, &messages).await;
    assert!(answers.iter().all(|answer| matches!(answer, ClaimAnswer::Acquired(_))));
    let mine = ledger.store.ledger.mine(owner).await.expect("the store answers");
    assert_eq!(mine.len(), MANY);
    let settlements = mine.iter().map(|claim| upbeat_shared::ledger::Settlement {
        owner,
        claim: *claim,
        verdict: Verdict::Dead { error: failure("enough") },
        then: Vec::new(),
    });
    let answers = ledger.settle_all(settlements.collect()).await;
    assert!(answers.iter().all(|answer| *answer == SettleAnswer::Applied(TaskState::Dead)));
    let ids = messages.iter().map(|message| message.id).collect();
    ledger.store.inspect.act(ids, Action::Retry).await.expect("the store acts");
    let entries = (0..MANY).map(|_| entry(&message(), Due::In(std::time::Duration::ZERO)));
    ledger.add_all(entries.collect()).await;

    let queues = ledger.store.inspect.queues().await.expect("the store counts");
    assert_eq!(queues[0].counts, [(TaskState::Scheduled, 2 * MANY as u64)]);
    assert_eq!(ledger.due(5000).await.entries.len(), 1000, "a beat takes some at a time");
}

#[tokio::test]
async fn a_token_of_zeros_is_a_token() {
    let world = Redis8::create().await;
    let ledger = Probe::of(&world);
    let (owner, message) = (OwnerId::random(), message());
    let run = ledger.acquire_as(owner, &message, Token(0)).await;
    let again = ledger.claim_as(owner, &message, Token(0)).await;
    assert!(matches!(again, ClaimAnswer::Acquired(_)), "{again:?}");

    ledger.reap(owner, 1).await;

    assert_eq!(ledger.succeed(&run).await, SettleAnswer::Stale, "its token was taken away");
}
