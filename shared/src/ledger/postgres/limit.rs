//! Turns in fair queues, and where limits stand.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::add;
use super::error::Fault;
use super::row::{limit, text};
use super::session::{Patience, Session, Work};
use crate::ledger::LimitRecord;
use crate::ledger::limit::{Standing, fair_limit, step, turn_note};
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

/// Where limits stand, those with the longest lines first.
pub(super) struct Limits {
    pub(super) most: usize,
}

impl Work for Limits {
    const CALL: &'static str = "limits";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<LimitRecord>;

    async fn run(&self, session: &mut Session) -> Result<Vec<LimitRecord>, Fault> {
        let sql =
            "select s.id, s.running, s.taken, s.free_at, s.interval, coalesce(l.waiting, 0) as waiting, now_us() as now
            from limit_state s left join (
                select p.limit_id, count(*) as waiting from limit_part p where p.part = 1 group by p.limit_id
            ) l on l.limit_id = s.id order by 6 desc, s.id limit $1";
        let rows = session.query(sql, &[&i64::from(limit(self.most))]).await?;
        let record = |row: &Row| {
            let slots: Option<i32> = row.try_get("running")?;
            let standing = Standing {
                running: slots.and_then(|slots| u32::try_from(slots).ok()),
                taken: u32::try_from(row.try_get::<_, i32>("taken")?).unwrap_or(0),
                free_at: row.try_get("free_at")?,
                interval: row.try_get("interval")?,
            };
            let waiting = row.try_get::<_, i64>("waiting")?.unsigned_abs();
            Ok(standing.record(row.try_get("id")?, waiting, row.try_get("now")?))
        };
        rows.iter().map(record).collect()
    }
}
