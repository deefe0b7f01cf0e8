//! Parking: a delivery goes back on the agenda.

use super::act::lock;
use super::add::{self, Made, NewRow, RowKind};
use super::change::{Change, Changes, Kind};
use super::error::Fault;
use super::rounds::Rounds;
use super::row::{Brief, instant};
use super::session::{Session, Work};
use crate::id::TaskId;
use crate::ledger::rule::{self, Parked, Parking};
use crate::ledger::{Due, Park, ParkAnswer};
use crate::task::TaskState;

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
    let parked = Parked { state: row.state, seq: row.seq, parks: row.parks, since: row.parked_at };
    match rule::park(park, parked, row.now) {
        Parking::Ignored => Ok(ParkAnswer::Ignored),
        Parking::Dead(error) => {
            let dead = Change { error: Some(error), ..row.end_as(TaskState::Dead, &park.note) };
            changes.push(row, &dead)?;
            Ok(ParkAnswer::Dead)
        }
        Parking::Moved { due_at, seq } => {
            changes.push(row, &Change { kind: Kind::Park, seq, ..row.move_to(due_at, &park.note) })?;
            Ok(ParkAnswer::Parked(instant(due_at)))
        }
    }
}
