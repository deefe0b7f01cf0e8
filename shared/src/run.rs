//! The runs of a task, as its record tells them: a simple success by the row alone, whatever else happened by a story of
//! past runs that is kept beside it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::task::rfc3339_micros;
use crate::verdict::RunError;

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// It has not ended.
    Running,
    /// It is done.
    Succeeded,
    /// It failed, and the task ran again.
    Retry,
    /// It asked to run again later.
    Snoozed,
    /// It failed for good.
    Dead,
    /// It ended because somebody had asked.
    Cancelled,
    /// Its worker gave it back unfinished.
    Released,
    /// Its worker was lost while it ran.
    Lost,
    /// The process that ran it alone died of it.
    Crashed,
}

impl RunEnd {
    /// As in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Retry => "retry",
            Self::Snoozed => "snoozed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Released => "released",
            Self::Lost => "lost",
            Self::Crashed => "crashed",
        }
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether a task that was lost with so many workers runs alone the next time, in a process of its own, where there is a way
/// to do that: so that those beside it are not blamed for it, nor it for them. Where one crash is one too many, none runs
/// again.
pub fn is_suspect(crashes: u32, max_crashes: u32) -> bool {
    max_crashes > 1 && crashes >= (max_crashes - 1).min(SUSPECT_AFTER)
}

/// Once is chance.
const SUSPECT_AFTER: u32 = 2;

/// A run that has ended and was no simple success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRun {
    /// When it was claimed.
    #[serde(with = "micros")]
    pub started_at: Timestamp,
    /// When its end was written down.
    #[serde(with = "micros")]
    pub ended_at: Timestamp,
    /// The name of the worker that ran it.
    pub worker: Option<String>,
    /// What became of it.
    pub end: RunEnd,
    /// Why it failed; of a process that died, with its last output.
    pub error: Option<RunError>,
    /// Why it ended, where end and error do not say.
    pub note: Option<String>,
}

/// The past runs of a task, bounded: the newest are kept, the others counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastRuns {
    /// How many there were.
    pub count: u32,
    /// The newest of them, oldest first.
    pub kept: Vec<PastRun>,
}

/// One run, as a record shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which run of its task, from 1.
    pub number: u32,
    /// When it was claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// The name of the worker that runs or ran it.
    pub worker: Option<String>,
    /// What became of it.
    pub end: RunEnd,
    /// Why it failed; of a process that died, with its last output.
    pub error: Option<RunError>,
    /// Why it ended, where end and error do not say.
    pub note: Option<String>,
}

impl PastRun {
    fn bytes(&self) -> usize {
        let texts = [&self.worker, &self.note].into_iter().flatten().map(String::len).sum::<usize>();
        texts + self.error.as_ref().map_or(0, |error| error.message.len())
    }
}

impl PastRuns {
    /// So many are kept at most.
    pub const MAX: usize = 20;
    /// So many bytes of text are kept at most; the newest run is kept in any case.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// There was none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the newest, and leaves out what is beyond the bounds.
    pub fn push(&mut self, run: PastRun) {
        self.count = self.count.saturating_add(1);
        self.kept.push(run);
        self.kept.drain(..self.kept.len() - self.room());
    }

    /// Whether a ledger could have kept them so. Of what came from elsewhere, nobody knows.
    pub fn is_within_bounds(&self) -> bool {
        let counts = usize::try_from(self.count).is_ok_and(|count| count >= self.kept.len());
        counts && i32::try_from(self.count).is_ok() && self.room() == self.kept.len()
    }

    /// How many of the newest there is room for.
    fn room(&self) -> usize {
        let (mut bytes, mut keep) = (0, 0);
        for run in self.kept.iter().rev() {
            bytes += run.bytes();
            if keep > 0 && (keep == Self::MAX || bytes > Self::MAX_BYTES) {
                break;
            }
            keep += 1;
        }
        keep
    }
}

impl Run {
    /// A past run by its number.
    pub(crate) fn past(number: u32, past: &PastRun) -> Self {
        let PastRun { started_at, ended_at, worker, end, error, note } = past.clone();
        let (started_at, ended_at) = (Some(started_at), Some(ended_at));
        Self { number, started_at, ended_at, worker, end, error, note }
    }

    /// The object that `--json` prints.
    pub fn to_json(&self) -> serde_json::Value {
        let time = |at: Option<Timestamp>| at.map(rfc3339_micros);
        serde_json::json!({
            "number": self.number,
            "started_at": time(self.started_at),
            "ended_at": time(self.ended_at),
            "worker": self.worker,
            "end": self.end.as_str(),
            "error": self.error.as_ref().map(RunError::to_json),
            "note": self.note,
        })
    }
}

mod micros {
    //! Whole microseconds since 1970, as stores compute with them.

    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_microsecond())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let micros = i64::deserialize(deserializer)?;
        Timestamp::from_microsecond(micros).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::RunErrorKind;

    fn run(message: &str) -> PastRun {
        let at = "2026-05-01T12:00:00Z".parse().unwrap();
        let error = Some(RunError { kind: RunErrorKind::Failed, message: message.to_owned(), code: None });
        PastRun { started_at: at, ended_at: at, worker: None, end: RunEnd::Retry, error, note: None }
    }

    #[test]
    fn the_newest_runs_are_kept_and_all_are_counted() {
        let mut past = PastRuns::default();
        for number in 1..=50 {
            past.push(run(&number.to_string()));
        }
        let kept: Vec<_> = past.kept.iter().map(|run| run.error.clone().unwrap().message).collect();
        assert_eq!((past.count, kept.len()), (50, PastRuns::MAX));
        assert_eq!((kept[0].as_str(), kept[19].as_str()), ("31", "50"));
    }

    #[test]
    fn long_errors_leave_fewer_runs_but_always_the_newest() {
        let mut past = PastRuns::default();
        for _ in 0..10 {
            past.push(run(&"x".repeat(PastRuns::MAX_BYTES / 3)));
        }
        assert_eq!((past.count, past.kept.len()), (10, 3));
        past.push(run(&"x".repeat(PastRuns::MAX_BYTES * 2)));
        assert_eq!(past.kept.len(), 1);
    }

    #[test]
    fn a_past_run_is_read_as_it_was_written() {
        let run = run("no route to host");
        let text = serde_json::to_string(&run).unwrap();
        assert!(text.starts_with("{\"started_at\":1777636800000000,"), "{text}");
        assert_eq!(serde_json::from_str::<PastRun>(&text).unwrap(), run);
    }
}
