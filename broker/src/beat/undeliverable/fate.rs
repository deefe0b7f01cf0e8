//! What becomes of an undeliverable message. Pure.

use std::time::Duration;

use sha2::{Digest, Sha256};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::Park;
use upbeat_shared::message::{HeaderValue, Limits, Message, Undeliverable, WireMessage};
use upbeat_shared::name::{Namespace, QueueName, TaskName};
use upbeat_shared::verdict::RunErrorKind;

/// The name of tasks that stand for what could not be understood.
pub(super) const NAME: &str = Undeliverable::NAME;

/// Why a worker could not understand it.
const REASON: &str = "upbeat-undeliverable-reason";

/// What came back is due again after this, doubled each time, and dead after a day.
const DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What becomes of it.
#[derive(Debug)]
pub(super) enum Fate {
    /// It can be read: it goes back onto the agenda.
    Park(Box<Park>),
    /// It cannot: a dead task tells of it.
    Bury {
        /// The dead task.
        message: Box<Message>,
        /// The id to use if a task of the first one exists.
        other_id: TaskId,
        /// For a person.
        reason: String,
    },
}

/// Decides by what the message says.
pub(super) fn fate(
    wire: &WireMessage,
    namespace: &Namespace,
    limits: &Limits,
    new_id: impl FnOnce() -> TaskId,
) -> Fate {
    let given = text(wire, REASON).unwrap_or("the broker gave it back too often");
    if let Some(buried) = buried_before(wire, namespace, limits) {
        let other_id = buried.id;
        return Fate::Bury {
            message: Box::new(buried),
            other_id,
            reason: "it still cannot be understood".into(),
        };
    }
    let queue = Undeliverable::of(wire, namespace).queue.unwrap_or_else(QueueName::default_queue);
    match Message::decode(wire, namespace, &queue, limits, new_id) {
        Ok(message) => Fate::Park(Box::new(Park {
            message,
            note: format!("came back as undeliverable: {given}"),
            delay: DELAY,
            max_delay: MAX_DELAY,
            dead_after: Some((PATIENCE, RunErrorKind::Undeliverable)),
        })),
        Err(error) => bury(wire, namespace, error.to_string()),
    }
}

/// One of ours that came back: somebody retried it, or its beat died while burying it. It holds another message in a form
/// that takes more room, so it may be larger than others.
fn buried_before(wire: &WireMessage, namespace: &Namespace, limits: &Limits) -> Option<Message> {
    if wire.kind.as_deref() != Some(NAME) {
        return None;
    }
    let limits = Limits { body_bytes: limits.body_bytes.max(2 * Undeliverable::BODY), ..*limits };
    let id = TaskId::from_foreign(namespace, wire.message_id.as_deref()?);
    Message::decode(wire, namespace, &QueueName::undeliverable(), &limits, || id).ok()
}

fn bury(wire: &WireMessage, namespace: &Namespace, reason: String) -> Fate {
    let other_id = TaskId::from_foreign(namespace, &format!("undeliverable {}", fingerprint(wire)));
    let own = wire.message_id.as_deref().filter(|id| !id.is_empty());
    let id = own.map_or(other_id, |id| TaskId::from_foreign(namespace, id));
    let name = TaskName::new(NAME).expect("a constant that is a name");
    let args = Undeliverable::of(wire, namespace).to_payload();
    let message = Box::new(Message::new(id, name, QueueName::undeliverable(), args));
    Fate::Bury { message, other_id, reason }
}

fn text<'a>(wire: &'a WireMessage, name: &str) -> Option<&'a str> {
    wire.headers.iter().find_map(|(key, value)| match value {
        HeaderValue::Text(text) if key == name => Some(text.as_str()),
        HeaderValue::Text(_) | HeaderValue::Int(_) | HeaderValue::Other => None,
    })
}

/// Tells it from others, but not from its own redelivery.
fn fingerprint(wire: &WireMessage) -> String {
    let mut hash = Sha256::new();
    for field in [&wire.message_id, &wire.kind, &wire.content_type] {
        hash.update(field.as_deref().unwrap_or_default());
        hash.update([0]);
    }
    hash.update(&wire.body);
    hex(&hash.finalize())
}

