//! Limits, as every ledger counts them. Pure, but for the book in which a ledger keeps who has what.
//!
//! A limit lets so many tasks run at once, each in a slot of it, and one start so often. A task passes its rates first, then
//! takes its slots one after the other, in the order of its limits, and keeps those that it has while it waits for the next.
//! Because everybody goes through limits in one order, no two tasks wait for each other. Who finds all slots of a limit taken
//! stands in its line, on nobody's agenda; whoever gives a slot back gives it to the first in line, which becomes due. Who
//! comes too early for a rate gets the next instant that is free, and is due then.
//!
//! On Postgres and Redis the same is written in their own languages.

use std::time::Duration;

use super::LimitRecord;
use super::stored::{duration_micros, instant};
use crate::limit::{FairPolicy, LimitUse, Rate, Turn};
use crate::message::Priority;

/// A slot kept for a task that did not come for so long goes to the next in line: its queue may be paused.
pub(super) const KEPT: Duration = Duration::from_secs(60);

/// Places of one priority in a line: those of a higher one lie below. In a band, places follow the clock in milliseconds, so
/// that all of them are exact where a place is a float (below 2^53); a band ends in the year 2286.
pub(super) const BAND: i64 = 10_000_000_000_000;

/// Where the places of a priority begin.
fn band(priority: u8) -> i64 {
    i64::from(Priority::MAX.saturating_sub(priority)) * BAND
}

/// What a task has of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// It runs, or may run as soon as it is claimed.
    Slot = 0,
    /// A place in the line.
    Place = 1,
    /// An instant of the rate; it passes when it comes back.
    Instant = 2,
}

/// Where a limit stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// So many slots are there, as the newest policy says.
    pub(super) running: Option<u32>,
    /// So many of them are taken.
    pub(super) taken: u32,
    /// The first instant of the rate that is free if there is no burst, in microseconds.
    pub(super) free_at: i64,
    /// From one instant to the next, by the newest policy.
    pub(super) interval: i64,
}

impl Standing {
    fn has_slot(&self) -> bool {
        self.running.is_some_and(|running| self.taken < running)
    }

    /// For people; so many wait in its line.
    pub(super) fn record(&self, id: String, waiting: u64, now: i64) -> LimitRecord {
        // In a fair queue this is no time.
        let is_ahead = self.free_at > now && !id.starts_with(FAIR);
        let free_at = is_ahead.then(|| instant(self.free_at));
        LimitRecord { id, slots: self.running, taken: self.taken, waiting, free_at }
    }

    /// Nothing would be forgotten with it.
    pub(super) fn is_idle(&self, now: i64) -> bool {
        self.taken == 0 && self.free_at <= now
    }

    /// Takes the next instant that is free; answers it.
    fn take_instant(&mut self, rate: Rate, now: i64) -> i64 {
        let (interval, early) = rate_micros(rate);
        let ahead = (self.free_at - now).max(0);
        // A changed rate counts for those that come, as if it had always been so; those that wait keep their instants.
        let ahead = if self.interval == 0 { ahead } else { scaled(ahead, interval, self.interval) };
        self.interval = interval;
        self.free_at = now.saturating_add(ahead).saturating_add(interval);
        now + (ahead - early).max(0)
    }
}

/// From one instant of a rate to the next, and how much earlier a burst may be.
pub(super) fn rate_micros(rate: Rate) -> (i64, i64) {
    let interval = duration_micros(rate.interval());
    (interval, interval.saturating_mul(i64::from(rate.burst() - 1)))
}

fn scaled(value: i64, by: i64, of: i64) -> i64 {
    if by == of {
        return value;
    }
    i64::try_from(i128::from(value) * i128::from(by) / i128::from(of)).unwrap_or(i64::MAX / 4)
}

/// Who has what of which limit: a ledger's tables, by the numbers of its rows.
pub(super) trait Book {
    /// Why a table cannot be read or written.
    type Error;

