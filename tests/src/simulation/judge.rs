//! What the program's own journal says of a history, compared with what the ledger says.

use jiff::{SignedDuration, Timestamp};
use upbeat::occurrence::OccurrenceRecord;
use upbeat::run::{PastRun, PastRuns, RunEnd};
use upbeat::task::TaskState;
use upbeat::testing::Simulated;

use super::program::{Effects, RETRY};

/// What is wrong with it.
pub(super) fn effects(simulated: &Simulated, effects: &Effects) -> Vec<String> {
    let mut wrong = Vec::new();
    for task in simulated.tasks() {
        let (id, state, done) = (task.id(), task.state, effects.of(task.id()));
        if state == TaskState::Succeeded && done == 0 {
            wrong.push(format!("task {id} succeeded, and its work was not done"));
        }
        let shown = shown(&task.past);
        if simulated.lost(id) > shown {
            let lost = simulated.lost(id);
            wrong.push(format!(
                "task {id}: its record shows {shown} runs without a verdict of their own, of {lost}"
            ));
        }
        let may = 1 + shown;
        if done > may {
            wrong.push(format!(
                "task {id}: its work was done {done} times, which its record explains {may} times"
            ));
        }
        if task.message.attempts > RETRY.max_attempts {
            wrong.push(format!("task {id} had {} attempts of {}", task.message.attempts, RETRY.max_attempts));
        }
    }
    wrong
}

/// How many runs a record shows that may have done their work, and of which a later run could not know it.
fn shown(past: &PastRuns) -> u64 {
    let unsure = |run: &&PastRun| matches!(run.end, RunEnd::Lost | RunEnd::Released | RunEnd::Cancelled);
    let left_out = u64::from(past.count) - past.kept.len() as u64;
    past.kept.iter().filter(unsure).count() as u64 + left_out
}

/// What is wrong with the instants of a schedule that fires every so often from `first` on, and catches up with all that it
/// misses: computed here by adding, and by nothing of Upbeat's.
pub(super) fn occurrences(
    simulated: &Simulated,
    schedule: &str,
    first: Timestamp,
    step: SignedDuration,
    until: Timestamp,
) -> Vec<String> {
    let mut planned: Vec<Timestamp> = Vec::new();
    for record in simulated.occurrences(schedule) {
        match record {
            OccurrenceRecord::Fired { planned_at, fired_at, task_id } => {
                planned.push(planned_at);
                if fired_at < planned_at {
                    return vec![format!(
                        "{schedule}: {task_id} fired at {fired_at}, planned at {planned_at}"
                    )];
                }
            }
            OccurrenceRecord::Skipped(range) if range.from > until => {}
            other => return vec![format!("{schedule}: not fired, but {other:?}")],
        }
    }
    planned.sort();
    let mut due = Vec::new();
    let mut at = first;
    while at <= until {
        due.push(at);
        at += step;
    }
    let known = &planned[..due.len().min(planned.len())];
    if known == due {
        Vec::new()
    } else {
        vec![format!("{schedule}: due were {due:?}, and fired {planned:?}")]
    }
}
