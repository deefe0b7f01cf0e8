//! Limits: how many tasks run at once, and how often one starts.

use std::time::Duration;

use upbeat_shared::clock::later;
use upbeat_shared::id::{OwnerId, Token};
use upbeat_shared::ledger::{Action, ClaimAnswer, ClaimRequest, Due, OwnedClaim};
use upbeat_shared::limit::{LimitKind, LimitPolicy, LimitUse};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;

use super::probe::Running;
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::{failure, message};

suite! { $ limits_conformance, LedgerWorld, ledger::limits:
    no_more_run_at_once_than_the_limit_lets,
    whoever_waits_for_a_slot_is_on_nobodys_agenda,
    a_slot_goes_to_the_first_in_line,
    nobody_overtakes_the_line,
    every_way_out_of_running_frees_the_slot,
    a_task_that_runs_again_takes_a_slot_again,
    a_lost_workers_slots_are_free_again,
    a_cancelled_task_leaves_the_line,
    a_task_moved_by_hand_leaves_the_line,
    a_slot_kept_for_a_cancelled_task_goes_on,
    a_slot_kept_for_an_expired_task_goes_on,
    a_slot_that_nobody_comes_for_goes_on,
    a_claim_repeated_with_its_token_takes_no_second_slot,
    a_raised_limit_lets_the_line_in,
    a_lowered_limit_lets_those_that_run_finish,
    a_task_goes_through_its_limits_one_after_the_other,
    limits_do_not_count_each_other,
    a_batch_is_admitted_in_its_order,
    a_limit_leaves_other_tasks_alone,
}

/// So many at once.
pub(super) fn slots(what: &str, running: u32) -> Vec<LimitUse> {
    vec![LimitUse::new(LimitKind::Task, what, LimitPolicy::default().running(running))]
}

/// What a claim under limits was answered.
#[derive(Debug)]
pub(super) enum Answer {
    Runs(Running),
    Waits { by: usize, until: Option<jiff::Timestamp> },
}

impl Answer {
    pub(super) fn runs(self) -> Running {
        match self {
            Self::Runs(run) => run,
            Self::Waits { .. } => panic!("it should run, and waits: {self:?}"),
        }
    }

    pub(super) fn waits(self) -> Option<jiff::Timestamp> {
        match self {
            Self::Waits { until, .. } => until,
            Self::Runs(_) => panic!("it should wait, and runs"),
        }
    }
}

impl Probe {
    pub(super) async fn claim_under(&self, owner: OwnerId, message: &Message, limits: &[LimitUse]) -> Answer {
        let token = Token::random();
        let request = ClaimRequest::new(message.clone(), token).under(limits.to_vec());
        match self.claim_batch(owner, vec![request]).await.remove(0) {
            ClaimAnswer::Acquired(granted) => {
                let claim = OwnedClaim { id: message.id, fence: granted.fence, token };
                Answer::Runs(Running { owner, claim, granted })
            }
            ClaimAnswer::Limited { by, until } => Answer::Waits { by, until },
            other => panic!("it should run or wait: {other:?}"),
        }
    }

    /// Claims for a worker that nobody else knows.
    pub(super) async fn under(&self, message: &Message, limits: &[LimitUse]) -> Answer {
        self.claim_under(OwnerId::random(), message, limits).await
    }

    /// A new task that waits in the line of a limit that is full.
    pub(super) async fn in_line(&self, limits: &[LimitUse]) -> Message {
        let message = message();
        assert_eq!(self.under(&message, limits).await.waits(), None);
        message
    }
}

async fn no_more_run_at_once_than_the_limit_lets(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 2);
    ledger.under(&message(), &limits).await.runs();
    ledger.under(&message(), &limits).await.runs();
    let third = message();

    let answer = ledger.under(&third, &limits).await;

    assert!(matches!(answer, Answer::Waits { by: 0, until: None }), "{answer:?}");
    let record = ledger.record(third.id).await;
    assert_eq!(record.state, TaskState::Scheduled);
    assert_eq!((record.owner, record.started_at), (None, None));
    assert_eq!(record.note.as_deref(), Some("waits in line for a slot of task:mail"));
    assert_eq!(ledger.count(&third.queue, TaskState::Scheduled).await, 1);
    assert_eq!(ledger.count(&third.queue, TaskState::Running).await, 2);
}

