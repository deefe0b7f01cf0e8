//! Fair queues: tenants take turns.

use std::time::Duration;

use upbeat_shared::id::{OwnerId, Token};
use upbeat_shared::ledger::{Action, ClaimAnswer, ClaimRequest, Due, Retention};
use upbeat_shared::limit::{FairPolicy, FairQueues, LimitKind, LimitPolicy, LimitUse};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{message, queue};

suite! { $ fair_conformance, LedgerWorld, ledger::fair:
    whoever_finds_a_slot_goes_at_once,
    whoever_waits_for_its_turn_is_on_nobodys_agenda,
    tenants_take_turns,
    a_tenant_that_weighs_more_goes_more_often,
    whoever_comes_late_is_not_ahead_of_what_has_gone,
    a_tenants_own_tasks_go_in_their_order,
    asked_again_it_keeps_its_place,
    a_turn_ends_with_the_task,
    a_cancelled_task_leaves_its_turn_to_others,
    a_task_that_runs_again_takes_a_turn_again,
    what_moved_or_ended_has_no_turn,
    a_task_that_waits_for_another_limit_leaves_its_turn_to_others,
    who_comes_back_from_another_limit_goes_at_once,
    a_turn_is_kept_while_its_task_waits_in_the_brokers_queue,
    a_purge_does_not_change_the_order,
}

/// So many handed out, `heavy` weighs three times as much as others.
fn slots(slots: u32) -> FairQueues {
    let policy = FairPolicy::new(slots).weight("heavy".parse().expect("a key"), 3);
    FairQueues([(queue("default"), policy)].into())
}

/// A new task of this tenant.
fn of(tenant: &str) -> Message {
    Message { key: Some(tenant.parse().expect("a key")), ..message() }
}

impl Probe {
    /// Records it and asks for its turn.
    async fn recorded(&self, fair: &FairQueues, message: &Message) -> bool {
        self.add(message, Due::In(Duration::ZERO)).await;
        self.lined_up(fair, message).await
    }

    /// Asks for its turn.
    async fn lined_up(&self, fair: &FairQueues, message: &Message) -> bool {
        let turn = fair.turn(message).expect("its queue is fair");
        self.store.ledger.line_up(vec![turn]).await.expect("the store answers")[0]
    }

    /// New tasks of this tenant, which have to wait.
    async fn waiting(&self, fair: &FairQueues, tenant: &str, count: usize) -> Vec<Message> {
        let messages: Vec<Message> = (0..count).map(|_| of(tenant)).collect();
        for message in &messages {
            assert!(!self.recorded(fair, message).await, "it has to wait");
        }
        messages
    }

    /// Whose turn it is, one after the other, until nobody waits: each is claimed and ends.
    async fn in_turn(&self, fair: &FairQueues, mut running: Message) -> Vec<Message> {
        let mut order = Vec::new();
        loop {
            let run = self.acquire_any(&running).await;
            self.succeed(&run).await;
            let mut due = self.due(10).await.entries;
            let Some(entry) = due.pop() else { return order };
            assert!(due.is_empty(), "one at a time: {due:?}");
            assert!(self.lined_up(fair, &entry.message).await, "it is its turn");
            running = entry.message;
            order.push(running.clone());
        }
    }
}

fn tenants(order: &[Message]) -> String {
    order.iter().map(|message| message.key.as_ref().map_or("-", |key| &key.as_str()[..1])).collect()
}

async fn whoever_finds_a_slot_goes_at_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(2);
    assert!(ledger.recorded(&fair, &of("a")).await);
    assert!(ledger.recorded(&fair, &of("a")).await);
    let third = of("b");

    assert!(!ledger.recorded(&fair, &third).await);

    let record = ledger.record(third.id).await;
    assert_eq!(record.state, TaskState::Scheduled);
    assert_eq!(record.note.as_deref(), Some("waits for its turn in the queue default"));
}

async fn whoever_waits_for_its_turn_is_on_nobodys_agenda(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    ledger.promoted(first.id).await;
    ledger.waiting(&fair, "b", 3).await;

    assert_eq!(ledger.due_ids(10).await, []);
    world.forward(Duration::from_secs(30));
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn tenants_take_turns(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    ledger.waiting(&fair, "a", 6).await;
    ledger.waiting(&fair, "b", 2).await;
    let keyless = message();
    assert!(!ledger.recorded(&fair, &keyless).await);
    let first = ledger.promoted(first.id).await;

    let order = ledger.in_turn(&fair, first).await;

    let order = tenants(&order);
    let early: String = order.chars().take(5).collect();
    let count = |tenant| early.matches(tenant).count();
    assert_eq!((count('a'), count('b'), count('-')), (2, 2, 1), "{order}");
    assert_eq!(order.len(), 9, "{order}");
}

async fn a_tenant_that_weighs_more_goes_more_often(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    ledger.waiting(&fair, "a", 6).await;
    ledger.waiting(&fair, "heavy", 9).await;
    let first = ledger.promoted(first.id).await;

    let order = tenants(&ledger.in_turn(&fair, first).await);

    let early: String = order.chars().take(8).collect();
    assert_eq!(early.matches('h').count(), 6, "{order}");
}

async fn whoever_comes_late_is_not_ahead_of_what_has_gone(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    ledger.waiting(&fair, "a", 10).await;
    let mut running = ledger.promoted(first.id).await;
    for _ in 0..5 {
        let run = ledger.acquire_any(&running).await;
        ledger.succeed(&run).await;
        running = ledger.only_due().await.message;
        assert!(ledger.lined_up(&fair, &running).await);
    }

    // It has no claim to the turns that it missed.
    ledger.waiting(&fair, "b", 5).await;
    let order = tenants(&ledger.in_turn(&fair, running).await);

    let early: String = order.chars().take(4).collect();
    assert_eq!(early.matches('b').count(), 2, "{order}");
}

async fn a_tenants_own_tasks_go_in_their_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    let waiting = ledger.waiting(&fair, "b", 5).await;
    let first = ledger.promoted(first.id).await;

    let order = ledger.in_turn(&fair, first).await;

    let ids = |messages: &[Message]| messages.iter().map(|message| message.id).collect::<Vec<_>>();
    assert_eq!(ids(&order), ids(&waiting));
}

