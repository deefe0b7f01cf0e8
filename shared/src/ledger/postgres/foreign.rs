//! What SQL functions keep for other clients: JSON, in the place of what programs encode.
//!
//! The first byte tells them apart: what `rmp_serde` makes of a message or a payload is an array, and begins with a byte that
//! begins no JSON.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Fault;
use super::row::instant;
use crate::id::TaskId;
use crate::message::{ContentType, Message, Payload, Priority, TraceContext};
use crate::name::{QueueName, TaskKey, TaskName};
use crate::retry::RetryPolicy;
use crate::unique::{OnTaken, Unique, Until};

/// A message as `publish` of `publish.sql` writes it. Times are microseconds since 1970.
#[derive(Deserialize)]
struct Kept<'a> {
    id: TaskId,
    name: TaskName,
    queue: QueueName,
    #[serde(borrow)]
    args: &'a RawValue,
    priority: u8,
    first_published: i64,
    dedup_id: Option<String>,
    expires_at: Option<i64>,
    deadline_at: Option<i64>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    tags: Vec<String>,
    args_version: u32,
    traceparent: Option<String>,
    tracestate: Option<String>,
    unique_key: Option<String>,
    /// How long it holds its key, in microseconds; until it has ended if it does not say.
    unique_for: Option<u64>,
    #[serde(default)]
    replace: bool,
    key: Option<TaskKey>,
    retry: Option<RetryPolicy>,
}

impl Kept<'_> {
    fn unique(&self) -> Option<Unique> {
        let until =
            self.unique_for.map_or(Until::Finished, |micros| Until::Window(Duration::from_micros(micros)));
        let on_taken = if self.replace { OnTaken::Replace } else { OnTaken::Keep };
        Some(Unique { key: self.unique_key.clone()?, until, on_taken })
    }
}

/// Whether a kept message is one of these.
pub(super) fn is_message(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
}

/// Reads one of these.
pub(super) fn message(bytes: &[u8]) -> Result<Message, Fault> {
    let kept: Kept<'_> = serde_json::from_slice(bytes)
        .map_err(|error| Fault::Invalid(format!("a message that SQL published cannot be read: {error}")))?;
    let unique = kept.unique();
    let mut message = Message::new(kept.id, kept.name, kept.queue, json(kept.args.get().as_bytes()));
    (message.unique, message.key, message.retry) = (unique, kept.key, kept.retry);
    message.priority = Priority::new(kept.priority).unwrap_or_default();
    message.first_published = Some(instant(kept.first_published));
    message.dedup_id = kept.dedup_id;
    message.expires_at = kept.expires_at.map(instant);
    message.deadline_at = kept.deadline_at.map(instant);
    message.timeout = kept.timeout_ms.map(Duration::from_millis);
    message.tags = kept.tags;
    message.args_version = kept.args_version;
    // What is none was refused when it was published.
    let trace = |parent: String| TraceContext::parse(&parent, kept.tracestate.as_deref()).ok();
    message.trace = kept.traceparent.and_then(trace);
    Ok(message)
}

/// Reads a kept result, whoever wrote it.
pub(super) fn result(bytes: &[u8]) -> Result<Payload, rmp_serde::decode::Error> {
    if bytes.first().is_some_and(u8::is_ascii) { Ok(json(bytes)) } else { rmp_serde::from_slice(bytes) }
}

fn json(bytes: &[u8]) -> Payload {
    Payload { content_type: ContentType::Json, bytes: bytes.to_vec().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::postgres::row::{decode, encode};
    use crate::name::Namespace;

    #[test]
    fn what_programs_and_what_sql_keeps_are_told_apart() {
        let name = TaskName::new("a").unwrap();
        let id = TaskId::from_dedup(&Namespace::default(), &name, "x");
        let mut message = Message::new(id, name, QueueName::default_queue(), Payload::json(&[1]).unwrap());
        assert_eq!(decode(&encode(&message).unwrap()).unwrap(), message);

        let text = format!(
            r#"{{"id": "{id}", "args": [1], "name": "a", "tags": ["t"], "queue": "default", "dedup_id": "x", "priority": 9,
                "args_version": 2, "first_published": 1795581737739126, "timeout_ms": 1500}}"#
        );
        message.priority = Priority::new(9).unwrap();
        message.first_published = Some(instant(1_795_581_737_739_126));
        (message.dedup_id, message.tags, message.args_version) = (Some("x".into()), vec!["t".into()], 2);
        message.timeout = Some(Duration::from_millis(1500));
        assert_eq!(decode(text.as_bytes()).unwrap(), message);
    }

    #[test]
    fn results_of_both_are_told_apart() {
        for value in
            [serde_json::json!({"a": 1}), serde_json::json!("text"), serde_json::json!(-3), true.into()]
        {
            let packed = Payload::msgpack(&value).unwrap();
            assert_eq!(result(&rmp_serde::to_vec(&packed).unwrap()).unwrap(), packed);
            assert_eq!(result(value.to_string().as_bytes()).unwrap(), Payload::json(&value).unwrap());
        }
    }
}