    /// The store's time in microseconds.
    fn now(&self) -> i64;
    /// Where a limit stands.
    fn standing(&mut self, limit: &str) -> Result<Standing, Self::Error>;
    /// Keeps where it stands.
    fn keep(&mut self, limit: &str, standing: Standing) -> Result<(), Self::Error>;
    /// Forgets it.
    fn forget(&mut self, limit: &str) -> Result<(), Self::Error>;
    /// Whether a task has this of a limit.
    fn has(&mut self, task: i64, limit: &str, part: Part) -> Result<bool, Self::Error>;
    /// Gives it to a task; `at` is the place in the line, or when that was.
    fn give(&mut self, task: i64, limit: &str, part: Part, at: i64) -> Result<(), Self::Error>;
    /// Takes it from a task.
    fn take(&mut self, task: i64, limit: &str, part: Part) -> Result<(), Self::Error>;
    /// Takes everything from a task; answers what it had, by limit.
    fn clear(&mut self, task: i64) -> Result<Vec<(String, Part)>, Self::Error>;
    /// The task at the head of a line, and its place.
    fn first(&mut self, limit: &str) -> Result<Option<(i64, i64)>, Self::Error>;
    /// The last place of a line that lies below this one.
    fn last_place(&mut self, limit: &str, below: i64) -> Result<Option<i64>, Self::Error>;
    /// The priority of a task.
    fn priority(&mut self, task: i64) -> Result<u8, Self::Error>;
    /// A task that waited in a line is due now.
    fn wake(&mut self, task: i64) -> Result<(), Self::Error>;
    /// The slot that a task has in a fair queue.
    fn fair_slot(&mut self, task: i64) -> Result<Option<String>, Self::Error>;
    /// Whether it has a slot or an instant of any limit.
    fn has_any(&mut self, task: i64) -> Result<bool, Self::Error>;
    /// The last place of a tenant in the line of a fair queue.
    fn last_turn(&mut self, limit: &str, tenant: &str) -> Result<Option<i64>, Self::Error>;
    /// Keeps it.
    fn keep_turn(&mut self, limit: &str, tenant: &str, place: i64) -> Result<(), Self::Error>;
}

/// Those with the longest lines first, at most so many.
#[cfg(any(feature = "memory", feature = "redis"))]
pub(super) fn longest(mut limits: Vec<LimitRecord>, most: usize) -> Vec<LimitRecord> {
    limits.sort_by(|a, b| b.waiting.cmp(&a.waiting).then_with(|| a.id.cmp(&b.id)));
    limits.truncate(most);
    limits
}

/// Whether a task may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It has every slot, and passed every rate.
    Admitted,
    /// It waits for this one of its limits, until an instant or for its turn in the line.
    Waits { by: usize, until: Option<i64> },
}

/// Takes a claimed task through its limits.
pub(super) fn admit<B: Book>(book: &mut B, task: i64, limits: &[LimitUse]) -> Result<Admission, B::Error> {
    if let Some((by, until)) = pass_rates(book, task, limits)? {
        give_up_turn(book, task)?;
        return Ok(Admission::Waits { by, until: Some(until) });
    }
    for (by, limit) in limits.iter().enumerate() {
        let Some(running) = limit.running else { continue };
        if !enter(book, task, &limit.id, running)? {
            give_up_turn(book, task)?;
            return Ok(Admission::Waits { by, until: None });
        }
    }
    // What it has it keeps until its run ends: the next one passes the rates anew.
    Ok(Admission::Admitted)
}

/// Takes an instant of every rate of which the task has none; answers the latest, if it is yet to come.
fn pass_rates<B: Book>(
    book: &mut B,
    task: i64,
    limits: &[LimitUse],
) -> Result<Option<(usize, i64)>, B::Error> {
    let now = book.now();
    let mut latest: Option<(usize, i64)> = None;
    for (by, limit) in limits.iter().enumerate() {
        let Some(rate) = limit.rate else { continue };
        if book.has(task, &limit.id, Part::Instant)? {
            continue;
        }
        let mut standing = book.standing(&limit.id)?;
        let at = standing.take_instant(rate, now);
        book.keep(&limit.id, standing)?;
        book.give(task, &limit.id, Part::Instant, at)?;
        if at > now && latest.is_none_or(|(_, latest)| at > latest) {
            latest = Some((by, at));
        }
    }
    Ok(latest)
}

/// Takes a slot, or a place in the line. Nobody overtakes those who wait: what is free is theirs first.
fn enter<B: Book>(book: &mut B, task: i64, limit: &str, running: u32) -> Result<bool, B::Error> {
    let standing = Standing { running: Some(running), ..book.standing(limit)? };
    if book.has(task, limit, Part::Slot)? {
        book.keep(limit, standing)?;
        return Ok(true);
    }
    // A raised limit has slots for those who wait already.
    let mut standing = fill(book, limit, standing)?;
    let is_free = standing.has_slot();
    let now = book.now();
    if is_free {
        standing.taken += 1;
        book.give(task, limit, Part::Slot, now)?;
    } else {
        // Behind those of its priority, and before those of a lower one.
        let band = band(book.priority(task)?);
        let first = band + now / 1000;
        let place = book.last_place(limit, band + BAND)?.map_or(first, |last| first.max(last + 1));
        book.give(task, limit, Part::Place, place)?;
    }
    book.keep(limit, standing)?;
    Ok(is_free)
}

