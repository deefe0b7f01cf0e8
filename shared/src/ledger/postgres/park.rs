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
            let mut left: Vec<&Park> = places.iter().map(|at| &self.0[*at]).collect();
            let mut changes = Changes::default();
            let mut answered: Vec<(TaskId, ParkAnswer)> = Vec::with_capacity(left.len());
            while !left.is_empty() {
                let ids: Vec<TaskId> = left.iter().map(|park| park.message.id).collect();
                for row in lock(session, &ids).await? {
                    let at = left.iter().position(|park| park.message.id == row.id);
                    let park = left.remove(at.expect("only these were asked for"));
                    answered.push((row.id, park_row(&mut changes, park, &row)?));
                }
                left = park_new(session, left, &mut answered).await?;
            }
            changes.write(session).await?;
            answered.sort_unstable_by_key(|(id, _)| *id);
            for (at, (id, answer)) in places.iter().zip(answered) {
                answers[*at] = answer;
                rounds.again(id);
            }
        }
        session.commit().await?;
        Ok(answers)
    }
}

/// Makes rows where there are none; answers what somebody else made meanwhile.
async fn park_new<'a>(
    session: &Session,
    parks: Vec<&'a Park>,
    answered: &mut Vec<(TaskId, ParkAnswer)>,
) -> Result<Vec<&'a Park>, Fault> {
    if parks.is_empty() {
        return Ok(parks);
    }
    let rows: Vec<NewRow<'_>> = parks
        .iter()
        .map(|park| NewRow {
            message: &park.message,
            seq: park.message.seq.next(),
            due: Due::In(park.delay.min(park.max_delay)),
            cover: 0,
            note: Some(&park.note),
            kind: RowKind::Parked,
        })
        .collect();
    let mut left = Vec::new();
    for (park, made) in parks.iter().zip(add::insert(session, &rows).await?) {
        match made {
            Made::New(due_at) => answered.push((park.message.id, ParkAnswer::Parked(instant(due_at)))),
            Made::Exists(_) => left.push(*park),
        }
    }
    Ok(left)
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
