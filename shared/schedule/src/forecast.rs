//! How many tasks start in each minute to come, and which minutes are stampedes.
//! Never walks without a bound: what would be too much to count is left out by name.

use jiff::{SignedDuration, Timestamp};

use crate::timetable::{Rule, Steps, Timetable, just_before};

/// Occurrences that are walked through, at most; a few seconds of work.
const MOST_WALKED: u64 = 3_000_000;

/// Minutes of a forecast, at most: a month of them.
const MOST_MINUTES: usize = 31 * 24 * 60;

/// A minute with fewer tasks is no stampede, however quiet the others are.
const SMALLEST_STAMPEDE: u64 = 10;

/// So many times the mean make a stampede.
const TIMES_THE_MEAN: u64 = 4;

/// Stampedes that are named, at most: those with the most tasks.
const MOST_STAMPEDES: usize = 10;

/// Longer than this, tasks would wait for no gain that anyone notices.
const LONGEST_JITTER_MINS: u64 = 30;

/// The load of the minutes to come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forecast {
    /// The beginning of the first minute.
    pub from: Timestamp,
    /// How many tasks are due in each minute, jitter included.
    pub minutes: Vec<u64>,
    /// The busiest minutes that are far busier than the others, in order of time.
    pub stampedes: Vec<Stampede>,
    /// How many stampedes there are beyond those.
    pub more_stampedes: usize,
    /// Schedules that fire too often to be counted within the bound.
    pub left_out: Vec<String>,
}

/// A minute in which far more tasks start than in others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stampede {
    /// The beginning of the minute.
    pub at: Timestamp,
    /// How many tasks are due in it.
    pub tasks: u64,
    /// The schedules without a jitter that fire in it, and rarely enough to be spread.
    pub schedules: Vec<String>,
    /// The `jitter` that would spread them.
    pub jitter: SignedDuration,
}

impl Forecast {
    /// All tasks.
    pub fn total(&self) -> u64 {
        self.minutes.iter().sum()
    }

    /// The tasks of the busiest minute.
    pub fn peak(&self) -> u64 {
        self.minutes.iter().copied().max().unwrap_or(0)
    }

    /// The beginning of a minute.
    pub fn minute(&self, index: usize) -> Timestamp {
        let minutes = i64::try_from(index).unwrap_or(i64::MAX);
        self.from.checked_add(SignedDuration::from_secs(minutes.saturating_mul(60))).unwrap_or(Timestamp::MAX)
    }
}

/// Counts what the schedules, each with its id, start in the minutes from `from` on. There are a month of minutes at most.
///
/// ```
/// # use upbeat_schedule::{TimingSpec, forecast};
/// let spec = TimingSpec { cron: Some("0 * * * *".into()), ..TimingSpec::default() };
/// let hourly: Vec<_> = (0..20).map(|n| (format!("job-{n}"), spec.compile().unwrap())).collect();
/// let schedules: Vec<_> = hourly.iter().map(|(id, timetable)| (id.as_str(), timetable)).collect();
/// let forecast = forecast(&schedules, "2026-01-01T00:30:00Z".parse()?, 60);
/// assert_eq!((forecast.total(), forecast.peak()), (20, 20));
/// assert_eq!(forecast.stampedes[0].schedules.len(), 20);
/// # Ok::<(), jiff::Error>(())
/// ```
pub fn forecast(schedules: &[(&str, &Timetable)], from: Timestamp, minutes: usize) -> Forecast {
    let mut count = empty(from, minutes);
    for (id, timetable) in schedules {
        count.add(id, timetable);
    }
    count.name_stampedes(schedules);
    count.forecast
}

struct Count {
    forecast: Forecast,
    walked: u64,
}

fn empty(from: Timestamp, minutes: usize) -> Count {
    let start = from.as_second().div_euclid(60) * 60;
    let forecast = Forecast {
        from: Timestamp::from_second(start).unwrap_or(from),
        minutes: vec![0; minutes.clamp(1, MOST_MINUTES)],
        stampedes: Vec::new(),
        more_stampedes: 0,
        left_out: Vec::new(),
    };
    Count { forecast, walked: 0 }
}

