//! Schedules for tests.

use jiff::Timestamp;
use upbeat_schedule::{CatchUp, TimingSpec};
use upbeat_shared::name::{QueueName, ScheduleId, TaskName};
use upbeat_shared::occurrence::{ScheduleDefinition, ScheduleRecord, TaskTemplate, default_grace};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A schedule with this rule (`cron`, `every` or `at`) and this cursor.
pub(crate) fn schedule(kind: &str, rule: &str, cursor: &str) -> ScheduleRecord {
    let mut timing = TimingSpec::default();
    match kind {
        "cron" => timing.cron = Some(rule.into()),
        "every" => timing.every = Some(rule.into()),
        _ => timing.at = Some(rule.into()),
    }
    let task = TaskTemplate {
        name: TaskName::new("report").unwrap(),
        queue: QueueName::default_queue(),
        args: serde_json::Value::Null,
        priority: None,
        timeout: None,
        expires_after: None,
        retry: None,
        tags: Vec::new(),
    };
    ScheduleRecord {
        id: ScheduleId::new("nightly").unwrap(),
        incarnation: 3,
        revision: 5,
        definition: ScheduleDefinition {
            timing,
            task,
            catch_up: CatchUp::Latest.into(),
            grace: default_grace(),
            paused: false,
        },
        source: "test".into(),
        cursor: at(cursor),
        updated_at: at(cursor),
    }
}
