//! How deep arguments are nested, found without building them: a decoder that recurses as deep as a stranger likes is
//! how a small message stops a process.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{ContentType, Payload};

/// Whether arrays and maps lie within each other deeper than `limit`. A payload that is malformed is not deep: its
/// handler's decoder will say what is wrong with it.
pub(super) fn is_deeper_than(payload: &Payload, limit: usize) -> bool {
    // Each level takes a byte at least.
    if payload.bytes.len() <= limit {
        return false;
    }
    match payload.content_type {
        ContentType::Json => is_json_deeper_than(&payload.bytes, limit),
        ContentType::Msgpack => is_msgpack_deeper_than(&payload.bytes, limit),
    }
}

fn is_json_deeper_than(bytes: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

fn is_msgpack_deeper_than(bytes: &[u8], limit: usize) -> bool {
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    // Its depth counts the value itself, too.
    decoder.set_max_depth(limit.saturating_add(1));
    matches!(IgnoredAny::deserialize(&mut decoder), Err(rmp_serde::decode::Error::DepthLimitExceeded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> serde_json::Value {
        (0..depth).fold(serde_json::json!(1), |value, _| serde_json::json!([value]))
    }

    #[test]
    fn both_encodings_are_measured_alike() {
        for depth in [0, 1, 5, 63, 64] {
            let value = nested(depth);
            assert!(!is_json_deeper_than(&Payload::json(&value).unwrap().bytes, 64), "{depth}");
            assert!(!is_msgpack_deeper_than(&Payload::msgpack(&value).unwrap().bytes, 64), "{depth}");
        }
        let value = nested(65);
        assert!(is_deeper_than(&Payload::json(&value).unwrap(), 64));
        assert!(is_deeper_than(&Payload::msgpack(&value).unwrap(), 64));
    }

    #[test]
    fn brackets_in_text_do_not_count() {
        let value = serde_json::json!({ "text": "[[[[\"[[[[\\", "more": "{{{{" });
        assert!(!is_json_deeper_than(&Payload::json(&value).unwrap().bytes, 1));
    }

    #[test]
    fn a_hundred_thousand_levels_are_refused_and_not_followed() {
        let json = Payload { content_type: ContentType::Json, bytes: vec![b'['; 100_000].into() };
        assert!(is_deeper_than(&json, 64));
        let msgpack = Payload { content_type: ContentType::Msgpack, bytes: vec![0x91; 100_000].into() };
        assert!(is_deeper_than(&msgpack, 64));
    }
}
