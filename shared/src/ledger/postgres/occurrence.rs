//! Occurrences: cursors move in the transaction that puts what they pass on the agenda.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use upbeat_schedule::{SkipReason, SkippedRange};
use uuid::Uuid;

use super::add;
use super::error::Fault;
use super::row::{bigint, instant, limit};
use super::session::{Session, Work};
use super::unique::try_keys;
use crate::id::{KeyId, TaskId};
use crate::ledger::rule::{self, Standing};
use crate::ledger::{AddAnswer, Advance, AdvanceAnswer, NewEntry, RestoredSchedule};
use crate::name::ScheduleId;
use crate::occurrence::{MERGED, OccurrenceRecord};

/// Moves cursors.
pub(super) struct AdvanceAll<'a>(pub(super) &'a [Advance]);

/// Where a schedule stands, as this transaction has locked it and moves it.
struct Place {
    standing: Standing,
    moved: bool,
}

impl Work for AdvanceAll<'_> {
    const CALL: &'static str = "advance";
    type Answer = Vec<AdvanceAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<AdvanceAnswer>, Fault> {
        session.begin().await?;
        let (now, mut places) = self.lock(session).await?;
        // Whoever has locked a key may keep it for as long as its transaction is open: the other schedules do not wait for that.
        let locked = try_keys(session, self.0.iter().flat_map(|advance| &advance.fire)).await?;
        let answer = |advance| {
            if takes_any(advance, &locked) {
                return AdvanceAnswer::KeyLocked;
            }
            judge(advance, now, &mut places)
        };
        let mut answers: Vec<AdvanceAnswer> = self.0.iter().map(answer).collect();
        let passed: Vec<&Advance> = self
            .0
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| matches!(answer, AdvanceAnswer::Advanced(_)))
            .map(|(advance, _)| advance)
            .collect();
        move_cursors(session, &places).await?;
        let fire: Vec<&NewEntry> = passed.iter().flat_map(|advance| &advance.fire).collect();
        let added = add::add(session, &fire).await?;
        let mut of_all = added.iter();
        for (advance, answer) in self.0.iter().zip(&mut answers) {
            if let AdvanceAnswer::Advanced(new) = answer {
                let of_it = of_all.by_ref().take(advance.fire.len());
                *new = of_it.filter(|answer| matches!(answer, AddAnswer::Added(_))).count() as u64;
            }
        }
        Records::of(&passed, &added)?.write(session, now).await?;
        session.commit().await?;
        Ok(answers)
    }
}

impl AdvanceAll<'_> {
    /// Locks the schedules in the order of their ids.
    async fn lock(&self, session: &Session) -> Result<(i64, HashMap<String, Place>), Fault> {
        let ids: Vec<&str> = self.0.iter().map(|advance| advance.id.as_str()).collect();
        let sql = "select id, incarnation, revision, cursor from schedule where id = any ($1) order by id for update";
        let mut places = HashMap::new();
        for row in session.query(sql, &[&ids]).await? {
            let standing = Standing {
                incarnation: row.try_get::<_, i64>("incarnation")?.unsigned_abs(),
                revision: row.try_get::<_, i64>("revision")?.unsigned_abs(),
                cursor: row.try_get("cursor")?,
            };
            places.insert(row.try_get("id")?, Place { standing, moved: false });
        }
        let now = session.query_one("select now_us()", &[]).await?.try_get(0)?;
        Ok((now, places))
    }
}

fn takes_any(advance: &Advance, keys: &HashSet<KeyId>) -> bool {
    let takes = |entry: &NewEntry| entry.message.unique_key().is_some_and(|key| keys.contains(&key));
    !keys.is_empty() && advance.fire.iter().any(takes)
}

/// Moves the cursor here if it may; how many occurrences are new is found later.
fn judge(advance: &Advance, now: i64, places: &mut HashMap<String, Place>) -> AdvanceAnswer {
    let place = places.get_mut(advance.id.as_str());
    if let Some(refused) = rule::refusal(advance, place.as_ref().map(|place| place.standing), now) {
        return refused;
    }
    if let Some(place) = place {
        place.standing.cursor = advance.to.as_microsecond();
        place.moved = true;
    }
    AdvanceAnswer::Advanced(0)
}

async fn move_cursors(session: &Session, places: &HashMap<String, Place>) -> Result<(), Fault> {
    let moved = places.iter().filter(|(_, place)| place.moved);
    let (ids, cursors): (Vec<&str>, Vec<i64>) =
        moved.map(|(id, place)| (id.as_str(), place.standing.cursor)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let sql =
        "update schedule s set cursor = i.cursor from unnest($1::text[], $2::bigint[]) as i (id, cursor)
        where s.id = i.id";
    session.execute(sql, &[&ids, &cursors]).await?;
    Ok(())
}

/// Fired instants and runs of skipped ones, as columns.
#[derive(Default)]
struct Records<'a> {
    schedules: Vec<&'a str>,
    planned: Vec<i64>,
    incarnations: Vec<i64>,
    until: Vec<i64>,
    instants: Vec<i64>,
    skipped: Vec<Option<String>>,
    tasks: Vec<Option<Uuid>>,
}

