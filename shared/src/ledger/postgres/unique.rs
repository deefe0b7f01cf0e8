//! Unique keys: who holds them, how they are taken. What ends a task frees its key in its own statement.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::act::lock;
use super::add::{self, Made, NewRow};
use super::change::Changes;
use super::error::Fault;
use super::row::{Brief, duration_micros, state_of};
use super::session::Session;
use crate::id::{KeyId, TaskId};
use crate::ledger::restored::{self, Restored};
use crate::ledger::{AddAnswer, NewEntry, unique};
use crate::task::TaskState;
use crate::unique::{OnTaken, Until};

/// Whether it takes a key.
pub(super) fn has_key(entry: &NewEntry) -> bool {
    entry.message.unique.is_some()
}

/// Locks the keys that these entries take: whoever locks rows too does this first.
pub(super) async fn lock_keys<'a>(
    session: &Session,
    entries: impl Iterator<Item = &'a NewEntry>,
) -> Result<(), Fault> {
    let keys: Vec<Uuid> = entries.filter_map(|entry| entry.message.unique_key()).map(|key| key.0).collect();
    if keys.is_empty() {
        return Ok(());
    }
    session.query("select lock_keys_1($1)", &[&keys]).await.map(drop)
}

/// Locks the keys that these entries take, as far as nobody else has locked them; answers the others.
pub(super) async fn try_keys<'a>(
    session: &Session,
    entries: impl Iterator<Item = &'a NewEntry>,
) -> Result<HashSet<KeyId>, Fault> {
    let keys: Vec<Uuid> = entries.filter_map(|entry| entry.message.unique_key()).map(|key| key.0).collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = session.query("select try_keys_1($1)", &[&keys]).await?;
    rows.iter().map(|row| Ok(KeyId(row.try_get(0)?))).collect()
}

/// Locks the keys that those of these tasks held that have ended.
pub(super) async fn lock_keys_again(session: &Session, ids: &[TaskId]) -> Result<(), Fault> {
    let sql = "select lock_keys_1(k.keys) from (
            select array_agg(t.unique_key) as keys from task t
            where t.id = any ($1) and t.unique_key is not null and t.state >= 5
        ) k where k.keys is not null";
    session.query(sql, &[&add::ids(ids.iter().copied())]).await.map(drop)
}

/// Which task holds a key.
#[derive(Clone, Copy, Debug)]
struct Holder {
    id: TaskId,
    state: TaskState,
    /// For a time, though it may have ended.
    is_window: bool,
    /// Only since this round of the batch.
    is_new: bool,
}

/// Who holds which key.
#[derive(Debug, Default)]
pub(super) struct Holders(HashMap<KeyId, Holder>);

impl Holders {
    /// Of keys that are locked.
    async fn of(session: &Session, keys: &[Uuid]) -> Result<Self, Fault> {
        let mut holders = Self::default();
        for row in session.query("select * from holders_1($1)", &[&keys]).await? {
            let holder = Holder {
                id: TaskId(row.try_get("id")?),
                state: state_of(row.try_get("state")?)?,
                is_window: row.try_get("is_window")?,
                is_new: false,
            };
            holders.0.insert(KeyId(row.try_get("key")?), holder);
        }
        Ok(holders)
    }

    /// Of the keys that these rows held, as far as they have ended.
    pub(super) async fn of_ended(session: &Session, rows: &[Brief]) -> Result<Self, Fault> {
        let ended = rows.iter().filter(|row| row.state.is_terminal());
        let keys: Vec<Uuid> = ended.filter_map(|row| row.unique_key).map(|key| key.0).collect();
        if keys.is_empty() {
            return Ok(Self::default());
        }
        Self::of(session, &keys).await
    }

    /// Gives a key to a task that is to run again; answers who has it.
    pub(super) fn take_again(&mut self, row: &Brief) -> Option<TaskId> {
        let key = row.unique_key?;
        if let Some(holder) = self.0.get(&key) {
            return Some(holder.id);
        }
        self.take(key, row.id);
        None
    }

