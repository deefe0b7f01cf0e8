//! A schedule on a line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::RestoredSchedule;
use upbeat_shared::name::ScheduleId;
use upbeat_shared::occurrence::{OccurrenceRecord, ScheduleDefinition, ScheduleRecord};
use upbeat_shared::schedule::SkippedRange;

/// A schedule, its cursor, and what became of its newest instants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleLine {
    id: ScheduleId,
    /// Its occurrences' ids are derived from this: it must stay.
    incarnation: u64,
    revision: u64,
    definition: ScheduleDefinition,
    source: String,
    /// Everything up to here is accounted for: fired, and among the tasks, or skipped.
    cursor: Timestamp,
    updated_at: Timestamp,
    occurrences: Vec<OccurrenceLine>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OccurrenceLine {
    Fired { planned_at: Timestamp, fired_at: Timestamp, task_id: TaskId },
    Merged { planned_at: Timestamp, merged_at: Timestamp, task_id: TaskId },
    Skipped(SkippedRange),
}

impl ScheduleLine {
    pub(crate) fn of(record: ScheduleRecord, occurrences: Vec<OccurrenceRecord>) -> Self {
        let ScheduleRecord { id, incarnation, revision, definition, source, cursor, updated_at } = record;
        let occurrences = occurrences.into_iter().map(|occurrence| match occurrence {
            OccurrenceRecord::Fired { planned_at, fired_at, task_id } => {
                OccurrenceLine::Fired { planned_at, fired_at, task_id }
            }
            OccurrenceRecord::Merged { planned_at, merged_at, task_id } => {
                OccurrenceLine::Merged { planned_at, merged_at, task_id }
            }
            OccurrenceRecord::Skipped(range) => OccurrenceLine::Skipped(range),
        });
        let occurrences = occurrences.collect();
        Self { id, incarnation, revision, definition, source, cursor, updated_at, occurrences }
    }

    /// The schedule that it stands for, if it can be one here.
    pub(crate) fn read(self) -> Result<RestoredSchedule, String> {
        let Self { id, incarnation, revision, definition, source, cursor, updated_at, occurrences } = self;
        let compiled = definition.timing.compile();
        compiled.map_err(|error| format!("the schedule {id}: {error}"))?;
        let exact = |number: u64| number < 1 << 53;
        if !exact(incarnation) || !exact(revision) {
            return Err(format!("the schedule {id}: incarnation and revision are numbers from 0 to 2^53"));
        }
        let occurrences = occurrences.into_iter().map(|occurrence| match occurrence {
            OccurrenceLine::Fired { planned_at, fired_at, task_id } => {
                OccurrenceRecord::Fired { planned_at, fired_at, task_id }
            }
            OccurrenceLine::Merged { planned_at, merged_at, task_id } => {
                OccurrenceRecord::Merged { planned_at, merged_at, task_id }
            }
            OccurrenceLine::Skipped(range) => OccurrenceRecord::Skipped(range),
        });
        let occurrences = occurrences.collect();
        let record = ScheduleRecord { id, incarnation, revision, definition, source, cursor, updated_at };
        Ok(RestoredSchedule { record, occurrences })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::schedule::SkipReason;

    fn line() -> ScheduleLine {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let definition = serde_json::json!({
            "cron": "0 3 * * *", "timezone": "Europe/Berlin", "task": { "name": "a", "queue": "q", "args": { "n": 1 } },
            "grace": { "secs": 5, "nanos": 0 }, "paused": true,
        });
        let record = ScheduleRecord {
            id: ScheduleId::new("nightly").unwrap(),
            incarnation: 1_700_000_000_000_000,
            revision: 3,
            definition: serde_json::from_value(definition).unwrap(),
            source: "upbeat.toml".into(),
            cursor: at("2026-05-06T03:00:00.000001Z"),
            updated_at: at("2026-05-01T00:00:00Z"),
        };
        let task_id = "0198a2f0-0000-7000-8000-000000000001".parse().unwrap();
        let (planned_at, fired_at) = (at("2026-05-06T03:00:00Z"), at("2026-05-06T03:00:01Z"));
        let (from, until) = (at("2026-05-04T03:00:00Z"), at("2026-05-05T03:00:00Z"));
        let skipped = SkippedRange { from, until, count: 2, reason: SkipReason::Paused };
        let occurrences = vec![
            OccurrenceRecord::Fired { planned_at, fired_at, task_id },
            OccurrenceRecord::Merged { planned_at: fired_at, merged_at: fired_at, task_id },
            OccurrenceRecord::Skipped(skipped),
        ];
        ScheduleLine::of(record, occurrences)
    }

    #[test]
    fn everything_survives_the_way() {
        let text = serde_json::to_string(&line()).unwrap();
        let read: ScheduleLine = serde_json::from_str(&text).unwrap();
        assert_eq!(read, line());
        let restored = read.read().unwrap();
        assert_eq!((restored.record.revision, restored.occurrences.len()), (3, 3));
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused() {
        let text = serde_json::to_string(&line()).unwrap().replace("0 3 * * *", "99 3 * * *");
        let read: ScheduleLine = serde_json::from_str(&text).unwrap();
        assert!(read.read().unwrap_err().contains("the schedule nightly"));
    }
}
