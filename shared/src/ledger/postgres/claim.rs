//! Claiming.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::columns::Columns;
use super::error::Fault;
use super::rounds::{Rounds, place};
use super::row::{count, duration_micros, error_text, instant, state_of};
use super::session::{Session, Work};
use crate::id::{Fence, OwnerId, Seq};
use crate::ledger::limit::rate_micros;
use crate::ledger::rule::stale_error;
use crate::ledger::{Claim, ClaimAnswer, ClaimRequest};

const CLAIM: &str =
    "select * from claim_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

const CLAIM_LIMITED: &str =
    "select * from claim_limited_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21)";

/// The limits of a batch as columns, in the order in which its tasks are to be admitted.
#[derive(Default)]
struct Uses<'a> {
    /// The place of the request among those that are asked together, from 1.
    of: Vec<i32>,
    limits: Vec<&'a str>,
    running: Vec<Option<i32>>,
    intervals: Vec<Option<i64>>,
    early: Vec<i64>,
}

impl<'a> Uses<'a> {
    fn of(batch: &'a [ClaimRequest], places: &[usize]) -> Self {
        let mut uses = Self::default();
        if places.iter().all(|at| batch[*at].limits.is_empty()) {
            return uses;
        }
        // They are asked in the order of ids, and admitted in that of the batch.
        let mut asked: Vec<(usize, i32)> = places.iter().copied().zip(1..).collect();
        asked.sort_unstable();
        for (at, ord) in asked {
            for limit in &batch[at].limits {
                uses.of.push(ord);
                uses.limits.push(&limit.id);
                uses.running.push(limit.running.map(|running| i32::try_from(running).unwrap_or(i32::MAX)));
                let rate = limit.rate.map(rate_micros);
                uses.intervals.push(rate.map(|(interval, _)| interval));
                uses.early.push(rate.map_or(0, |(_, early)| early));
            }
        }
        uses
    }

    fn params(&self) -> [&(dyn ToSql + Sync); 5] {
        [&self.of, &self.limits, &self.running, &self.intervals, &self.early]
    }
}

/// Claims a batch for an owner.
pub(super) struct ClaimBatch<'a> {
    pub(super) owner: OwnerId,
    pub(super) batch: &'a [ClaimRequest],
    pub(super) stale_after: Duration,
}

impl Work for ClaimBatch<'_> {
    const CALL: &'static str = "claim";
    type Answer = Vec<ClaimAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<ClaimAnswer>, Fault> {
        let mut answers = vec![ClaimAnswer::Busy; self.batch.len()];
        let mut rounds = Rounds::of_ids(self.batch.iter().map(|request| request.message.id));
        // One round, unless the batch holds a task twice and the first of them is stale or busy.
        while let Some(round) = rounds.next() {
            let Some(answered) = self.claim(session, &round).await? else {
                return Ok(vec![ClaimAnswer::Retired; self.batch.len()]);
            };
            for (at, answer) in answered {
                if matches!(answer, ClaimAnswer::Stale | ClaimAnswer::Busy) {
                    // A stale message may come in one batch with the one that was promoted after it, which must not be
                    // lost. When the same batch is asked again, that one runs, and the older message is busy.
                    rounds.again(self.batch[at].message.id);
                }
                answers[at] = answer;
            }
        }
        Ok(answers)
    }
}

impl ClaimBatch<'_> {
    /// Claims the requests at these places, which are of distinct tasks. `None` if the owner may claim nothing.
    async fn claim(
        &self,
        session: &Session,
        places: &[usize],
    ) -> Result<Option<Vec<(usize, ClaimAnswer)>>, Fault> {
        let requests = || places.iter().map(|at| &self.batch[*at]);
        let mut columns = Columns::with_capacity(places.len());
        for request in requests() {
            columns.push(&request.message)?;
        }
        let published: Vec<Option<i64>> = requests()
            .map(|request| request.message.first_published.map(Timestamp::as_microsecond))
            .collect();
        let tokens: Vec<i64> = requests().map(|request| request.token.0).collect();
        let (stale_after, stale) = (duration_micros(self.stale_after), error_text(&stale_error())?);
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&self.owner.0, &stale_after, &stale];
        params.extend(columns.params());
        params.extend([&published as &(dyn ToSql + Sync), &tokens]);
        let uses = Uses::of(self.batch, places);
        let sql = if uses.of.is_empty() {
            CLAIM
        } else {
            params.extend(uses.params());
            CLAIM_LIMITED
        };
        let rows = session.query(sql, &params).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        rows.iter().map(|row| Ok((place(row, places)?, answer(row)?))).collect::<Result<_, _>>().map(Some)
    }
}

fn answer(row: &Row) -> Result<ClaimAnswer, Fault> {
    let state = || state_of(row.try_get("state")?);
    match row.try_get::<_, i16>("answer")? {
        0 | -1 => Ok(ClaimAnswer::Acquired(Claim {
            fence: Fence(row.try_get::<_, Option<i64>>("fence")?.unwrap_or_default()),
            seq: Seq(row.try_get("seq")?),
            attempts: count(row, "attempts")?,
            crashes: count(row, "crashes")?,
            due_at: row.try_get::<_, Option<i64>>("due_at")?.map(instant),
            at: instant(row.try_get("at")?),
            cancel_requested: row.try_get("cancel")?,
        })),
        1 => Ok(ClaimAnswer::Done(state()?)),
        2 => Ok(ClaimAnswer::Busy),
        3 => Ok(ClaimAnswer::Stale),
        4 => Ok(ClaimAnswer::Ended(state()?)),
        5 => Ok(ClaimAnswer::Limited {
            by: usize::try_from(row.try_get::<_, i16>("state")?).unwrap_or_default(),
            until: row.try_get::<_, Option<i64>>("due_at")?.map(instant),
        }),
        other => Err(Fault::Invalid(format!("Postgres answered a claim with {other}"))),
    }
}
