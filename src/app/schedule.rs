//! A schedule written in Rust.

use std::time::Duration;

use jiff::SignedDuration;
use upbeat_shared::client::{NewTask, PublishError, Publishable};
use upbeat_shared::ledger::NewSchedule;
use upbeat_shared::message::Priority;
use upbeat_shared::name::{QueueName, ScheduleId};
use upbeat_shared::occurrence::{ScheduleDefinition, TaskTemplate, default_grace};
use upbeat_shared::retry::RetryPolicy;
use upbeat_shared::schedule::{
    Calendar, CatchUp, CatchUpPolicy, Fold, Gap, OnHoliday, TimingError, TimingSpec,
};
use upbeat_shared::unique::Unique;

/// A rule in time and the task that each of its occurrences becomes.
///
/// It goes into the same catalog as those of configuration files when a beat of the program starts, and is checked then:
/// whatever is wrong with it is said with its id before anything runs.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use upbeat::prelude::*;
///
/// #[derive(Serialize, Deserialize, Task)]
/// #[task(name = "report")]
/// struct Report {
///     all: bool,
/// }
///
/// let app = App::new()
///     .schedule(Schedule::cron("report.nightly", "30 2 * * *", Report { all: true }).timezone("Europe/Berlin"))
///     .schedule(Schedule::every("report.often", "15m", Report { all: false }).jitter("1m"));
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    id: String,
    timing: TimingSpec,
    task: Result<NewTask, PublishError>,
    queue: Option<String>,
    priority: Option<u8>,
    expires_after: Option<Duration>,
    deadline_after: Option<Duration>,
    catch_up: CatchUpPolicy,
    grace: Duration,
    overdue_after: Option<Duration>,
    paused: bool,
}

/// What is wrong with a schedule written in Rust.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the schedule {id} of this program: {reason}")]
pub struct ScheduleError {
    /// Which.
    pub id: String,
    /// What is wrong, and where it is written if it is text.
    pub reason: String,
}

impl ScheduleError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "timing-invalid"
    }
}

impl Schedule {
    /// By a cron expression of 5, 6 or 7 fields, or a macro such as `@daily`; read in UTC unless a zone is given.
    pub fn cron(id: impl Into<String>, expression: impl Into<String>, task: impl Publishable) -> Self {
        let cron = Some(expression.into());
        Self::new(id.into(), TimingSpec { cron, ..TimingSpec::default() }, task)
    }

    /// By a step: `15m` is elapsed time, `1 month` or `P1D` steps on the calendar. Counted from `starts`, or else from the
    /// epoch, so that restarts and other beats agree.
    pub fn every(id: impl Into<String>, step: impl Into<String>, task: impl Publishable) -> Self {
        let every = Some(step.into());
        Self::new(id.into(), TimingSpec { every, ..TimingSpec::default() }, task)
    }

    /// By an ISO 8601 repetition such as `R5/2026-01-31T09:00:00Z/P1M`: five times, a month apart; `R/` is without end.
    pub fn repeat(id: impl Into<String>, repetition: impl Into<String>, task: impl Publishable) -> Self {
        let repeat = Some(repetition.into());
        Self::new(id.into(), TimingSpec { repeat, ..TimingSpec::default() }, task)
    }

    /// Once, at an instant such as `2026-05-01T09:00:00+02:00`.
    pub fn at(id: impl Into<String>, instant: impl Into<String>, task: impl Publishable) -> Self {
        let at = Some(instant.into());
        Self::new(id.into(), TimingSpec { at, ..TimingSpec::default() }, task)
    }

    fn new(id: String, timing: TimingSpec, task: impl Publishable) -> Self {
        Self {
            id,
            timing,
            task: task.into_new_task(),
            queue: None,
            priority: None,
            expires_after: None,
            deadline_after: None,
            catch_up: CatchUpPolicy::default(),
            grace: default_grace(),
            overdue_after: None,
            paused: false,
        }
    }

