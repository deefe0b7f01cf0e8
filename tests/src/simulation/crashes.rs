//! Crashes at every call of every path: before it takes effect, and after.
//!
//! A path is run once without any fault, to learn which calls it makes. Then it is run again for each of them, and the caller
//! dies there. Two crashes are placed likewise: the second at a call that the history with the first one makes.

use std::time::Duration;

use upbeat::Schedule;
use upbeat::client::{NewTask, Record};
use upbeat::message::Payload;
use upbeat::name::{QueueName, TaskName};
use upbeat::schedule::CatchUp;
use upbeat::testing::{Crash, Fault, Publisher, SimulateOptions, Simulated, try_simulate};

use super::judge;
use super::program::{Does, Effects, RETRY, Work, app};
use crate::dice::Dice;

/// A way that a task can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Published now, with a row first: add, publish, mark, claim, run, settle, acknowledge.
    Recorded,
    /// Published now, with a row by its claim.
    Direct,
    /// Published later: add, promote, mark.
    Later,
    /// Planned by a schedule.
    Planned,
    /// Fails and is retried.
    Retried,
    /// Asks for another time.
    Snoozed,
    /// Fails for ever, and is dead.
    Dead,
    /// Publishes another task while it runs.
    Parent,
    /// Is published twice under one dedup id.
    Twice,
    /// Is cancelled before it starts.
    CancelledEarly,
    /// Is cancelled while it runs.
    CancelledLate,
    /// Expires before it is due.
    Expired,
    /// Has a name that nobody knows: parked, then cancelled.
    Parked,
    /// Its worker is told to stop while it runs, and gives it back.
    Released,
}

impl Path {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Recorded,
        Self::Direct,
        Self::Later,
        Self::Planned,
        Self::Retried,
        Self::Snoozed,
        Self::Dead,
        Self::Parent,
        Self::Twice,
        Self::CancelledEarly,
        Self::CancelledLate,
        Self::Expired,
        Self::Parked,
        Self::Released,
    ];

    /// Runs it with these crashes; answers what is wrong with it, if something is.
    pub fn run(self, crashes: &[Crash]) -> Result<Simulated, String> {
        let effects = Effects::default();
        let mut app = app(&effects);
        if self == Self::Planned {
            let tick = Schedule::every("tick", "4s", Work { number: 0, does: Does::Work });
            app = app.schedule(tick.catch_up(CatchUp::All));
        }
        let simulated = try_simulate(app, self.options(crashes), move |publisher| self.publish(publisher));
        let simulated = simulated.map_err(|unsound| format!("{self:?} with {crashes:?}: {unsound}"))?;
        let wrong = judge::effects(&simulated, &effects);
        if wrong.is_empty() {
            return Ok(simulated);
        }
        Err(format!("{self:?} with {crashes:?}: {}\n{}", wrong.join("\n"), simulated.history()))
    }

    fn options(self, crashes: &[Crash]) -> SimulateOptions {
        let released = self == Self::Released;
        let mut options = SimulateOptions {
            // The seed of a worker that is told to stop while it runs.
            seed: if released { RELEASED } else { 1 },
            beats: 1,
            workers: 1,
            faults: if released { vec![Fault::Stop] } else { Vec::new() },
            storm: Duration::from_secs(if released { 3 } else { 0 }),
            crashes: crashes.to_vec(),
            ..SimulateOptions::default()
        };
        options.config.worker.retry = RETRY;
        if self == Self::Parked {
            // If its publisher dies, nobody cancels it: it is dead after an hour.
            options.patience = Duration::from_secs(2 * 3600);
        }
        options.config.worker.grace = Duration::from_millis(500);
        if self == Self::Direct {
            options.config.queues.entry(QueueName::default_queue()).or_default().record = Some(Record::Claim);
        }
        options
    }

    /// What the publisher does. What it cannot do because of a crash, it does not do.
    async fn publish(self, publisher: Publisher) {
        let client = publisher.client;
        let task = |does| client.publish(Work { number: 1, does });
        let a_second = Duration::from_secs(1);
        match self {
            Self::Recorded | Self::Direct => drop(task(Does::Work).await),
            Self::Later => drop(task(Does::Work).delay(a_second).await),
            Self::Planned => {}
            Self::Retried => drop(task(Does::Fail(2)).await),
            Self::Snoozed => drop(task(Does::Snooze).await),
            Self::Dead => drop(task(Does::Doom).await),
            Self::Parent => drop(task(Does::Child).await),
            Self::Twice => {
                drop(task(Does::Work).dedup_id("once").await);
                drop(task(Does::Work).dedup_id("once").await);
            }
            Self::Expired => drop(task(Does::Work).delay(a_second).expires_in(a_second / 2).await),
            Self::Released => drop(task(Does::Sleep(4000)).await),
            Self::CancelledEarly | Self::CancelledLate => {
                let early = self == Self::CancelledEarly;
                let delay = if early { a_second * 3 } else { Duration::ZERO };
                if let Ok(handle) = task(Does::Sleep(5000)).delay(delay).await {
                    tokio::time::sleep(a_second).await;
                    drop(handle.cancel("not needed").await);
                }
            }
            Self::Parked => {
                let name = TaskName::new("sim.nobody").expect("a name");
                let args = Payload::json(&()).expect("arguments");
                if let Ok(handle) = client.publish(NewTask::new(name, args)).await {
                    tokio::time::sleep(a_second * 4).await;
                    // Only the ledger's own row can be cancelled again and again, by whoever lives.
                    while handle.cancel("nobody knows it").await.is_err() {
                        tokio::time::sleep(a_second).await;
                    }
                }
            }
        }
    }
}

/// See [`Path::Released`].
const RELEASED: u64 = 1;

/// What was tried, and what was wrong.
#[derive(Debug, Default)]
pub struct Tried {
    /// Histories.
    pub histories: usize,
    /// One text for each that broke a promise.
    pub wrong: Vec<String>,
}

impl Tried {
    fn note(&mut self, outcome: Result<Simulated, String>) -> Option<Simulated> {
        self.histories += 1;
        outcome.map_err(|wrong| self.wrong.push(wrong)).ok()
    }
}

/// One crash at every call of a path that changes something.
pub fn one(path: Path) -> Tried {
    let mut tried = Tried::default();
    let Some(calm) = tried.note(path.run(&[])) else { return tried };
    for crash in places(&calm, 0) {
        tried.note(path.run(&[crash]));
    }
    tried
}

/// Two crashes of a path: so many pairs, drawn by lot; all of them if there are not more.
pub fn two(path: Path, pairs: usize) -> Tried {
    let mut tried = Tried::default();
    let Some(calm) = tried.note(path.run(&[])) else { return tried };
    let firsts = places(&calm, 0);
    let mut dice = Dice::new(7);
    let of_each = pairs.div_ceil(firsts.len().max(1));
    for first in firsts {
        if tried.histories > pairs {
            break;
        }
        let Some(once) = tried.note(path.run(&[first])) else { continue };
        let seconds = places(&once, first.call + 1);
        let seconds = if seconds.len() > of_each { dice.picks(&seconds, of_each) } else { seconds };
        for second in seconds {
            tried.note(path.run(&[first, second]));
        }
    }
    tried
}

/// Where a crash makes a difference, from a call on.
fn places(simulated: &Simulated, from: u64) -> Vec<Crash> {
    let notable = simulated.calls().iter().filter(|seen| seen.notable && seen.call >= from);
    notable.flat_map(|seen| [false, true].map(|after| Crash { call: seen.call, after })).collect()
}