impl Count {
    fn add(&mut self, id: &str, timetable: &Timetable) {
        match &timetable.rule {
            Rule::Every { steps: Steps::Fixed(_), .. }
                if timetable.jitter.is_zero() && timetable.business.is_none() =>
            {
                self.count_minutes(timetable);
            }
            _ => self.walk(id, timetable),
        }
    }

    /// Elapsed steps are counted without walking, however short they are.
    fn count_minutes(&mut self, timetable: &Timetable) {
        let mut next = timetable.next(just_before(self.forecast.from));
        while let Some(first) = next {
            let Some(index) = self.index(first) else { return };
            let end = just_before(self.forecast.minute(index + 1));
            let Some((last, times)) = timetable.through(first, end) else { return };
            self.forecast.minutes[index] += times;
            next = timetable.next(last);
        }
    }

    fn walk(&mut self, id: &str, timetable: &Timetable) {
        // What was planned before can be due now.
        let earliest = self.forecast.from.checked_sub(timetable.jitter).unwrap_or(Timestamp::MIN);
        for planned in timetable.after(just_before(earliest)) {
            if self.walked >= MOST_WALKED {
                self.forecast.left_out.push(id.to_owned());
                return;
            }
            self.walked += 1;
            if planned >= self.forecast.minute(self.forecast.minutes.len()) {
                return;
            }
            let due = planned.checked_add(timetable.jitter_of(id, planned)).unwrap_or(planned);
            if let Some(index) = self.index(due) {
                self.forecast.minutes[index] += 1;
            }
        }
    }

    fn index(&self, at: Timestamp) -> Option<usize> {
        let secs = at.as_second() - self.forecast.from.as_second();
        let index = usize::try_from(secs.div_euclid(60)).ok()?;
        (index < self.forecast.minutes.len()).then_some(index)
    }

    fn name_stampedes(&mut self, schedules: &[(&str, &Timetable)]) {
        let minutes = self.forecast.minutes.len() as u64;
        let mean = self.forecast.total().div_ceil(minutes);
        let least = SMALLEST_STAMPEDE.max(TIMES_THE_MEAN * mean);
        let mut found: Vec<(u64, usize)> =
            self.forecast.minutes.iter().copied().zip(0..).filter(|(tasks, _)| *tasks >= least).collect();
        found.sort_by_key(|(tasks, index)| (std::cmp::Reverse(*tasks), *index));
        self.forecast.more_stampedes = found.len().saturating_sub(MOST_STAMPEDES);
        found.truncate(MOST_STAMPEDES);
        found.sort_by_key(|(_, index)| *index);
        for (tasks, index) in found {
            let at = self.forecast.minute(index);
            let end = self.forecast.minute(index + 1);
            // Twice the mean in each minute is as even as it needs to be.
            let spread = tasks.div_ceil((2 * mean).max(SMALLEST_STAMPEDE / 2)).clamp(2, LONGEST_JITTER_MINS);
            let jitter = SignedDuration::from_mins(i64::try_from(spread).unwrap_or(1));
            let fires = |timetable: &Timetable| {
                let first = timetable.next(just_before(at)).filter(|first| *first < end)?;
                let next = timetable.next(first);
                // One that fires again before the window is over is spread over time already.
                let rare = next.is_none_or(|next| next.duration_since(first) > jitter);
                (timetable.jitter.is_zero() && rare).then_some(())
            };
            let named = schedules.iter().filter(|(_, timetable)| fires(timetable).is_some());
            let schedules: Vec<String> = named.map(|(id, _)| (*id).to_owned()).collect();
            self.forecast.stampedes.push(Stampede { at, tasks, schedules, jitter });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::TimingSpec;

    #[test]
    fn what_would_be_too_much_to_walk_is_left_out_by_name() {
        let spec = TimingSpec { cron: Some("* * * * * *".into()), ..TimingSpec::default() };
        let timetable = spec.compile().expect("valid");
        let mut count = Count { walked: MOST_WALKED - 100, ..empty(Timestamp::UNIX_EPOCH, usize::MAX) };
        assert_eq!(count.forecast.minutes.len(), MOST_MINUTES);
        count.add("first", &timetable);
        count.add("second", &timetable);
        assert_eq!(count.forecast.left_out, ["first", "second"]);
        assert_eq!(count.forecast.total(), 100);
    }
}
