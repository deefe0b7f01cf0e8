//! A message as any AMQP client sees it: metadata in properties and headers, the body is the arguments alone.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ContentType, LimitExceeded, Limits, Message, Payload, Planned, Priority, TraceContext};
use crate::id::{Seq, TaskId};
use crate::name::{NameError, Namespace, QueueName, ScheduleId, TaskKey, TaskName};

/// The version of this encoding, sent in `upbeat-version`.
const VERSION: i64 = 1;

/// Properties, headers and body, before they mean anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WireMessage {
    /// `message_id`.
    pub message_id: Option<String>,
    /// `type`: the task's name.
    pub kind: Option<String>,
    /// `content_type`.
    pub content_type: Option<String>,
    /// `priority`.
    pub priority: Option<u8>,
    /// `timestamp`, in seconds since the epoch.
    pub timestamp: Option<u64>,
    /// Headers. Their order means nothing, and a broker may change it.
    pub headers: Vec<(String, HeaderValue)>,
    /// The arguments.
    #[serde(with = "bytes_field")]
    pub body: Bytes,
}

/// A header's value; AMQP knows more types than we read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeaderValue {
    /// Any integer.
    Int(i64),
    /// Any text.
    Text(String),
    /// A type that none of our headers has.
    Other,
}

/// Why a message cannot be understood. It goes once, with its bytes, to the `undeliverable` queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It costs more than it may.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// Nothing says which task it is.
    #[error("the property `type` is missing: it must name the task")]
    NoName,
    /// A name breaks its rules.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The body is in a form that no worker reads.
    #[error("the content type is {0:?}; it must be application/json or application/msgpack")]
    ContentType(String),
    /// A header of ours holds what it should not.
    #[error("the header {name} is {value}; it must be {expected}")]
    Header {
        /// Which.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A newer version of this encoding.
    #[error("the message is of version {0}, newer than this program reads (1); upgrade the workers first")]
    Version(i64),
}

impl DecodeError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "task-undeliverable"
    }
}

