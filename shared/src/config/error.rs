//! What is wrong with a configuration: where, what, and what would be right.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration. Never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    left_out: usize,
}

/// One thing that is wrong. Its texts never hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What is allowed, or what to do.
    pub help: Option<String>,
}

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    Text(TextPlace),
    /// The file itself.
    File(PathBuf),
    /// In an environment variable.
    Environment(&'static str),
    /// In a flag of the command line.
    Flag(&'static str),
}

/// A stretch of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextPlace {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters are underlined; at least 1.
    pub width: usize,
    /// The line's text, secrets masked; a part of it if it is very long.
    pub text: String,
    /// How many characters of the line are left out before the text.
    pub(super) cut: usize,
}

/// Something that is allowed, and probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What is odd, and what to do.
    pub message: String,
}

impl ConfigErrors {
    pub(super) fn new(errors: Vec<ConfigError>, left_out: usize) -> Self {
        Self { errors, left_out }
    }

    /// Each of them, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// How many there are beyond these.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        let is_of_the_file = |error: &ConfigError| matches!(error.place, Place::File(_));
        if self.errors.iter().all(is_of_the_file) { "configuration-file" } else { "configuration" }
    }
}

impl<'e> IntoIterator for &'e ConfigErrors {
    type Item = &'e ConfigError;
    type IntoIter = std::slice::Iter<'e, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Debug for ConfigErrors {
    /// As `Display`: this is what `main` and `unwrap` print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
