//! Parking: a delivery put back on the agenda, because nobody here can run it.

use std::time::Duration;

use upbeat_shared::clock::until;
use upbeat_shared::id::{OwnerId, Seq};
use upbeat_shared::ledger::{ClaimAnswer, DueReason, Park, ParkAnswer};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::RunErrorKind;

use super::probe::assert_between;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{full_message, message};

suite! { $ park_conformance, LedgerWorld, ledger::park:
    parking_makes_the_row_if_there_is_none,
    a_parked_task_is_due_again_after_its_delay,
    the_delay_doubles_up_to_its_bound,
    parked_for_too_long_it_is_dead,
    without_a_bound_it_waits_for_ever,
    an_older_message_is_not_parked,
    a_running_or_ended_task_is_not_parked,
    two_deliveries_of_one_message_are_parked_once,
    a_claim_starts_the_delay_anew,
}

fn park(message: &Message, dead_after: Option<Duration>) -> Park {
    Park {
        message: message.clone(),
        note: "no worker knows it".to_owned(),
        delay: Duration::from_secs(10),
        max_delay: Duration::from_secs(60),
        dead_after: dead_after.map(|after| (after, RunErrorKind::UnknownName)),
    }
}

async fn parking_makes_the_row_if_there_is_none(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = full_message();
    let before = ledger.now().await;

    let answer = ledger.park_as(park(&message, None)).await;

    let ParkAnswer::Parked(due_at) = answer else { panic!("it should be parked: {answer:?}") };
    assert_between("due_at", Some(due_at), before, ledger.now().await, Duration::from_secs(10));
    let record = ledger.record(message.id).await;
    assert_eq!((record.state, record.due_at), (TaskState::Scheduled, Some(due_at)));
    assert_eq!(record.note.as_deref(), Some("no worker knows it"));
    assert_eq!(record.message, Message { seq: record.seq(), ..message });
    assert_eq!((record.message.attempts, record.message.crashes), (0, 0));
}

async fn a_parked_task_is_due_again_after_its_delay(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let queued = ledger.queued(&message()).await;
    ledger.park_as(park(&queued, None)).await;

    world.forward(Duration::from_secs(9));
    assert_eq!(ledger.due_ids(10).await, []);
    world.forward(Duration::from_secs(1));
    let entry = ledger.only_due().await;

    assert_eq!(entry.reason, DueReason::Due);
    assert_eq!(entry.message.id, queued.id);
    assert!(entry.message.seq > queued.seq, "parking is a move");
    assert_eq!(ledger.claim(OwnerId::random(), &queued).await, ClaimAnswer::Stale);
    ledger.acquire_any(&entry.message).await;
}

async fn the_delay_doubles_up_to_its_bound(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    for seconds in [10, 20, 40, 60, 60, 60] {
        let before = ledger.now().await;
        let answer = ledger.park_as(park(&message, None)).await;
        let ParkAnswer::Parked(due_at) = answer else { panic!("it should be parked: {answer:?}") };
        assert_between("due_at", Some(due_at), before, ledger.now().await, Duration::from_secs(seconds));
        world.forward(until(before, due_at));
        message = ledger.promoted(message.id).await;
    }
}

async fn parked_for_too_long_it_is_dead(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let hour = Some(Duration::from_secs(3600));
    let mut message = message();
    let first = ledger.now().await;
    loop {
        match ledger.park_as(park(&message, hour)).await {
            ParkAnswer::Parked(due_at) => world.forward(until(ledger.now().await, due_at)),
            ParkAnswer::Dead => break,
            ParkAnswer::Ignored => panic!("nobody else has it"),
        }
        let waited = until(first, ledger.now().await);
        assert!(waited < Duration::from_secs(2 * 3600), "it is parked for {waited:?}, and still not dead");
        message = ledger.promoted(message.id).await;
    }
    let waited = until(first, ledger.now().await);
    assert!(waited >= Duration::from_secs(3600), "it is dead after {waited:?} already");
    let record = ledger.record(message.id).await;
    assert_eq!(record.state, TaskState::Dead);
    assert_eq!(record.error.expect("a dead task says why").kind, RunErrorKind::UnknownName);
    assert_eq!(ledger.claim(OwnerId::random(), &message).await, ClaimAnswer::Done(TaskState::Dead));
}

async fn without_a_bound_it_waits_for_ever(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = message();
    ledger.park_as(park(&first, None)).await;
    world.forward(Duration::from_secs(30 * 24 * 3600));
    let again = ledger.promoted(first.id).await;

    let answer = ledger.park_as(park(&again, None)).await;

    assert!(matches!(answer, ParkAnswer::Parked(_)), "{answer:?}");
}

async fn an_older_message_is_not_parked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let run = ledger.acquire_any(&message).await;
    ledger.fail(&run, Duration::from_secs(60)).await;
    let record = ledger.record(message.id).await;

    assert_eq!(ledger.park(&message).await, ParkAnswer::Ignored);

    assert_eq!(ledger.record(message.id).await, record);
}

async fn a_running_or_ended_task_is_not_parked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let running = message();
    ledger.acquire_any(&running).await;
    let mut messages = vec![running];
    for end in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        messages.push(ledger.ended(end).await);
    }

    for message in messages {
        let record = ledger.record(message.id).await;
        assert_eq!(ledger.park(&message).await, ParkAnswer::Ignored, "{}", record.state);
        assert_eq!(ledger.park(&Message { seq: Seq(9), ..message.clone() }).await, ParkAnswer::Ignored);
        assert_eq!(ledger.record(message.id).await, record);
    }
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn two_deliveries_of_one_message_are_parked_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let queued = ledger.queued(&message()).await;

    let answer = ledger.park_as(park(&queued, None)).await;
    assert!(matches!(answer, ParkAnswer::Parked(_)), "{answer:?}");
    let record = ledger.record(queued.id).await;

    assert_eq!(ledger.park_as(park(&queued, None)).await, ParkAnswer::Ignored, "the row is newer now");
    assert_eq!(ledger.record(queued.id).await, record);
}

async fn a_claim_starts_the_delay_anew(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut message = message();
    for _ in 0..3 {
        ledger.park_as(park(&message, Some(Duration::from_secs(3600)))).await;
        world.forward(Duration::from_secs(60));
        message = ledger.promoted(message.id).await;
    }
    // A worker that knows it took it, and it failed; later nobody knows it again.
    let run = ledger.acquire_any(&message).await;
    ledger.fail(&run, Duration::from_secs(7200)).await;
    world.forward(Duration::from_secs(7200));
    message = ledger.promoted(message.id).await;
    let before = ledger.now().await;

    let answer = ledger.park_as(park(&message, Some(Duration::from_secs(3600)))).await;

    let ParkAnswer::Parked(due_at) = answer else { panic!("it should be parked: {answer:?}") };
    assert_between("due_at", Some(due_at), before, ledger.now().await, Duration::from_secs(10));
}
