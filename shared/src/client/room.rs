//! The waiting room: whoever waits for a task's end, and one loop that looks for all of them.
//!
//! The loop runs only while somebody waits. It never asks for one task alone where many are waited for: a look is a few batches,
//! however many wait. What ends in this process, or where the ledger can tell, is looked at once; for the rest, looks become rarer
//! the longer a task is waited for. A look that took long is followed by a longer rest, so that no crowd keeps the ledger busy.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, oneshot};

use super::look;
use crate::clock::Clock;
use crate::id::TaskId;
use crate::ledger::{Inspect, LedgerError};
use crate::task::TaskRecord;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(10);

/// The longest time between two looks at a task, where the ledger cannot tell that something ended.
const LOOK: Duration = Duration::from_millis(250);

/// After a look at those that were looked at before, the room rests this many times as long as the look took.
const RESTS: u32 = 3;

/// The longest pause after a look that failed.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// Whoever waits is told of an outage that has lasted so long.
pub(super) const OUTAGE: Duration = Duration::from_secs(60);

/// What a waiter is told.
type Told = Result<TaskRecord, LedgerError>;

/// One client's waiting room.
pub(super) struct Room {
    inspect: Arc<dyn Inspect>,
    clock: Arc<dyn Clock>,
    seats: Mutex<Seats>,
    /// Somebody came, or the last one left.
    changed: Notify,
}

#[derive(Default)]
struct Seats {
    /// In an order, so that a simulation asks the same in every run.
    tasks: BTreeMap<TaskId, Watched>,
    /// How many ever came: each waiter's number.
    came: u64,
    /// The loop runs.
    is_open: bool,
    /// The ledger does not answer.
    away: Option<Away>,
}

/// A task that somebody waits for.
struct Watched {
    /// When the latest waiter came.
    since: Duration,
    /// When it was last looked at since then.
    looked: Option<Duration>,
    waiters: BTreeMap<u64, oneshot::Sender<Told>>,
}

/// An outage, as long as it lasts.
#[derive(Clone)]
struct Away {
    since: Duration,
    error: LedgerError,
}

impl Room {
    pub(super) fn new(inspect: Arc<dyn Inspect>, clock: Arc<dyn Clock>) -> Self {
        Self { inspect, clock, seats: Mutex::default(), changed: Notify::new() }
    }

    /// Waits until the task has ended. Short outages are waited out; one of a minute is told.
    pub(super) async fn ended(self: &Arc<Self>, id: TaskId) -> Told {
        loop {
            let (_seat, told) = self.sit(id);
            if let Ok(told) = told.await {
                return told;
            }
            // The loop ended with the runtime on which it ran; this one has another.
            tokio::time::sleep(SHORTEST).await;
        }
    }

    /// Why the ledger did not answer last, if it did not.
    pub(super) fn trouble(&self) -> Option<LedgerError> {
        self.seats().away.as_ref().map(|away| away.error.clone())
    }

    /// Takes a seat, and opens the room if it is the first.
    fn sit(self: &Arc<Self>, id: TaskId) -> (Seat<'_>, oneshot::Receiver<Told>) {
        let (sender, told) = oneshot::channel();
        let now = self.clock.monotonic();
        let mut seats = self.seats();
        seats.came += 1;
        let number = seats.came;
        let fresh = || Watched { since: now, looked: None, waiters: BTreeMap::new() };
        let watched = seats.tasks.entry(id).or_insert_with(fresh);
        (watched.since, watched.looked) = (now, None);
        watched.waiters.insert(number, sender);
        if seats.is_open {
            self.changed.notify_one();
        } else {
            seats.is_open = true;
            // It ends when the last seat is empty.
            tokio::spawn(look_around(Arc::clone(self)));
        }
        (Seat { room: self, id, number }, told)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().expect("no holder of the seats panics")
    }

    /// Which tasks are to be looked at; `None` if nobody waits any more, and then the room is closed.
    fn choose(&self, of: Choice) -> Option<Chosen> {
        let now = self.clock.monotonic();
        let mut seats = self.seats();
        if seats.tasks.is_empty() {
            seats.is_open = false;
            return None;
        }
        let mut chosen = Chosen::default();
        for (id, watched) in &mut seats.tasks {
            let is_chosen = match (watched.looked, of) {
                (None, _) | (Some(_), Choice::All) => true,
                // Half its time is over: it comes along with those whose time is, and so they come to go together.
                (Some(looked), Choice::Ripe) => now >= looked + watched.interval(now) / 2,
                (Some(_), Choice::New) => false,
            };
            if is_chosen {
                chosen.ids.push(*id);
                chosen.has_elders |= watched.looked.is_some();
            }
        }
        Some(chosen)
    }

    /// How long until the first of them is due.
    fn until_due(&self) -> Duration {
        let now = self.clock.monotonic();
        let seats = self.seats();
        let due = seats.tasks.values().map(|watched| match watched.looked {
            Some(looked) => (looked + watched.interval(now)).saturating_sub(now),
            None => Duration::ZERO,
        });
        due.min().unwrap_or(Duration::ZERO)
    }

