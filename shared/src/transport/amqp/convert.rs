//! Messages as the port has them, to and from AMQP's properties. Checks what the protocol and the broker can carry, so
//! that one message that they cannot does not cost the others their connection.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::message::{HeaderValue, WireMessage};

/// Written to disk before it is confirmed.
const PERSISTENT: u8 = 2;
/// Bytes of a short text of AMQP.
const SHORT: usize = u8::MAX as usize;
/// A header frame without its properties: frame header and end, class, weight, size of the body, flags.
const HEADER_FRAME_BYTES: usize = 8 + 2 + 2 + 8 + 2;

/// How often a quorum queue handed a message out before: since 4.3, and since 3.10 (which counts less there).
const ACQUIRED: &str = "x-acquired-count";
const DELIVERED: &str = "x-delivery-count";

/// What a broker takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_message_bytes: usize,
    pub(super) max_frame_bytes: usize,
}

/// The properties of a message; `Err` with the reason if it cannot be sent.
pub(super) fn properties(message: &WireMessage, bounds: Bounds) -> Result<BasicProperties, String> {
    let (body, limit) = (message.body.len(), bounds.max_message_bytes);
    if body > limit {
        return Err(format!("its body has {body} bytes, and the broker takes {limit} at most"));
    }
    let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    let mut size = HEADER_FRAME_BYTES + 1;
    if let Some(id) = &message.message_id {
        properties = properties.with_message_id(short("message_id", id, &mut size)?);
    }
    if let Some(kind) = &message.kind {
        properties = properties.with_type(short("type", kind, &mut size)?);
    }
    if let Some(content_type) = &message.content_type {
        properties = properties.with_content_type(short("content_type", content_type, &mut size)?);
    }
    if let Some(priority) = message.priority {
        size += 1;
        properties = properties.with_priority(priority);
    }
    if let Some(timestamp) = message.timestamp {
        size += 8;
        properties = properties.with_timestamp(timestamp);
    }
    if !message.headers.is_empty() {
        properties = properties.with_headers(headers(&message.headers, &mut size)?);
    }
    if size > bounds.max_frame_bytes {
        let limit = bounds.max_frame_bytes;
        return Err(format!("its headers take {size} bytes, and the broker takes {limit} at most"));
    }
    Ok(properties)
}

fn short(what: &str, text: &str, size: &mut usize) -> Result<ShortString, String> {
    *size += 1 + text.len();
    ShortString::try_new(text)
        .map_err(|_| format!("its {what} has {} bytes, and AMQP takes {SHORT} at most", text.len()))
}

fn headers(headers: &[(String, HeaderValue)], size: &mut usize) -> Result<FieldTable, String> {
    *size += 4;
    let mut table = FieldTable::default();
    for (name, value) in headers {
        // Of two with one name the first counts, as it does where they are read.
        if is_the_brokers(name) || table.contains_key(name) {
            continue;
        }
        let key = short("header's name", name, size)?;
        let value = match value {
            HeaderValue::Int(number) => AMQPValue::LongLongInt(*number),
            HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
            HeaderValue::Other => AMQPValue::Void,
        };
        *size += 1 + match &value {
            AMQPValue::LongString(text) => 4 + text.len(),
            AMQPValue::LongLongInt(_) => 8,
            _ => 0,
        };
        table.insert(key, value);
    }
    Ok(table)
}

/// What the broker writes about a message's way, and what steers it: copied to a new message, it would be sent astray or
/// taken for one that goes in circles, and vanish.
fn is_the_brokers(name: &str) -> bool {
    matches!(name, "x-death" | "CC" | "BCC" | ACQUIRED | DELIVERED)
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
}

/// A message as it came, and how often it was delivered before.
pub(super) fn message(properties: &BasicProperties, body: Vec<u8>, redelivered: bool) -> (WireMessage, u32) {
    let text = |value: &Option<ShortString>| value.as_ref().map(|value| value.as_str().to_owned());
    let (mut acquired, mut delivered) = (None, None);
    let mut headers = Vec::new();
    if let Some(table) = properties.headers() {
        headers.reserve(table.inner().len());
        for (name, value) in table {
            match name.as_str() {
                ACQUIRED => acquired = count(value),
                DELIVERED => delivered = count(value),
                name => headers.push((name.to_owned(), header(value))),
            }
        }
    }
    let message = WireMessage {
        message_id: text(properties.message_id()),
        kind: text(properties.kind()),
        content_type: text(properties.content_type()),
        priority: *properties.priority(),
        timestamp: *properties.timestamp(),
        headers,
        body: Bytes::from(body),
    };
    (message, acquired.or(delivered).unwrap_or(u32::from(redelivered)))
}

