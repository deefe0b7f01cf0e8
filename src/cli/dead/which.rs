//! Which dead tasks are meant.

use clap::Args;
use jiff::Timestamp;
use upbeat_shared::ledger::TaskFilter;
use upbeat_shared::name::{QueueName, ScheduleId, TaskName};
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::RunErrorKind;

use super::super::moment::{Moment, parse_moment};

/// Conditions; every one that is given must hold.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Which {
    /// Of this name
    #[arg(long, value_name = "NAME")]
    name: Option<TaskName>,
    /// Of this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
    /// Made by this schedule
    #[arg(long, value_name = "ID")]
    schedule: Option<ScheduleId>,
    /// With this label
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// That died of this: `failed`, `timed_out`, `crashed`, `undeliverable` …
    #[arg(long = "reason", value_name = "KIND", value_delimiter = ',', value_parser = parse_kind)]
    reasons: Vec<RunErrorKind>,
    /// In whose error this stands, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// That died since: 30m, 24h, or an instant
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Moment>,
    /// That died until: 30m, 24h, or an instant
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Moment>,
}

/// The kinds are those of the errors themselves.
fn parse_kind(text: &str) -> Result<RunErrorKind, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}

/// Conditions as of a moment.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// What the ledger looks for.
    pub(crate) filter: TaskFilter,
    /// Nothing but the ledger's own conditions.
    pub(crate) is_plain: bool,
    reasons: Vec<RunErrorKind>,
    error: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Which {
    /// Any condition at all.
    pub(crate) fn is_given(&self) -> bool {
        let Self { name, queue, schedule, tag, reasons, error, since, until } = self;
        let matched = name.is_some() || queue.is_some() || schedule.is_some() || tag.is_some();
        matched || !reasons.is_empty() || error.is_some() || since.is_some() || until.is_some()
    }

    /// As of this moment, which is the store's.
    pub(crate) fn at(&self, now: Timestamp) -> Wanted {
        let resolve = |moment: &Option<Moment>| moment.map(|moment| moment.resolve(now));
        let filter = TaskFilter {
            states: vec![TaskState::Dead],
            name: self.name.clone(),
            queue: self.queue.clone(),
            schedule: self.schedule.clone(),
            tag: self.tag.clone(),
            ..TaskFilter::default()
        };
        Wanted {
            is_plain: self.reasons.is_empty()
                && self.error.is_none()
                && self.since.is_none()
                && self.until.is_none(),
            filter,
            reasons: self.reasons.clone(),
            error: self.error.as_ref().map(|text| text.to_lowercase()),
            since: resolve(&self.since),
            until: resolve(&self.until),
        }
    }
}

impl Wanted {
    /// Only those that had died by then.
    pub(crate) fn by(mut self, now: Timestamp) -> Self {
        self.until = Some(self.until.map_or(now, |until| until.min(now)));
        self
    }

    /// Whether this one is meant, of those that the ledger found.
    pub(crate) fn matches(&self, task: &TaskRecord) -> bool {
        let error = task.error.as_ref();
        let died = task.finished_at;
        let says = |text: &String| error.is_some_and(|error| error.message.to_lowercase().contains(text));
        (self.reasons.is_empty() || error.is_some_and(|error| self.reasons.contains(&error.kind)))
            && self.error.as_ref().is_none_or(says)
            && self.since.is_none_or(|since| died.is_some_and(|died| died >= since))
            && self.until.is_none_or(|until| died.is_some_and(|died| died <= until))
    }

    /// The flags that mean the same at any later time.
    pub(crate) fn flags(&self) -> String {
        let mut flags = String::new();
        let mut add = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                flags.extend([" --", flag, " ", &quoted(&value)]);
            }
        };
        let TaskFilter { name, queue, schedule, tag, .. } = &self.filter;
        add("name", name.as_ref().map(ToString::to_string));
        add("queue", queue.as_ref().map(ToString::to_string));
        add("schedule", schedule.as_ref().map(ToString::to_string));
        add("tag", tag.clone());
        let reasons: Vec<&str> = self.reasons.iter().map(|kind| kind.as_str()).collect();
        add("reason", (!reasons.is_empty()).then(|| reasons.join(",")));
        add("error", self.error.clone());
        add("since", self.since.map(|at| at.to_string()));
        add("until", self.until.map(|at| at.to_string()));
        flags
    }
}

/// As a shell reads it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::verdict::RunError;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn died(finished_at: &str, error: RunError) -> TaskRecord {
        let task = super::super::super::task_view::tests::failed_once();
        TaskRecord { state: TaskState::Dead, finished_at: Some(at(finished_at)), error: Some(error), ..task }
    }

    #[test]
    fn every_condition_must_hold() {
        let now = at("2026-05-01T12:00:00Z");
        let which = Which {
            reasons: vec![RunErrorKind::TimedOut, RunErrorKind::Failed],
            error: Some("The Bank".into()),
            since: Some(Moment::Ago(std::time::Duration::from_secs(3600))),
            ..Which::default()
        };
        let wanted = which.at(now).by(now);
        let error = |kind, message: &str| RunError::new(kind, message);
        let bank = error(RunErrorKind::Failed, "no answer of the bank");
        for (task, matches) in [
            (died("2026-05-01T11:30:00Z", bank.clone()), true),
            (died("2026-05-01T10:30:00Z", bank.clone()), false),
            (died("2026-05-01T12:00:01Z", bank.clone()), false),
            (died("2026-05-01T11:30:00Z", error(RunErrorKind::Panicked, "the bank")), false),
            (died("2026-05-01T11:30:00Z", error(RunErrorKind::Failed, "the shop")), false),
        ] {
            assert_eq!(wanted.matches(&task), matches, "{task:#?}");
        }
    }

    #[test]
    fn the_flags_of_a_moment_mean_the_same_later() {
        let now = at("2026-05-01T12:00:00Z");
        let which = Which {
            name: Some(TaskName::new("billing.invoice").unwrap()),
            reasons: vec![RunErrorKind::TimedOut],
            error: Some("it's late".into()),
            since: Some(Moment::Ago(std::time::Duration::from_secs(60))),
            ..Which::default()
        };
        let flags = r" --name billing.invoice --reason timed_out --error 'it'\''s late' --since 2026-05-01T11:59:00Z --until 2026-05-01T12:00:00Z";
        assert_eq!(which.at(now).by(now).flags(), flags);
    }

    #[test]
    fn an_unknown_reason_is_refused_with_those_that_exist() {
        assert_eq!(parse_kind("timed_out"), Ok(RunErrorKind::TimedOut));
        assert!(parse_kind("late").unwrap_err().contains("timed_out"));
    }
}
