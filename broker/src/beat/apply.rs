//! Applies a file's schedules to the catalog, when the file is read for the first time or changed. Never periodically:
//! the last change wins, by whomever.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use upbeat_shared::clock::StoreClock;
use upbeat_shared::ledger::{Expect, LedgerError, NewSchedule, PutAnswer, Store};
use upbeat_shared::name::{Namespace, ScheduleId};
use upbeat_shared::occurrence::ScheduleRecord;

use super::BeatError;
use super::context::{backoff, within};
use super::plan::past;

/// How long one call of the ledger may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often in a row somebody else may be there first.
const TRIES: u32 = 20;

/// Schedules that are changed at the same time: the ledger writes them together.
const TOGETHER: usize = 32;

/// What an [`apply`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// New.
    pub added: Vec<ScheduleId>,
    /// Of another definition than before.
    pub changed: Vec<ScheduleId>,
    /// No longer in the file.
    pub removed: Vec<ScheduleId>,
    /// As they were.
    pub unchanged: Vec<ScheduleId>,
    /// Among the changed ones, those whose definition somebody else had written.
    pub overridden: Vec<Overridden>,
}

/// A schedule that somebody else had defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overridden {
    /// Which.
    pub id: ScheduleId,
    /// Where its definition had been written.
    pub source: String,
}

/// Makes the catalog hold these schedules of `source`, and no others of it. A changed schedule's old rule is planned up
/// to now first, so that the new one applies from now on; those that are as they should be are left alone.
pub async fn apply(
    store: &Store,
    clock: &StoreClock,
    namespace: &Namespace,
    source: &str,
    schedules: Vec<NewSchedule>,
) -> Result<ApplyReport, BeatError> {
    check(&schedules)?;
    let apply = Apply { store, clock, namespace, source };
    let snapshot = ledger(clock, "snapshot", store.catalog.snapshot()).await?;
    let mut known: BTreeMap<_, _> =
        snapshot.schedules.into_iter().map(|record| (record.id.clone(), record)).collect();
    let wanted = schedules.into_iter().map(|schedule| (known.remove(&schedule.id), schedule));
    let puts: Vec<_> = wanted.map(|(known, schedule)| apply.put(schedule, known)).collect();
    let mut report = ApplyReport::default();
    let mut puts = stream::iter(puts).buffer_unordered(TOGETHER);
    while let Some((id, change)) = puts.try_next().await? {
        report.note(id, change);
    }
    let gone = known.into_values().filter(|record| record.source == source);
    let removals: Vec<_> = gone.map(|record| apply.remove(record)).collect();
    let mut removals = stream::iter(removals).buffer_unordered(TOGETHER);
    while let Some(removed) = removals.try_next().await? {
        report.removed.extend(removed);
    }
    report.finish(source);
    Ok(report)
}

/// Everything is checked before anything is changed.
fn check(schedules: &[NewSchedule]) -> Result<(), BeatError> {
    let mut ids = BTreeSet::new();
    for NewSchedule { id, definition, .. } in schedules {
        if !ids.insert(id) {
            return Err(BeatError::Twice(id.clone()));
        }
        let compiled = definition.timing.compile();
        compiled.map_err(|error| BeatError::Timing { id: id.clone(), error })?;
    }
    Ok(())
}

/// What became of one schedule.
enum Change {
    Added,
    Changed { overridden: Option<String> },
    Unchanged,
}

impl ApplyReport {
    fn note(&mut self, id: ScheduleId, change: Change) {
        match change {
            Change::Added => self.added.push(id),
            Change::Unchanged => self.unchanged.push(id),
            Change::Changed { overridden } => {
                let source = overridden.map(|source| Overridden { id: id.clone(), source });
                self.overridden.extend(source);
                self.changed.push(id);
            }
        }
    }