    /// Of the keys of tasks that come from another ledger; locks them.
    pub(super) async fn of_restored(session: &Session, tasks: &[Restored<'_>]) -> Result<Self, Fault> {
        let keys = tasks.iter().filter_map(|task| restored::key(&task.record.message));
        let keys: Vec<Uuid> = keys.map(|key| key.0).collect();
        if keys.is_empty() {
            return Ok(Self::default());
        }
        session.query("select lock_keys_1($1)", &[&keys]).await?;
        Self::of(session, &keys).await
    }

    /// Gives keys to those of these new rows that have not ended, where nobody has them; all of them know theirs, for the day
    /// when they are run again.
    pub(super) async fn hold_restored(
        mut self,
        session: &Session,
        new: &[Restored<'_>],
    ) -> Result<(), Fault> {
        let (mut taken, mut known) = (Taken::default(), Taken::default());
        for task in new {
            let Some(key) = restored::key(&task.record.message) else { continue };
            let holds = task.state == TaskState::Scheduled && !self.0.contains_key(&key);
            if holds {
                self.take(key, task.record.id());
            }
            let keyed = if holds { &mut taken } else { &mut known };
            keyed.ids.push(task.record.id().0);
            keyed.keys.push(Some(key.0));
            keyed.windows.push(None);
        }
        taken.write(session).await?;
        if !known.ids.is_empty() {
            let sql =
                "update task t set unique_key = i.key from unnest($1::uuid[], $2::uuid[]) as i (id, key)
                where t.id = any ($1) and t.id = i.id";
            session.execute(sql, &[&known.ids, &known.keys]).await?;
        }
        Ok(())
    }

    fn take(&mut self, key: KeyId, id: TaskId) {
        self.0.insert(key, Holder { id, state: TaskState::Scheduled, is_window: false, is_new: true });
    }

    /// What a row says now that it is locked.
    fn see(&mut self, rows: &[Brief]) {
        let state = |id: TaskId| rows.iter().find(|row| row.id == id).map(|row| row.state);
        for holder in self.0.values_mut() {
            holder.state = state(holder.id).unwrap_or(holder.state);
        }
        self.0.retain(|_, holder| holder.is_window || !holder.state.is_terminal());
    }
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Answered(AddAnswer),
    /// It gets the key, in place of this task if there is one.
    Add(Option<TaskId>),
    /// One before it in this round decides about it.
    Later,
}

/// Puts entries that have keys on the agenda, as if one after the other. In a transaction.
pub(super) async fn add(session: &Session, entries: &[&NewEntry]) -> Result<Vec<AddAnswer>, Fault> {
    lock_keys(session, entries.iter().copied()).await?;
    let mut answers: Vec<Option<AddAnswer>> = vec![None; entries.len()];
    let mut left: Vec<usize> = (0..entries.len()).collect();
    // The first that is left is always answered. Only entries that replace each other need a round each.
    while !left.is_empty() {
        let round: Vec<&NewEntry> = left.iter().map(|at| entries[*at]).collect();
        for (at, answer) in left.iter().zip(add_some(session, &round).await?) {
            answers[*at] = answer;
        }
        left.retain(|at| answers[*at].is_none());
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Answers those that no other of them decides about.
async fn add_some(session: &Session, entries: &[&NewEntry]) -> Result<Vec<Option<AddAnswer>>, Fault> {
    let keys: Vec<Uuid> =
        entries.iter().filter_map(|entry| entry.message.unique_key()).map(|key| key.0).collect();
    let known = states(session, entries).await?;
    let mut holders = Holders::of(session, &keys).await?;
    let replaceable = replaceable(&holders, entries);
    let locked = if replaceable.is_empty() { Vec::new() } else { lock(session, &replaceable).await? };
    holders.see(&locked);
    let decisions: Vec<Decision> = decide(entries, &known, holders);
    let made = make(session, entries, &decisions).await?;
    let mut changes = Changes::default();
    let mut taken = Taken::default();
    let answers = entries.iter().zip(&decisions).map(|(entry, decision)| {
        let replaced = match decision {
            Decision::Answered(answer) => return Ok(Some(*answer)),
            Decision::Later => return Ok(None),
            Decision::Add(replaced) => replaced,
        };
        if let Some(Made::Exists(state)) = made.get(&entry.message.id) {
            return Ok(Some(AddAnswer::Exists(*state)));
        }
        if let Some(row) = replaced.and_then(|id| locked.iter().find(|row| row.id == id)) {
            let note = unique::replaced_note(entry.message.id);
            changes.push(row, &row.end_as(TaskState::Cancelled, &note))?;
        }
        taken.push(entry);
        Ok(Some(AddAnswer::Added(entry.message.seq)))
    });
    let answers = answers.collect::<Result<Vec<_>, Fault>>()?;
    // Whoever is replaced gives its key back first.
    changes.write(session).await?;
    taken.write(session).await?;
    Ok(answers)
}

/// The states of those that exist.
async fn states(session: &Session, entries: &[&NewEntry]) -> Result<HashMap<TaskId, TaskState>, Fault> {
    let ids = add::ids(entries.iter().map(|entry| entry.message.id));
    let rows = session.query("select t.id, t.state from task t where t.id = any ($1)", &[&ids]).await?;
    rows.iter().map(|row| Ok((TaskId(row.try_get("id")?), state_of(row.try_get("state")?)?))).collect()
}

/// Whom some of the entries would replace, in the order of ids.
fn replaceable(holders: &Holders, entries: &[&NewEntry]) -> Vec<TaskId> {
    let replacing = entries.iter().filter_map(|entry| {
        let holder = holders.0.get(&entry.message.unique_key()?)?;
        let wanted = entry.message.unique.as_ref()?;
        unique::gives_way(holder.state, wanted.on_taken).then_some(holder.id)
    });
    let mut ids: Vec<TaskId> = replacing.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn decide(entries: &[&NewEntry], known: &HashMap<TaskId, TaskState>, mut holders: Holders) -> Vec<Decision> {
    let mut adding: Vec<TaskId> = Vec::new();
    let decide = |entry: &&NewEntry| {
        let message = &entry.message;
        if let Some(state) = known.get(&message.id) {
            return Decision::Answered(AddAnswer::Exists(*state));
        }
        let key = message.unique_key().expect("only entries with keys come here");
        let on_taken = message.unique.as_ref().map_or(OnTaken::Keep, |unique| unique.on_taken);
        let holder = holders.0.get(&key).copied();
        if adding.contains(&message.id) || holder.is_some_and(|holder| holder.is_new) {
            return Decision::Later;
        }
        if let Some(Holder { id: by, state, .. }) = holder
            && !unique::gives_way(state, on_taken)
        {
            return Decision::Answered(AddAnswer::Taken { by, state });
        }
        adding.push(message.id);
        holders.take(key, message.id);
        Decision::Add(holder.map(|holder| holder.id))
    };
    entries.iter().map(decide).collect()
}

/// Makes the rows of those that get their keys, in the order of ids.
async fn make(
    session: &Session,
    entries: &[&NewEntry],
    decisions: &[Decision],
) -> Result<HashMap<TaskId, Made>, Fault> {
    let adding = entries.iter().zip(decisions).filter(|(_, decision)| matches!(decision, Decision::Add(_)));
    let mut rows: Vec<NewRow<'_>> = adding.map(|(entry, _)| NewRow::of(entry)).collect();
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    rows.sort_by_key(|row| row.message.id);
    let made = add::insert(session, &rows).await?;
    Ok(rows.iter().map(|row| row.message.id).zip(made).collect())
}

/// Keys that new rows get, as columns.
#[derive(Default)]
struct Taken {
    ids: Vec<Uuid>,
    keys: Vec<Option<Uuid>>,
    windows: Vec<Option<i64>>,
}

impl Taken {
    fn push(&mut self, entry: &NewEntry) {
        self.ids.push(entry.message.id.0);
        self.keys.push(entry.message.unique_key().map(|key| key.0));
        self.windows.push(match entry.message.unique.as_ref().map(|unique| unique.until) {
            Some(Until::Window(window)) => Some(duration_micros(window)),
            Some(Until::Finished) | None => None,
        });
    }

    async fn write(self, session: &Session) -> Result<(), Fault> {
        if self.ids.is_empty() {
            return Ok(());
        }
        session.query("select hold_1($1, $2, $3)", &[&self.ids, &self.keys, &self.windows]).await.map(drop)
    }
}
