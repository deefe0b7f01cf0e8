//! Who has what of which limit.

use rusqlite::{Connection, OptionalExtension, Row};

use super::row::{self, duration_micros, instant, state_number};
use super::tally::Tally;
use crate::ledger::limit::{self, Admission, Book, FAIR, KEPT, Part, Standing};
use crate::ledger::{Claim, ClaimAnswer, LimitRecord};
use crate::limit::{LimitUse, Turn};
use crate::sqlite::{SqliteError, Topic, Write};
use crate::task::TaskState;

/// A row that was just claimed.
pub(super) struct Claimed<'a> {
    pub(super) row: i64,
    pub(super) queue: &'a str,
    pub(super) claim: Claim,
}

/// Takes it through its limits; one that has to wait is scheduled again.
pub(super) fn admit(
    write: &Write<'_>,
    tally: &mut Tally,
    claimed: &Claimed<'_>,
    limits: &[LimitUse],
) -> Result<ClaimAnswer, SqliteError> {
    if limits.is_empty() {
        return Ok(ClaimAnswer::Acquired(claimed.claim));
    }
    let row = claimed.row;
    let Admission::Waits { by, until } = limit::admit(&mut Tables(write), row, limits)? else {
        write.prepare_cached("UPDATE task SET limited = 1 WHERE row = ?1")?.execute([row])?;
        return Ok(ClaimAnswer::Acquired(claimed.claim));
    };
    write
        .prepare_cached(
            "UPDATE task SET limited = 1, state = 0, seq = seq + 1, owner = NULL, token = NULL, started_at = NULL,
                wake_at = ?2, due_at = coalesce(?2, due_at), note = ?3
             WHERE row = ?1",
        )?
        .execute((row, until, limit::note(&limits[by], until)))?;
    tally.step(claimed.queue, state_number(TaskState::Running), state_number(TaskState::Scheduled));
    if until.is_some() {
        write.touch(Topic::Agenda);
    }
    Ok(ClaimAnswer::Limited { by, until: until.map(instant) })
}

/// A task under limits ends, moves or stops running.
pub(super) fn release(write: &Write<'_>, row: i64) -> Result<(), SqliteError> {
    write.prepare_cached("UPDATE task SET limited = NULL WHERE row = ?1")?.execute([row])?;
    limit::release(&mut Tables(write), row)
}

