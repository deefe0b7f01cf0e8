//! A task on a line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use upbeat_shared::id::Seq;
use upbeat_shared::message::{ContentType, Limits, Message, Payload, Priority};
use upbeat_shared::run::{PastRun, PastRuns, RunEnd};
use upbeat_shared::task::{TaskRecord, TaskState};
use upbeat_shared::verdict::RunError;

/// A record without what belongs to its ledger: claims, and the workers that had them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskLine {
    state: TaskState,
    /// Without its arguments, which follow in a form that people can read.
    message: Message,
    /// `None` if they are gone.
    args: Option<PayloadLine>,
    due_at: Option<Timestamp>,
    enqueued_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    error: Option<RunError>,
    result: Option<PayloadLine>,
    note: Option<String>,
    #[serde(default, skip_serializing_if = "PastRuns::is_empty")]
    past: PastRuns,
}

/// A payload: text as it stands, so that no number loses a digit on the way; bytes in base64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadLine {
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl PayloadLine {
    fn of(payload: &Payload) -> Self {
        let text =
            std::str::from_utf8(&payload.bytes).ok().filter(|_| payload.content_type == ContentType::Json);
        Self {
            content_type: payload.content_type.as_str().to_owned(),
            text: text.map(str::to_owned),
            base64: text.is_none().then(|| STANDARD.encode(&payload.bytes)),
        }
    }

    fn read(self) -> Result<Payload, String> {
        let known = [ContentType::Json, ContentType::Msgpack];
        let content_type = known.into_iter().find(|known| known.as_str() == self.content_type);
        let content_type =
            content_type.ok_or_else(|| format!("{:?} is an unknown content type", self.content_type))?;
        let bytes = match (self.text, self.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(encoded)) => {
                STANDARD.decode(encoded).map_err(|error| format!("its bytes are no base64: {error}"))?
            }
            _ => return Err("a payload has either `text` or `base64`".to_owned()),
        };
        Ok(Payload { content_type, bytes: bytes.into() })
    }
}

/// In place of arguments that stand elsewhere, or are gone.
fn nothing() -> Payload {
    Payload { content_type: ContentType::Json, bytes: Vec::new().into() }
}

impl TaskLine {
    /// As it leaves its ledger. What runs there is scheduled again, as if its worker had been lost: a crash is counted. What waits in
    /// a queue is scheduled, too: the queue stays behind.
    pub(crate) fn of(record: TaskRecord, now: Timestamp) -> Result<Self, String> {
        let id = record.id();
        if record.forgotten && !record.state.is_terminal() {
            return Err(format!("the message of {id} cannot be read: a newer program may have written it"));
        }
        if record.state == TaskState::Held {
            return Err(format!("{id} waits for other tasks to end, which an export cannot tell yet"));
        }
        let args = (!record.forgotten).then(|| PayloadLine::of(&record.message.args));
        let mut message = Message { args: nothing(), ..record.message };
        let (mut state, mut note, mut past) = (record.state, record.note, record.past);
        if !state.is_terminal() {
            if state == TaskState::Running {
                message.crashes = message.crashes.saturating_add(1);
                note = Some("it was running when it was exported".to_owned());
                let (started_at, worker, note) =
                    (record.started_at.unwrap_or(now), record.worker, note.clone());
                past.push(PastRun {
                    started_at,
                    ended_at: now,
                    worker,
                    end: RunEnd::Lost,
                    error: None,
                    note,
                });
            }
            state = TaskState::Scheduled;
        }
        Ok(Self {
            state,
            message,
            args,
            due_at: record.due_at,
            enqueued_at: record.enqueued_at,
            started_at: record.started_at,
            finished_at: record.finished_at.filter(|_| state.is_terminal()),
            error: record.error,
            result: record.result.as_ref().map(PayloadLine::of),
            note,
            past,
        })
    }