    /// Puts it into order and into the log.
    fn finish(&mut self, source: &str) {
        for ids in [&mut self.added, &mut self.changed, &mut self.removed, &mut self.unchanged] {
            ids.sort();
        }
        self.overridden.sort_by(|a, b| a.id.cmp(&b.id));
        for Overridden { id, source: was } in &self.overridden {
            tracing::warn!(schedule = %id, was, is = source, "a definition from elsewhere was overridden");
        }
        let (added, changed, removed) = (self.added.len(), self.changed.len(), self.removed.len());
        tracing::info!(
            source,
            added,
            changed,
            removed,
            unchanged = self.unchanged.len(),
            "applied the schedules"
        );
    }
}

/// One file's schedules on their way into the catalog.
struct Apply<'a> {
    store: &'a Store,
    clock: &'a StoreClock,
    namespace: &'a Namespace,
    source: &'a str,
}

impl Apply<'_> {
    /// Stores one definition, by compare-and-swap from what is known of it.
    async fn put(
        &self,
        schedule: NewSchedule,
        mut known: Option<ScheduleRecord>,
    ) -> Result<(ScheduleId, Change), BeatError> {
        let id = schedule.id.clone();
        for tries in 1..=TRIES {
            let expect = match &known {
                Some(record) if self.is_as_wanted(record, &schedule) => return Ok((id, Change::Unchanged)),
                Some(record) => match past::settle(self.store, self.clock, self.namespace, record).await? {
                    Some(record) => Expect::Revision(record.revision),
                    None => Expect::Absent,
                },
                None => Expect::Absent,
            };
            let new = NewSchedule { source: self.source.to_owned(), ..schedule.clone() };
            match ledger(self.clock, "put", self.store.catalog.put(new, expect)).await? {
                PutAnswer::Stored(_) => return Ok((id, self.change(known))),
                PutAnswer::Conflict => {
                    tokio::time::sleep(backoff(tries, fastrand::f64()).min(Duration::from_millis(200))).await;
                    known = self.read(&id).await?;
                }
            }
        }
        Err(BeatError::Conflict(id))
    }

    fn is_as_wanted(&self, record: &ScheduleRecord, wanted: &NewSchedule) -> bool {
        record.definition == wanted.definition && record.source == self.source
    }

    fn change(&self, known: Option<ScheduleRecord>) -> Change {
        match known {
            None => Change::Added,
            Some(record) => {
                Change::Changed { overridden: (record.source != self.source).then_some(record.source) }
            }
        }
    }

    /// Removes one that is no longer in the file, unless it meanwhile belongs to somebody else.
    async fn remove(&self, mut record: ScheduleRecord) -> Result<Option<ScheduleId>, BeatError> {
        let id = record.id.clone();
        for tries in 1..=TRIES {
            if ledger(self.clock, "remove", self.store.catalog.remove(id.clone(), record.revision)).await? {
                return Ok(Some(id));
            }
            tokio::time::sleep(backoff(tries, fastrand::f64()).min(Duration::from_millis(200))).await;
            match self.read(&id).await? {
                Some(now) if now.source == self.source => record = now,
                Some(_) | None => return Ok(None),
            }
        }
        Err(BeatError::Conflict(id))
    }

    async fn read(&self, id: &ScheduleId) -> Result<Option<ScheduleRecord>, LedgerError> {
        Ok(ledger(self.clock, "get", self.store.catalog.get(vec![id.clone()])).await?.pop())
    }
}

