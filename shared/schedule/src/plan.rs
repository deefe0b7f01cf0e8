//! Plans occurrences: what is due between a cursor and now, and what of it still fires.
//! Never performs I/O, never reads a clock, and never walks further than it was allowed to.

use jiff::{SignedDuration, Timestamp};

use crate::catch_up::{CatchUp, CatchUpPolicy, SkipReason, SkippedRange};
use crate::timetable::{Planned, Timetable};

/// What became of the occurrences between a cursor and now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What fires, in order.
    pub fire: Vec<Timestamp>,
    /// What does not, in order.
    pub skipped: Vec<SkippedRange>,
    /// Everything up to here is decided: the cursor of the next call.
    pub cursor: Timestamp,
    /// The first instant after the cursor that there is something to decide about; none if there will never be another.
    pub next: Option<Timestamp>,
    /// Everything up to now is decided. Otherwise call again with the new cursor.
    pub complete: bool,
}

/// Decides about everything after `cursor` and up to and including `now`.
///
/// An occurrence is missed if it is older than `now - grace`; `policy` says which of those fire. One call looks at
/// `max` occurrences, one at least; where a rule can be counted without walking, a run of skipped ones counts as one.
///
/// Planning the same stretch of time in several calls fires the same occurrences as planning it in one.
pub fn plan(
    timetable: &Timetable,
    cursor: Timestamp,
    now: Timestamp,
    policy: CatchUpPolicy,
    grace: SignedDuration,
    max: usize,
) -> Plan {
    let verdicts = Verdicts::new(policy, now, grace);
    let mut next = timetable.next_planned(cursor);
    let mut plan = Plan { fire: Vec::new(), skipped: Vec::new(), cursor, next: None, complete: false };
    for _ in 0..max.max(1) {
        let Some(Planned { at: planned, is_off }) = next.filter(|planned| planned.at <= now) else {
            break;
        };
        if is_off {
            plan.skip(planned, planned, 1, SkipReason::Calendar);
            plan.cursor = planned;
            next = timetable.next_planned(planned);
            continue;
        }
        if let Some((last, count)) = verdicts.skip_run(timetable, planned) {
            plan.skip(planned, last, count, SkipReason::Misfire);
            plan.cursor = last;
            next = timetable.next_planned(last);
            continue;
        }
        next = timetable.next_planned(planned);
        let following = match next {
            // Only what fires takes the place of the latest that was missed.
            Some(off) if off.is_off => timetable.next(planned),
            next => next.map(|next| next.at),
        };
        match verdicts.of(planned, following) {
            Verdict::Fire => plan.fire.push(planned),
            Verdict::Skip => plan.skip(planned, planned, 1, SkipReason::Misfire),
        }
        plan.cursor = planned;
    }
    plan.next = next.map(|next| next.at);
    plan.complete = plan.next.is_none_or(|next| next > now);
    if plan.complete {
        // A clock that went back must not take the cursor with it.
        plan.cursor = cursor.max(now);
    }
    plan
}

impl Plan {
    fn skip(&mut self, from: Timestamp, until: Timestamp, count: u64, reason: SkipReason) {
        // A run ends where something fired in between, and where the reason is another.
        let unbroken = |range: &&mut SkippedRange| {
            range.reason == reason && self.fire.last().is_none_or(|fired| *fired < range.from)
        };
        match self.skipped.last_mut().filter(unbroken) {
            Some(range) => {
                range.until = until;
                range.count += count;
            }
            None => self.skipped.push(SkippedRange { from, until, count, reason }),
        }
    }
}

enum Verdict {
    Fire,
    Skip,
}

/// The limits that separate what fires from what does not.
struct Verdicts {
    mode: CatchUp,
    now: Timestamp,
    /// Planned before this is missed.
    missed_before: Timestamp,
    /// Planned before this is too old for any policy.
    forgotten_before: Timestamp,
}

impl Verdicts {
    fn new(policy: CatchUpPolicy, now: Timestamp, grace: SignedDuration) -> Self {
        let missed_before = earlier(now, grace);
        Self {
            mode: policy.mode,
            now,
            missed_before,
            // What is not missed is not forgotten either, however small the window.
            forgotten_before: policy
                .within
                .map_or(Timestamp::MIN, |within| earlier(now, within).min(missed_before)),
        }
    }

    fn of(&self, planned: Timestamp, following: Option<Timestamp>) -> Verdict {
        if planned >= self.missed_before {
            return Verdict::Fire;
        }
        let fires = planned >= self.forgotten_before
            && match self.mode {
                CatchUp::None => false,
                CatchUp::Latest => following.is_none_or(|following| following > self.now),
                CatchUp::All => true,
            };
        if fires { Verdict::Fire } else { Verdict::Skip }
    }

    /// The run of skipped occurrences that starts with `planned`, if the rule can be counted without walking.
    fn skip_run(&self, timetable: &Timetable, planned: Timestamp) -> Option<(Timestamp, u64)> {
        let skipped_before = match self.mode {
            CatchUp::None => self.missed_before,
            // The last one that is due may fire.
            CatchUp::Latest => {
                let (last_due, count) = timetable.through(planned, self.now)?;
                if count == 1 { self.forgotten_before } else { self.missed_before.min(last_due) }
            }
            CatchUp::All => self.forgotten_before,
        };
        let until = just_before(skipped_before.max(self.forgotten_before));
        if planned > until { None } else { timetable.through(planned, until) }
    }
}

fn earlier(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// Occurrences have whole microseconds, so nothing lies in between; a finer instant is its own bound.
fn just_before(instant: Timestamp) -> Timestamp {
    instant.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MIN)
}