impl<'a> Records<'a> {
    /// What was fired of these, and what was added of that; the rest is merged into whoever has its key.
    fn of(advances: &[&'a Advance], added: &[AddAnswer]) -> Result<Self, Fault> {
        let mut all = Self::default();
        let mut added = added.iter();
        for advance in advances {
            for (entry, answer) in advance.fire.iter().zip(added.by_ref()) {
                let Some(planned) = &entry.message.occurrence else { continue };
                let at = planned.planned_at.as_microsecond();
                let (reason, task) = match answer {
                    AddAnswer::Taken { by, .. } => (Some(MERGED.to_owned()), by),
                    AddAnswer::Added(_) | AddAnswer::Exists(_) => (None, &entry.message.id),
                };
                all.push((&advance.id, advance.incarnation), (at, at), 1, reason, Some(task.0));
            }
            for range in &advance.skipped {
                all.skipped((&advance.id, advance.incarnation), range)?;
            }
        }
        Ok(all)
    }

    fn skipped(&mut self, of: (&'a ScheduleId, u64), range: &SkippedRange) -> Result<(), Fault> {
        let reason =
            serde_json::to_string(&range.reason).map_err(|error| Fault::Invalid(error.to_string()))?;
        let ends = (range.from.as_microsecond(), range.until.as_microsecond());
        self.push(of, ends, bigint(range.count), Some(reason), None);
        Ok(())
    }

    fn push(
        &mut self,
        (id, incarnation): (&'a ScheduleId, u64),
        (from, until): (i64, i64),
        instants: i64,
        skipped: Option<String>,
        task: Option<Uuid>,
    ) {
        self.schedules.push(id.as_str());
        self.planned.push(from);
        self.incarnations.push(bigint(incarnation));
        self.until.push(until);
        self.instants.push(instants);
        self.skipped.push(skipped);
        self.tasks.push(task);
    }

    /// All of them fired at this time.
    async fn write(&self, session: &Session, now: i64) -> Result<(), Fault> {
        self.write_each(session, &vec![now; self.schedules.len()]).await
    }

    async fn write_each(&self, session: &Session, fired: &[i64]) -> Result<(), Fault> {
        if self.schedules.is_empty() {
            return Ok(());
        }
        let sql = "insert into occurrence
                (schedule_id, planned_at, incarnation, until_at, instants, skipped, task_id, fired_at)
            select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[],
                $7::uuid[], $8::bigint[])
            on conflict do nothing";
        let params: [&(dyn ToSql + Sync); 8] = [
            &self.schedules,
            &self.planned,
            &self.incarnations,
            &self.until,
            &self.instants,
            &self.skipped,
            &self.tasks,
            &fired,
        ];
        session.execute(sql, &params).await?;
        Ok(())
    }
}

/// Keeps what another ledger knew of a schedule's past.
pub(super) async fn restore(session: &Session, schedule: &RestoredSchedule) -> Result<(), Fault> {
    let RestoredSchedule { record, occurrences } = schedule;
    let of = (&record.id, record.incarnation);
    let now: i64 = session.query_one("select now_us()", &[]).await?.try_get(0)?;
    let (mut all, mut fired) = (Records::default(), Vec::with_capacity(occurrences.len()));
    for occurrence in occurrences {
        match occurrence {
            OccurrenceRecord::Fired { planned_at, fired_at, task_id } => {
                let at = planned_at.as_microsecond();
                all.push(of, (at, at), 1, None, Some(task_id.0));
                fired.push(fired_at.as_microsecond());
            }
            OccurrenceRecord::Merged { planned_at, merged_at, task_id } => {
                let at = planned_at.as_microsecond();
                all.push(of, (at, at), 1, Some(MERGED.to_owned()), Some(task_id.0));
                fired.push(merged_at.as_microsecond());
            }
            OccurrenceRecord::Skipped(range) => {
                all.skipped(of, range)?;
                fired.push(now);
            }
        }
    }
    all.write_each(session, &fired).await
}

/// What became of a schedule's instants, the newest first.
pub(super) struct Occurrences<'a> {
    pub(super) id: &'a ScheduleId,
    pub(super) limit: usize,
}

impl Work for Occurrences<'_> {
    const CALL: &'static str = "occurrences";
    type Answer = Vec<OccurrenceRecord>;

    async fn run(&self, session: &mut Session) -> Result<Vec<OccurrenceRecord>, Fault> {
        let sql = "select planned_at, until_at, instants, skipped, fired_at, task_id from occurrence
            where schedule_id = $1 order by planned_at desc limit $2";
        let rows = session.query(sql, &[&self.id.as_str(), &i64::from(limit(self.limit))]).await?;
        rows.iter().map(record).collect()
    }
}

fn record(row: &Row) -> Result<OccurrenceRecord, Fault> {
    let planned_at = instant(row.try_get("planned_at")?);
    let reason: Option<&str> = row.try_get("skipped")?;
    if let Some(task) = row.try_get::<_, Option<Uuid>>("task_id")? {
        let (at, task_id) = (instant(row.try_get("fired_at")?), TaskId(task));
        return Ok(match reason {
            None => OccurrenceRecord::Fired { planned_at, fired_at: at, task_id },
            Some(_) => OccurrenceRecord::Merged { planned_at, merged_at: at, task_id },
        });
    }
    let reason = reason.and_then(|text| serde_json::from_str(text).ok());
    Ok(OccurrenceRecord::Skipped(SkippedRange {
        from: planned_at,
        until: instant(row.try_get("until_at")?),
        count: row.try_get::<_, i64>("instants")?.unsigned_abs(),
        // A reason that a newer program wrote.
        reason: reason.unwrap_or(SkipReason::Misfire),
    }))
}
