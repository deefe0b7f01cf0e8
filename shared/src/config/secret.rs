//! Values that must not be shown. Never prints one, however it is formatted.

use std::fmt;

/// What is shown in a secret's place.
pub const MASK: &str = "********";

/// A secret text: a signing key, a token, a value from the environment.
///
/// `Debug` shows a mask, and there is no `Display`: who needs the text says so with [`expose`](Self::expose).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}