async fn whoever_waits_for_a_slot_is_on_nobodys_agenda(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    ledger.under(&message(), &limits).await.runs();
    let waiting = ledger.in_line(&limits).await;

    world.forward(Duration::from_secs(3600));

    let batch = ledger.due(10).await;
    assert_eq!((batch.entries.len(), batch.next), (0, None), "it costs no look");
    let stale = ledger.claim(OwnerId::random(), &waiting).await;
    assert_eq!(stale, ClaimAnswer::Stale, "its delivery came a second time");
}

async fn a_slot_goes_to_the_first_in_line(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let (first, second) = (ledger.in_line(&limits).await, ledger.in_line(&limits).await);

    ledger.succeed(&run).await;

    let entry = ledger.only_due().await;
    assert_eq!(entry.message.id, first.id);
    assert_eq!(ledger.record(first.id).await.note, None);
    let run = ledger.under(&entry.message, &limits).await.runs();
    ledger.succeed(&run).await;
    assert_eq!(ledger.only_due().await.message.id, second.id);
}

async fn nobody_overtakes_the_line(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let first = ledger.in_line(&limits).await;
    ledger.succeed(&run).await;

    let late = ledger.in_line(&limits).await;

    let promoted = ledger.promoted(first.id).await;
    let run = ledger.under(&promoted, &limits).await.runs();
    ledger.succeed(&run).await;
    assert_eq!(ledger.only_due().await.message.id, late.id);
}