    /// The IANA name of the zone in which wall-clock times are read.
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.timing.timezone = Some(name.into());
        self
    }

    /// What becomes of a wall-clock time that a change of clocks removes.
    pub fn gap(mut self, gap: Gap) -> Self {
        self.timing.gap = Some(gap);
        self
    }

    /// What becomes of a wall-clock time that a change of clocks repeats.
    pub fn fold(mut self, fold: Fold) -> Self {
        self.timing.fold = Some(fold);
        self
    }

    /// A day has to satisfy both day fields of the cron expression, where a crontab is content with either.
    pub fn dom_and_dow(mut self) -> Self {
        self.timing.dom_and_dow = Some(true);
        self
    }

    /// Days off, and what becomes of an occurrence on one of them.
    pub fn calendar(mut self, calendar: Calendar, on_holiday: OnHoliday) -> Self {
        self.timing.calendar = Some(calendar);
        self.timing.on_holiday = Some(on_holiday);
        self
    }

    /// No occurrence before this instant or date.
    pub fn starts(mut self, instant: impl Into<String>) -> Self {
        self.timing.starts = Some(instant.into());
        self
    }

    /// No occurrence after this instant or date.
    pub fn ends(mut self, instant: impl Into<String>) -> Self {
        self.timing.ends = Some(instant.into());
        self
    }

    /// The window within which occurrences are delayed, each by its own amount.
    pub fn jitter(mut self, window: impl Into<String>) -> Self {
        self.timing.jitter = Some(window.into());
        self
    }

    /// Which missed occurrences still fire; only the latest unless told.
    pub fn catch_up(mut self, mode: CatchUp) -> Self {
        self.catch_up.mode = mode;
        self
    }

    /// Missed occurrences planned longer ago than this never fire.
    pub fn catch_up_within(mut self, window: Duration) -> Self {
        self.catch_up.within = SignedDuration::try_from(window).ok();
        self
    }

    /// How late an occurrence may be planned before it counts as missed; a minute unless told.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How late its task may start before it is overdue; as `[beat]` of the configuration says unless told.
    pub fn overdue_after(mut self, after: Duration) -> Self {
        self.overdue_after = Some(after);
        self
    }

    /// The queue of its tasks, in place of their type's own.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// 0 (last) to 9 (first).
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long after the planned instant a task may still start.
    pub fn expires_after(mut self, after: Duration) -> Self {
        self.expires_after = Some(after);
        self
    }

    /// How long after the planned instant a task must have ended, its retries too: a run is stopped then.
    pub fn deadline_after(mut self, after: Duration) -> Self {
        self.deadline_after = Some(after);
        self
    }

    /// How long one run of its tasks may take.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|task| task.timeout = Some(timeout))
    }

    /// When to retry its tasks.
    pub fn retry(self, retry: RetryPolicy) -> Self {
        self.with(|task| task.retry = Some(retry))
    }

    /// One task at a time has this key: an occurrence that finds it taken is recorded as merged into the one that has it.
    ///
    /// `"nightly"` until that one has ended; `Unique::by("nightly").within(…)` for a time, `.replacing()` to take the place of
    /// one that still waits.
    pub fn unique(self, unique: impl Into<Unique>) -> Self {
        let unique = unique.into();
        self.with(|task| task.unique = Some(unique))
    }

    /// A label of its tasks; it may have several.
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.with(|task| task.tags.push(tag.into()))
    }

    /// Fires nothing until somebody resumes it; what passes meanwhile is recorded as skipped.
    pub fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut NewTask)) -> Self {
        if let Ok(task) = &mut self.task {
            change(task);
        }
        self
    }

    /// As the catalog keeps it, written at `source`.
    pub(crate) fn checked(&self, source: &str) -> Result<NewSchedule, ScheduleError> {
        let wrong = |reason: String| ScheduleError { id: self.id.clone(), reason };
        let id = ScheduleId::new(&self.id).map_err(|error| wrong(error.to_string()))?;
        self.timing.compile().map_err(|error| wrong(pictured(&self.timing, &error)))?;
        let definition = ScheduleDefinition {
            timing: self.timing.clone(),
            task: self.template().map_err(wrong)?,
            catch_up: self.catch_up,
            grace: self.grace,
            overdue_after: self.overdue_after,
            paused: self.paused,
        };
        Ok(NewSchedule { id, definition, source: source.to_owned() })
    }

    /// The queue of its tasks; `None` if there is something wrong with it, which is said when it is checked.
    pub(crate) fn sent_to(&self) -> Option<QueueName> {
        Some(self.template().ok()?.queue)
    }

    fn template(&self) -> Result<TaskTemplate, String> {
        let task = self.task.clone().map_err(|error| error.to_string())?;
        let of_one = task.due.is_some() || task.dedup_id.is_some();
        if of_one || task.expires.is_some() || task.deadline.is_some() {
            return Err("its task says when it is due, when it expires, its deadline or which task it is the same as; the \
                        schedule says that for each occurrence (`expires_after`, `deadline_after`)"
                .to_owned());
        }
        if let Some(unique) = &task.unique {
            unique.check().map_err(|error| error.to_string())?;
        }
        let queue = self.queue.as_ref().map(QueueName::new).transpose().map_err(|error| error.to_string())?;
        let priority = match self.priority {
            Some(priority) if priority > Priority::MAX => {
                return Err(format!("a priority is 0 to {}, and {priority} is none", Priority::MAX));
            }
            Some(priority) => Some(priority),
            None => (task.priority != Priority::default()).then(|| task.priority.get()),
        };
        let args = task.args.decode().map_err(|error| {
            format!("the arguments of its task have no JSON form, in which schedules keep them: {error}")
        })?;
        Ok(TaskTemplate {
            name: task.name,
            queue: queue.unwrap_or(task.queue),
            args,
            args_version: task.args_version,
            priority,
            timeout: task.timeout,
            expires_after: self.expires_after,
            deadline_after: self.deadline_after,
            retry: task.retry,
            tags: task.tags,
            key: task.key,
            unique: task.unique,
        })
    }
}

