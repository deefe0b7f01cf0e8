//! Notices: events as tasks of their own, which the operator's endpoint gets. Retried, listed and kept like any other task.
//! Pure: makes entries, and puts none on an agenda.
//!
//! What a notice's body holds is written down in `docs/hooks.md`; arguments are not in it, since they may be secret.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Dead, Overdue};
use crate::id::TaskId;
use crate::ledger::{Due, NewEntry};
use crate::message::{Message, Payload};
use crate::name::{Namespace, QueueName, TaskName};
use crate::task::rfc3339_micros;
use crate::verdict::RunError;

/// The task that tells of a dead task.
pub const DEAD_NOTICE: &str = "upbeat.hook.dead";

/// The task that tells of an overdue one.
pub const OVERDUE_NOTICE: &str = "upbeat.hook.overdue";

/// What a notice costs at most, in bytes of its body.
pub const MAX_NOTICE_BYTES: usize = 64 * 1024;

/// Longer texts are cut: the task itself has the whole of them.
const MAX_TEXT_BYTES: usize = 4 * 1024;

/// Further tags are left out, and longer ones cut.
const MAX_TAGS: usize = 20;
const MAX_TAG_BYTES: usize = 200;

/// Which events become tasks, and the queues in which these wait for a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Of dead tasks.
    pub dead: Option<QueueName>,
    /// Of overdue ones.
    pub overdue: Option<QueueName>,
}

impl Notices {
    /// The notice of a dead task; `None` where nobody wants to know. A notice that is dead itself makes no other one.
    pub fn of_dead(&self, namespace: &Namespace, dead: &Dead) -> Option<NewEntry> {
        let queue = self.dead.as_ref().filter(|_| !is_notice(&dead.message.name))?;
        let message = &dead.message;
        let planned = message.occurrence.as_ref();
        let body = json!({
            "event": "dead",
            "at": dead.at.map(rfc3339_micros),
            "namespace": namespace.as_str(),
            "id": message.id.to_string(),
            "name": message.name.as_str(),
            "queue": message.queue.as_str(),
            "error": RunError { message: cut(&dead.error.message, MAX_TEXT_BYTES), ..dead.error.clone() }.to_json(),
            "attempts": dead.attempts,
            "crashes": dead.crashes,
            "tags": tags(message),
            "first_published_at": message.first_published.map(rfc3339_micros),
            "schedule_id": planned.map(|planned| planned.schedule_id.as_str()),
            "planned_at": planned.map(|planned| rfc3339_micros(planned.planned_at)),
        });
        // A task that is replayed and dies again is another death: its row has moved on meanwhile.
        let once = format!("{} {}", message.id, message.seq.0);
        Some(entry(namespace, DEAD_NOTICE, queue, once, &body, dead.at, message))
    }

    /// The notice of an overdue task; `None` where nobody wants to know.
    pub fn of_overdue(&self, namespace: &Namespace, overdue: &Overdue) -> Option<NewEntry> {
        let queue = self.overdue.as_ref()?;
        let message = &overdue.message;
        let body = json!({
            "event": "overdue",
            "at": rfc3339_micros(overdue.at),
            "namespace": namespace.as_str(),
            "id": message.id.to_string(),
            "name": message.name.as_str(),
            "queue": message.queue.as_str(),
            "schedule_id": overdue.schedule.as_str(),
            "planned_at": rfc3339_micros(overdue.planned_at),
            "due_at": rfc3339_micros(overdue.due_at),
            "late_by_ms": u64::try_from(overdue.late_by.as_millis()).unwrap_or(u64::MAX),
            "state": overdue.state.as_str(),
            "note": overdue.note.as_deref().map(|note| cut(note, MAX_TEXT_BYTES)),
            "tags": tags(message),
        });
        let once = message.id.to_string();
        Some(entry(namespace, OVERDUE_NOTICE, queue, once, &body, Some(overdue.at), message))
    }
}

/// Whether tasks of this name are notices.
pub fn is_notice(name: &TaskName) -> bool {
    [DEAD_NOTICE, OVERDUE_NOTICE].contains(&name.as_str())
}

/// A task with this body, the same one however often it is made. It belongs to the trace of what it tells of.
fn entry(
    namespace: &Namespace,
    name: &'static str,
    queue: &QueueName,
    once: String,
    body: &Value,
    at: Option<Timestamp>,
    about: &Message,
) -> NewEntry {
    let name = TaskName::new(name).expect("a constant that is a name");
    let args = Payload::json(body).expect("a JSON value has a JSON form");
    let mut message = Message::new(TaskId::from_dedup(namespace, &name, &once), name, queue.clone(), args);
    message.dedup_id = Some(once);
    message.first_published = at;
    message.trace.clone_from(&about.trace);
    NewEntry { message, due: Due::In(Duration::ZERO), cover: Duration::ZERO }
}