fn hex(digest: &[u8]) -> String {
    let number = digest.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{number:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;
    use upbeat_shared::message::Payload;

    fn wire() -> WireMessage {
        let id: TaskId = "0198a2f0-0000-7000-8000-000000000001".parse().unwrap();
        let name = TaskName::new("billing.invoice").unwrap();
        let args = Payload::json(&json!({"a": 1})).unwrap();
        Message::new(id, name, QueueName::new("billing").unwrap(), args).encode()
    }

    fn decide(wire: &WireMessage) -> Fate {
        fate(wire, &Namespace::default(), &Limits::default(), || {
            "0198a2f0-0000-7000-8000-00000000000f".parse().unwrap()
        })
    }

    fn header(wire: &mut WireMessage, name: &str, value: &str) {
        wire.headers.push((name.into(), HeaderValue::Text(value.into())));
    }

    #[test]
    fn what_can_be_read_goes_back_to_the_queue_it_came_from() {
        let mut wire = wire();
        header(&mut wire, "x-last-death-queue", "upbeat.default.billing");
        header(&mut wire, REASON, "too new for this worker");
        let Fate::Park(park) = decide(&wire) else { panic!("it can be read") };
        assert_eq!(park.message.queue.as_str(), "billing");
        assert_eq!(park.note, "came back as undeliverable: too new for this worker");
    }

    #[test]
    fn without_a_word_of_its_queue_it_goes_to_the_default_one_and_never_back_here() {
        for origin in [None, Some("undeliverable"), Some("not a name")] {
            let mut wire = wire();
            if let Some(origin) = origin {
                header(&mut wire, "upbeat-undeliverable-queue", origin);
            }
            let Fate::Park(park) = decide(&wire) else { panic!("it can be read") };
            assert_eq!(park.message.queue, QueueName::default_queue());
        }
    }

    #[test]
    fn what_cannot_be_read_is_buried_under_its_own_id_with_what_it_held() {
        let mut wire = wire();
        wire.content_type = Some("text/plain".into());
        let Fate::Bury { message, reason, .. } = decide(&wire) else { panic!("it cannot be read") };
        assert_eq!(message.id.to_string(), "0198a2f0-0000-7000-8000-000000000001");
        assert_eq!(message.name.as_str(), NAME);
        assert_eq!(message.args.to_json()["body"], "{\"a\":1}");
        assert!(reason.contains("text/plain"), "{reason}");
    }

    #[test]
    fn a_redelivered_copy_without_an_id_is_the_same_dead_task_and_another_is_not() {
        let bad = |body: &'static str| WireMessage {
            body: Bytes::from_static(body.as_bytes()),
            ..WireMessage::default()
        };
        let id = |wire: &WireMessage| match decide(wire) {
            Fate::Bury { message, .. } => message.id,
            Fate::Park(_) => panic!("it names no task"),
        };
        assert_eq!(id(&bad("x")), id(&bad("x")));
        assert_ne!(id(&bad("x")), id(&bad("y")));
    }

    #[test]
    fn a_buried_one_that_comes_back_is_buried_again() {
        let Fate::Bury { message, .. } = decide(&WireMessage::default()) else { panic!("it names no task") };
        let Fate::Bury { message: again, .. } = decide(&message.encode()) else {
            panic!("it is one of ours")
        };
        assert_eq!((again.id, again.queue.clone()), (message.id, QueueName::undeliverable()));
    }

    #[test]
    fn a_large_one_that_comes_back_still_holds_what_it_held() {
        let wire = WireMessage { body: Bytes::from(vec![0xff; 1024 * 1024]), ..WireMessage::default() };
        let Fate::Bury { message, .. } = decide(&wire) else { panic!("it names no task") };
        assert!(
            message.args.bytes.len() > Limits::default().body_bytes,
            "a larger form than others may have"
        );
        let Fate::Bury { message: again, .. } = decide(&message.encode()) else {
            panic!("it is one of ours")
        };
        assert_eq!(again.args, message.args);
    }

    #[test]
    fn a_body_of_any_size_and_kind_can_be_described() {
        let mut wire = wire();
        wire.body = Bytes::from(vec![0xff; 3 * 1024 * 1024]);
        let Fate::Bury { message, .. } = decide(&wire) else { panic!("it is too large") };
        assert!(message.args.bytes.len() < 2 * Undeliverable::BODY);
        assert_eq!(message.args.to_json()["body_bytes"], 3 * 1024 * 1024);
    }
}
