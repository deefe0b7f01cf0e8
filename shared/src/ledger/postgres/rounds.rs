//! Batches may name a task twice, in any order. Postgres is asked about distinct ones, sorted.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::error::Fault;
use crate::id::TaskId;

/// A batch as rounds of distinct tasks, each sorted by id.
pub(super) struct Rounds {
    /// What was not yet asked, by task: the first of each is asked next.
    waiting: HashMap<TaskId, Vec<usize>>,
    next: Vec<(TaskId, usize)>,
}

impl Rounds {
    /// The first of each id is asked in the first round; the others wait until somebody asks [`again`](Self::again).
    pub(super) fn of_ids(ids: impl ExactSizeIterator<Item = TaskId>) -> Self {
        let mut all: Vec<(TaskId, usize)> = ids.enumerate().map(|(at, id)| (id, at)).collect();
        all.sort_unstable();
        let (mut next, mut waiting) = (Vec::with_capacity(all.len()), HashMap::new());
        for (id, at) in all {
            if next.last().is_some_and(|(last, _)| *last == id) {
                waiting.entry(id).or_insert_with(Vec::new).push(at);
            } else {
                next.push((id, at));
            }
        }
        Self { waiting, next }
    }

    /// The places to ask now, in the order of ids; `None` if nothing is left.
    pub(super) fn next(&mut self) -> Option<Vec<usize>> {
        if self.next.is_empty() {
            return None;
        }
        let mut round = std::mem::take(&mut self.next);
        round.sort_unstable();
        Some(round.into_iter().map(|(_, at)| at).collect())
    }

    /// The next twin of this task is to be asked too.
    pub(super) fn again(&mut self, id: TaskId) {
        let Some(twins) = self.waiting.get_mut(&id) else { return };
        if !twins.is_empty() {
            self.next.push((id, twins.remove(0)));
        }
    }
}

/// The place in the caller's batch that a row of the answer is about.
pub(super) fn place(row: &Row, places: &[usize]) -> Result<usize, Fault> {
    let ord: i64 = row.try_get("ord")?;
    let at = usize::try_from(ord - 1).ok().and_then(|at| places.get(at)).copied();
    at.ok_or_else(|| Fault::Invalid(format!("Postgres answered a question {ord} that was not asked")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn twins_come_in_rounds_of_their_own() {
        let id = |number: u128| TaskId(Uuid::from_u128(number));
        let mut rounds = Rounds::of_ids([id(2), id(1), id(2), id(3), id(2)].into_iter());
        assert_eq!(rounds.next(), Some(vec![1, 0, 3]));
        rounds.again(id(2));
        rounds.again(id(1));
        assert_eq!(rounds.next(), Some(vec![2]));
        assert_eq!(rounds.next(), None, "the last twin was not asked for");
    }
}
