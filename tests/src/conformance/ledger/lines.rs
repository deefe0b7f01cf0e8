//! The lines of limits: who goes first in them, and what they look like from outside.

use std::time::Duration;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{Due, LimitRecord};
use upbeat_shared::limit::{FairPolicy, FairQueues};
use upbeat_shared::message::{Message, Priority};

use super::limits::slots;
use super::rates::{every, rate};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{message, queue};

suite! { $ lines_conformance, LedgerWorld, ledger::lines:
    a_slot_goes_to_the_highest_priority_first_and_to_the_first_of_it,
    nobody_of_a_higher_priority_takes_a_slot_that_others_wait_for_without_standing_in_line,
    a_limit_tells_how_many_have_and_want_its_slots,
    a_rate_tells_its_next_free_instant,
    a_fair_queue_tells_how_many_wait_for_their_turn,
    the_longest_lines_come_first_and_a_few_are_enough,
    a_limit_that_nobody_has_or_wants_is_forgotten,
}

fn of(priority: u8) -> Message {
    Message { priority: Priority::new(priority).expect("at most 9"), ..message() }
}

impl Probe {
    async fn limits(&self) -> Vec<LimitRecord> {
        self.store.inspect.limits(100).await.expect("the store lists")
    }
}

async fn a_slot_goes_to_the_highest_priority_first_and_to_the_first_of_it(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let mut run = ledger.under(&message(), &limits).await.runs();
    let come: Vec<Message> = [4, 9, 0, 4, 9, 4, 0].map(of).into();
    for message in &come {
        assert_eq!(ledger.under(message, &limits).await.waits(), None);
    }

    let mut went = Vec::new();
    for _ in &come {
        ledger.succeed(&run).await;
        let entry = ledger.only_due().await;
        went.push(entry.message.id);
        run = ledger.under(&entry.message, &limits).await.runs();
    }

    let expected = [1, 4, 0, 3, 5, 2, 6].map(|at: usize| come[at].id);
    assert_eq!(went, expected);
}

async fn nobody_of_a_higher_priority_takes_a_slot_that_others_wait_for_without_standing_in_line(
    world: &impl LedgerWorld,
) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let waiting = of(0);
    ledger.under(&waiting, &limits).await.waits();
    // The slot is kept for the one that waited.
    ledger.succeed(&run).await;

    assert_eq!(ledger.under(&of(9), &limits).await.waits(), None);

    assert_eq!(ledger.only_due().await.message.id, waiting.id);
}

async fn a_limit_tells_how_many_have_and_want_its_slots(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    assert_eq!(ledger.limits().await, []);
    let limits = slots("mail", 2);
    let run = ledger.under(&message(), &limits).await.runs();
    let record = |taken, waiting| {
        vec![LimitRecord { id: "task:mail".to_owned(), slots: Some(2), taken, waiting, free_at: None }]
    };
    assert_eq!(ledger.limits().await, record(1, 0));
    ledger.under(&message(), &limits).await.runs();
    for _ in 0..3 {
        ledger.in_line(&limits).await;
    }
    assert_eq!(ledger.limits().await, record(2, 3));

    ledger.succeed(&run).await;

    assert_eq!(ledger.limits().await, record(2, 2), "one of them has the slot");
}

async fn a_rate_tells_its_next_free_instant(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = rate("mail", every(60));
    ledger.under(&message(), &limits).await.runs();
    let waits = ledger.under(&message(), &limits).await.waits().expect("an instant is known");

    let [limit] = &ledger.limits().await[..] else { panic!("one limit") };

    assert_eq!((limit.id.as_str(), limit.slots, limit.waiting), ("key:mail", None, 0));
    let free = limit.free_at.expect("the next ones wait");
    assert_eq!(free, upbeat_shared::clock::later(waits, Duration::from_secs(60)));
    world.forward(Duration::from_secs(180));
    assert!(ledger.limits().await.iter().all(|limit| limit.free_at.is_none()), "it is free now");
}

async fn a_fair_queue_tells_how_many_wait_for_their_turn(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = FairQueues([(queue("default"), FairPolicy::new(1))].into());
    for tenant in ["a", "a", "b"] {
        let message = Message { key: Some(tenant.parse().expect("a key")), ..message() };
        ledger.add(&message, Due::In(Duration::ZERO)).await;
        let turn = fair.turn(&message).expect("its queue is fair");
        ledger.store.ledger.line_up(vec![turn]).await.expect("the store answers");
    }

    let expected =
        LimitRecord { id: "fair:default".to_owned(), slots: Some(1), taken: 1, waiting: 2, free_at: None };
    assert_eq!(ledger.limits().await, [expected]);
}

async fn the_longest_lines_come_first_and_a_few_are_enough(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for (what, waiting) in [("a", 0), ("b", 2), ("c", 1), ("d", 2)] {
        let limits = slots(what, 1);
        ledger.claim_under(OwnerId::random(), &message(), &limits).await.runs();
        for _ in 0..waiting {
            ledger.in_line(&limits).await;
        }
    }

    let ids =
        |limits: Vec<LimitRecord>| -> Vec<String> { limits.into_iter().map(|limit| limit.id).collect() };
    assert_eq!(ids(ledger.limits().await), ["task:b", "task:d", "task:c", "task:a"]);
    let two = ledger.store.inspect.limits(2).await.expect("the store lists");
    assert_eq!(ids(two), ["task:b", "task:d"]);
}

async fn a_limit_that_nobody_has_or_wants_is_forgotten(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let run = ledger.under(&message(), &slots("mail", 1)).await.runs();
    ledger.succeed(&run).await;
    assert_eq!(ledger.limits().await, []);
}
