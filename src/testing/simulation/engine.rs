//! The simulator: carries calls, gives turns, lets faults happen. One event at a time, in an order that the seed decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use upbeat_shared::name::TaskName;
use upbeat_shared::transport::Transport;
use upbeat_shared::transport::memory::MemoryTransport;

use super::history::About;
use super::member::{Ground, Living, Member, Part};
use super::net::Letter;
use super::options::{Crash, Fault, SimulateOptions};
use super::simulated::SeenCall;
use super::weather::Strike;
use crate::testing::chance::Dice;
use crate::testing::world::at_once;

/// Names nobody: what the simulator itself does.
pub(super) const SIMULATOR: usize = usize::MAX;
/// A process lags behind the simulation by this at most, in milliseconds; it catches up before anything reaches it.
pub(super) const LAG: u64 = 200;
/// How long a call is under way, at most, when nothing is wrong.
const USUAL: u64 = 4;
/// How long a slow one is.
const SLOW: u64 = 20_000;
/// After how long a driver gives a lost call up.
const GIVES_UP: u64 = 12_000;

/// What can happen.
pub(super) enum Event {
    /// A call arrives where it takes effect.
    Arrives(Carried),
    /// Its answer comes back.
    Returns(Carried),
    /// A process may have something to do.
    Turn(usize, u64),
    Wakes(usize),
    Strikes(Strike),
    Thaws(usize, u64),
    Begins(usize),
    /// The broker notices that a process is gone.
    Noticed(Arc<MemoryTransport>),
    /// The ledger or the broker is there again.
    Back(Fault),
}

/// A call, and what becomes of it.
pub(super) struct Carried {
    letter: Letter,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    LostRequest,
    LostReply,
    CrashBefore,
    CrashAfter,
    Twice,
}

/// A simulation under way.
pub(super) struct Engine {
    pub(super) ground: Ground,
    pub(super) members: Vec<Member>,
    pub(super) dice: Dice,
    pub(super) now: u64,
    /// By time, then by chance, then as they came.
    events: BTreeMap<(u64, u64, u64), Event>,
    numbered: u64,
    calls: u64,
    pub(super) seen: Vec<SeenCall>,
    pub(super) struck: BTreeMap<Fault, u64>,
    crashes: Vec<Crash>,
    pub(super) patience: Duration,
    pub(super) ledger_away: u64,
    pub(super) away_since: Timestamp,
    pub(super) broker_away: u64,
    pub(super) healed: bool,
}

impl Engine {
    pub(super) fn new(ground: Ground, members: Vec<Member>, dice: Dice, options: SimulateOptions) -> Self {
        Self {
            ground,
            members,
            dice,
            now: 0,
            events: BTreeMap::new(),
            numbered: 0,
            calls: 0,
            seen: Vec::new(),
            struck: BTreeMap::new(),
            crashes: options.crashes,
            patience: options.patience,
            ledger_away: 0,
            away_since: options.start,
            broker_away: 0,
            healed: false,
        }
    }

    /// Everybody begins, and what was foreseen will strike.
    pub(super) fn begin(&mut self, strikes: Vec<Strike>) {
        for number in 0..self.members.len() {
            let late = self.dice.below(300);
            self.at(late, Event::Begins(number));
        }
        for strike in strikes {
            self.at(strike.at, Event::Strikes(strike));
        }
    }

