//! Faults that strike a process, a store or the tasks, and what comes after them.

use std::sync::atomic::Ordering;

use upbeat_shared::ledger::{Action, Inspect, NewSchedule, Store};
use upbeat_shared::name::QueueName;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::Transport;

use super::engine::{Engine, Event, LAG, SIMULATOR};
use super::history::About;
use super::member::Part;
use super::options::Fault;
use super::process::Process;
use super::rows;
use super::weather::{Strike, Wind};
use crate::stack::Stack;
use crate::testing::world::at_once;

/// How long the broker takes to notice that a process is gone, at most, in milliseconds.
const NOTICES: u64 = 3_000;
/// How long a supervisor takes to start a process again, at most.
const STARTS_AGAIN: u64 = 4_000;

impl Engine {
    pub(super) fn strikes(&mut self, strike: Strike) {
        if self.healed {
            return;
        }
        let Strike { fault, lasts, whom, .. } = strike;
        match fault {
            Fault::Pause => self.freeze(whom, lasts),
            Fault::Stop => self.stop(whom),
            Fault::Returned => self.disconnect(whom),
            Fault::LedgerAway => {
                if self.ledger_away == 0 {
                    self.away_since = self.ground.store_host.wall();
                }
                self.ledger_away += 1;
                self.goes_away(fault, lasts);
            }
            Fault::BrokerAway => {
                self.broker_away += 1;
                self.goes_away(fault, lasts);
                self.disconnect_all();
            }
            Fault::Purge => self.purge(),
            Fault::Cancel => self.cancel(whom),
            Fault::Edit => self.edit(whom),
            _ => {}
        }
    }

    /// A process is killed. Its calls that are under way may still take effect.
    pub(super) fn crash(&mut self, number: usize, life: u64) {
        if self.members[number].life == life && self.members[number].living.is_some() {
            self.count(Fault::Crash);
            self.dies(number, "dies");
        }
    }

    pub(super) fn dies(&mut self, number: usize, how: &'static str) {
        let Some(living) = self.members[number].living.take() else { return };
        self.note(number, how, "", About::default());
        let connection = living.broker.connection();
        // Dropping the process drops its futures, and what they hold of the connection.
        drop(living);
        let notices = if self.dice.permille(500) { 0 } else { self.dice.below(NOTICES) };
        self.at(self.now + notices, Event::Noticed(connection));
        let member = &mut self.members[number];
        member.frozen = None;
        if member.is_publisher() {
            // What it has not published, nobody will.
            member.done.store(true, Ordering::Relaxed);
        } else {
            let again = 50 + self.dice.below(STARTS_AGAIN);
            self.at(self.now + again, Event::Begins(number));
        }
    }

    fn freeze(&mut self, whom: u64, lasts: u64) {
        let number = pick(whom, self.members.len());
        if self.members[number].living.is_none() || self.members[number].frozen.is_some() {
            return;
        }
        self.turn(number, || {});
        if self.members[number].living.is_none() {
            return;
        }
        self.count(Fault::Pause);
        let until = self.now + lasts;
        self.members[number].frozen = Some(until);
        let life = self.members[number].life;
        self.note(number, "stands still", "", About::text(format!("for {lasts} ms")));
        self.at(until, Event::Thaws(number, life));
    }

    pub(super) fn thaws(&mut self, number: usize, life: u64) {
        let now = self.now;
        let member = &mut self.members[number];
        if member.life != life || member.frozen.is_none_or(|until| until > now) {
            return;
        }
        member.frozen = None;
        if let Some(living) = &mut member.living {
            living.process.resume(now);
        }
        self.note(number, "goes on", "", About::default());
        self.turn(number, || {});
        self.at(now + LAG, Event::Turn(number, life));
    }

    fn stop(&mut self, whom: u64) {
        let number = pick(whom, self.members.len());
        let member = &self.members[number];
        let Some(living) = &member.living else { return };
        if member.is_publisher() || member.frozen.is_some() {
            return;
        }
        living.stop.cancel();
        self.count(Fault::Stop);
        self.note(number, "is told to stop", "", About::default());
        self.turn(number, || {});
    }

    fn disconnect(&mut self, whom: u64) {
        let number = pick(whom, self.members.len());
        let Some(living) = &self.members[number].living else { return };
        living.broker.reset();
        self.count(Fault::Returned);
        self.note(number, "loses its connection", "", About::default());
        self.wake_all();
    }

    fn disconnect_all(&mut self) {
        for member in &self.members {
            if let Some(living) = &member.living {
                living.broker.reset();
            }
        }
        self.wake_all();
    }

    fn goes_away(&mut self, fault: Fault, lasts: u64) {
        self.count(fault);
        let what = if fault == Fault::LedgerAway { "ledger" } else { "broker" };
        self.note(SIMULATOR, "takes away the", what, About::text(format!("for {lasts} ms")));
        self.at(self.now + lasts, Event::Back(fault));
    }

