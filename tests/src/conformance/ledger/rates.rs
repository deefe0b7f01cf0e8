//! Rates: how often a task starts.

use std::time::Duration;

use upbeat_shared::clock::until;
use upbeat_shared::id::{OwnerId, Token};
use upbeat_shared::ledger::{ClaimAnswer, ClaimRequest};
use upbeat_shared::limit::{LimitKind, LimitPolicy, LimitUse, Rate};
use upbeat_shared::task::TaskState;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::message;

suite! { $ rates_conformance, LedgerWorld, ledger::rates:
    each_start_has_an_instant_of_its_own,
    a_burst_starts_together_after_a_quiet_time,
    whoever_waited_for_its_instant_starts_and_pays_no_second_time,
    each_run_passes_the_rate,
    a_repeated_claim_passes_no_rate_twice,
    a_changed_rate_holds_for_those_that_come,
    a_task_passes_its_rate_before_it_takes_a_slot,
}

/// So often.
pub(super) fn rate(what: &str, rate: Rate) -> Vec<LimitUse> {
    vec![LimitUse::new(LimitKind::Key, what, LimitPolicy::default().rate(rate))]
}

pub(super) fn every(seconds: u64) -> Rate {
    Rate::new(1, Duration::from_secs(seconds)).expect("a rate")
}

async fn each_start_has_an_instant_of_its_own(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = rate("mail", every(60));
    ledger.under(&message(), &limits).await.runs();
    let mut messages = Vec::new();
    for number in 1..=3 {
        let (message, now) = (message(), ledger.now().await);
        let at = ledger.under(&message, &limits).await.waits().expect("an instant is known");
        let ahead = until(now, at);
        let expected = Duration::from_secs(60 * number);
        assert!(ahead <= expected && ahead + Duration::from_secs(30) > expected, "{number}: {ahead:?}");
        let record = ledger.record(message.id).await;
        assert_eq!((record.state, record.due_at), (TaskState::Scheduled, Some(at)));
        assert_eq!(record.note.as_deref(), Some("waits for its instant of the rate of key:mail"));
        messages.push(message);
    }

    for message in &messages {
        assert_eq!(ledger.due_ids(10).await, []);
        world.forward(Duration::from_secs(60));
        let promoted = ledger.promoted(message.id).await;
        ledger.under(&promoted, &limits).await.runs();
    }
}

async fn a_burst_starts_together_after_a_quiet_time(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = rate("mail", every(60).with_burst(3));
    for round in 0..2 {
        for _ in 0..3 {
            ledger.under(&message(), &limits).await.runs();
        }
        let now = ledger.now().await;
        let at = ledger.under(&message(), &limits).await.waits().expect("an instant is known");
        assert!(until(now, at) <= Duration::from_secs(60), "round {round}");
        world.forward(Duration::from_secs(300));
    }
}

async fn whoever_waited_for_its_instant_starts_and_pays_no_second_time(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = rate("mail", every(60));
    ledger.under(&message(), &limits).await.runs();
    let waiting = message();
    ledger.under(&waiting, &limits).await.waits();
    world.forward(Duration::from_secs(60));
    let promoted = ledger.promoted(waiting.id).await;

    ledger.under(&promoted, &limits).await.runs();

    world.forward(Duration::from_secs(60));
    ledger.under(&message(), &limits).await.runs();
}

async fn each_run_passes_the_rate(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = rate("mail", every(60));
    let retried = message();
    let run = ledger.under(&retried, &limits).await.runs();
    ledger.fail(&run, Duration::ZERO).await;
    let promoted = ledger.promoted(retried.id).await;

    ledger.under(&promoted, &limits).await.waits().expect("an instant is known");
}

async fn a_repeated_claim_passes_no_rate_twice(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = rate("mail", every(60));
    let owner = OwnerId::random();
    let request = ClaimRequest::new(message(), Token::random()).under(limits.clone());
    for _ in 0..3 {
        let answer = ledger.claim_batch(owner, vec![request.clone()]).await.remove(0);
        assert!(matches!(answer, ClaimAnswer::Acquired(_)), "{answer:?}");
    }

    world.forward(Duration::from_secs(60));
    ledger.under(&message(), &limits).await.runs();
}

async fn a_changed_rate_holds_for_those_that_come(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let slow = rate("mail", every(3600));
    ledger.under(&message(), &slow).await.runs();
    let patient = message();
    let at = ledger.under(&patient, &slow).await.waits().expect("an instant is known");

    let now = ledger.now().await;
    let soon = ledger.under(&message(), &rate("mail", every(1))).await.waits().expect("an instant is known");

    assert!(until(now, soon) < Duration::from_secs(60), "{soon}");
    assert_eq!(ledger.record(patient.id).await.due_at, Some(at), "it keeps its instant");
}

async fn a_task_passes_its_rate_before_it_takes_a_slot(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let policy = LimitPolicy::default().running(1).rate(every(60));
    let limits = vec![LimitUse::new(LimitKind::Key, "mail", policy)];
    let run = ledger.under(&message(), &limits).await.runs();
    let waiting = message();
    ledger.under(&waiting, &limits).await.waits().expect("it waits for its instant");
    world.forward(Duration::from_secs(60));
    let promoted = ledger.promoted(waiting.id).await;
    assert_eq!(ledger.under(&promoted, &limits).await.waits(), None, "it waits for a slot");

    ledger.succeed(&run).await;

    let promoted = ledger.promoted(waiting.id).await;
    ledger.under(&promoted, &limits).await.runs();
}
