//! Turns in fair queues.

use tokio_postgres::types::ToSql;

use super::add;
use super::error::Fault;
use super::row::text;
use super::session::{Session, Work};
use crate::ledger::limit::{fair_limit, step, turn_note};
use crate::limit::Turn;

/// Asks whether it is these tasks' turn, in this order.
pub(super) struct LineUp<'a>(pub(super) &'a [Turn]);

impl Work for LineUp<'_> {
    const CALL: &'static str = "line_up";
    type Answer = Vec<bool>;

    async fn run(&self, session: &mut Session) -> Result<Vec<bool>, Fault> {
        let turns = self.0;
        let ids = add::ids(turns.iter().map(|turn| turn.id));
        let seqs: Vec<i64> = turns.iter().map(|turn| turn.seq.0).collect();
        let limits: Vec<String> = turns.iter().map(fair_limit).collect();
        let slots: Vec<i32> =
            turns.iter().map(|turn| i32::try_from(turn.slots).unwrap_or(i32::MAX)).collect();
        let tenants: Vec<String> = turns.iter().map(|turn| text(&turn.tenant)).collect();
        let steps: Vec<i64> = turns.iter().map(|turn| step(turn.weight)).collect();
        let notes: Vec<String> = turns.iter().map(turn_note).collect();
        let params: [&(dyn ToSql + Sync); 7] = [&ids, &seqs, &limits, &slots, &tenants, &steps, &notes];
        let sql = "select line_up_1($1, $2, $3, $4, $5, $6, $7)";
        let mut answers = vec![false; turns.len()];
        for row in session.query(sql, &params).await? {
            let place = usize::try_from(row.try_get::<_, i32>(0)? - 1).ok();
            if let Some(answer) = place.and_then(|place| answers.get_mut(place)) {
                *answer = true;
            }
        }
        Ok(answers)
    }
}
