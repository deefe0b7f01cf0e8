//! Parking: a delivery goes back on the agenda.

use super::row::{self, Brief, End, Move, New, duration_micros, instant};
use super::tally::Tally;
use crate::ledger::rule::{self, Parked, Parking};
use crate::ledger::{Park, ParkAnswer};
use crate::sqlite::{SqliteError, Topic, Write};
use crate::task::TaskState;

pub(super) fn park(write: &Write<'_>, parks: &[Park]) -> Result<Vec<ParkAnswer>, SqliteError> {
    let mut tally = Tally::default();
    let mut answers = Vec::with_capacity(parks.len());
    for park in parks {
        let answer = match row::find(write, park.message.id)? {
            None => park_new(write, &mut tally, park)?,
            Some(row) => park_row(write, &mut tally, park, &row)?,
        };
        answers.push(answer);
    }
    tally.write(write)?;
    Ok(answers)
}

fn park_new(write: &Write<'_>, tally: &mut Tally, park: &Park) -> Result<ParkAnswer, SqliteError> {
    let due_at = write.now().saturating_add(duration_micros(park.delay.min(park.max_delay)));
    let new = New {
        message: &park.message,
        state: TaskState::Scheduled,
        seq: park.message.seq.next(),
        due_at,
        wake_at: Some(due_at),
        note: Some(&park.note),
    };
    let row = row::insert(write, tally, &new)?;
    count(write, row)?;
    write.touch(Topic::Agenda);
    Ok(ParkAnswer::Parked(instant(due_at)))
}

fn park_row(
    write: &Write<'_>,
    tally: &mut Tally,
    park: &Park,
    row: &Brief,
) -> Result<ParkAnswer, SqliteError> {
    let parked = Parked { state: row.state, seq: row.seq, parks: row.parks, since: row.parked_at };
    match rule::park(park, parked, write.now()) {
        Parking::Ignored => Ok(ParkAnswer::Ignored),
        Parking::Dead(error) => {
            let end = End { error: Some(&error), note: Some(&park.note), ..row.end_as(TaskState::Dead) };
            row::end(write, tally, row, &end)?;
            Ok(ParkAnswer::Dead)
        }
        Parking::Moved { due_at, seq } => {
            let moved = Move { seq, note: Some(&park.note), ..row.move_to(due_at) };
            row::reschedule(write, tally, row, &moved)?;
            count(write, row.row)?;
            Ok(ParkAnswer::Parked(instant(due_at)))
        }
    }
}

fn count(write: &Write<'_>, row: i64) -> Result<(), SqliteError> {
    write
        .prepare_cached(
            "UPDATE task SET parks = parks + 1, parked_at = coalesce(parked_at, ?2) WHERE row = ?1",
        )?
        .execute((row, write.now()))?;
    Ok(())
}