    /// Lets everything happen until this instant, or until the law is broken.
    pub(super) fn run_until(&mut self, until: u64) {
        while let Some(first) = self.events.first_entry() {
            if first.key().0 > until || self.ground.law.is_broken() {
                break;
            }
            let ((at, _, _), event) = first.remove_entry();
            self.now = self.now.max(at);
            self.ground.net.set_now(self.now);
            self.happens(event);
        }
        self.now = self.now.max(until);
        self.ground.net.set_now(self.now);
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.numbered += 1;
        let key = (at, self.dice.next(), self.numbered);
        self.events.insert(key, event);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives(carried) => self.arrives(carried),
            Event::Returns(carried) => self.returns(carried),
            Event::Turn(member, life) => self.turn_comes(member, life),
            Event::Wakes(member) if self.members[member].frozen.is_none() => self.turn(member, || {}),
            Event::Wakes(_) => {}
            Event::Strikes(strike) => self.strikes(strike),
            Event::Thaws(member, life) => self.thaws(member, life),
            Event::Begins(member) => self.begins(member),
            Event::Noticed(connection) => {
                at_once(connection.close());
                self.wake_all();
            }
            Event::Back(fault) => self.comes_back(fault),
        }
    }

    fn begins(&mut self, number: usize) {
        let member = &mut self.members[number];
        if member.living.is_some() || member.done.load(Ordering::Relaxed) {
            return;
        }
        member.begin(&self.ground, self.now, &mut self.dice);
        let life = member.life;
        self.note(number, "begins", "", About::default());
        self.turn(number, || {});
        self.at(self.now + LAG, Event::Turn(number, life));
    }

    /// A process lives on until now, and sends what it has to send.
    pub(super) fn turn(&mut self, number: usize, deliver: impl FnOnce()) {
        let Some(living) = &mut self.members[number].living else { return };
        living.process.turn(self.now, deliver);
        self.carry();
        let ended = |living: &Living| living.ended.load(Ordering::Relaxed);
        if self.members[number].living.as_ref().is_some_and(ended) {
            self.dies(number, "ends");
        }
    }

    fn turn_comes(&mut self, number: usize, life: u64) {
        let member = &self.members[number];
        if member.life != life || member.frozen.is_some() {
            return;
        }
        let Some(living) = &member.living else { return };
        let next = living.process.at() + LAG;
        if next > self.now {
            return self.at(next, Event::Turn(number, life));
        }
        self.turn(number, || {});
        self.at(self.now + LAG, Event::Turn(number, life));
    }

    /// Takes up what was sent.
    fn carry(&mut self) {
        let mut letters = self.ground.net.posted();
        // Tokio wakes those that watch one value in an order that no seed decides. What they send in one turn is sent at
        // once, so any order is as good.
        letters.sort_by(|one, other| (one.label, &one.about).cmp(&(other.label, &other.about)));
        for letter in letters {
            let fate = self.fate(letter.label);
            let late = self.under_way();
            self.at(self.now + late, Event::Arrives(Carried { letter, fate }));
        }
    }

    fn under_way(&mut self) -> u64 {
        let wind = self.ground.net.wind();
        let most = if self.dice.permille(wind.slow) { SLOW } else { USUAL };
        if most == SLOW {
            self.count(Fault::Slow);
        }
        self.dice.below(most)
    }

    fn fate(&mut self, label: &'static str) -> Fate {
        let wind = self.ground.net.wind();
        // All are drawn, so that one kind of fault does not change another's chances.
        let crash = self.dice.permille(wind.crash);
        let after = self.dice.permille(500);
        let (request, reply) = (self.dice.permille(wind.lost_request), self.dice.permille(wind.lost_reply));
        let twice = self.dice.permille(wind.duplicate);
        if crash && after {
            Fate::CrashAfter
        } else if crash {
            Fate::CrashBefore
        } else if request {
            Fate::LostRequest
        } else if reply {
            Fate::LostReply
        } else if twice && matches!(label, "publish" | "claim" | "settle") {
            Fate::Twice
        } else {
            Fate::Well
        }
    }

    fn arrives(&mut self, carried: Carried) {
        let Carried { mut letter, fate } = carried;
        let call = self.calls;
        self.calls += 1;
        let placed = self.crashes.iter().find(|crash| crash.call == call).copied();
        let fate = match placed {
            Some(Crash { after: true, .. }) => Fate::CrashAfter,
            Some(Crash { after: false, .. }) => Fate::CrashBefore,
            None => fate,
        };
        let number = letter.member;
        if fate == Fate::CrashBefore {
            self.note(number, "dies before", letter.label, letter.about.clone());
            return self.crash(number, letter.life);
        }
        let lost = fate == Fate::LostRequest;
        if lost || self.is_away(letter.label) {
            self.note(
                number,
                if lost { "loses its call" } else { "cannot reach" },
                letter.label,
                letter.about.clone(),
            );
            if lost {
                self.count(Fault::LostRequest);
                // A broker that lives keeps what it is not told of; that it is not told means that the connection broke.
                self.breaks_connection(&letter);
            }
            return self.fails(letter, lost);
        }
        let seen = letter.body.act(fate == Fate::Twice);
        self.seen.push(SeenCall { call, label: letter.label, notable: seen.notable });
        if seen.notable {
            let what = if fate == Fate::Twice { "twice" } else { "calls" };
            let about = About { text: Some(seen.word.into()), ..letter.about.clone() };
            self.note(number, what, letter.label, about);
            self.wake_workers(letter.label);
        }
        match fate {
            Fate::CrashAfter => {
                self.note(number, "dies after", letter.label, letter.about.clone());
                self.crash(number, letter.life);
            }
            Fate::LostReply => {
                self.count(Fault::LostReply);
                self.note(number, "loses the answer to", letter.label, letter.about.clone());
                self.fails(letter, true);
            }
            Fate::Well | Fate::Twice | Fate::LostRequest | Fate::CrashBefore => {
                if fate == Fate::Twice {
                    self.count(Fault::Duplicate);
                }
                let late = self.under_way();
                self.at(self.now + late, Event::Returns(Carried { letter, fate: Fate::Well }));
            }
        }
    }

    /// Its caller is told nothing for a while, and then an error.
    fn fails(&mut self, letter: Letter, silently: bool) {
        let wait = if silently && self.dice.permille(500) { GIVES_UP } else { self.dice.below(50) };
        self.at(self.now + wait, Event::Returns(Carried { letter, fate: Fate::LostReply }));
    }

    fn breaks_connection(&mut self, letter: &Letter) {
        let member = &self.members[letter.member];
        let Some(living) = member.living.as_ref().filter(|_| member.life == letter.life) else { return };
        if matches!(letter.label, "acknowledge" | "give_back") {
            living.broker.reset();
            self.wake_all();
        }
    }

    fn returns(&mut self, carried: Carried) {
        let (number, life) = (carried.letter.member, carried.letter.life);
        let member = &self.members[number];
        if member.life != life || member.living.is_none() {
            return;
        }
        if let Some(until) = member.frozen {
            return self.at(until + 1, Event::Returns(carried));
        }
        let Carried { letter: Letter { body, .. }, fate } = carried;
        self.turn(number, move || match fate {
            Fate::Well => body.answer(),
            _ => body.fail("no answer"),
        });
    }

    fn is_away(&self, label: &str) -> bool {
        const OF_BROKER: [&str; 8] =
            ["declare", "publish", "consume", "depth", "purge", "ping", "acknowledge", "give_back"];
        if OF_BROKER.contains(&label) { self.broker_away > 0 } else { self.ledger_away > 0 }
    }

    /// What was published may wake a consumer at once, instead of when it looks again.
    fn wake_workers(&mut self, label: &str) {
        if matches!(label, "publish" | "give_back") {
            self.wake_all();
        }
    }

    pub(super) fn wake_all(&mut self) {
        for number in 0..self.members.len() {
            if self.members[number].part == Part::Worker {
                let soon = self.dice.below(USUAL);
                self.at(self.now + soon, Event::Wakes(number));
            }
        }
    }

    /// Whether the program has a handler of this name.
    pub(super) fn knows(&self, name: &TaskName) -> bool {
        self.ground.program.tasks.iter().any(|task| task.name == *name)
    }

    pub(super) fn note(&self, who: usize, what: &'static str, label: &'static str, about: About) {
        self.ground.net.note(who, what, label, about);
    }

    pub(super) fn count(&mut self, fault: Fault) {
        *self.struck.entry(fault).or_default() += 1;
    }
}
