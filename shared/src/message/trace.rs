//! W3C trace context: which trace a task belongs to. Carried, never recorded here.

use serde::{Deserialize, Serialize};

use crate::id::TaskId;

/// The longest `tracestate` that is taken from outside: what the standard asks to be passed on.
const MAX_STATE_BYTES: usize = 512;

/// W3C trace context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The header `traceparent`.
    pub traceparent: String,
    /// The header `tracestate`.
    pub tracestate: Option<String>,
}

/// A text is no `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no traceparent: it must look like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)]
pub struct TraceError {
    text: String,
}

impl TraceError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "traceparent-invalid"
    }
}

impl TraceContext {
    /// Checks a `traceparent` by the standard ([Trace Context, 3.2](https://www.w3.org/TR/trace-context/#traceparent-header)).
    /// A `tracestate` that is empty or longer than 512 bytes is left out, as the standard allows.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self, TraceError> {
        let text = traceparent.trim();
        if !is_traceparent(text) {
            return Err(TraceError { text: text.chars().take(80).collect() });
        }
        let state =
            tracestate.map(str::trim).filter(|state| !state.is_empty() && state.len() <= MAX_STATE_BYTES);
        Ok(Self { traceparent: text.to_owned(), tracestate: state.map(str::to_owned) })
    }

    /// The beginning of a trace, derived from a task's id: whoever makes the same task begins the same trace. Sampled, for
    /// whoever follows it decides by this whether to record.
    pub fn begun_by(id: TaskId) -> Self {
        let trace = id.0.simple();
        // Half of the id: a variant bit in it is set, so that it is never all zeros, which would be invalid.
        let span = trace.to_string().split_off(16);
        Self { traceparent: format!("00-{trace}-{span}-01"), tracestate: None }
    }
}

/// Version, trace id, parent id, flags. A version above 00 may bring more fields after these.
fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let mut hex = |length: usize| {
        fields.next().filter(|field| {
            field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (hex(2), hex(32), hex(16), hex(2)) else {
        return false;
    };
    let zeros = |field: &str| field.bytes().all(|byte| byte == b'0');
    let more = fields.next().is_some();
    version != "ff" && !zeros(trace) && !zeros(parent) && (version != "00" || !more)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_taken_as_it_is_or_refused() {
        assert_eq!(TraceContext::parse(PARENT, Some(" a=1,b=2 ")).unwrap().tracestate.unwrap(), "a=1,b=2");
        assert!(TraceContext::parse(&PARENT.replacen("00", "01", 1), None).is_ok(), "a later version");
        assert!(TraceContext::parse(&format!("{}-more", PARENT.replacen("00", "cc", 1)), None).is_ok());
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(TraceContext::parse(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tracestate_that_is_too_long_is_left_out() {
        let state = |text: &str| TraceContext::parse(PARENT, Some(text)).unwrap().tracestate;
        assert_eq!((state(""), state(&"x".repeat(513))), (None, None));
    }

    #[test]
    fn a_task_begins_the_same_valid_trace_whoever_makes_it() {
        let id: TaskId = "715dec3d-b53e-8d7c-b00b-ffdc3ffe4e47".parse().unwrap();
        let begun = TraceContext::begun_by(id);
        assert_eq!(begun.traceparent, "00-715dec3db53e8d7cb00bffdc3ffe4e47-b00bffdc3ffe4e47-01");
        assert_eq!(TraceContext::parse(&begun.traceparent, None), Ok(begun));
    }
}
