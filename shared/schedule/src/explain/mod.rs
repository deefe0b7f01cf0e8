//! Why a schedule fires when it does: its next instants, each with what moved it, and its rule as a sentence.
//! Never decides when something fires; it asks the timetable, and says what the timetable does.

mod shift;
mod words;

use jiff::{Timestamp, Zoned};

use crate::error::TimingError;
use crate::spec::TimingSpec;

pub use shift::Shift;
pub(crate) use shift::ordinal;

/// A rule in words, and what it does next.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The rule in plain English, a sentence or several.
    pub rule: String,
    /// What fires, in order.
    pub fires: Vec<Fire>,
}

/// One occurrence that is to come.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fire {
    /// The planned instant, on the clocks of the schedule's zone.
    pub at: Zoned,
    /// The same instant.
    pub utc: Timestamp,
    /// When its task is due: later than planned by the jitter.
    pub due: Timestamp,
    /// What moved it away from where its rule names it, in the order in which it happened.
    pub shifts: Vec<Shift>,
}

impl Fire {
    /// What moved it, as a sentence; none if nothing did.
    pub fn reason(&self) -> Option<String> {
        let reasons: Vec<String> = self.shifts.iter().map(ToString::to_string).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// Says what a rule means, and what it does next: the first `count` occurrences after `from`.
///
/// `id` is the schedule's, which its jitter depends on; without it there is none.
///
/// ```
/// # use upbeat_schedule::{TimingSpec, explain};
/// let spec = TimingSpec {
///     cron: Some("30 2 * * *".into()),
///     timezone: Some("America/New_York".into()),
///     ..TimingSpec::default()
/// };
/// let explained = explain(&spec, None, "2026-03-08T00:00:00Z".parse()?, 1)?;
/// assert_eq!(explained.rule, "At 02:30 every day, by the clocks of America/New_York.");
/// let fire = &explained.fires[0];
/// assert_eq!(fire.at.to_string(), "2026-03-08T03:00:00-04:00[America/New_York]");
/// assert_eq!(fire.reason().as_deref(), Some("gap: the clocks skip 02:30 that day; it runs right after"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn explain(
    spec: &TimingSpec,
    id: Option<&str>,
    from: Timestamp,
    count: usize,
) -> Result<Explanation, TimingError> {
    let timetable = spec.compile()?;
    let fire = |utc: Timestamp| {
        let mut shifts = shift::of(spec, &timetable, utc);
        let jitter = id.map(|id| timetable.jitter_of(id, utc)).filter(jiff::SignedDuration::is_positive);
        shifts.extend(jitter.map(|by| Shift::Jitter { by }));
        let due = jitter.and_then(|by| utc.checked_add(by).ok()).unwrap_or(utc);
        Fire { at: utc.to_zoned(timetable.zone().clone()), utc, due, shifts }
    };
    Ok(Explanation {
        rule: words::rule(spec, &timetable),
        fires: timetable.after(from).take(count).map(fire).collect(),
    })
}
