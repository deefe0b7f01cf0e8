//! What a message may cost its reader, checked before anything is allocated for it.

use super::{Payload, WireMessage, nesting};

/// Bounds on one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Nesting of the arguments.
    pub depth: usize,
    /// Number of headers.
    pub headers: usize,
}

impl Default for Limits {
    /// 1 MiB, 64 levels, 64 headers.
    fn default() -> Self {
        Self { body_bytes: 1024 * 1024, depth: 64, headers: 64 }
    }
}

/// A message that costs more than it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitExceeded {
    /// Too many bytes.
    #[error(
        "the arguments take {actual} bytes, more than the limit of {limit}; store large data elsewhere and pass a reference"
    )]
    Body {
        /// Its size.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Nested too deep.
    #[error("the arguments are nested deeper than the limit of {limit} levels; send them flatter")]
    Depth {
        /// What is allowed.
        limit: usize,
    },
    /// Too many headers.
    #[error("the message has {actual} headers, more than the limit of {limit}")]
    Headers {
        /// Its number.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
}

impl LimitExceeded {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "limit-exceeded"
    }
}

impl Limits {
    /// Checks what can be seen before a message is read.
    pub fn check(&self, wire: &WireMessage) -> Result<(), LimitExceeded> {
        self.check_body(wire.body.len())?;
        if wire.headers.len() > self.headers {
            return Err(LimitExceeded::Headers { actual: wire.headers.len(), limit: self.headers });
        }
        Ok(())
    }

    /// Checks arguments: their size, then their nesting.
    pub fn check_args(&self, args: &Payload) -> Result<(), LimitExceeded> {
        self.check_body(args.bytes.len())?;
        if nesting::is_deeper_than(args, self.depth) {
            return Err(LimitExceeded::Depth { limit: self.depth });
        }
        Ok(())
    }

    /// Checks the size of arguments, where their nesting is known.
    pub fn check_body(&self, actual: usize) -> Result<(), LimitExceeded> {
        if actual > self.body_bytes {
            return Err(LimitExceeded::Body { actual, limit: self.body_bytes });
        }
        Ok(())
    }
}