impl Message {
    /// As it is sent.
    pub fn encode(&self) -> WireMessage {
        let mut headers = Vec::with_capacity(8);
        let mut int = |name: &str, value: i64| headers.push((name.to_owned(), HeaderValue::Int(value)));
        int("upbeat-version", VERSION);
        let counts = [
            ("upbeat-seq", self.seq.0),
            ("upbeat-attempt", i64::from(self.attempts)),
            ("upbeat-crashes", i64::from(self.crashes)),
        ];
        // Nobody misses a zero, and every header has to be read wherever the message comes by.
        for (name, count) in counts.into_iter().filter(|(_, count)| *count != 0) {
            int(name, count);
        }
        if let Some(time) = self.first_published {
            int("upbeat-first-published", time.as_millisecond());
        }
        if let Some(time) = self.expires_at {
            int("upbeat-expires-at", time.as_microsecond());
        }
        if let Some(time) = self.deadline_at {
            int("upbeat-deadline-at", time.as_microsecond());
        }
        if let Some(timeout) = self.timeout {
            int("upbeat-timeout-ms", i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
        }
        if self.args_version != 1 {
            int("upbeat-args-version", i64::from(self.args_version));
        }
        if let Some(planned) = &self.occurrence {
            int("upbeat-planned-at", planned.planned_at.as_microsecond());
        }
        self.encode_text(&mut headers);
        WireMessage {
            message_id: Some(self.id.to_string()),
            kind: Some(self.name.to_string()),
            content_type: Some(self.args.content_type.as_str().to_owned()),
            priority: Some(self.priority.get()),
            timestamp: self.first_published.and_then(|time| u64::try_from(time.as_second()).ok()),
            headers,
            body: self.args.bytes.clone(),
        }
    }

    fn encode_text(&self, headers: &mut Vec<(String, HeaderValue)>) {
        let mut text = |name: &str, value: String| headers.push((name.to_owned(), HeaderValue::Text(value)));
        if let Some(planned) = &self.occurrence {
            text("upbeat-schedule-id", planned.schedule_id.to_string());
        }
        if let Some(dedup) = &self.dedup_id {
            text("upbeat-dedup-id", dedup.clone());
        }
        if let Some(retry) = &self.retry {
            text("upbeat-retry", serde_json::to_string(retry).expect("a retry policy is plain data"));
        }
        if let Some(key) = &self.key {
            text("upbeat-key", key.to_string());
        }
        if !self.tags.is_empty() {
            text("upbeat-tags", self.tags.join(","));
        }
        if let Some(trace) = &self.trace {
            text("traceparent", trace.traceparent.clone());
            if let Some(state) = &trace.tracestate {
                text("tracestate", state.clone());
            }
        }
    }

    /// Understands what any client sent to `queue`. A message without `message_id` gets `new_id`.
    pub fn decode(
        wire: &WireMessage,
        namespace: &Namespace,
        queue: &QueueName,
        limits: &Limits,
        new_id: impl FnOnce() -> TaskId,
    ) -> Result<Self, DecodeError> {
        limits.check(wire)?;
        let version = wire.int("upbeat-version")?.unwrap_or(VERSION);
        if version > VERSION {
            return Err(DecodeError::Version(version));
        }
        let id = wire.message_id.as_deref().filter(|id| !id.is_empty());
        let id = id.map_or_else(new_id, |id| TaskId::from_foreign(namespace, id));
        let name = TaskName::new(wire.kind.as_deref().ok_or(DecodeError::NoName)?)?;
        let payload = Payload { content_type: wire.content_type()?, bytes: wire.body.clone() };
        limits.check_args(&payload)?;
        let mut message = Message::new(id, name, queue.clone(), payload);
        message.priority = Priority::new(wire.priority.unwrap_or(4).min(Priority::MAX)).unwrap_or_default();
        message.decode_numbers(wire)?;
        message.decode_text(wire)?;
        Ok(message)
    }

    fn decode_numbers(&mut self, wire: &WireMessage) -> Result<(), DecodeError> {
        if let Some(seq) = wire.int("upbeat-seq")? {
            if !(0..Seq::LIMIT).contains(&seq) {
                return Err(bad("upbeat-seq", seq, "a number from 0 to 2^53"));
            }
            self.seq = Seq(seq);
        }
        self.attempts = wire.count("upbeat-attempt")?.unwrap_or(0);
        self.crashes = wire.count("upbeat-crashes")?.unwrap_or(0);
        self.args_version = wire.count("upbeat-args-version")?.unwrap_or(1);
        let millis = wire.int("upbeat-first-published")?;
        self.first_published = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
        self.expires_at = wire.instant("upbeat-expires-at")?;
        self.deadline_at = wire.instant("upbeat-deadline-at")?;
        let timeout = wire.int("upbeat-timeout-ms")?.map(u64::try_from);
        self.timeout = match timeout {
            Some(Ok(millis)) => Some(Duration::from_millis(millis)),
            Some(Err(_)) => return Err(bad("upbeat-timeout-ms", "negative", "milliseconds")),
            None => None,
        };
        Ok(())
    }

    fn decode_text(&mut self, wire: &WireMessage) -> Result<(), DecodeError> {
        let planned_at = wire.instant("upbeat-planned-at")?;
        if let (Some(id), Some(planned_at)) = (wire.text("upbeat-schedule-id")?, planned_at) {
            self.occurrence = Some(Planned { schedule_id: ScheduleId::new(id)?, planned_at });
        }
        self.dedup_id = wire.text("upbeat-dedup-id")?.map(str::to_owned);
        self.key = wire.text("upbeat-key")?.map(TaskKey::new).transpose()?;
        if let Some(text) = wire.text("upbeat-retry")? {
            let policy = serde_json::from_str(text);
            self.retry = Some(policy.map_err(|_| bad("upbeat-retry", text, "a retry policy as JSON"))?);
        }
        if let Some(tags) = wire.text("upbeat-tags")? {
            self.tags = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        }
        if let Some(traceparent) = wire.text("traceparent")? {
            let tracestate = wire.text("tracestate")?.map(str::to_owned);
            self.trace = Some(TraceContext { traceparent: traceparent.to_owned(), tracestate });
        }
        Ok(())
    }
}

fn bad(name: &'static str, value: impl std::fmt::Display, expected: &'static str) -> DecodeError {
    DecodeError::Header { name, value: value.to_string(), expected }
}

impl WireMessage {
    fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn int(&self, name: &'static str) -> Result<Option<i64>, DecodeError> {
        match self.header(name) {
            None => Ok(None),
            Some(HeaderValue::Int(value)) => Ok(Some(*value)),
            Some(HeaderValue::Text(text)) => text.parse().map(Some).map_err(|_| bad(name, text, "a number")),
            Some(HeaderValue::Other) => Err(bad(name, "of another type", "a number")),
        }
    }

    fn count(&self, name: &'static str) -> Result<Option<u32>, DecodeError> {
        let value = self.int(name)?;
        value.map(|value| u32::try_from(value).map_err(|_| bad(name, value, "a small number"))).transpose()
    }