fn tags(message: &Message) -> Vec<String> {
    message.tags.iter().take(MAX_TAGS).map(|tag| cut(tag, MAX_TAG_BYTES)).collect()
}

fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{} … (cut)", &text[..text.floor_char_boundary(bytes)])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::Seq;
    use crate::message::{Planned, TraceContext};
    use crate::name::ScheduleId;
    use crate::task::TaskState;
    use crate::verdict::RunErrorKind;

    fn message() -> Message {
        let id = "0198a2f0-0000-7000-8000-000000000001".parse().unwrap();
        let args = Payload::json(&json!({"card": "4111 1111"})).unwrap();
        let mut message = Message::new(
            id,
            TaskName::new("billing.invoice").unwrap(),
            QueueName::new("billing").unwrap(),
            args,
        );
        message.tags = vec!["tenant:acme".into()];
        message.first_published = Some("2026-05-01T12:00:00Z".parse().unwrap());
        message.occurrence = Some(Planned {
            schedule_id: ScheduleId::new("nightly").unwrap(),
            planned_at: "2026-05-01T11:00:00Z".parse().unwrap(),
        });
        message.trace = Some(TraceContext::begun_by(id));
        message
    }

    fn dead(message: Message) -> Dead {
        Dead {
            message: Arc::new(message),
            attempts: 10,
            crashes: 1,
            error: RunError::new(RunErrorKind::Failed, "the card was refused"),
            at: Some("2026-05-01T12:30:00Z".parse().unwrap()),
        }
    }

    fn overdue() -> Overdue {
        Overdue {
            message: Arc::new(message()),
            schedule: ScheduleId::new("nightly").unwrap(),
            planned_at: "2026-05-01T11:00:00Z".parse().unwrap(),
            due_at: "2026-05-01T11:00:05Z".parse().unwrap(),
            late_by: Duration::from_millis(60_500),
            state: TaskState::Queued,
            note: None,
            at: "2026-05-01T11:01:05.5Z".parse().unwrap(),
        }
    }

    fn notices() -> Notices {
        Notices {
            dead: Some(QueueName::new("hooks").unwrap()),
            overdue: Some(QueueName::new("hooks").unwrap()),
        }
    }

    fn of_dead(message: Message) -> Option<Message> {
        notices().of_dead(&Namespace::default(), &dead(message)).map(|entry| entry.message)
    }

    /// The page shows both bodies; they are compared as JSON.
    fn documented(event: &str) -> Value {
        let page = include_str!("../../../docs/hooks.md");
        let blocks = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
        let mut bodies = blocks.map(|block| serde_json::from_str::<Value>(block).unwrap());
        bodies
            .find(|body| body["event"] == event)
            .unwrap_or_else(|| panic!("docs/hooks.md shows no `{event}`"))
    }

    #[test]
    fn the_bodies_are_those_of_the_documentation() {
        assert_eq!(of_dead(message()).unwrap().args.to_json(), documented("dead"));
        let overdue = notices().of_overdue(&Namespace::default(), &overdue()).unwrap();
        assert_eq!(overdue.message.args.to_json(), documented("overdue"));
    }

    #[test]
    fn arguments_stay_where_they_are() {
        let notice = of_dead(message()).unwrap();
        assert!(!String::from_utf8_lossy(&notice.args.bytes).contains("4111"));
    }

    #[test]
    fn one_death_is_one_notice_and_the_next_death_another() {
        let first = of_dead(message()).unwrap();
        assert_eq!(first.id, of_dead(message()).unwrap().id);
        assert_ne!(first.id, of_dead(Message { seq: Seq(1), ..message() }).unwrap().id);
        assert_eq!((first.queue.as_str(), first.trace), ("hooks", message().trace));
    }

    #[test]
    fn a_dead_notice_makes_no_notice() {
        for name in [DEAD_NOTICE, OVERDUE_NOTICE] {
            let notice = Message { name: TaskName::new(name).unwrap(), ..message() };
            assert_eq!(of_dead(notice), None);
        }
    }

    #[test]
    fn where_nobody_wants_to_know_there_is_none() {
        let nobody = Notices::default();
        assert_eq!(nobody.of_dead(&Namespace::default(), &dead(message())), None);
        assert_eq!(nobody.of_overdue(&Namespace::default(), &overdue()), None);
    }

    #[test]
    fn whatever_a_message_holds_a_notice_stays_small() {
        let mut long = message();
        // JSON writes six characters for each of these.
        long.tags = vec!["\u{1}".repeat(5000); 5000];
        let mut event = dead(long);
        event.error = RunError::new(RunErrorKind::Failed, "\u{1}".repeat(100_000));
        let notice = notices().of_dead(&Namespace::default(), &event).unwrap();
        assert!(notice.message.args.bytes.len() <= MAX_NOTICE_BYTES, "{}", notice.message.args.bytes.len());
    }
}
