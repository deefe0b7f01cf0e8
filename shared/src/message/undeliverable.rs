//! A message that could not be understood, as it was received: what a dead task keeps of it, so that a person can look at
//! it, mend it, and have it run after all.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{ContentType, DecodeError, HeaderValue, Limits, Message, Payload, WireMessage};
use crate::id::TaskId;
use crate::name::{Namespace, QueueName};

/// What a message was when it could not be understood. It is kept as the arguments of a dead task of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Undeliverable {
    /// As it was received, up to the bounds on what is kept.
    pub wire: WireMessage,
    /// The queue where it was, if anything tells.
    pub queue: Option<QueueName>,
    /// The bytes of its body. More than `wire` has if the body was cut.
    pub body_bytes: usize,
    /// How many headers were too much to be kept.
    pub headers_left_out: usize,
}

/// Where it was before: our own word, then the broker's.
const ORIGINS: [&str; 3] = ["upbeat-undeliverable-queue", "x-last-death-queue", "x-first-death-queue"];

/// Of a property, so many characters are kept.
const PROPERTY: usize = 1024;

/// Of all headers together, so many bytes and so many headers are kept.
const HEADERS: usize = 64 * 1024;
const HEADER_COUNT: usize = 256;

/// So many characters are shown of a body that is no text, or was cut.
const SHOWN: usize = 1024;

impl Undeliverable {
    /// The name of the tasks that keep such messages.
    pub const NAME: &str = "upbeat.undeliverable";

    /// Of a body, so much is kept.
    pub const BODY: usize = 1024 * 1024;

    /// Of a message as it was received.
    pub fn of(wire: &WireMessage, namespace: &Namespace) -> Self {
        let mut budget = HEADERS;
        let size = |(name, value): &(String, HeaderValue)| {
            name.len() + if let HeaderValue::Text(text) = value { text.len() } else { size_of::<i64>() }
        };
        let kept = wire.headers.iter().take(HEADER_COUNT).filter(|header| {
            let size = size(header);
            let fits = size <= budget;
            budget -= if fits { size } else { 0 };
            fits
        });
        let headers: Vec<_> = kept.cloned().collect();
        Self {
            queue: origin(wire, namespace),
            body_bytes: wire.body.len(),
            headers_left_out: wire.headers.len() - headers.len(),
            wire: WireMessage {
                message_id: wire.message_id.as_deref().map(cut),
                kind: wire.kind.as_deref().map(cut),
                content_type: wire.content_type.as_deref().map(cut),
                priority: wire.priority,
                timestamp: wire.timestamp,
                headers,
                body: wire.body.slice(..wire.body.len().min(Self::BODY)),
            },
        }
    }

    /// Whether everything was kept.
    pub fn is_whole(&self) -> bool {
        self.wire.body.len() == self.body_bytes && self.headers_left_out == 0
    }

    /// Tries to understand it. The task has this id.
    pub fn read(&self, id: TaskId, namespace: &Namespace, limits: &Limits) -> Result<Message, DecodeError> {
        let queue = self.queue.clone().unwrap_or_else(QueueName::default_queue);
        let mut message = Message::decode(&self.wire, namespace, &queue, limits, || id)?;
        message.id = id;
        Ok(message)
    }

    /// As the arguments of a dead task: what a person can read, and every byte.
    pub fn to_payload(&self) -> Payload {
        let wire = &self.wire;
        let header = |(name, value): &(String, HeaderValue)| {
            let value = match value {
                HeaderValue::Int(number) => json!(number),
                HeaderValue::Text(text) => json!(text),
                HeaderValue::Other => Value::Null,
            };
            (name.clone(), value)
        };
        let mut object = json!({
            "message_id": wire.message_id,
            "type": wire.kind,
            "content_type": wire.content_type,
            "priority": wire.priority,
            "timestamp": wire.timestamp,
            "queue": self.queue,
            "headers": wire.headers.iter().map(header).collect::<Map<_, _>>(),
            "body_bytes": self.body_bytes,
        });
        match std::str::from_utf8(&wire.body) {
            Ok(text) if wire.body.len() == self.body_bytes => object["body"] = json!(text),
            _ => {
                let shown = &wire.body[..wire.body.len().min(SHOWN)];
                object["body"] = json!(String::from_utf8_lossy(shown));
                object["body_base64"] = json!(STANDARD.encode(&wire.body));
            }
        }
        if self.headers_left_out > 0 {
            object["headers_left_out"] = json!(self.headers_left_out);
        }
        let bytes = serde_json::to_vec(&object).expect("a JSON value has a JSON form");
        Payload { content_type: ContentType::Json, bytes: bytes.into() }
    }

