//! Unique keys that are held for a time, on their way from and to other ledgers.

use std::collections::HashSet;

use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Fault;
use super::row::{instant, limit};
use super::session::{Patience, Session, Work};
use crate::id::{KeyId, TaskId};
use crate::ledger::{KeyWindow, RestoreAnswer, restored};

/// Lists them, those that are over soonest first.
pub(super) struct Windows {
    pub(super) after: Option<KeyWindow>,
    pub(super) limit: usize,
}

impl Work for Windows {
    const CALL: &'static str = "windows";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<KeyWindow>;

    async fn run(&self, session: &mut Session) -> Result<Vec<KeyWindow>, Fault> {
        let sql = "select key, task, until_at from unique_window
            where until_at > now_us() and (until_at, key) > ($1, $2) order by until_at, key limit $3";
        let (until, key) =
            self.after.map_or((0, Uuid::nil()), |last| (last.until.as_microsecond(), last.key.0));
        let rows = session.query(sql, &[&until, &key, &i64::from(limit(self.limit))]).await?;
        let window = |row: &Row| {
            let (key, task) = (KeyId(row.try_get("key")?), TaskId(row.try_get("task")?));
            Ok(KeyWindow { key, task, until: instant(row.try_get("until_at")?) })
        };
        rows.iter().map(window).collect()
    }
}

/// Holds keys as another ledger did.
pub(super) struct RestoreWindows<'a>(pub(super) &'a [KeyWindow]);

impl Work for RestoreWindows<'_> {
    const CALL: &'static str = "restore_windows";
    const PATIENCE: Patience = Patience::Long;
    type Answer = Vec<RestoreAnswer>;

    async fn run(&self, session: &mut Session) -> Result<Vec<RestoreAnswer>, Fault> {
        session.begin().await?;
        let keys: Vec<Uuid> = self.0.iter().map(|window| window.key.0).collect();
        let tasks: Vec<Uuid> = self.0.iter().map(|window| window.task.0).collect();
        let until: Vec<i64> = self.0.iter().map(|window| window.until.as_microsecond()).collect();
        session.query("select lock_keys_1($1)", &[&keys]).await?;
        // Of twins the first is the one that is held.
        let sql = "insert into unique_window as w (key, task, until_at)
            select distinct on (i.key) i.key, i.task, i.until
            from unnest($1::uuid[], $2::uuid[], $3::bigint[]) with ordinality as i (key, task, until, ord)
            where i.until > now_us() and not exists (select from holders_1($1) h where h.key = i.key)
            order by i.key, i.ord
            on conflict (key) do update set task = excluded.task, until_at = excluded.until_at
            returning w.key";
        let mut held = HashSet::new();
        for row in session.query(sql, &[&keys, &tasks, &until]).await? {
            held.insert(row.try_get::<_, Uuid>(0)?);
        }
        session.commit().await?;
        Ok(keys.iter().map(|key| restored::answer(held.remove(key))).collect())
    }
}