    pub(super) fn comes_back(&mut self, fault: Fault) {
        if fault != Fault::LedgerAway {
            self.broker_away = self.broker_away.saturating_sub(1);
        } else if self.ledger_away > 0 {
            self.ledger_away -= 1;
            if self.ledger_away == 0 {
                self.ground.law.away(self.away_since, self.ground.store_host.wall());
            }
        }
    }

    fn purge(&mut self) {
        let queues: Vec<QueueName> =
            self.ground.config.worker.queues.iter().map(|(queue, _)| queue.clone()).collect();
        let operator = self.ground.broker.connect();
        for queue in queues {
            let purged = at_once(operator.purge(&queue)).expect("a broker in memory does not fail");
            if purged > 0 {
                self.count(Fault::Purge);
                self.note(SIMULATOR, "purges", "a queue", About::text(format!("{queue}: {purged} messages")));
            }
        }
    }

    fn cancel(&mut self, whom: u64) {
        let unfinished: Vec<_> =
            rows::all(&self.ground.ledger).into_iter().filter(|task| !task.state.is_terminal()).collect();
        if unfinished.is_empty() {
            return;
        }
        let task = &unfinished[pick(whom, unfinished.len())];
        let cancel = Action::Cancel { reason: "the simulator's whim".to_owned() };
        let answers = at_once(self.ground.ledger.act(vec![task.id()], cancel));
        answers.expect("a ledger in memory does not fail");
        self.count(Fault::Cancel);
        self.note(SIMULATOR, "cancels", "", About::tasks([task.id()]));
    }

    /// Gives schedules another tag, so that each has a new revision.
    fn edit(&mut self, whom: u64) {
        let changed =
            self.schedules(|schedule| schedule.definition.task.tags.push(format!("edit-{}", whom % 1000)));
        if changed {
            self.count(Fault::Edit);
            self.note(SIMULATOR, "edits", "the schedules", About::default());
        }
    }

    /// No occurrence is planned any more.
    pub(super) fn pause_schedules(&mut self) {
        self.schedules(|schedule| schedule.definition.paused = true);
    }

    /// Changes every schedule of the program, as whoever applies a file does; answers whether there are some.
    pub(super) fn schedules(&mut self, change: impl Fn(&mut NewSchedule)) -> bool {
        let mut schedules = self.ground.program.schedules().expect("they were checked at the beginning");
        if schedules.is_empty() {
            return false;
        }
        schedules.iter_mut().for_each(change);
        let source = self.ground.program.source();
        let (config, host) = (self.ground.config.clone(), self.ground.store_host.clone());
        let store = Store::from_adapter(self.ground.ledger.another(host.clone()));
        let transport = self.ground.broker.connect();
        let mut operator = Process::new(self.now);
        operator.spawn(async move {
            let stack =
                Stack::over(&config, transport, store, host).await.expect("stores in memory do not fail");
            crate::roles::apply(&stack, &config, &source, schedules)
                .await
                .expect("they were checked at the beginning");
        });
        operator.turn(self.now, || {});
        true
    }

    /// From here on nothing goes wrong, and what is gone comes back.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        self.ground.net.set_wind(Wind::default());
        while self.ledger_away > 0 {
            self.comes_back(Fault::LedgerAway);
        }
        self.broker_away = 0;
        self.note(SIMULATOR, "heals", "everything", About::default());
        for number in 0..self.members.len() {
            let (life, frozen) = (self.members[number].life, self.members[number].frozen);
            if frozen.is_some() {
                self.members[number].frozen = Some(self.now);
                self.thaws(number, life);
            }
        }
    }

    /// Nothing is left to be done.
    pub(super) fn is_over(&self) -> bool {
        let publishing = |member: &super::member::Member| {
            matches!(member.part, Part::Publisher(_)) && !member.done.load(Ordering::Relaxed)
        };
        if self.members.iter().any(publishing) {
            return false;
        }
        let queues = at_once(self.ground.ledger.queues()).expect("a ledger in memory does not fail");
        let unfinished = |(state, count): &(TaskState, u64)| !state.is_terminal() && *count > 0;
        if queues.iter().any(|queue| queue.counts.iter().any(unfinished)) {
            return false;
        }
        self.ground.config.worker.queues.iter().all(|(queue, _)| {
            let depth =
                at_once(self.ground.broker.connect().depth(queue)).expect("a broker in memory does not fail");
            depth.is_none_or(|depth| depth.ready == 0 && depth.unacknowledged.unwrap_or(0) == 0)
        })
    }
}

fn pick(whom: u64, of: usize) -> usize {
    usize::try_from(whom % of.max(1) as u64).unwrap_or(0)
}