    fn instant(&self, name: &'static str) -> Result<Option<Timestamp>, DecodeError> {
        let micros = self.int(name)?;
        let instant = micros.map(|micros| {
            Timestamp::from_microsecond(micros).map_err(|_| bad(name, micros, "microseconds since 1970"))
        });
        instant.transpose()
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, DecodeError> {
        match self.header(name) {
            None => Ok(None),
            Some(HeaderValue::Text(text)) => Ok(Some(text)),
            Some(HeaderValue::Int(value)) => Err(bad(name, value, "a text")),
            Some(HeaderValue::Other) => Err(bad(name, "of another type", "a text")),
        }
    }

    fn content_type(&self) -> Result<ContentType, DecodeError> {
        let full = self.content_type.as_deref().unwrap_or(ContentType::Json.as_str());
        match full.split(';').next().unwrap_or_default().trim() {
            "application/json" => Ok(ContentType::Json),
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => {
                Ok(ContentType::Msgpack)
            }
            _ => Err(DecodeError::ContentType(full.to_owned())),
        }
    }
}

mod bytes_field {
    //! `Bytes` as a byte string, not as a sequence of numbers.
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        Bytes::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::RetryPolicy;

    fn full() -> Message {
        let name = TaskName::new("billing.invoice").unwrap();
        let queue = QueueName::new("billing").unwrap();
        let id = "0198a2f0-0000-7000-8000-000000000001".parse().unwrap();
        let mut message = Message::new(id, name, queue, Payload::json(&serde_json::json!({"a": 1})).unwrap());
        message.priority = Priority::new(9).unwrap();
        message.seq = Seq(7);
        message.attempts = 2;
        message.crashes = 1;
        message.first_published = Some("2026-05-01T00:00:00.123Z".parse().unwrap());
        message.dedup_id = Some("order-17".into());
        let planned_at = "2026-05-01T00:00:00Z".parse().unwrap();
        message.occurrence = Some(Planned { schedule_id: ScheduleId::new("nightly").unwrap(), planned_at });
        message.expires_at = Some("2026-05-02T00:00:00.000001Z".parse().unwrap());
        message.deadline_at = Some("2026-05-02T12:00:00.000001Z".parse().unwrap());
        message.timeout = Some(Duration::from_millis(1500));
        message.retry = Some(RetryPolicy::default());
        message.tags = vec!["a".into(), "b".into()];
        message.args_version = 3;
        message.key = Some("customer-7".parse().unwrap());
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
        message.trace = Some(TraceContext { traceparent, tracestate: Some("x=1".into()) });
        message
    }

    fn decode(wire: &WireMessage) -> Result<Message, DecodeError> {
        let queue = QueueName::new("billing").unwrap();
        let id = || "0198a2f0-0000-7000-8000-00000000000f".parse().unwrap();
        Message::decode(wire, &Namespace::default(), &queue, &Limits::default(), id)
    }

    #[test]
    fn every_field_survives_the_wire() {
        let message = full();
        assert_eq!(decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn a_task_that_never_failed_carries_no_zeros() {
        let mut message = full();
        (message.seq, message.attempts, message.crashes) = (Seq(0), 0, 0);
        let wire = message.encode();
        let counts = ["upbeat-seq", "upbeat-attempt", "upbeat-crashes"];
        assert!(!wire.headers.iter().any(|(name, _)| counts.contains(&name.as_str())), "{wire:?}");
        assert_eq!(decode(&wire).unwrap(), message);
    }

    #[test]
    fn the_least_that_any_client_can_send_is_understood() {
        let wire = WireMessage {
            kind: Some("hello".into()),
            body: Bytes::from_static(b"{}"),
            ..WireMessage::default()
        };
        let message = decode(&wire).unwrap();
        assert_eq!(message.args.content_type, ContentType::Json);
        assert_eq!(message.id.to_string(), "0198a2f0-0000-7000-8000-00000000000f");
    }

    #[test]
    fn what_cannot_be_understood_says_why() {
        let mut wire = full().encode();
        wire.kind = None;
        assert_eq!(decode(&wire), Err(DecodeError::NoName));
        let mut wire = full().encode();
        wire.headers.push(("upbeat-version".into(), HeaderValue::Int(2)));
        wire.headers.remove(0);
        assert_eq!(decode(&wire), Err(DecodeError::Version(2)));
        let mut wire = full().encode();
        wire.body = Bytes::from(vec![0; 1024 * 1024 + 1]);
        assert!(matches!(decode(&wire), Err(DecodeError::Limit(LimitExceeded::Body { .. }))));
        let mut wire = full().encode();
        wire.body = Bytes::from(vec![b'['; 65]);
        assert_eq!(decode(&wire), Err(DecodeError::Limit(LimitExceeded::Depth { limit: 64 })));
        let mut wire = full().encode();
        wire.headers[1].1 = HeaderValue::Text("seven".into());
        assert_eq!(
            decode(&wire).unwrap_err().to_string(),
            "the header upbeat-seq is seven; it must be a number"
        );
    }
}