async fn asked_again_it_keeps_its_place(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    assert!(ledger.lined_up(&fair, &first).await, "it has its slot");
    let waiting = ledger.waiting(&fair, "b", 2).await;
    assert!(!ledger.lined_up(&fair, &waiting[0]).await);
    let first = ledger.promoted(first.id).await;

    let order = ledger.in_turn(&fair, first).await;

    assert_eq!(order.iter().map(|it| it.id).collect::<Vec<_>>(), [waiting[0].id, waiting[1].id]);
}

async fn a_turn_ends_with_the_task(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    let next = ledger.waiting(&fair, "b", 1).await.remove(0);
    let first = ledger.promoted(first.id).await;
    let run = ledger.acquire_any(&first).await;
    assert_eq!(ledger.due_ids(10).await, [], "it still runs");

    ledger.succeed(&run).await;

    assert_eq!(ledger.due_ids(10).await, [next.id]);
}

async fn a_cancelled_task_leaves_its_turn_to_others(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    let waiting = ledger.waiting(&fair, "b", 2).await;
    ledger.cancel(waiting[0].id).await;

    ledger.cancel(first.id).await;

    assert_eq!(ledger.due_ids(10).await, [waiting[1].id]);
}

async fn a_task_that_runs_again_takes_a_turn_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let failing = of("a");
    ledger.recorded(&fair, &failing).await;
    let next = ledger.waiting(&fair, "b", 1).await.remove(0);
    let run = ledger.acquire_any(&failing).await;
    ledger.fail(&run, Duration::ZERO).await;

    let due = ledger.due(10).await.entries;
    let message = |id| due.iter().find(|entry| entry.message.id == id).expect("it is due").message.clone();
    assert!(!ledger.lined_up(&fair, &message(failing.id)).await);
    assert!(ledger.lined_up(&fair, &message(next.id)).await);
}

async fn what_moved_or_ended_has_no_turn(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let (moved, ended, unknown) = (of("a"), of("a"), of("a"));
    ledger.add(&moved, Due::In(Duration::ZERO)).await;
    ledger.act(moved.id, Action::Retry).await;
    ledger.add(&ended, Due::In(Duration::ZERO)).await;
    ledger.cancel(ended.id).await;

    for message in [moved, ended, unknown] {
        assert!(!ledger.lined_up(&fair, &message).await);
    }
    assert!(ledger.recorded(&fair, &of("b")).await, "none of them took the slot");
}

fn other_limit() -> Vec<LimitUse> {
    vec![LimitUse::new(LimitKind::Key, "mail", LimitPolicy::default().running(1))]
}

async fn a_task_that_waits_for_another_limit_leaves_its_turn_to_others(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let request = |it: &Message| ClaimRequest::new(it.clone(), Token::random()).under(other_limit());
    ledger.claim_batch(OwnerId::random(), vec![request(&message())]).await;
    let limited = of("a");
    ledger.recorded(&fair, &limited).await;
    let next = ledger.waiting(&fair, "b", 1).await.remove(0);

    let answer = ledger.claim_batch(OwnerId::random(), vec![request(&limited)]).await.remove(0);

    assert!(matches!(answer, ClaimAnswer::Limited { .. }), "{answer:?}");
    assert_eq!(ledger.due_ids(10).await, [next.id]);
}

async fn who_comes_back_from_another_limit_goes_at_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let owner = OwnerId::random();
    let request = |it: &Message| ClaimRequest::new(it.clone(), Token::random()).under(other_limit());
    ledger.claim_batch(owner, vec![request(&message())]).await;
    let limited = of("a");
    ledger.recorded(&fair, &limited).await;
    ledger.claim_batch(OwnerId::random(), vec![request(&limited)]).await;
    assert!(ledger.recorded(&fair, &of("b")).await, "the slot is free again");

    ledger.store.ledger.leave(owner).await.expect("a member may leave");

    let due = ledger.due(10).await.entries;
    let entry = due.iter().find(|entry| entry.message.id == limited.id).expect("it is due");
    assert!(ledger.lined_up(&fair, &entry.message).await, "it has waited its turn");
}

async fn a_turn_is_kept_while_its_task_waits_in_the_brokers_queue(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    ledger.promoted(first.id).await;
    ledger.waiting(&fair, "b", 1).await;

    world.forward(Duration::from_secs(70));
    ledger.store.inspect.purge(Retention::default(), 100).await.expect("the store purges");

    assert_eq!(ledger.due_ids(10).await, [first.id], "nobody has claimed it");
}

async fn a_purge_does_not_change_the_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let fair = slots(1);
    let first = of("a");
    ledger.recorded(&fair, &first).await;
    ledger.waiting(&fair, "a", 4).await;
    let first = ledger.promoted(first.id).await;
    ledger.store.inspect.purge(Retention::default(), 100).await.expect("the store purges");
    ledger.waiting(&fair, "a", 1).await;
    ledger.waiting(&fair, "b", 2).await;

    let order = tenants(&ledger.in_turn(&fair, first).await);

    let early: String = order.chars().take(4).collect();
    assert_eq!(early.matches('b').count(), 2, "{order}");
}