/// Gives slots away that nobody came for, and forgets limits of which nothing is taken.
pub(super) fn mend(write: &Write<'_>) -> Result<(), SqliteError> {
    let late = write.now().saturating_sub(duration_micros(KEPT));
    let stale: Vec<i64> = {
        let mut select = write.prepare_cached(
            "SELECT DISTINCT s.task FROM limit_part s JOIN task t ON t.row = s.task
             WHERE s.part = 0 AND s.at < ?1 AND s.limit_id NOT LIKE 'fair:%' AND t.state != 2 AND NOT EXISTS (
                SELECT 1 FROM limit_part p WHERE p.task = s.task AND (p.part = 1 OR (p.part = 0 AND p.at >= ?1)))
             LIMIT 1000",
        )?;
        let rows = select.query_map([late], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    for row in stale {
        release(write, row)?;
    }
    write
        .prepare_cached(
            "DELETE FROM limit_state WHERE taken = 0 AND free_at <= ?1
                AND NOT EXISTS (SELECT 1 FROM limit_part u WHERE u.limit_id = id AND u.part = 1)",
        )?
        .execute([write.now()])?;
    // Places that are behind what has gone say nothing any more.
    write
        .prepare_cached(
            "DELETE FROM limit_turn WHERE place <= coalesce(
                (SELECT s.free_at FROM limit_state s WHERE s.id = limit_id), ?1)",
        )?
        .execute([i64::MAX])?;
    Ok(())
}

/// Where limits stand, those with the longest lines first; `now` in microseconds.
pub(super) fn list(read: &Connection, most: usize, now: i64) -> Result<Vec<LimitRecord>, SqliteError> {
    let mut select = read.prepare_cached(
        "SELECT s.id, s.running, s.taken, s.free_at, s.interval, coalesce(l.waiting, 0) AS waiting
         FROM limit_state s LEFT JOIN (
            SELECT limit_id, count(*) AS waiting FROM limit_part WHERE part = 1 GROUP BY limit_id
         ) l ON l.limit_id = s.id ORDER BY waiting DESC, s.id LIMIT ?1",
    )?;
    let rows = select.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |row| {
        let (running, taken, free_at, interval) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let standing = Standing { running, taken, free_at, interval };
        Ok(standing.record(row.get(0)?, row.get::<_, i64>(5)?.unsigned_abs(), now))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The tables of limits.
struct Tables<'a>(&'a Write<'a>);

impl Book for Tables<'_> {
    type Error = SqliteError;

    fn now(&self) -> i64 {
        self.0.now()
    }

    fn standing(&mut self, limit: &str) -> Result<Standing, SqliteError> {
        let mut select = self
            .0
            .prepare_cached("SELECT running, taken, free_at, interval FROM limit_state WHERE id = ?1")?;
        let found = select.query_row([limit], |row| {
            let (running, taken, free_at, interval) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(Standing { running, taken, free_at, interval })
        });
        Ok(found.optional()?.unwrap_or_default())
    }

    fn keep(&mut self, limit: &str, standing: Standing) -> Result<(), SqliteError> {
        let Standing { running, taken, free_at, interval } = standing;
        self.0
            .prepare_cached(
                "INSERT INTO limit_state (id, running, taken, free_at, interval) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET running = ?2, taken = ?3, free_at = ?4, interval = ?5",
            )?
            .execute((limit, running, taken, free_at, interval))?;
        Ok(())
    }

    fn forget(&mut self, limit: &str) -> Result<(), SqliteError> {
        self.0.prepare_cached("DELETE FROM limit_state WHERE id = ?1")?.execute([limit])?;
        if limit.starts_with(FAIR) {
            self.0.prepare_cached("DELETE FROM limit_turn WHERE limit_id = ?1")?.execute([limit])?;
        }
        Ok(())
    }

    fn has(&mut self, task: i64, limit: &str, part: Part) -> Result<bool, SqliteError> {
        let sql = "SELECT 1 FROM limit_part WHERE task = ?1 AND limit_id = ?2 AND part = ?3";
        Ok(self.0.prepare_cached(sql)?.exists((task, limit, part as i64))?)
    }

    fn give(&mut self, task: i64, limit: &str, part: Part, at: i64) -> Result<(), SqliteError> {
        self.0
            .prepare_cached("INSERT INTO limit_part (task, limit_id, part, at) VALUES (?1, ?2, ?3, ?4)")?
            .execute((task, limit, part as i64, at))?;
        Ok(())
    }

    fn take(&mut self, task: i64, limit: &str, part: Part) -> Result<(), SqliteError> {
        self.0
            .prepare_cached("DELETE FROM limit_part WHERE task = ?1 AND limit_id = ?2 AND part = ?3")?
            .execute((task, limit, part as i64))?;
        Ok(())
    }

    fn clear(&mut self, task: i64) -> Result<Vec<(String, Part)>, SqliteError> {
        let mut delete =
            self.0.prepare_cached("DELETE FROM limit_part WHERE task = ?1 RETURNING limit_id, part")?;
        let parts = delete.query_map([task], |row| {
            let part = match row.get(1)? {
                0_i64 => Part::Slot,
                1 => Part::Place,
                _ => Part::Instant,
            };
            Ok((row.get(0)?, part))
        })?;
        let mut parts: Vec<(String, Part)> = parts.collect::<Result<_, _>>()?;
        parts.sort();
        Ok(parts)
    }

    fn first(&mut self, limit: &str) -> Result<Option<(i64, i64)>, SqliteError> {
        let sql = "SELECT task, at FROM limit_part WHERE limit_id = ?1 AND part = 1 ORDER BY at LIMIT 1";
        let first = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(self.0.prepare_cached(sql)?.query_row([limit], first).optional()?)
    }

    fn last_place(&mut self, limit: &str, below: i64) -> Result<Option<i64>, SqliteError> {
        let sql = "SELECT max(at) FROM limit_part WHERE limit_id = ?1 AND part = 1 AND at < ?2";
        Ok(self.0.prepare_cached(sql)?.query_row((limit, below), |row| row.get(0))?)
    }

    fn priority(&mut self, task: i64) -> Result<u8, SqliteError> {
        let sql = "SELECT priority FROM task WHERE row = ?1";
        Ok(self.0.prepare_cached(sql)?.query_row([task], |row| row.get(0))?)
    }

    fn wake(&mut self, task: i64) -> Result<(), SqliteError> {
        self.0
            .prepare_cached("UPDATE task SET wake_at = ?2, due_at = ?2, note = NULL WHERE row = ?1")?
            .execute((task, self.0.now()))?;
        self.0.touch(Topic::Agenda);
        Ok(())
    }

    fn fair_slot(&mut self, task: i64) -> Result<Option<String>, SqliteError> {
        let sql = "SELECT limit_id FROM limit_part WHERE task = ?1 AND part = 0 AND limit_id LIKE 'fair:%'";
        Ok(self.0.prepare_cached(sql)?.query_row([task], |row| row.get(0)).optional()?)
    }

    fn has_any(&mut self, task: i64) -> Result<bool, SqliteError> {
        Ok(self.0.prepare_cached("SELECT 1 FROM limit_part WHERE task = ?1 AND part != 1")?.exists([task])?)
    }

    fn last_turn(&mut self, limit: &str, tenant: &str) -> Result<Option<i64>, SqliteError> {
        let sql = "SELECT place FROM limit_turn WHERE limit_id = ?1 AND tenant = ?2";
        Ok(self.0.prepare_cached(sql)?.query_row([limit, tenant], |row| row.get(0)).optional()?)
    }

    fn keep_turn(&mut self, limit: &str, tenant: &str, place: i64) -> Result<(), SqliteError> {
        self.0
            .prepare_cached(
                "INSERT INTO limit_turn (limit_id, tenant, place) VALUES (?1, ?2, ?3)
                 ON CONFLICT (limit_id, tenant) DO UPDATE SET place = ?3",
            )?
            .execute((limit, tenant, place))?;
        Ok(())
    }
}

/// Asks for tasks' turns in their fair queues.
pub(super) fn line_up(write: &Write<'_>, turns: &[Turn]) -> Result<Vec<bool>, SqliteError> {
    turns.iter().map(|turn| line_up_one(write, turn)).collect()
}

fn line_up_one(write: &Write<'_>, turn: &Turn) -> Result<bool, SqliteError> {
    let found = row::find(write, turn.id)?;
    let found = found.filter(|row| row.state == TaskState::Scheduled && row.seq == turn.seq.0);
    let Some(row) = found else { return Ok(false) };
    let is_turn = limit::line_up(&mut Tables(write), row.row, turn)?;
    if is_turn {
        write.prepare_cached("UPDATE task SET limited = 1 WHERE row = ?1")?.execute([row.row])?;
    } else {
        write
            .prepare_cached("UPDATE task SET limited = 1, wake_at = NULL, note = ?2 WHERE row = ?1")?
            .execute((row.row, limit::turn_note(turn)))?;
    }
    Ok(is_turn)
}
