//! Counters are kept up to date, never counted: after any history they equal a recount.

use std::collections::BTreeMap;
use std::time::Duration;

use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::{Action, Due, Lost, Retention, TaskFilter};
use upbeat_shared::message::Message;
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;

use super::{LedgerWorld, Probe, Running};
use crate::conformance::suite;
use crate::dice::Dice;
use crate::message::{definition, failure, message_for, occurrence, queue};

suite! { $ counters_conformance, LedgerWorld, ledger::counters:
    counters_follow_a_task_through_its_life,
    counters_equal_a_recount_after_a_random_history,
    counters_forget_what_was_purged,
}

/// Tasks by queue and state; what has none is left out.
type Counts = BTreeMap<(QueueName, TaskState), u64>;

/// As the counters say.
async fn counted(ledger: &Probe) -> Counts {
    let queues = ledger.store.inspect.queues().await.expect("the store counts");
    let counts = queues.into_iter().flat_map(|queue| {
        let name = queue.name;
        queue.counts.into_iter().map(move |(state, count)| ((name.clone(), state), count))
    });
    counts.inspect(|(key, count)| assert!(*count > 0, "{key:?} has no tasks and is listed")).collect()
}

/// As one finds by looking at every task.
async fn recounted(ledger: &Probe) -> Counts {
    let (mut counts, mut after) = (Counts::new(), None);
    loop {
        let page =
            ledger.store.inspect.list(TaskFilter::default(), after, 100).await.expect("the store lists");
        for task in &page.tasks {
            *counts.entry((task.message.queue.clone(), task.state)).or_default() += 1;
        }
        let Some(next) = page.next else { return counts };
        after = Some(next);
    }
}

async fn counters_follow_a_task_through_its_life(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (message, mail) = (message_for("mail"), queue("mail"));
    let only = |state| Counts::from([((mail.clone(), state), 1)]);
    assert_eq!(counted(&ledger).await, Counts::new());

    ledger.add(&message, Due::In(Duration::ZERO)).await;
    assert_eq!(counted(&ledger).await, only(TaskState::Scheduled));
    let queued = ledger.promoted(message.id).await;
    assert_eq!(counted(&ledger).await, only(TaskState::Queued));
    let run = ledger.acquire_any(&queued).await;
    assert_eq!(counted(&ledger).await, only(TaskState::Running));
    ledger.fail(&run, Duration::ZERO).await;
    assert_eq!(counted(&ledger).await, only(TaskState::Scheduled));
    let queued = ledger.promoted(message.id).await;
    let run = ledger.acquire_any(&queued).await;
    ledger.settle(&run, Verdict::Dead { error: failure("enough") }).await;
    assert_eq!(counted(&ledger).await, only(TaskState::Dead));
    ledger.act(message.id, Action::Retry).await;
    assert_eq!(counted(&ledger).await, only(TaskState::Scheduled));
    ledger.cancel(message.id).await;
    assert_eq!(counted(&ledger).await, only(TaskState::Cancelled));
}

/// A history: what was published, and what runs or ran.
#[derive(Default)]
struct History {
    messages: Vec<Message>,
    runs: Vec<Running>,
    workers: Vec<OwnerId>,
}

impl History {
    async fn step(&mut self, world: &impl LedgerWorld, ledger: &Probe, dice: &mut Dice) {
        match dice.below(12) {
            0 | 1 => self.publish(ledger, dice).await,
            2 => self.promote(ledger).await,
            3 | 4 => self.claim(ledger, dice).await,
            5 | 6 => self.settle(ledger, dice).await,
            7 => self.act(ledger, dice).await,
            8 => self.park(ledger, dice).await,
            9 => self.lose_a_worker(ledger, dice).await,
            10 => self.release(ledger, dice).await,
            _ => world.forward(Duration::from_secs(dice.below(40) as u64)),
        }
    }

    async fn publish(&mut self, ledger: &Probe, dice: &mut Dice) {
        let mut message = message_for(["mail", "reports", "default"][dice.below(3)]);
        if dice.below(4) == 0 {
            let expires_in = Duration::from_secs(dice.below(60) as u64);
            message.expires_at = Some(upbeat_shared::clock::later(ledger.now().await, expires_in));
        }
        if dice.below(2) == 0 {
            ledger.add(&message, Due::In(Duration::from_secs(dice.below(30) as u64))).await;
        }
        self.messages.push(message);
    }