async fn ledger<T>(
    clock: &StoreClock,
    call: &'static str,
    answer: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    within(clock, TIMEOUT, call, answer).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beat::testing::{Hand, Scripted, Stage, at, schedule};
    use upbeat_shared::occurrence::OccurrenceRecord;

    async fn stage() -> Stage {
        Stage::new(Hand::at("2026-05-01T12:00:00Z"), Scripted::with_queues(&[])).await
    }

    fn new(id: &str, every: &str) -> NewSchedule {
        let definition = schedule("every", every, "2026-05-01T12:00:00Z").definition;
        NewSchedule { id: ScheduleId::new(id).unwrap(), definition, source: String::new() }
    }

    async fn apply_as(stage: &Stage, source: &str, schedules: Vec<NewSchedule>) -> ApplyReport {
        let ctx = &stage.ctx;
        apply(&ctx.store, &ctx.clock, &ctx.options.namespace, source, schedules).await.unwrap()
    }

    fn ids(ids: &[ScheduleId]) -> Vec<&str> {
        ids.iter().map(ScheduleId::as_str).collect()
    }

    #[tokio::test]
    async fn a_file_says_what_there_is_and_nothing_is_done_twice() {
        let stage = stage().await;
        let report = apply_as(&stage, "a.toml", vec![new("one", "10s"), new("two", "10s")]).await;
        assert_eq!(ids(&report.added), ["one", "two"]);
        let version = stage.ctx.store.catalog.version().await.unwrap();
        let report = apply_as(&stage, "a.toml", vec![new("one", "10s"), new("two", "10s")]).await;
        assert_eq!(ids(&report.unchanged), ["one", "two"]);
        assert_eq!(stage.ctx.store.catalog.version().await.unwrap(), version);
        let report = apply_as(&stage, "a.toml", vec![new("two", "20s"), new("three", "10s")]).await;
        assert_eq!((ids(&report.added), ids(&report.changed)), (vec!["three"], vec!["two"]));
        assert_eq!((ids(&report.removed), report.overridden), (vec!["one"], vec![]));
    }

    #[tokio::test]
    async fn another_files_schedules_stay_unless_this_one_names_them() {
        let stage = stage().await;
        apply_as(&stage, "a.toml", vec![new("one", "10s"), new("two", "10s")]).await;
        let report = apply_as(&stage, "b.toml", vec![new("two", "20s")]).await;
        assert_eq!(ids(&report.changed), ["two"]);
        let overridden = Overridden { id: ScheduleId::new("two").unwrap(), source: "a.toml".into() };
        assert_eq!((report.overridden, report.removed), (vec![overridden], vec![]));
        let report = apply_as(&stage, "b.toml", vec![]).await;
        assert_eq!(ids(&report.removed), ["two"]);
    }

    #[tokio::test]
    async fn a_changed_rule_is_planned_up_to_now_by_the_old_one() {
        let stage = stage().await;
        apply_as(&stage, "a.toml", vec![new("one", "10s")]).await;
        stage.hand.forward(Duration::from_secs(25));
        apply_as(&stage, "a.toml", vec![new("one", "1h")]).await;
        let id = ScheduleId::new("one").unwrap();
        let record = stage.ctx.store.catalog.get(vec![id.clone()]).await.unwrap().remove(0);
        assert_eq!(record.cursor, at("2026-05-01T12:00:25Z"));
        let fired = stage.ctx.store.catalog.occurrences(id, 10).await.unwrap();
        let fired: Vec<_> = fired
            .iter()
            .map(|record| match record {
                OccurrenceRecord::Fired { planned_at, .. } | OccurrenceRecord::Merged { planned_at, .. } => {
                    *planned_at
                }
                OccurrenceRecord::Skipped(range) => range.from,
            })
            .collect();
        assert_eq!(fired, ["2026-05-01T12:00:20Z", "2026-05-01T12:00:10Z"].map(at));
    }

    #[tokio::test]
    async fn a_file_with_a_mistake_changes_nothing() {
        let stage = stage().await;
        let ctx = &stage.ctx;
        let mistake = |schedules| apply(&ctx.store, &ctx.clock, &ctx.options.namespace, "a.toml", schedules);
        let bad = mistake(vec![new("one", "10s"), new("two", "soon")]).await.unwrap_err();
        assert!(bad.to_string().starts_with("the schedule two: every:"), "{bad}");
        let twice = mistake(vec![new("one", "10s"), new("one", "20s")]).await.unwrap_err();
        assert!(matches!(twice, BeatError::Twice(_)));
        assert_eq!(ctx.store.catalog.snapshot().await.unwrap().schedules, []);
    }
}
