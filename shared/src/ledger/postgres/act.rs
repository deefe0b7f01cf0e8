//! Acting on tasks: cancel, retry, drop.

use std::time::Duration;

use super::add::{self, Made, NewRow, RowKind};
use super::change::{Change, Changes, Kind};
use super::error::Fault;
use super::rounds::Rounds;
use super::row::{self, Brief};
use super::session::{Patience, Session, Work};
use super::unique::{self, Holders};
use crate::id::{Seq, TaskId};
use crate::ledger::{ActAnswer, Action, Due, rule};
use crate::message::Message;
use crate::task::TaskState;

/// How many tasks are looked at together.
const BATCH: usize = 1000;

/// Acts on tasks, all in one transaction.
pub(super) struct Act<'a> {
    pub(super) ids: &'a [TaskId],
    pub(super) action: &'a Action,
}

impl Work for Act<'_> {
    const CALL: &'static str = "act";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<ActAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<ActAnswer>, Fault> {
        session.begin().await?;
        if *self.action == Action::Retry {
            unique::lock_keys_again(session, self.ids).await?;
        }
        let mut answers = vec![ActAnswer::Unknown; self.ids.len()];
        let mut rounds = Rounds::of_ids(self.ids.iter().copied());
        while let Some(places) = rounds.next() {
            for places in places.chunks(BATCH) {
                let ids: Vec<TaskId> = places.iter().map(|at| self.ids[*at]).collect();
                let answered = self.act(session, &ids).await?;
                for (at, answer) in places.iter().zip(answered) {
                    answers[*at] = answer;
                    // A row that somebody makes meanwhile would be locked out of the order of ids.
                    if answer != ActAnswer::Unknown {
                        rounds.again(self.ids[*at]);
                    }
                }
            }
        }
        session.commit().await?;
        Ok(answers)
    }
}

impl Act<'_> {
    /// Acts on distinct tasks, sorted by id.
    async fn act(&self, session: &Session, ids: &[TaskId]) -> Result<Vec<ActAnswer>, Fault> {
        let mut answers = vec![ActAnswer::Unknown; ids.len()];
        if let Action::Cancel { reason } = self.action {
            // Makes the rows that are missing and locks the others, in one pass in the order of ids.
            answers = bury(session, ids, reason).await?;
        }
        let mut changes = Changes::default();
        let rows = lock(session, ids).await?;
        let mut holders = match self.action {
            Action::Retry => Holders::of_ended(session, &rows).await?,
            Action::Cancel { .. } | Action::Drop => Holders::default(),
        };
        for row in rows {
            let at = ids.binary_search(&row.id).expect("only these were asked for");
            if answers[at] == ActAnswer::Unknown {
                let (answer, change) = decide(&row, self.action);
                answers[at] = answer;
                let revived = change.as_ref().is_some_and(|change| change.kind == Kind::Revive);
                if revived && let Some(by) = holders.take_again(&row) {
                    answers[at] = ActAnswer::KeyTaken { by };
                } else if let Some(change) = change {
                    changes.push(&row, &change)?;
                }
            }
        }
        changes.write(session).await?;
        Ok(answers)
    }
}

/// Locks those of these rows that exist.
pub(super) async fn lock(session: &Session, ids: &[TaskId]) -> Result<Vec<Brief>, Fault> {
    let sql = [row::SELECT, "t.id = any ($1)", row::LOCK].concat();
    let ids = add::ids(ids.iter().copied());
    session.query(&sql, &[&ids]).await?.iter().map(row::brief).collect()
}

fn decide(row: &Brief, action: &Action) -> (ActAnswer, Option<Change>) {
    match action {
        Action::Cancel { reason } => cancel(row, reason),
        Action::Retry => retry(row),
        Action::Drop if row.state == TaskState::Dead => {
            (ActAnswer::Applied(TaskState::Cancelled), Some(row.drop()))
        }
        Action::Drop => (ActAnswer::Refused(row.state), None),
    }
}

fn cancel(row: &Brief, reason: &str) -> (ActAnswer, Option<Change>) {
    match row.state {
        TaskState::Running => (ActAnswer::Requested, Some(row.ask())),
        TaskState::Scheduled | TaskState::Queued | TaskState::Held => {
            let end = row.end_as(TaskState::Cancelled, reason);
            (ActAnswer::Applied(TaskState::Cancelled), Some(end))
        }
        TaskState::Succeeded | TaskState::Dead | TaskState::Cancelled | TaskState::Expired => {
            (ActAnswer::Refused(row.state), None)
        }
    }
}

fn retry(row: &Brief) -> (ActAnswer, Option<Change>) {
    let moved = row.move_to(row.now, "retried by hand");
    let change = match row.state {
        TaskState::Scheduled => moved,
        TaskState::Dead | TaskState::Cancelled | TaskState::Expired if row.has_details => {
            Change { kind: Kind::Revive, attempts: 0, crashes: 0, ..moved }
        }
        state => return (ActAnswer::Refused(state), None),
    };
    (ActAnswer::Applied(TaskState::Scheduled), Some(change))
}

/// Makes cancelled rows of tasks that have none, and answers so; locks the others. A task that was published without a row
/// may still be on its way: its claim will find this.
async fn bury(session: &Session, ids: &[TaskId], reason: &str) -> Result<Vec<ActAnswer>, Fault> {
    let messages: Vec<Message> = ids.iter().map(|id| rule::tombstone(*id)).collect();
    let note = rule::tombstone_note(reason);
    let rows: Vec<NewRow<'_>> = messages
        .iter()
        .map(|message| NewRow {
            message,
            seq: Seq(0),
            due: Due::In(Duration::ZERO),
            cover: 0,
            note: Some(&note),
            kind: RowKind::Tombstone,
        })
        .collect();
    let made = add::insert(session, &rows).await?;
    let answers = made.into_iter().map(|made| match made {
        Made::New(_) => ActAnswer::Applied(TaskState::Cancelled),
        Made::Exists(_) => ActAnswer::Unknown,
    });
    Ok(answers.collect())
}