/// The text at fault with the fault underlined.
fn pictured(timing: &TimingSpec, error: &TimingError) -> String {
    match timing.text_of(error.field) {
        "" => error.to_string(),
        text => format!("it cannot be understood\n{}", error.render(text).trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::message::Payload;
    use upbeat_shared::name::TaskName;

    fn task() -> NewTask {
        NewTask::new(TaskName::new("report").unwrap(), Payload::msgpack(&("all", 1)).unwrap())
    }

    fn refused(schedule: &Schedule) -> String {
        schedule.checked("program test").unwrap_err().to_string()
    }

    #[test]
    fn it_becomes_what_a_file_would_say() {
        let schedule = Schedule::cron("nightly", "30 2 * * *", task()).timezone("Europe/Berlin").tag("a");
        let schedule =
            schedule.priority(7).expires_after(Duration::from_secs(60)).checked("program test").unwrap();
        let task = &schedule.definition.task;
        assert_eq!(schedule.source, "program test");
        assert_eq!(task.args, serde_json::json!(["all", 1]));
        assert_eq!((task.priority, task.queue.as_str(), task.tags.len()), (Some(7), "default", 1));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_id() {
        let refusal = refused(&Schedule::cron("nightly", "30 25 * * *", task()));
        assert_eq!(
            refusal,
            "the schedule nightly of this program: it cannot be understood\n\
             cron = \"30 25 * * *\"\n           ^^ 25 is not an hour\nhelp: hours go from 0 to 23"
        );
        assert!(refused(&Schedule::cron("a b", "* * * * *", task())).contains("is no schedule id"));
        assert!(refused(&Schedule::every("a", "soon", task())).contains("soon"));
        let often = || Schedule::every("a", "15m", task());
        assert!(refused(&often().priority(10)).contains("0 to 9"));
        assert!(refused(&often().queue("a b")).contains("is no queue name"));
        assert!(refused(&Schedule::every("a", "15m", task().dedup_id("b"))).contains("which task"));
        assert!(refused(&often().unique("")).contains("a unique key has 1 to 512 bytes"));
    }

    #[test]
    fn its_tasks_hold_the_key_that_it_or_its_task_says() {
        let unique = |schedule: Schedule| schedule.checked("program test").unwrap().definition.task.unique;
        let window = Unique::by("b").within(Duration::from_secs(60));
        assert_eq!(unique(Schedule::every("a", "15m", task()).unique("b")), Some(Unique::by("b")));
        assert_eq!(unique(Schedule::every("a", "15m", task().unique(window.clone()))), Some(window));
    }
}