/// Gives free slots to the first in line; answers where the limit stands then.
pub(super) fn fill<B: Book>(book: &mut B, limit: &str, mut standing: Standing) -> Result<Standing, B::Error> {
    while standing.has_slot() {
        let Some((task, place)) = book.first(limit)? else { break };
        if limit.starts_with(FAIR) {
            // Virtual time: whoever comes stands behind what has gone.
            standing.free_at = standing.free_at.max(place);
        }
        book.take(task, limit, Part::Place)?;
        let now = book.now();
        book.give(task, limit, Part::Slot, now)?;
        book.wake(task)?;
        standing.taken += 1;
    }
    Ok(standing)
}

/// A task ends, moves or stops running: what it had goes, and its slots to those who wait.
pub(super) fn release<B: Book>(book: &mut B, task: i64) -> Result<(), B::Error> {
    for (limit, part) in book.clear(task)? {
        if part == Part::Slot {
            give_back(book, &limit)?;
        }
    }
    Ok(())
}

/// A slot is free again.
pub(super) fn give_back<B: Book>(book: &mut B, limit: &str) -> Result<(), B::Error> {
    let standing = book.standing(limit)?;
    let freed = Standing { taken: standing.taken.saturating_sub(1), ..standing };
    let standing = fill(book, limit, freed)?;
    if standing.is_idle(book.now()) && book.first(limit)?.is_none() {
        return book.forget(limit);
    }
    book.keep(limit, standing)
}

/// A task that waits for another limit leaves its slot of a fair queue to others.
fn give_up_turn<B: Book>(book: &mut B, task: i64) -> Result<(), B::Error> {
    let Some(limit) = book.fair_slot(task)? else { return Ok(()) };
    book.take(task, &limit, Part::Slot)?;
    give_back(book, &limit)
}

/// Whether it is a task's turn in its fair queue; if not, it stands in the line: start-time fair queuing, in which each task
/// of a tenant stands one step behind the one before, and nobody before what has gone. A step is the shorter the more the
/// tenant weighs.
pub(super) fn line_up<B: Book>(book: &mut B, task: i64, turn: &Turn) -> Result<bool, B::Error> {
    // Who comes back from another limit has waited its turn.
    if book.has_any(task)? {
        return Ok(true);
    }
    let limit = fair_limit(turn);
    let standing = Standing { running: Some(turn.slots), ..book.standing(&limit)? };
    let mut standing = fill(book, &limit, standing)?;
    let is_turn = standing.has_slot();
    let now = book.now();
    if is_turn {
        standing.taken += 1;
        book.give(task, &limit, Part::Slot, now)?;
    } else if !book.has(task, &limit, Part::Place)? {
        let last = book.last_turn(&limit, &turn.tenant)?.unwrap_or_default();
        let place = standing.free_at.max(last) + step(turn.weight);
        book.keep_turn(&limit, &turn.tenant, place)?;
        book.give(task, &limit, Part::Place, place)?;
    }
    book.keep(&limit, standing)?;
    Ok(is_turn)
}

/// What ids of fair queues' limits begin with.
pub(super) const FAIR: &str = "fair:";

/// The id of a fair queue's limit.
pub(super) fn fair_limit(turn: &Turn) -> String {
    format!("{FAIR}{}", turn.queue)
}

/// From one place of a tenant to its next.
pub(super) fn step(weight: u32) -> i64 {
    const STEP: i64 = 1_000_000;
    STEP / i64::from(weight.clamp(1, FairPolicy::MAX_WEIGHT))
}

/// What the record of a task says that waits for its turn.
pub(super) fn turn_note(turn: &Turn) -> String {
    format!("waits for its turn in the queue {}", turn.queue)
}

/// What the record of a task says that waits for a limit.
pub(super) fn note(limit: &LimitUse, until: Option<i64>) -> String {
    match until {
        Some(_) => format!("waits for its instant of the rate of {}", limit.id),
        None => format!("waits in line for a slot of {}", limit.id),
    }
}
