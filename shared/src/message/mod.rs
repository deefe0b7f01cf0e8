//! What travels through the broker for one run of a task. Never talks to a broker itself.

mod limits;
mod nesting;
mod trace;
mod undeliverable;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::{KeyId, Seq, TaskId};
use crate::name::{QueueName, ScheduleId, TaskKey, TaskName};
use crate::retry::RetryPolicy;
use crate::unique::Unique;

pub use limits::{LimitExceeded, Limits};
pub use trace::{TraceContext, TraceError};
pub use undeliverable::Undeliverable;
pub use wire::{DecodeError, HeaderValue, WireMessage};

/// A task on its way to one run: metadata, and arguments as the publisher encoded them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The task's id.
    pub id: TaskId,
    /// The task's name, which chooses the handler.
    pub name: TaskName,
    /// The queue it travels through.
    pub queue: QueueName,
    /// The arguments.
    pub args: Payload,
    /// 0 (last) to 9 (first).
    pub priority: Priority,
    /// The version of the row's schedule that it was promoted from; 0 when published without a row.
    pub seq: Seq,
    /// Failures that the task reported so far.
    pub attempts: u32,
    /// Workers lost while it ran so far.
    pub crashes: u32,
    /// When it was first published, in the store's time; `None` if the publisher did not know it.
    pub first_published: Option<Timestamp>,
    /// What its id was derived from, if it was published with a dedup id.
    pub dedup_id: Option<String>,
    /// The planned instant that it is, if a schedule made it.
    pub occurrence: Option<Planned>,
    /// After this instant (the store's time) it must not start.
    pub expires_at: Option<Timestamp>,
    /// How long one run may take; `None` leaves it to the task's own setting.
    pub timeout: Option<Duration>,
    /// When to retry; `None` leaves it to the task's own setting.
    pub retry: Option<RetryPolicy>,
    /// Free labels to find it by.
    pub tags: Vec<String>,
    /// The version of the arguments' shape.
    pub args_version: u32,
    /// The publisher's trace, continued by every run.
    pub trace: Option<TraceContext>,
    /// The key that its row holds. It stays with the row and does not travel: a task without a row holds none.
    #[serde(default)]
    pub unique: Option<Unique>,
    /// Whose it is: limits by key count it under this.
    #[serde(default)]
    pub key: Option<TaskKey>,
    /// By this instant (the store's time) it must have ended: a run is stopped then, and nothing starts that late.
    #[serde(default)]
    pub deadline_at: Option<Timestamp>,
}

impl Message {
    /// A message with every optional part left out.
    pub fn new(id: TaskId, name: TaskName, queue: QueueName, args: Payload) -> Self {
        Self {
            id,
            name,
            queue,
            args,
            priority: Priority::default(),
            seq: Seq::default(),
            attempts: 0,
            crashes: 0,
            first_published: None,
            dedup_id: None,
            occurrence: None,
            expires_at: None,
            timeout: None,
            retry: None,
            tags: Vec::new(),
            args_version: 1,
            trace: None,
            unique: None,
            key: None,
            deadline_at: None,
        }
    }

    /// The instant from which on it must not start: the earlier one of expiry and deadline. What ledgers look at before
    /// they hand it out.
    pub fn must_start_by(&self) -> Option<Timestamp> {
        self.expires_at.into_iter().chain(self.deadline_at).min()
    }

    /// What it is unique by, as ledgers know it.
    pub fn unique_key(&self) -> Option<KeyId> {
        self.unique.as_ref().map(|unique| KeyId::of(&self.name, &unique.key))
    }
}

/// The planned instant that a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Whose.
    pub schedule_id: ScheduleId,
    /// Which: the rule's instant, without jitter.
    pub planned_at: Timestamp,
}

/// 0 (last) to 9 (first); 4 unless told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(u8);

impl Priority {
    /// The highest.
    pub const MAX: u8 = 9;

    /// `None` above 9.
    pub fn new(value: u8) -> Option<Self> {
        (value <= Self::MAX).then_some(Self(value))
    }

    /// As a number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(4)
    }
}

/// How a payload is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ContentType {
    /// `application/msgpack`, maps with field names.
    #[default]
    Msgpack,
    /// `application/json`.
    Json,
}

impl ContentType {
    /// The media type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Msgpack => "application/msgpack",
            Self::Json => "application/json",
        }
    }
}

/// Arguments or a result, encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// How.
    pub content_type: ContentType,
    /// The bytes.
    pub bytes: Bytes,
}

/// In MessagePack.
const EMPTY_ARRAY: &[u8] = &[0x90];
const NIL: &[u8] = &[0xc0];

/// Why a payload could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PayloadError(String);

impl PayloadError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "task-bad-arguments"
    }
}

impl Payload {
    /// Encodes as MessagePack with field names. A unit struct is nil, as it is null in JSON.
    pub fn msgpack<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let bytes = rmp_serde::to_vec_named(value).map_err(|e| PayloadError(e.to_string()))?;
        // `rmp_serde` makes an empty array of it, which no reader of another language or form takes for one.
        let is_unit = || serde_json::to_value(value).is_ok_and(|value| value.is_null());
        let bytes = if bytes == EMPTY_ARRAY && is_unit() { NIL.to_vec() } else { bytes };
        Ok(Self { content_type: ContentType::Msgpack, bytes: bytes.into() })
    }

    /// Encodes as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let bytes = serde_json::to_vec(value).map_err(|e| PayloadError(e.to_string()))?;
        Ok(Self { content_type: ContentType::Json, bytes: bytes.into() })
    }

    /// Decodes by its content type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        match self.content_type {
            ContentType::Msgpack => {
                rmp_serde::from_slice(&self.bytes).map_err(|e| PayloadError(e.to_string()))
            }
            ContentType::Json => serde_json::from_slice(&self.bytes).map_err(|e| PayloadError(e.to_string())),
        }
    }

    /// For people and for `--json`: the value as JSON, or a note of what it is when it has no JSON form.
    pub fn to_json(&self) -> serde_json::Value {
        self.decode().unwrap_or_else(|error| {
            serde_json::json!({
                "undecodable": self.content_type.as_str(),
                "bytes": self.bytes.len(),
                "error": error.to_string(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Unit;

    #[test]
    fn a_unit_struct_is_nothing_in_every_form() {
        let payload = Payload::msgpack(&Unit).unwrap();
        assert_eq!(payload.to_json(), serde_json::Value::Null);
        assert_eq!(payload.decode::<Unit>().unwrap(), Unit);
        // As schedules keep it, and as older programs sent it.
        assert_eq!(Payload::json(&payload.to_json()).unwrap().decode::<Unit>().unwrap(), Unit);
        let older = Payload { content_type: ContentType::Msgpack, bytes: Bytes::from_static(EMPTY_ARRAY) };
        assert_eq!(older.decode::<Unit>().unwrap(), Unit);
        assert_eq!(Payload::msgpack::<[u8]>(&[]).unwrap().bytes, EMPTY_ARRAY, "an empty list is one");
    }
}
