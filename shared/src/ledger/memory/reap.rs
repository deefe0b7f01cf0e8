//! Reaping: lost workers are retired, and their tasks become due again.

use super::member;
use super::row::{End, Move};
use super::state::Write;
use crate::id::{OwnerId, TaskId};
use crate::ledger::past::Ended;
use crate::ledger::rule::{self, AfterCrash, Crash};
use crate::ledger::{Lost, ReapReport};
use crate::task::TaskState;

pub(super) fn reap(write: &mut Write<'_>, lost: &[Lost], max_crashes: u32) -> ReapReport {
    let mut report = ReapReport::default();
    for Lost { owner, counter } in lost {
        if member::retire(write.state, *owner, *counter) {
            report.retired.push(*owner);
        }
    }
    let ownerless: Vec<OwnerId> =
        write.state.owners().filter(|owner| !member::is_live(write.state, *owner)).collect();
    for owner in ownerless {
        let running: Vec<TaskId> = write.state.running_of(owner).collect();
        for id in running {
            crash(write, id, max_crashes, &mut report);
        }
    }
    report
}

fn crash(write: &mut Write<'_>, id: TaskId, max_crashes: u32, report: &mut ReapReport) {
    let now = write.now();
    let (number, row) = write.state.find(id).expect("what runs has a row");
    let worker = member::lost_worker(write.state, row.owner);
    let Crash { crashes, note, then } = rule::crash(&worker, row.crashes, row.cancel, max_crashes, report);
    write.add_past(number, &Ended::lost(&note));
    let row = write.state.row(number);
    let end = |state| End { crashes, note: Some(note.as_str()), ..row.end_as(state) };
    match then {
        AfterCrash::Again => {
            let to = Move { crashes, note: Some(&note), ..row.move_to(now) };
            write.reschedule(number, to);
        }
        AfterCrash::Cancelled => {
            let end = end(TaskState::Cancelled);
            write.end(number, end);
        }
        AfterCrash::Dead(error) => {
            let end = End { error: Some(error), ..end(TaskState::Dead) };
            write.end(number, end);
            report.dead.push(id);
        }
    }
}