    /// The record that it stands for, if it may be one here.
    pub(crate) fn read(self, limits: &Limits) -> Result<TaskRecord, String> {
        let forgotten = self.args.is_none();
        let mut message = self.message;
        let of_task = |error: String| format!("the task {}: {error}", message.id);
        let args = self.args.map(PayloadLine::read).transpose().map_err(of_task)?;
        let result = self.result.map(PayloadLine::read).transpose().map_err(of_task)?;
        if let Some(args) = &args {
            limits.check_args(args).map_err(|error| of_task(error.to_string()))?;
        }
        if message.priority.get() > Priority::MAX {
            return Err(of_task(format!("its priority is above {}", Priority::MAX)));
        }
        if !(0..Seq::LIMIT).contains(&message.seq.0) {
            return Err(of_task("its seq is no number from 0 to 2^53".to_owned()));
        }
        if forgotten && !self.state.is_terminal() {
            return Err(of_task(format!("it is {} and has no arguments to run with", self.state)));
        }
        if !self.past.is_within_bounds() {
            let most = PastRuns::MAX;
            return Err(of_task(format!(
                "its past runs are too many, too long (at most {most} are told), or miscounted"
            )));
        }
        message.args = args.unwrap_or_else(|| Payload { bytes: b"null".as_slice().into(), ..nothing() });
        Ok(TaskRecord {
            message,
            state: self.state,
            fence: None,
            owner: None,
            worker: None,
            due_at: self.due_at,
            enqueued_at: self.enqueued_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            error: self.error,
            result,
            cancel_requested: false,
            past: self.past,
            note: self.note,
            forgotten,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use upbeat_shared::message::{Planned, TraceContext};
    use upbeat_shared::name::ScheduleId;
    use upbeat_shared::retry::RetryPolicy;
    use upbeat_shared::verdict::RunErrorKind;

    fn now() -> Timestamp {
        "2026-05-01T13:00:00Z".parse().unwrap()
    }

    fn retried() -> PastRun {
        let error = Some(RunError::new(RunErrorKind::Failed, "no route"));
        let (started_at, ended_at) = (now(), now());
        PastRun { started_at, ended_at, worker: Some("box:7".into()), end: RunEnd::Retry, error, note: None }
    }

    fn full() -> TaskRecord {
        let mut task = super::super::super::task_view::tests::failed_once();
        let message = &mut task.message;
        message.args = Payload { bytes: br#"{"n": 12345678901234567890123}"#.as_slice().into(), ..nothing() };
        message.seq = Seq(7);
        message.crashes = 1;
        message.first_published = Some("2026-05-01T00:00:00.123Z".parse().unwrap());
        message.dedup_id = Some("order-17".into());
        let planned_at = "2026-05-01T00:00:00Z".parse().unwrap();
        message.occurrence = Some(Planned { schedule_id: ScheduleId::new("nightly").unwrap(), planned_at });
        message.expires_at = Some("2027-05-02T00:00:00.000001Z".parse().unwrap());
        message.deadline_at = Some("2027-05-03T00:00:00.000001Z".parse().unwrap());
        message.timeout = Some(Duration::from_millis(1500));
        message.retry = Some(RetryPolicy::default());
        message.args_version = 3;
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
        message.trace = Some(TraceContext { traceparent, tracestate: Some("x=1".into()) });
        task.state = TaskState::Dead;
        task.finished_at = Some("2026-05-01T12:00:00.000007Z".parse().unwrap());
        task.error = Some(RunError::new(RunErrorKind::TimedOut, "too slow"));
        task.result = Some(Payload::msgpack(&vec![1, 2]).unwrap());
        task.note = Some("a note".into());
        task.past = PastRuns { count: 3, kept: vec![retried()] };
        task
    }

    fn travelled(record: TaskRecord) -> TaskRecord {
        let line = serde_json::to_string(&TaskLine::of(record, now()).unwrap()).unwrap();
        serde_json::from_str::<TaskLine>(&line).unwrap().read(&Limits::default()).unwrap()
    }

    #[test]
    fn everything_but_claims_survives_the_way() {
        let record = full();
        assert_eq!(travelled(record.clone()), TaskRecord { worker: None, ..record.clone() });
        let record = TaskRecord {
            message: Message { args: Payload::msgpack(&(1, "two")).unwrap(), ..record.message.clone() },
            ..record
        };
        assert_eq!(travelled(record.clone()).message, record.message);
    }

    #[test]
    fn what_was_forgotten_stays_forgotten() {
        let record = TaskRecord { forgotten: true, error: None, ..full() };
        assert!(travelled(record).forgotten);
        let unreadable = TaskRecord { forgotten: true, state: TaskState::Queued, ..full() };
        assert!(TaskLine::of(unreadable, now()).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn what_runs_or_waits_in_a_queue_is_scheduled_again() {
        let running = travelled(TaskRecord { state: TaskState::Running, ..full() });
        assert_eq!((running.state, running.message.crashes), (TaskState::Scheduled, 2));
        let ends: Vec<_> = running.past.kept.iter().map(|run| run.end).collect();
        assert_eq!((running.past.count, ends), (4, vec![RunEnd::Retry, RunEnd::Lost]));
        let queued = travelled(TaskRecord { state: TaskState::Queued, ..full() });
        assert_eq!((queued.state, queued.message.crashes), (TaskState::Scheduled, 1));
        assert_eq!(queued.finished_at, None);
        assert!(TaskLine::of(TaskRecord { state: TaskState::Held, ..full() }, now()).is_err());
    }

    #[test]
    fn what_may_not_be_here_is_refused_with_its_reason() {
        let line = |change: &dyn Fn(&mut TaskLine)| {
            let mut line = TaskLine::of(full(), now()).unwrap();
            change(&mut line);
            line.read(&Limits { body_bytes: 64, ..Limits::default() }).unwrap_err()
        };
        let args = |text: String| Some(PayloadLine { text: Some(text), ..PayloadLine::of(&nothing()) });
        assert!(line(&|line| line.args = args("x".repeat(65))).contains("65 bytes"));
        assert!(line(&|line| line.message.seq = Seq(-1)).contains("seq"));
        let both = PayloadLine { base64: Some(String::new()), ..PayloadLine::of(&nothing()) };
        assert!(line(&|line| line.args = Some(both.clone())).contains("either"));
        let scheduled = |line: &mut TaskLine| (line.state, line.args) = (TaskState::Scheduled, None);
        assert!(line(&scheduled).contains("no arguments"));
        let long = |line: &mut TaskLine| line.past = PastRuns { count: 21, kept: vec![retried(); 21] };
        assert!(line(&long).contains("past runs"));
        let miscounted = |line: &mut TaskLine| line.past.count = 0;
        assert!(line(&miscounted).contains("past runs"));
    }
}