fn count(value: &AMQPValue) -> Option<u32> {
    match header(value) {
        HeaderValue::Int(count) => Some(u32::try_from(count.max(0)).unwrap_or(u32::MAX)),
        HeaderValue::Text(_) | HeaderValue::Other => None,
    }
}

fn header(value: &AMQPValue) -> HeaderValue {
    match value {
        AMQPValue::ShortShortInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::ShortInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::ShortUInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::LongInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::LongUInt(number) => HeaderValue::Int(i64::from(*number)),
        AMQPValue::LongLongInt(number) => HeaderValue::Int(*number),
        AMQPValue::ShortString(text) => HeaderValue::Text(text.as_str().to_owned()),
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => HeaderValue::Text(text.to_owned()),
            Err(_) => HeaderValue::Other,
        },
        _ => HeaderValue::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { max_message_bytes: 1024, max_frame_bytes: 1000 };

    fn with_headers(headers: &[(&str, HeaderValue)]) -> WireMessage {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        WireMessage { headers, ..WireMessage::default() }
    }

    #[test]
    fn a_message_is_the_same_on_both_sides() {
        let mut sent = with_headers(&[
            ("a", HeaderValue::Int(i64::MIN)),
            ("b", HeaderValue::Text("é".into())),
            ("c", HeaderValue::Other),
        ]);
        sent.message_id = Some("order/17 ü".into());
        sent.kind = Some("mail".into());
        sent.content_type = Some("application/json".into());
        sent.priority = Some(9);
        sent.timestamp = Some(1_800_000_000);
        sent.body = Bytes::from_static(b"\x00\xff");

        let properties = properties(&sent, BOUNDS).unwrap();

        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(*properties.expiration(), None);
        assert_eq!(message(&properties, sent.body.to_vec(), false), (sent, 0));
    }

    #[test]
    fn what_the_broker_wrote_about_an_earlier_way_is_not_sent_again() {
        let text = || HeaderValue::Text("x".into());
        let names =
            ["x-death", "x-first-death-queue", "x-last-death-reason", "CC", "BCC", ACQUIRED, DELIVERED];
        let mut headers: Vec<(&str, HeaderValue)> = names.map(|name| (name, text())).to_vec();
        headers.push(("x-theirs", text()));
        let properties = properties(&with_headers(&headers), BOUNDS).unwrap();
        let sent: Vec<&str> =
            properties.headers().as_ref().unwrap().into_iter().map(|(k, _)| k.as_str()).collect();
        assert_eq!(sent, ["x-theirs"]);
    }

    #[test]
    fn the_first_of_two_headers_with_one_name_counts() {
        let twice = with_headers(&[("a", HeaderValue::Int(1)), ("a", HeaderValue::Int(2))]);
        let properties = properties(&twice, BOUNDS).unwrap();
        assert_eq!(
            message(&properties, Vec::new(), false).0.headers,
            [("a".to_owned(), HeaderValue::Int(1))]
        );
    }

    #[test]
    fn redeliveries_are_those_that_the_newest_counter_says() {
        let counted = |counters: &[(&str, i64)], redelivered| {
            let mut table = FieldTable::default();
            for (name, count) in counters {
                table.insert((*name).into(), AMQPValue::LongLongInt(*count));
            }
            let (message, count) =
                message(&BasicProperties::default().with_headers(table), Vec::new(), redelivered);
            assert_eq!(message.headers, [], "they are no part of the message");
            count
        };
        assert_eq!(counted(&[(ACQUIRED, 7), (DELIVERED, 2)], true), 7);
        assert_eq!(counted(&[(DELIVERED, 2)], true), 2);
        assert_eq!(counted(&[], true), 1);
        assert_eq!(counted(&[(DELIVERED, -1)], false), 0);
    }

    #[test]
    fn what_cannot_be_carried_is_refused_before_it_is_sent() {
        let mut large = WireMessage { body: Bytes::from(vec![0; 1025]), ..WireMessage::default() };
        assert_eq!(
            properties(&large, BOUNDS).unwrap_err(),
            "its body has 1025 bytes, and the broker takes 1024 at most"
        );
        large.body = Bytes::new();
        large.message_id = Some("x".repeat(256));
        assert_eq!(
            properties(&large, BOUNDS).unwrap_err(),
            "its message_id has 256 bytes, and AMQP takes 255 at most"
        );
        let wide = with_headers(&[("a", HeaderValue::Text("x".repeat(1000)))]);
        assert!(properties(&wide, BOUNDS).unwrap_err().starts_with("its headers take 1034 bytes"));
        assert!(properties(&with_headers(&[(&"n".repeat(256), HeaderValue::Other)]), BOUNDS).is_err());
    }
}
