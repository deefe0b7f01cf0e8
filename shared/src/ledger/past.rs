//! Which runs go into a task's story, and as what.

use super::stored::instant;
use crate::run::{PastRun, RunEnd};
use crate::verdict::{RunError, Verdict};

/// How a run ended that was no simple success.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    pub(super) end: RunEnd,
    pub(super) error: Option<&'a RunError>,
    pub(super) note: Option<&'a str>,
}

impl<'a> Ended<'a> {
    /// Its worker was lost.
    pub(super) fn lost(note: &'a str) -> Self {
        Self { end: RunEnd::Lost, error: None, note: Some(note) }
    }

    /// By this verdict, which a cancel may overrule; `None` for a success, which the row alone tells.
    pub(super) fn by(verdict: &'a Verdict, cancel: bool) -> Option<Self> {
        let (end, error, note) = match verdict {
            Verdict::Succeeded { .. } => return None,
            Verdict::Retry { error, .. } => (RunEnd::Retry, Some(error), None),
            Verdict::Snooze { .. } => (RunEnd::Snoozed, None, None),
            Verdict::Dead { error } => (RunEnd::Dead, Some(error), None),
            Verdict::Cancelled { reason } => (RunEnd::Cancelled, None, Some(reason.as_str())),
            Verdict::Crashed { error, .. } => (RunEnd::Crashed, Some(error), None),
            Verdict::Released { reason } => (RunEnd::Released, None, Some(reason.as_str())),
        };
        let end = if cancel { RunEnd::Cancelled } else { end };
        Some(Self { end, error, note })
    }

    /// As it is kept; times in microseconds.
    pub(super) fn past(&self, started_at: i64, ended_at: i64, worker: Option<String>) -> PastRun {
        PastRun {
            started_at: instant(started_at),
            ended_at: instant(ended_at),
            worker,
            end: self.end,
            error: self.error.cloned(),
            note: self.note.map(str::to_owned),
        }
    }
}
