//! Arguments for a program or an endpoint, and what it answered: JSON both ways.

use serde::de::IgnoredAny;
use upbeat_shared::message::{ContentType, Payload};

use super::TaskError;

/// The arguments as JSON, whatever they were encoded as.
pub(super) fn as_json(args: &Payload) -> Result<Vec<u8>, TaskError> {
    let bad = |error: String| TaskError::BadArguments(format!("the arguments have no JSON form: {error}"));
    match args.content_type {
        ContentType::Json => Ok(args.bytes.to_vec()),
        ContentType::Msgpack => {
            let value: serde_json::Value = args.decode().map_err(|error| bad(error.to_string()))?;
            serde_json::to_vec(&value).map_err(|error| bad(error.to_string()))
        }
    }
}

/// JSON stays JSON, anything else becomes a text; white space alone is no result.
pub(super) fn result(mut bytes: Vec<u8>, cut: bool) -> Option<Payload> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    if !cut && serde_json::from_slice::<IgnoredAny>(&bytes).is_ok() {
        return Some(Payload { content_type: ContentType::Json, bytes: bytes.into() });
    }
    if cut {
        bytes.extend_from_slice(" … (cut)".as_bytes());
    }
    // A text of valid UTF-8 can always be encoded.
    Payload::json(String::from_utf8_lossy(&bytes).trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(text: &str, cut: bool) -> Option<serde_json::Value> {
        result(text.as_bytes().to_vec(), cut).map(|payload| payload.to_json())
    }

    #[test]
    fn json_stays_json_and_the_rest_becomes_text() {
        assert_eq!(shown("{\"a\": 1}\n", false), Some(json!({"a": 1})));
        assert_eq!(shown("done\n", false), Some(json!("done")));
        assert_eq!(shown(" \n", false), None);
        assert_eq!(shown("12", true), Some(json!("12 … (cut)")), "half a number is no number");
    }
}
