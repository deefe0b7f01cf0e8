//! New rows that come with no claim: entries of the agenda, parked deliveries, tombstones.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::columns::Columns;
use super::error::Fault;
use super::row::{duration_micros, state_number, state_of, text};
use super::session::{Session, Work};
use super::unique;
use crate::id::{Seq, TaskId};
use crate::ledger::{AddAnswer, Due, NewEntry};
use crate::message::Message;
use crate::task::TaskState;

const ADD: &str =
    "select * from add_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

/// A row to be made.
pub(super) struct NewRow<'a> {
    pub(super) message: &'a Message,
    pub(super) seq: Seq,
    pub(super) due: Due,
    /// How long after it is due a beat looks at it.
    pub(super) cover: i64,
    pub(super) note: Option<&'a str>,
    pub(super) kind: RowKind,
}

/// Why it is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    /// To be run.
    Entry,
    /// Put back by a worker.
    Parked,
    /// Cancelled before anybody knew more of it than its id.
    Tombstone,
    /// Taken over from another ledger.
    Restored {
        /// Its state here.
        state: TaskState,
        /// Whether its message is kept.
        has_details: bool,
    },
}

impl RowKind {
    fn state(self) -> TaskState {
        match self {
            Self::Entry | Self::Parked => TaskState::Scheduled,
            Self::Tombstone => TaskState::Cancelled,
            Self::Restored { state, .. } => state,
        }
    }
}

/// What became of a row to be made.
pub(super) enum Made {
    /// It was made, due at this time.
    New(i64),
    /// There is one, in this state.
    Exists(TaskState),
}

/// Makes rows of distinct tasks, sorted by id; answers in this order.
pub(super) async fn insert(session: &Session, rows: &[NewRow<'_>]) -> Result<Vec<Made>, Fault> {
    let mut columns = Columns::with_capacity(rows.len());
    for row in rows {
        match row.kind {
            RowKind::Tombstone | RowKind::Restored { has_details: false, .. } => {
                columns.push_bare(row.message);
            }
            RowKind::Entry | RowKind::Parked | RowKind::Restored { .. } => columns.push(row.message)?,
        }
    }
    columns.seqs = rows.iter().map(|row| row.seq.0).collect();
    let states: Vec<i16> = rows.iter().map(|row| state_number(row.kind.state())).collect();
    let (due, relative): (Vec<i64>, Vec<bool>) = rows
        .iter()
        .map(|row| match row.due {
            Due::At(at) => (at.as_microsecond(), false),
            Due::In(delay) => (duration_micros(delay), true),
        })
        .unzip();
    let has_ended = |row: &NewRow<'_>| row.kind.state().is_terminal();
    let cover: Vec<Option<i64>> = rows.iter().map(|row| (!has_ended(row)).then_some(row.cover)).collect();
    let notes: Vec<Option<String>> = rows.iter().map(|row| row.note.map(text)).collect();
    let parks: Vec<i32> = rows.iter().map(|row| i32::from(row.kind == RowKind::Parked)).collect();
    let mut params: Vec<&(dyn ToSql + Sync)> = columns.params().to_vec();
    params.extend([&states as &(dyn ToSql + Sync), &due, &relative, &cover, &notes, &parks]);
    let answered = session.query(ADD, &params).await?;
    let mut made: Vec<Option<Made>> = rows.iter().map(|_| None).collect();
    for row in &answered {
        let at = usize::try_from(row.try_get::<_, i64>("ord")? - 1).unwrap_or(usize::MAX);
        let Some(place) = made.get_mut(at) else { continue };
        *place = Some(if row.try_get("added")? {
            Made::New(row.try_get::<_, Option<i64>>("due_at")?.unwrap_or_default())
        } else {
            Made::Exists(state_of(row.try_get("state")?)?)
        });
    }
    // Purged between the two looks of the function: so it was known, and had ended, a moment ago.
    Ok(made.into_iter().map(|made| made.unwrap_or(Made::Exists(TaskState::Succeeded))).collect())
}

/// Puts entries on the agenda; leaves ids alone that exist. In a transaction, if some of them have unique keys.
pub(super) async fn add(session: &Session, entries: &[&NewEntry]) -> Result<Vec<AddAnswer>, Fault> {
    if !entries.iter().any(|entry| unique::has_key(entry)) {
        return add_plain(session, entries).await;
    }
    let (keyed, plain): (Vec<&NewEntry>, Vec<&NewEntry>) =
        entries.iter().partition(|entry| unique::has_key(entry));
    let mut keyed = unique::add(session, &keyed).await?.into_iter();
    let mut plain = add_plain(session, &plain).await?.into_iter();
    let answers =
        entries.iter().filter_map(|entry| if unique::has_key(entry) { keyed.next() } else { plain.next() });
    Ok(answers.collect())
}

async fn add_plain(session: &Session, entries: &[&NewEntry]) -> Result<Vec<AddAnswer>, Fault> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut sorted: Vec<&NewEntry> = entries.to_vec();
    // Stable: the first of twins is the one that is added.
    sorted.sort_by_key(|entry| entry.message.id);
    sorted.dedup_by_key(|entry| entry.message.id);
    let rows: Vec<NewRow<'_>> = sorted.iter().map(|entry| NewRow::of(entry)).collect();
    let made = insert(session, &rows).await?;
    let mut known: HashMap<TaskId, AddAnswer> = HashMap::with_capacity(rows.len());
    for (row, made) in rows.iter().zip(made) {
        let answer = match made {
            Made::New(_) => AddAnswer::Added(row.seq),
            Made::Exists(state) => AddAnswer::Exists(state),
        };
        known.insert(row.message.id, answer);
    }
    let answers = entries.iter().map(|entry| {
        let answer = known.get_mut(&entry.message.id).expect("every id was asked for");
        let given = *answer;
        if let AddAnswer::Added(_) = given {
            *answer = AddAnswer::Exists(TaskState::Scheduled);
        }
        given
    });
    Ok(answers.collect())
}

impl<'a> NewRow<'a> {
    pub(super) fn of(entry: &'a NewEntry) -> Self {
        Self {
            message: &entry.message,
            seq: entry.message.seq,
            due: entry.due,
            cover: duration_micros(entry.cover),
            note: None,
            kind: RowKind::Entry,
        }
    }
}

/// Puts entries on the agenda.
pub(super) struct Add<'a>(pub(super) &'a [NewEntry]);

impl Work for Add<'_> {
    const CALL: &'static str = "add";
    type Answer = Vec<AddAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<AddAnswer>, Fault> {
        let entries: Vec<&NewEntry> = self.0.iter().collect();
        if !self.0.iter().any(unique::has_key) {
            return add(session, &entries).await;
        }
        session.begin().await?;
        let answers = add(session, &entries).await?;
        session.commit().await?;
        Ok(answers)
    }
}

/// Ids as a column.
pub(super) fn ids(ids: impl IntoIterator<Item = TaskId>) -> Vec<Uuid> {
    ids.into_iter().map(|id| id.0).collect()
}