async fn every_way_out_of_running_frees_the_slot(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let minute = Duration::from_secs(60);
    let verdicts = [
        Verdict::Succeeded { result: None },
        Verdict::Retry { delay: minute, error: failure("again") },
        Verdict::Dead { error: failure("enough") },
        Verdict::Cancelled { reason: "no".to_owned() },
        Verdict::Snooze { delay: minute },
    ];
    for (number, verdict) in verdicts.into_iter().enumerate() {
        let limits = slots(&format!("mail{number}"), 1);
        let run = ledger.under(&message(), &limits).await.runs();
        let waiting = ledger.in_line(&limits).await;
        ledger.settle(&run, verdict.clone()).await;
        let due = ledger.due_ids(10).await;
        assert_eq!(due, [waiting.id], "after {verdict:?}");
    }
    let limits = slots("released", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let waiting = ledger.in_line(&limits).await;
    ledger.store.ledger.release(run.owner, vec![run.claim]).await.expect("the store releases");
    assert!(ledger.due_ids(10).await.contains(&waiting.id), "after a release");
    let limits = slots("left", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let waiting = ledger.in_line(&limits).await;
    ledger.store.ledger.leave(run.owner).await.expect("a member may leave");
    assert!(ledger.due_ids(10).await.contains(&waiting.id), "after its worker left");
    let limits = slots("cancelled", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let waiting = ledger.in_line(&limits).await;
    ledger.cancel(run.claim.id).await;
    assert_eq!(ledger.due_ids(10).await, [], "it still runs");
    ledger.settle(&run, Verdict::Retry { delay: minute, error: failure("again") }).await;
    assert_eq!(ledger.due_ids(10).await, [waiting.id], "after a cancel");
}

async fn a_task_that_runs_again_takes_a_slot_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let retried = message();
    let run = ledger.under(&retried, &limits).await.runs();
    ledger.fail(&run, Duration::ZERO).await;
    let again = ledger.promoted(retried.id).await;
    ledger.under(&again, &limits).await.runs();

    ledger.in_line(&limits).await;
}

async fn a_lost_workers_slots_are_free_again(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let owner = OwnerId::random();
    ledger.beat(owner, 1).await;
    let lost = message();
    ledger.claim_under(owner, &lost, &limits).await.runs();
    let waiting = ledger.in_line(&limits).await;

    assert_eq!(ledger.reap(owner, 1).await.rescheduled, 1);

    let due = ledger.due(10).await.entries;
    let message = |id| due.iter().find(|entry| entry.message.id == id).expect("it is due").message.clone();
    assert!(ledger.under(&message(lost.id), &limits).await.waits().is_none(), "it lost its slot");
    ledger.under(&message(waiting.id), &limits).await.runs();
}

async fn a_cancelled_task_leaves_the_line(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let (cancelled, next) = (ledger.in_line(&limits).await, ledger.in_line(&limits).await);

    ledger.cancel(cancelled.id).await;
    ledger.succeed(&run).await;

    assert_eq!(ledger.due_ids(10).await, [next.id]);
    assert_eq!(ledger.state(cancelled.id).await, TaskState::Cancelled);
}

async fn a_task_moved_by_hand_leaves_the_line(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let (moved, next) = (ledger.in_line(&limits).await, ledger.in_line(&limits).await);

    ledger.act(moved.id, Action::Retry).await;
    let again = ledger.promoted(moved.id).await;
    assert_eq!(ledger.under(&again, &limits).await.waits(), None, "it stands at the end of the line now");
    ledger.succeed(&run).await;

    assert_eq!(ledger.due_ids(10).await, [next.id]);
}

async fn a_slot_kept_for_a_cancelled_task_goes_on(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let (cancelled, next) = (ledger.in_line(&limits).await, ledger.in_line(&limits).await);
    ledger.succeed(&run).await;

    ledger.cancel(cancelled.id).await;

    assert_eq!(ledger.due_ids(10).await, [next.id]);
}

async fn a_slot_kept_for_an_expired_task_goes_on(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let minute = Duration::from_secs(60);
    let expiring = Message { expires_at: Some(later(ledger.now().await, minute)), ..message() };
    ledger.under(&expiring, &limits).await.waits();
    let next = ledger.in_line(&limits).await;
    world.forward(minute);

    ledger.succeed(&run).await;

    assert_eq!(ledger.due_ids(10).await, [], "what was due has expired");
    assert_eq!(ledger.state(expiring.id).await, TaskState::Expired);
    assert_eq!(ledger.due_ids(10).await, [next.id]);
}

async fn a_slot_that_nobody_comes_for_goes_on(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    let run = ledger.under(&message(), &limits).await.runs();
    let (paused, next) = (ledger.in_line(&limits).await, ledger.in_line(&limits).await);
    ledger.succeed(&run).await;
    let paused = ledger.promoted(paused.id).await;
    let purge = async || {
        let purged = ledger.store.inspect.purge(upbeat_shared::ledger::Retention::default(), 100);
        purged.await.expect("the store purges");
    };

    world.forward(Duration::from_secs(30));
    purge().await;
    assert_eq!(ledger.due_ids(10).await, [], "it may still come");
    world.forward(Duration::from_secs(31));
    purge().await;

    let batch = ledger.due(10).await;
    let next = batch.entries.iter().find(|entry| entry.message.id == next.id).expect("the next is due");
    assert_eq!(ledger.under(&paused, &limits).await.waits(), None, "it came too late");
    ledger.under(&next.message, &limits).await.runs();
}

async fn a_claim_repeated_with_its_token_takes_no_second_slot(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 2);
    let owner = OwnerId::random();
    let request = ClaimRequest::new(message(), Token::random()).under(limits.clone());
    let first = ledger.claim_batch(owner, vec![request.clone()]).await.remove(0);
    let again = ledger.claim_batch(owner, vec![request]).await.remove(0);

    let (ClaimAnswer::Acquired(first), ClaimAnswer::Acquired(again)) = (&first, &again) else {
        panic!("both should be acquired: {first:?}, {again:?}")
    };
    assert_eq!(first.fence, again.fence);
    ledger.under(&message(), &limits).await.runs();
    ledger.in_line(&limits).await;
}

async fn a_raised_limit_lets_the_line_in(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    ledger.under(&message(), &slots("mail", 1)).await.runs();
    let first = ledger.in_line(&slots("mail", 1)).await;
    let second = ledger.in_line(&slots("mail", 1)).await;

    let last = ledger.in_line(&slots("mail", 3)).await;

    assert_eq!(ledger.due_ids(10).await, [first.id, second.id]);
    assert_eq!(ledger.state(last.id).await, TaskState::Scheduled);
}

async fn a_lowered_limit_lets_those_that_run_finish(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(ledger.under(&message(), &slots("mail", 3)).await.runs());
    }
    let waiting = ledger.in_line(&slots("mail", 1)).await;

    for run in &runs[..2] {
        ledger.succeed(run).await;
        assert_eq!(ledger.due_ids(10).await, []);
    }
    ledger.succeed(&runs[2]).await;

    assert_eq!(ledger.due_ids(10).await, [waiting.id]);
}