    async fn promote(&mut self, ledger: &Probe) {
        for entry in ledger.due(5).await.entries {
            ledger.mark(&entry.message).await;
            self.messages.push(entry.message);
        }
    }

    async fn claim(&mut self, ledger: &Probe, dice: &mut Dice) {
        if self.workers.len() < 3 {
            self.workers.push(OwnerId::random());
        }
        let Some(owner) = dice.pick(&self.workers) else { return };
        for _ in 0..3 {
            let Some(message) = dice.pick(&self.messages) else { return };
            self.runs.extend(ledger.try_acquire(owner, &message).await);
        }
    }

    async fn settle(&mut self, ledger: &Probe, dice: &mut Dice) {
        let Some(run) = dice.pick(&self.runs) else { return };
        let delay = Duration::from_secs(dice.below(30) as u64);
        let verdicts = [
            Verdict::Succeeded { result: None },
            Verdict::Retry { delay, error: failure("again") },
            Verdict::Snooze { delay },
            Verdict::Dead { error: failure("enough") },
            Verdict::Cancelled { reason: "no".to_owned() },
            Verdict::Released { reason: "shutdown".to_owned() },
        ];
        let verdict = verdicts[dice.below(verdicts.len())].clone();
        ledger.settle(&run, verdict).await;
    }

    async fn act(&mut self, ledger: &Probe, dice: &mut Dice) {
        let Some(message) = dice.pick(&self.messages) else { return };
        let cancel = Action::Cancel { reason: "no".to_owned() };
        let action = [cancel, Action::Retry, Action::Drop][dice.below(3)].clone();
        ledger.act(message.id, action).await;
    }

    async fn park(&mut self, ledger: &Probe, dice: &mut Dice) {
        let Some(message) = dice.pick(&self.messages) else { return };
        ledger.park(&message).await;
    }

    async fn lose_a_worker(&mut self, ledger: &Probe, dice: &mut Dice) {
        let Some(owner) = dice.pick(&self.workers) else { return };
        ledger.beat(owner, 2).await;
        ledger.reap_all(vec![Lost { owner, counter: 2 }]).await;
        self.workers.retain(|worker| *worker != owner);
    }

    async fn release(&mut self, ledger: &Probe, dice: &mut Dice) {
        let Some(run) = dice.pick(&self.runs) else { return };
        ledger.store.ledger.release(run.owner, vec![run.claim]).await.expect("the store releases");
    }
}

async fn counters_equal_a_recount_after_a_random_history(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let schedule = super::catalog::put(&ledger, "nightly", definition()).await;
    let (mut dice, mut history) = (Dice::new(0x5eed_cafe_f00d), History::default());
    for step in 1..=600 {
        history.step(world, &ledger, &mut dice).await;
        if step % 50 == 0 {
            assert_eq!(counted(&ledger).await, recounted(&ledger).await, "after {step} steps");
        }
    }
    let entries = (0..3).map(|_| occurrence(&schedule, schedule.cursor)).take(1).collect();
    super::planning::advanced(&ledger, &schedule, ledger.now().await, entries).await;
    let removed = ledger.store.catalog.remove(schedule.id, schedule.revision).await;
    assert!(removed.expect("the store answers"));

    let counts = counted(&ledger).await;

    assert_eq!(counts, recounted(&ledger).await);
    let states: std::collections::BTreeSet<_> = counts.keys().map(|(_, state)| *state).collect();
    assert!(states.len() >= 6, "the history was too tame: {states:?}");
    let backlog = ledger.store.agenda.backlog().await.expect("the store counts");
    for (queue, waiting, _) in backlog {
        let of = |state| counts.get(&(queue.clone(), state)).copied().unwrap_or(0);
        assert_eq!(waiting, of(TaskState::Scheduled) + of(TaskState::Queued), "{queue}");
    }
}

async fn counters_forget_what_was_purged(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for end in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        ledger.ended(end).await;
        ledger.ended(end).await;
    }
    world.forward(Retention::default().ids + Duration::from_secs(1));

    ledger.store.inspect.purge(Retention::default(), 1000).await.expect("the store purges");

    let dead = Counts::from([((QueueName::default_queue(), TaskState::Dead), 2)]);
    assert_eq!(counted(&ledger).await, dead);
    assert_eq!(recounted(&ledger).await, dead);
}
