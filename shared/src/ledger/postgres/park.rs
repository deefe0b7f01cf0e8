//! Parking: a delivery goes back on the agenda.

use super::act::lock;
use super::add::{self, Made, NewRow, RowKind};
use super::change::{Change, Changes, Kind};
use super::error::Fault;
use super::rounds::Rounds;
use super::row::{Brief, duration_micros, instant};
use super::session::{Session, Work};
use crate::id::TaskId;
use crate::ledger::{Due, Park, ParkAnswer};
use crate::task::TaskState;
use crate::verdict::RunError;

/// Puts deliveries back.
pub(super) struct ParkAll<'a>(pub(super) &'a [Park]);

impl Work for ParkAll<'_> {
    const CALL: &'static str = "park";
    type Answer = Vec<ParkAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<ParkAnswer>, Fault> {
        session.begin().await?;
        let mut answers = vec![ParkAnswer::Ignored; self.0.len()];
        let mut rounds = Rounds::of_ids(self.0.iter().map(|park| park.message.id));
        while let Some(places) = rounds.next() {
            let parks: Vec<&Park> = places.iter().map(|at| &self.0[*at]).collect();
            for (at, answer) in places.iter().zip(park(session, &parks).await?) {
                answers[*at] = answer;
                rounds.again(self.0[*at].message.id);
            }
        }
        session.commit().await?;
        Ok(answers)
    }
}

/// Parks deliveries of distinct tasks, sorted by id.
async fn park(session: &Session, parks: &[&Park]) -> Result<Vec<ParkAnswer>, Fault> {
    // Makes the rows that are missing and locks the others, in one pass in the order of ids.
    let rows: Vec<NewRow<'_>> = parks.iter().map(|park| NewRow::parked(park)).collect();
    let made = add::insert(session, &rows).await?;
    let mut answers = Vec::with_capacity(parks.len());
    let mut known: Vec<TaskId> = Vec::new();
    for (park, made) in parks.iter().zip(made) {
        answers.push(match made {
            Made::New(due_at) => ParkAnswer::Parked(instant(due_at)),
            Made::Exists(_) => {
                known.push(park.message.id);
                ParkAnswer::Ignored
            }
        });
    }
    let mut changes = Changes::default();
    for row in lock(session, &known).await? {
        let at =
            parks.binary_search_by_key(&row.id, |park| park.message.id).expect("only these were asked for");
        answers[at] = park_row(&mut changes, parks[at], &row)?;
    }
    changes.write(session).await?;
    Ok(answers)
}

impl<'a> NewRow<'a> {
    fn parked(park: &'a Park) -> Self {
        Self {
            message: &park.message,
            seq: park.message.seq.next(),
            due: Due::In(park.delay.min(park.max_delay)),
            cover: 0,
            note: Some(&park.note),
            kind: RowKind::Parked,
        }
    }
}

fn park_row(changes: &mut Changes, park: &Park, row: &Brief) -> Result<ParkAnswer, Fault> {
    let waiting = matches!(row.state, TaskState::Scheduled | TaskState::Queued);
    if !waiting || row.seq > park.message.seq.0 {
        return Ok(ParkAnswer::Ignored);
    }
    let parked_for = row.parked_at.map_or(0, |since| row.now - since);
    if let Some((longest, kind)) = park.dead_after
        && parked_for >= duration_micros(longest)
    {
        let error = Some(RunError::new(kind, park.note.clone()));
        changes.push(row, &Change { error, ..row.end_as(TaskState::Dead, &park.note) })?;
        return Ok(ParkAnswer::Dead);
    }
    let doubled = 1_u32.checked_shl(row.parks).unwrap_or(u32::MAX);
    let delay = park.delay.saturating_mul(doubled).min(park.max_delay);
    let due_at = row.now.saturating_add(duration_micros(delay));
    let seq = row.seq.max(park.message.seq.0) + 1;
    changes.push(row, &Change { kind: Kind::Park, seq, ..row.move_to(due_at, &park.note) })?;
    Ok(ParkAnswer::Parked(instant(due_at)))
}