    /// The other way round; `None` if these are the arguments of something else.
    pub fn from_payload(args: &Payload) -> Option<Self> {
        let object: Value = args.decode().ok()?;
        let text = |name: &str| object[name].as_str().map(str::to_owned);
        let count = |name: &str| object[name].as_u64().and_then(|count| usize::try_from(count).ok());
        let body = match object["body_base64"].as_str() {
            Some(encoded) => STANDARD.decode(encoded).ok()?,
            None => text("body")?.into_bytes(),
        };
        let header = |(name, value): (&String, &Value)| {
            let value = match value {
                Value::String(text) => HeaderValue::Text(text.clone()),
                value => value.as_i64().map_or(HeaderValue::Other, HeaderValue::Int),
            };
            (name.clone(), value)
        };
        Some(Self {
            queue: object["queue"].as_str().and_then(|name| QueueName::new(name).ok()),
            body_bytes: count("body_bytes")?,
            headers_left_out: count("headers_left_out").unwrap_or(0),
            wire: WireMessage {
                message_id: text("message_id"),
                kind: text("type"),
                content_type: text("content_type"),
                priority: object["priority"].as_u64().and_then(|priority| u8::try_from(priority).ok()),
                timestamp: object["timestamp"].as_u64(),
                headers: object["headers"].as_object()?.iter().map(header).collect(),
                body: Bytes::from(body),
            },
        })
    }
}

/// Where it was before it became undeliverable.
fn origin(wire: &WireMessage, namespace: &Namespace) -> Option<QueueName> {
    let prefix = format!("upbeat.{namespace}.");
    let text = |name: &str| {
        wire.headers.iter().find_map(|(key, value)| match value {
            HeaderValue::Text(text) if key == name => Some(text.as_str()),
            HeaderValue::Text(_) | HeaderValue::Int(_) | HeaderValue::Other => None,
        })
    };
    let queue = ORIGINS.into_iter().find_map(text)?;
    let queue = QueueName::new(queue.strip_prefix(&prefix).unwrap_or(queue)).ok()?;
    (queue != QueueName::undeliverable()).then_some(queue)
}

fn cut(text: &str) -> String {
    text.chars().take(PROPERTY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(wire: &WireMessage) -> Undeliverable {
        let kept = Undeliverable::of(wire, &Namespace::default());
        assert_eq!(Undeliverable::from_payload(&kept.to_payload()).as_ref(), Some(&kept));
        kept
    }

    fn header() -> impl Strategy<Value = HeaderValue> {
        prop_oneof![
            any::<i64>().prop_map(HeaderValue::Int),
            any::<String>().prop_map(HeaderValue::Text),
            Just(HeaderValue::Other),
        ]
    }

    proptest! {
        #[test]
        fn every_byte_of_any_message_is_kept(
            message_id: Option<String>, kind: Option<String>, content_type: Option<String>,
            priority: Option<u8>, timestamp: Option<u64>, body: Vec<u8>,
            headers in prop::collection::btree_map(any::<String>(), header(), 0..8),
        ) {
            let headers = headers.into_iter().collect();
            let wire = WireMessage {
                message_id, kind, content_type, priority, timestamp, headers, body: body.into(),
            };
            let kept = kept(&wire);
            prop_assert!(kept.is_whole());
            prop_assert_eq!(kept.wire, wire);
        }
    }

    #[test]
    fn what_is_too_much_is_cut_and_told() {
        let headers = (0..100).map(|n| (format!("x-{n:03}"), HeaderValue::Text("y".repeat(1000)))).collect();
        let body = Bytes::from(vec![0xff; 3 * Undeliverable::BODY]);
        let kept = kept(&WireMessage { headers, body, ..WireMessage::default() });
        assert!(!kept.is_whole());
        assert_eq!((kept.wire.body.len(), kept.body_bytes), (Undeliverable::BODY, 3 * Undeliverable::BODY));
        assert_eq!(kept.wire.headers.len() + kept.headers_left_out, 100);
        assert!(kept.headers_left_out > 0);
        assert!(kept.to_payload().bytes.len() < 2 * Undeliverable::BODY);
    }

    #[test]
    fn the_arguments_of_something_else_are_none() {
        for args in [json!({}), json!([1]), json!({ "body": "x", "headers": {} }), json!(null)] {
            assert_eq!(Undeliverable::from_payload(&Payload::json(&args).unwrap()), None, "{args}");
        }
    }

    #[test]
    fn once_mended_it_is_read_under_its_own_id_for_the_queue_where_it_was() {
        let id: TaskId = "0198a2f0-0000-7000-8000-000000000001".parse().unwrap();
        let origin = HeaderValue::Text("upbeat.default.billing".into());
        let headers = vec![("x-last-death-queue".to_owned(), origin)];
        let wire = WireMessage { headers, body: Bytes::from_static(b"{}"), ..WireMessage::default() };
        let mut kept = kept(&wire);
        let read = |kept: &Undeliverable| kept.read(id, &Namespace::default(), &Limits::default());
        assert_eq!(read(&kept), Err(DecodeError::NoName));
        kept.wire.kind = Some("billing.invoice".into());
        kept.wire.message_id = Some("order-17".into());
        let message = read(&kept).unwrap();
        assert_eq!((message.id, message.queue.as_str()), (id, "billing"));
    }
}