async fn a_task_goes_through_its_limits_one_after_the_other(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (narrow, wide) = (slots("narrow", 1), slots("wide", 1));
    let both = [narrow.clone(), wide.clone()].concat();
    let run = ledger.under(&message(), &wide).await.runs();

    let first = message();
    let answer = ledger.under(&first, &both).await;
    assert!(matches!(answer, Answer::Waits { by: 1, .. }), "it has the narrow slot: {answer:?}");
    let second = message();
    let answer = ledger.under(&second, &both).await;
    assert!(matches!(answer, Answer::Waits { by: 0, .. }), "{answer:?}");

    ledger.succeed(&run).await;
    let promoted = ledger.promoted(first.id).await;
    let run = ledger.under(&promoted, &both).await.runs();
    ledger.succeed(&run).await;
    let promoted = ledger.promoted(second.id).await;
    let run = ledger.under(&promoted, &both).await.runs();
    ledger.succeed(&run).await;
    ledger.under(&message(), &both).await.runs();
}

async fn limits_do_not_count_each_other(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for number in 0..3 {
        let limits = slots(&format!("mail:{number}"), 1);
        ledger.under(&message(), &limits).await.runs();
        ledger.in_line(&limits).await;
    }
}

async fn a_batch_is_admitted_in_its_order(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 2);
    // Against the order of their ids.
    let mut messages: Vec<Message> = (0..6).map(|_| message()).collect();
    messages.reverse();
    let request = |it: &Message| ClaimRequest::new(it.clone(), Token::random()).under(limits.clone());
    let plain = ClaimRequest::new(message(), Token::random());
    let requests = messages.iter().map(request).chain([plain]).collect();
    let owner = OwnerId::random();

    let answers = ledger.claim_batch(owner, requests).await;

    let runs = |answer: &ClaimAnswer| matches!(answer, ClaimAnswer::Acquired(_));
    assert_eq!(answers.iter().map(runs).collect::<Vec<_>>(), [true, true, false, false, false, false, true]);
    ledger.store.ledger.leave(owner).await.expect("a member may leave");
    let due = ledger.due_ids(10).await;
    assert!(due.contains(&messages[2].id) && due.contains(&messages[3].id), "{due:?}");
    assert!(!due.contains(&messages[4].id) && !due.contains(&messages[5].id), "{due:?}");
}

async fn a_limit_leaves_other_tasks_alone(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let limits = slots("mail", 1);
    ledger.under(&message(), &limits).await.runs();
    ledger.in_line(&limits).await;
    let other = ledger.queued(&message()).await;
    ledger.succeed(&ledger.acquire_any(&other).await).await;
    ledger.add(&message(), Due::In(Duration::ZERO)).await;

    assert_eq!(ledger.due_ids(10).await.len(), 1);
}
