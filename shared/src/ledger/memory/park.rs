//! Parking: a delivery goes back on the agenda.

use super::row::{End, Move, Row};
use super::state::Write;
use crate::ledger::rule::{self, Parked, Parking};
use crate::ledger::stored::{duration_micros, instant};
use crate::ledger::{Park, ParkAnswer};
use crate::task::TaskState;

pub(super) fn park(write: &mut Write<'_>, parks: Vec<Park>) -> Vec<ParkAnswer> {
    let park = |park: Park| match write.state.number(park.message.id) {
        None => park_new(write, park),
        Some(number) => park_row(write, &park, number),
    };
    parks.into_iter().map(park).collect()
}

fn park_new(write: &mut Write<'_>, park: Park) -> ParkAnswer {
    let now = write.now();
    let due_at = now.saturating_add(duration_micros(park.delay.min(park.max_delay)));
    let seq = park.message.seq.next();
    write.insert(Row {
        wake_at: Some(due_at),
        note: Some(park.note),
        parks: 1,
        parked_at: Some(now),
        ..Row::new(park.message, TaskState::Scheduled, seq, due_at, now)
    });
    write.touch_agenda();
    ParkAnswer::Parked(instant(due_at))
}

fn park_row(write: &mut Write<'_>, park: &Park, number: i64) -> ParkAnswer {
    let now = write.now();
    let row = write.state.row(number);
    let parked = Parked { state: row.state, seq: row.seq, parks: row.parks, since: row.parked_at };
    match rule::park(park, parked, now) {
        Parking::Ignored => ParkAnswer::Ignored,
        Parking::Dead(error) => {
            let end = row.end_as(TaskState::Dead);
            write.end(number, End { error: Some(error), note: Some(&park.note), ..end });
            ParkAnswer::Dead
        }
        Parking::Moved { due_at, seq } => {
            let to = row.move_to(due_at);
            write.reschedule(number, Move { seq, note: Some(&park.note), ..to });
            write.state.change(number, |row| {
                row.parks += 1;
                row.parked_at.get_or_insert(now);
            });
            ParkAnswer::Parked(instant(due_at))
        }
    }
}
