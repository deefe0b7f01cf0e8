//! Reaping: lost workers are retired, and their tasks become due again.

use std::collections::HashMap;

use uuid::Uuid;

use super::change::{Change, Changes};
use super::error::Fault;
use super::past::Story;
use super::row::{self, Brief, bigint};
use super::session::{Patience, Session, Work};
use crate::id::OwnerId;
use crate::ledger::rule::{self, AfterCrash, Crash, LostWorker};
use crate::ledger::{Lost, ReapReport};
use crate::member::MemberInfo;
use crate::run::RunEnd;
use crate::task::TaskState;

/// Owners that claimed something lately and have no live heartbeat row.
const OWNERLESS: &str = "select distinct c.owner from claimed c
    where not exists (select from member m where m.owner = c.owner and m.retired = 0) order by c.owner";

/// Retires a member whose counter still stands where a beat saw it.
const RETIRE: &str =
    "update member m set retired = 1 from unnest($1::uuid[], $2::bigint[]) as l (owner, counter)
    where m.owner = l.owner and m.counter = l.counter and m.retired = 0 returning m.owner";

/// Retires lost members, and makes their running rows due again, as well as rows of owners without a heartbeat row.
pub(super) struct Reap<'a> {
    pub(super) lost: &'a [Lost],
    pub(super) max_crashes: u32,
}

impl Work for Reap<'_> {
    const CALL: &'static str = "reap";
    const PATIENCE: Patience = Patience::Long;
    type Answer = ReapReport;

    async fn run(&self, session: &mut Session) -> Result<ReapReport, Fault> {
        if self.lost.is_empty() && session.query(OWNERLESS, &[]).await?.is_empty() {
            return Ok(ReapReport::default());
        }
        session.begin().await?;
        let mut report = ReapReport::default();
        if !self.lost.is_empty() {
            report.retired = self.retire(session).await?;
        }
        let mut ownerless = Vec::new();
        for row in session.query(OWNERLESS, &[]).await? {
            ownerless.push(row.try_get::<_, Uuid>(0)?);
        }
        if !ownerless.is_empty() {
            self.crash(session, &ownerless, &mut report).await?;
            session.execute("delete from claimed where owner = any ($1)", &[&ownerless]).await?;
        }
        session.commit().await?;
        Ok(report)
    }
}

impl Reap<'_> {
    async fn retire(&self, session: &Session) -> Result<Vec<OwnerId>, Fault> {
        let mut lost: Vec<&Lost> = self.lost.iter().collect();
        lost.sort_unstable_by_key(|lost| lost.owner);
        lost.dedup();
        let owners: Vec<Uuid> = lost.iter().map(|lost| lost.owner.0).collect();
        let counters: Vec<i64> = lost.iter().map(|lost| bigint(lost.counter)).collect();
        // Claims of these owners that are on their way come to their end first, so that their rows are found below.
        let lock = "select pg_advisory_xact_lock(owner_lock_1(o)) from unnest($1::uuid[]) as o";
        session.query(lock, &[&owners]).await?;
        let rows = session.query(RETIRE, &[&owners, &counters]).await?;
        let mut retired: Vec<OwnerId> =
            rows.iter().map(|row| row.try_get(0).map(OwnerId)).collect::<Result<_, _>>()?;
        // In the order in which they were judged.
        retired.sort_by_key(|owner| self.lost.iter().position(|lost| lost.owner == *owner));
        Ok(retired)
    }

    async fn crash(&self, session: &Session, owners: &[Uuid], report: &mut ReapReport) -> Result<(), Fault> {
        let running = "t.id = any (array(select unnest(c.ids) from claimed c where c.owner = any ($1)))
            and t.owner = any ($1) and t.state = 2";
        let sql = [row::SELECT, running, row::LOCK].concat();
        let rows: Vec<Brief> =
            session.query(&sql, &[&owners]).await?.iter().map(row::brief).collect::<Result<_, _>>()?;
        let workers = lost_workers(session, owners).await?;
        let mut changes = Changes::default();
        let mut story = Story::default();
        for row in &rows {
            let stranger = || LostWorker {
                name: row.owner.map_or_else(|| "unknown".to_owned(), |owner| owner.to_string()),
                isolates: false,
            };
            let worker = row.owner.and_then(|owner| workers.get(&owner).cloned()).unwrap_or_else(stranger);
            let change = crash(row, &worker, self.max_crashes, report);
            story.push(row, RunEnd::Lost, change.note.as_deref());
            changes.push(row, &change)?;
        }
        story.write(session).await?;
        changes.write(session).await
    }
}

/// The members among these owners, as they said of themselves.
async fn lost_workers(session: &Session, owners: &[Uuid]) -> Result<HashMap<OwnerId, LostWorker>, Fault> {
    let mut workers = HashMap::new();
    let sql = "select owner, name, info from member where owner = any ($1)";
    for row in session.query(sql, &[&owners]).await? {
        let info: MemberInfo = serde_json::from_str(row.try_get(2)?).unwrap_or_default();
        let worker = LostWorker { name: row.try_get(1)?, isolates: info.isolates };
        workers.insert(OwnerId(row.try_get(0)?), worker);
    }
    Ok(workers)
}

fn crash(row: &Brief, worker: &LostWorker, max_crashes: u32, report: &mut ReapReport) -> Change {
    let Crash { crashes, note, then } = rule::crash(worker, row.crashes, row.cancel, max_crashes, report);
    let change = match then {
        AfterCrash::Again => row.move_to(row.now, &note),
        AfterCrash::Cancelled => row.end_as(TaskState::Cancelled, &note),
        AfterCrash::Dead(error) => {
            report.dead.push(row.id);
            Change { error: Some(error), ..row.end_as(TaskState::Dead, &note) }
        }
    };
    Change { crashes, ..change }
}