    /// One look at these: those that have ended are told so.
    async fn look(&self, ids: &[TaskId]) -> Result<(), LedgerError> {
        let began = self.clock.monotonic();
        for ids in ids.chunks(look::STATES) {
            for told in look::ended(&*self.inspect, ids).await? {
                self.tell(told.id, &told.result);
            }
            let mut seats = self.seats();
            for id in ids {
                // Who came meanwhile may have come for what ended after the ledger looked.
                if let Some(watched) = seats.tasks.get_mut(id).filter(|watched| watched.since <= began) {
                    watched.looked = Some(began);
                }
            }
        }
        self.seats().away = None;
        Ok(())
    }

    fn tell(&self, id: TaskId, result: &Told) {
        let watched = self.seats().tasks.remove(&id);
        for (_, waiter) in watched.into_iter().flat_map(|watched| watched.waiters) {
            // Who left meanwhile need not know.
            let _ = waiter.send(result.clone());
        }
    }

    /// Remembers that the ledger is away; tells everybody once it has been for long.
    fn is_away(&self, error: &LedgerError) {
        let now = self.clock.monotonic();
        let mut seats = self.seats();
        let since = seats.away.as_ref().map_or(now, |away| away.since);
        seats.away = Some(Away { since, error: error.clone() });
        if now.saturating_sub(since) < OUTAGE {
            return;
        }
        // Those who come now wait for a minute of their own.
        seats.away = None;
        let tasks = std::mem::take(&mut seats.tasks);
        for (_, waiter) in tasks.into_values().flat_map(|watched| watched.waiters) {
            let _ = waiter.send(Err(error.clone()));
        }
    }
}

impl Watched {
    /// The longer it is waited for, the rarer it is looked at.
    fn interval(&self, now: Duration) -> Duration {
        (now.saturating_sub(self.since) / 4).clamp(SHORTEST, LOOK)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("tasks", &self.seats().tasks.len()).finish_non_exhaustive()
    }
}

/// A waiter's place, until it is dropped.
struct Seat<'a> {
    room: &'a Room,
    id: TaskId,
    number: u64,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut seats = self.room.seats();
        if let Some(watched) = seats.tasks.get_mut(&self.id) {
            watched.waiters.remove(&self.number);
            if watched.waiters.is_empty() {
                seats.tasks.remove(&self.id);
            }
        }
        if seats.tasks.is_empty() {
            self.room.changed.notify_one();
        }
    }
}

/// Which tasks a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// Those that were not looked at yet.
    New,
    /// And those whose time has come.
    Ripe,
    /// All of them: something ended.
    All,
}

#[derive(Default)]
struct Chosen {
    ids: Vec<TaskId>,
    /// Some of them were looked at before.
    has_elders: bool,
}

/// Closes the room when the loop ends before its time: whoever waits opens it again, on a runtime of its own.
struct Opened<'a> {
    room: &'a Room,
    /// Nobody waited any more, and it was closed: whoever has come since has a loop of their own.
    is_closed: bool,
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if !self.is_closed {
            let mut seats = self.room.seats();
            seats.is_open = false;
            seats.tasks.clear();
        }
    }
}

/// Looks for everybody's tasks until nobody waits.
async fn look_around(room: Arc<Room>) {
    let mut opened = Opened { room: &room, is_closed: false };
    let mut rounds = Rounds::default();
    loop {
        // It listens from before the look, so that no end falls between the two.
        let mut signal = room.inspect.wait(LOOK);
        rounds.heard |= (&mut signal).now_or_never().unwrap_or(false);
        let Some(chosen) = room.choose(rounds.choice(room.clock.monotonic())) else {
            opened.is_closed = true;
            return;
        };
        if !chosen.ids.is_empty() {
            rounds.look(&room, &chosen).await;
        }
        let pause = rounds.pause(&room);
        tokio::select! {
            () = room.changed.notified() => {}
            heard = &mut signal, if !rounds.heard => rounds.heard |= heard,
            () = tokio::time::sleep(pause) => {}
        }
        // Those who come one by one are looked after together.
        tokio::time::sleep(rounds.next_at.saturating_sub(room.clock.monotonic())).await;
    }
}

/// When the next look may be.
#[derive(Default)]
struct Rounds {
    /// Something ended since everybody's tasks were looked at.
    heard: bool,
    /// Until then, only those who are new are looked after.
    rest_until: Duration,
    /// Nobody is looked after before that.
    next_at: Duration,
    backoff: Duration,
}

impl Rounds {
    fn choice(&self, now: Duration) -> Choice {
        match () {
            () if now < self.rest_until => Choice::New,
            () if self.heard => Choice::All,
            () => Choice::Ripe,
        }
    }

    async fn look(&mut self, room: &Room, chosen: &Chosen) {
        let began = room.clock.monotonic();
        let result = room.look(&chosen.ids).await;
        let now = room.clock.monotonic();
        self.next_at = now + SHORTEST;
        match result {
            Ok(()) => {
                self.backoff = Duration::ZERO;
                if chosen.has_elders {
                    self.heard = false;
                    self.rest_until = now + now.saturating_sub(began) * RESTS;
                }
            }
            Err(error) => {
                room.is_away(&error);
                self.backoff = (self.backoff * 2).clamp(SHORTEST * 10, LONGEST_BACKOFF);
                tokio::time::sleep(self.backoff).await;
            }
        }
    }

    fn pause(&self, room: &Room) -> Duration {
        let rest = self.rest_until.saturating_sub(room.clock.monotonic());
        let due = if self.heard { Duration::ZERO } else { room.until_due() };
        due.max(rest)
    }
}
