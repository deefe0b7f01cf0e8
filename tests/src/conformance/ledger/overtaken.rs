//! Queued and not claimed: whether the broker lost a message is asked again and again, ever more seldom.

use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::clock::until;
use upbeat_shared::id::{Seq, TaskId};
use upbeat_shared::ledger::{Due, DueEntry, DueReason};
use upbeat_shared::message::{Message, Priority};
use upbeat_shared::task::TaskState;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{message, message_for};

suite! { $ overtaken_conformance, LedgerWorld, ledger::overtaken:
    a_queued_entry_comes_back_when_nobody_claims_it,
    it_comes_back_at_doubling_intervals,
    it_keeps_its_seq_when_it_is_published_again,
    it_tells_whether_later_tasks_were_claimed,
    tasks_of_other_queues_and_priorities_do_not_overtake,
    a_claimed_task_never_comes_back,
    a_cancelled_task_never_comes_back,
    a_released_task_starts_from_the_shortest_interval,
}

/// What the looks find that a beat takes until there is something, and when it was found. Goes from one time that the
/// batch names to the next, as a beat does.
async fn next_look(world: &impl LedgerWorld, ledger: &Probe) -> (Timestamp, DueEntry) {
    for _ in 0..100 {
        let mut batch = ledger.due(10).await;
        if let Some(entry) = batch.entries.pop() {
            assert!(batch.entries.is_empty(), "one entry at a time: {batch:?}");
            return (batch.now, entry);
        }
        let next = batch.next.expect("a queued entry that nobody claims has a next look");
        world.forward(until(batch.now, next));
    }
    panic!("the queued entry never came back");
}

fn looks(entry: &DueEntry) -> u32 {
    match entry.reason {
        DueReason::Unclaimed { looks, .. } => looks,
        DueReason::Due => panic!("it was queued long ago: {entry:?}"),
    }
}

fn overtaken(entry: &DueEntry) -> bool {
    matches!(entry.reason, DueReason::Unclaimed { overtaken: true, .. })
}

async fn a_queued_entry_comes_back_when_nobody_claims_it(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = ledger.queued(&message()).await;
    let queued_at = ledger.now().await;

    let (at, entry) = next_look(world, &ledger).await;

    assert_eq!(entry.message, message);
    looks(&entry);
    assert!(until(queued_at, at) >= Duration::from_secs(10), "a worker gets a while to claim it");
    assert_eq!(ledger.state(message.id).await, TaskState::Queued);
}

async fn it_comes_back_at_doubling_intervals(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    ledger.queued(&message()).await;
    let mut last = (ledger.now().await, Duration::ZERO, None);

    for round in 0..6 {
        let (at, entry) = next_look(world, &ledger).await;
        // In whole seconds: some stores' clocks go on while the test does.
        let interval = Duration::from_secs_f64(until(last.0, at).as_secs_f64().round());
        assert!(interval >= last.1 * 2, "round {round}: {interval:?} after {:?}", last.1);
        assert!(
            interval <= Duration::from_secs(24 * 3600),
            "round {round}: it is still looked at: {interval:?}"
        );
        assert!(last.2.is_none_or(|seen| looks(&entry) > seen), "round {round}: looks are counted");
        // Its queue is empty: the beat publishes it again.
        assert!(ledger.mark(&entry.message).await);
        last = (at, interval, Some(looks(&entry)));
    }
}

async fn it_keeps_its_seq_when_it_is_published_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = ledger.queued(&message()).await;

    let (_, entry) = next_look(world, &ledger).await;
    assert!(ledger.mark(&entry.message).await);

    assert_eq!(entry.message.seq, Seq(0));
    // Both messages are the same; whichever comes first runs.
    ledger.acquire_any(&first).await;
}

/// Whether `lost`, queued now, counts as overtaken once `later` was queued 11 minutes later and claimed.
async fn overtakes(world: &impl LedgerWorld, lost: Message, later: Message) -> bool {
    let ledger = Probe::of(world);
    let lost = ledger.queued(&lost).await;
    world.forward(Duration::from_secs(660));
    // Looks that happen meanwhile postpone, as a beat does while the queue is not empty.
    ledger.add(&later, Due::In(Duration::ZERO)).await;
    let mut batch = ledger.due(10).await;
    for entry in batch.entries.drain(..) {
        if entry.message.id == lost.id {
            assert!(!overtaken(&entry), "nothing was claimed yet");
            ledger.postpone(&entry.message, Duration::from_secs(60)).await;
        } else {
            assert!(ledger.mark(&entry.message).await);
        }
    }
    ledger.acquire_any(&later).await;
    let (_, entry) = next_look(world, &ledger).await;
    assert_eq!(entry.message.id, lost.id);
    overtaken(&entry)
}

async fn it_tells_whether_later_tasks_were_claimed(world: &impl LedgerWorld) {
    assert!(overtakes(world, message(), message()).await);
}

async fn tasks_of_other_queues_and_priorities_do_not_overtake(world: &impl LedgerWorld) {
    assert!(!overtakes(world, message_for("one"), message_for("other")).await);
    let urgent = Message { priority: Priority::new(9).expect("at most 9"), ..message() };
    let ledger = Probe::of(world);
    let left: Vec<TaskId> = ledger.due_ids(10).await;
    assert_eq!(left, []);
    for id in ids_queued(&ledger).await {
        ledger.cancel(id).await;
    }
    assert!(!overtakes(world, message(), urgent).await);
}

async fn ids_queued(ledger: &Probe) -> Vec<TaskId> {
    let filter = upbeat_shared::ledger::TaskFilter { states: vec![TaskState::Queued], ..Default::default() };
    let page = ledger.store.inspect.list(filter, None, 100).await.expect("the store lists");
    page.tasks.iter().map(upbeat_shared::task::TaskRecord::id).collect()
}

async fn a_claimed_task_never_comes_back(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let queued = ledger.queued(&message()).await;
    let run = ledger.acquire_any(&queued).await;

    world.forward(Duration::from_secs(7 * 24 * 3600));
    let batch = ledger.due(10).await;
    assert_eq!(
        (batch.entries.len(), batch.next),
        (0, None),
        "a long run is nobody's business but the reaper's"
    );

    ledger.succeed(&run).await;
    let batch = ledger.due(10).await;
    assert_eq!((batch.entries.len(), batch.next), (0, None));
}

async fn a_cancelled_task_never_comes_back(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let queued = ledger.queued(&message()).await;
    ledger.cancel(queued.id).await;

    world.forward(Duration::from_secs(24 * 3600));

    let batch = ledger.due(10).await;
    assert_eq!((batch.entries.len(), batch.next), (0, None));
}

async fn a_released_task_starts_from_the_shortest_interval(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    ledger.queued(&message()).await;
    let mut entry = next_look(world, &ledger).await.1;
    for _ in 0..4 {
        assert!(ledger.mark(&entry.message).await);
        entry = next_look(world, &ledger).await.1;
    }
    let many = looks(&entry);
    let run = ledger.acquire_any(&entry.message).await;
    ledger.fail(&run, Duration::ZERO).await;
    ledger.promoted(run.claim.id).await;

    let (_, entry) = next_look(world, &ledger).await;

    assert!(looks(&entry) < many, "a new promotion is counted anew");
}
