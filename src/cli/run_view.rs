//! The runs of a task as a person reads them. Pure: gives text, prints nothing.

use std::fmt::Write as _;

use jiff::Timestamp;
use upbeat_shared::clock;
use upbeat_shared::run::Run;
use upbeat_shared::task::TaskRecord;

use super::moment::{relative, rough};
use super::words::counted;

/// Characters of a reason that are shown; `--json` has all of it.
const LONGEST: usize = 300;

/// A line a run, where there was anything but the one run that the rest of the record tells of.
pub(super) fn lines(now: Timestamp, task: &TaskRecord) -> Option<String> {
    let (runs, left_out) = task.runs();
    if task.past.is_empty() {
        return None;
    }
    let earlier = (left_out > 0).then(|| format!("{} before these", counted(u64::from(left_out), "run")));
    let lines: Vec<String> = earlier.into_iter().chain(runs.iter().map(|run| line(now, run))).collect();
    Some(lines.join("\n"))
}

/// `#2 lost after 3s on host:7, 5 minutes ago: the worker host:7 was lost while it ran`.
fn line(now: Timestamp, run: &Run) -> String {
    // Writing to a text cannot fail.
    let mut line = format!("#{} {}", run.number, run.end);
    if let (Some(started), Some(ended)) = (run.started_at, run.ended_at) {
        let _ = write!(line, " after {}", rough(clock::until(started, ended)));
    }
    if let Some(worker) = &run.worker {
        let _ = write!(line, " on {worker}");
    }
    if let Some(at) = run.ended_at.or(run.started_at) {
        let _ = write!(line, ", {}", relative(now, at));
    }
    if let Some(reason) = reason(run) {
        let _ = write!(line, ": {reason}");
    }
    line
}

fn reason(run: &Run) -> Option<String> {
    let error = run.error.as_ref().map(|error| format!("{}: {}", error.kind.as_str(), error.message));
    let text = error.or_else(|| run.note.clone())?;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let short: String = text.chars().take(LONGEST).collect();
    Some(if short.len() < text.len() { format!("{short} …") } else { short })
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::run::{PastRun, PastRuns, RunEnd};
    use upbeat_shared::task::TaskState;
    use upbeat_shared::verdict::{RunError, RunErrorKind};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn each_run_is_told_on_a_line_of_its_own() {
        let mut task = super::super::task_view::tests::failed_once();
        let now = at("2026-05-01T12:00:00Z");
        assert_eq!(lines(now, &task), None);
        let lost = PastRun {
            started_at: at("2026-05-01T11:55:00Z"),
            ended_at: at("2026-05-01T11:55:03Z"),
            worker: Some("host:7".into()),
            end: RunEnd::Lost,
            error: None,
            note: Some("the worker host:7 was lost while it ran".into()),
        };
        let error =
            Some(RunError::new(RunErrorKind::Crashed, "killed by signal 9;\nits last output: \u{1b}[31mno"));
        let died = PastRun { end: RunEnd::Crashed, error, note: None, worker: None, ..lost.clone() };
        task.past = PastRuns { count: 4, kept: vec![lost, died] };
        task.state = TaskState::Running;
        task.started_at = Some(at("2026-05-01T11:59:55Z"));
        assert_eq!(
            lines(now, &task).unwrap(),
            "2 runs before these\n\
             #3 lost after 3.0s on host:7, 4m 57s ago: the worker host:7 was lost while it ran\n\
             #4 crashed after 3.0s, 4m 57s ago: crashed: killed by signal 9; its last output: [31mno\n\
             #5 running on host:7, 5.0s ago"
        );
    }
}
