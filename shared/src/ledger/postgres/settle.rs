//! Settling verdicts, and giving claims back.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::add;
use super::error::Fault;
use super::rounds::{Rounds, place};
use super::row::{duration_micros, error_text, state_of, text};
use super::session::{Session, Work};
use super::unique;
use crate::id::OwnerId;
use crate::ledger::{NewEntry, OwnedClaim, SettleAnswer, Settlement};
use crate::verdict::{RunError, Verdict};

const SETTLE: &str = "select * from settle_1($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Verdicts as columns.
#[derive(Default)]
struct Verdicts {
    ids: Vec<Uuid>,
    fences: Vec<i64>,
    tokens: Vec<i64>,
    kinds: Vec<i16>,
    delays: Vec<i64>,
    notes: Vec<Option<String>>,
    errors: Vec<Option<String>>,
    results: Vec<Option<Vec<u8>>>,
}

impl Verdicts {
    fn push(&mut self, claim: &OwnedClaim, verdict: &Verdict) -> Result<(), Fault> {
        let (kind, delay, note, error): (_, _, _, Option<&RunError>) = match verdict {
            Verdict::Succeeded { .. } => (0, 0, None, None),
            Verdict::Retry { delay, error } => (1, duration_micros(*delay), None, Some(error)),
            Verdict::Dead { error } => (2, 0, None, Some(error)),
            Verdict::Cancelled { reason } => (3, 0, Some(text(reason)), None),
            Verdict::Snooze { delay } => (4, duration_micros(*delay), Some("snoozed".into()), None),
            Verdict::Released { reason } => (5, 0, Some(text(reason)), None),
        };
        let result = match verdict {
            Verdict::Succeeded { result: Some(result) } => {
                Some(rmp_serde::to_vec(result).map_err(|error| Fault::Invalid(error.to_string()))?)
            }
            _ => None,
        };
        self.ids.push(claim.id.0);
        self.fences.push(claim.fence.0);
        self.tokens.push(claim.token.0);
        self.kinds.push(kind);
        self.delays.push(delay);
        self.notes.push(note);
        self.errors.push(error.map(error_text).transpose()?);
        self.results.push(result);
        Ok(())
    }

    /// Answers by place in the columns; what is left out is stale. With an owner, gives back in its name.
    async fn settle(
        self,
        session: &Session,
        owner: Option<OwnerId>,
        places: &[usize],
    ) -> Result<Vec<(usize, SettleAnswer)>, Fault> {
        let owner = owner.map(|owner| owner.0);
        // Most verdicts leave nothing behind; Postgres need not look for it then.
        let errors = Some(&self.errors).filter(|errors| errors.iter().any(Option::is_some));
        let results = Some(&self.results).filter(|results| results.iter().any(Option::is_some));
        let params: [&(dyn ToSql + Sync); 9] = [
            &owner,
            &self.ids,
            &self.fences,
            &self.tokens,
            &self.kinds,
            &self.delays,
            &self.notes,
            &errors,
            &results,
        ];
        let rows = session.query(SETTLE, &params).await?;
        let answers = rows.iter().map(|row| {
            let answer = match row.try_get::<_, i16>("answer")? {
                0 => SettleAnswer::Applied(state_of(row.try_get("state")?)?),
                _ => SettleAnswer::AlreadySettled,
            };
            Ok((place(row, places)?, answer))
        });
        answers.collect()
    }
}

/// Writes verdicts, and puts what comes with those that apply on the agenda.
pub(super) struct Settle<'a>(pub(super) &'a [Settlement]);

impl Work for Settle<'_> {
    const CALL: &'static str = "settle";
    type Answer = Vec<SettleAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<SettleAnswer>, Fault> {
        if self.0.iter().all(|settlement| settlement.then.is_empty()) {
            return self.settle(session).await;
        }
        session.begin().await?;
        unique::lock_keys(session, self.0.iter().flat_map(|settlement| &settlement.then)).await?;
        self.lock(session).await?;
        let answers = self.settle(session).await?;
        let stands = |(settlement, answer): &(&Settlement, &SettleAnswer)| match answer {
            SettleAnswer::Applied(state) => settlement.stands(*state),
            SettleAnswer::AlreadySettled | SettleAnswer::Stale => false,
        };
        let standing = self.0.iter().zip(&answers).filter(stands);
        let entries: Vec<&NewEntry> = standing.flat_map(|(settlement, _)| &settlement.then).collect();
        add::add(session, &entries).await?;
        session.commit().await?;
        Ok(answers)
    }
}

impl Settle<'_> {
    /// Locks every row that may be touched in the order of ids: the steps that follow go over them more than once.
    async fn lock(&self, session: &Session) -> Result<(), Fault> {
        let then = self.0.iter().flat_map(|settlement| settlement.then.iter().map(|entry| entry.message.id));
        let ids = add::ids(self.0.iter().map(|settlement| settlement.claim.id).chain(then));
        let sql = "select t.id from task t where t.id = any ($1) order by t.id for update";
        session.query(sql, &[&ids]).await.map(drop)
    }

    async fn settle(&self, session: &Session) -> Result<Vec<SettleAnswer>, Fault> {
        let batch = self.0;
        let mut answers = vec![SettleAnswer::Stale; batch.len()];
        let mut rounds = Rounds::of_ids(batch.iter().map(|settlement| settlement.claim.id));
        while let Some(places) = rounds.next() {
            let mut verdicts = Verdicts::default();
            for at in &places {
                verdicts.push(&batch[*at].claim, &batch[*at].verdict)?;
                rounds.again(batch[*at].claim.id);
            }
            for (at, answer) in verdicts.settle(session, None, &places).await? {
                answers[at] = answer;
            }
        }
        Ok(answers)
    }
}

/// Gives back those of these claims that are still the owner's; answers how many.
pub(super) struct Release<'a> {
    pub(super) owner: OwnerId,
    pub(super) claims: &'a [OwnedClaim],
}

/// What a record says of a claim that was given back.
pub(super) const RELEASED: &str = "released: its claim was not wanted any more";

impl Work for Release<'_> {
    const CALL: &'static str = "release";
    type Answer = u64;

    async fn run(&self, session: &mut Session) -> Result<u64, Fault> {
        let verdict = Verdict::Released { reason: RELEASED.into() };
        let mut rounds = Rounds::of_ids(self.claims.iter().map(|claim| claim.id));
        let mut released = 0;
        while let Some(places) = rounds.next() {
            let mut verdicts = Verdicts::default();
            for at in &places {
                verdicts.push(&self.claims[*at], &verdict)?;
                rounds.again(self.claims[*at].id);
            }
            released += verdicts.settle(session, Some(self.owner), &places).await?.len() as u64;
        }
        Ok(released)
    }
}
