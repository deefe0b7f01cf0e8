//! Names that cannot hold bad values: parsed at the edge, trusted inside.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {noun}: {reason}")]
#[non_exhaustive]
pub struct NameError {
    /// What was given.
    pub text: String,
    /// What it should have been, in the glossary's words.
    pub noun: &'static str,
    /// The rule it broke.
    pub reason: String,
}

impl NameError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "name-invalid"
    }
}

fn check(text: &str, noun: &'static str, max: usize, extra: &str) -> Result<(), NameError> {
    let fail = |reason: String| Err(NameError { text: text.chars().take(80).collect(), noun, reason });
    if text.is_empty() {
        return fail("it is empty".into());
    }
    if text.len() > max {
        return fail(format!("it is longer than {max} bytes"));
    }
    let bad = text.chars().find(|c| !(c.is_ascii_alphanumeric() || extra.contains(*c)));
    match bad {
        Some(c) => fail(format!("{c:?} is not allowed; use letters, digits and any of {}", spaced(extra))),
        None => Ok(()),
    }
}

fn spaced(extra: &str) -> String {
    extra.chars().map(String::from).collect::<Vec<_>>().join(" ")
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $noun:literal, $max:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks the text against the rules of this kind of name.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                check(text.as_ref(), $noun, $max, $extra)?;
                Ok(Self(Arc::from(text.as_ref())))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of a kind of task: 1 to 200 of letters, digits and `_ - . : /`.
    TaskName, "task name", 200, "_-.:/"
);
name!(
    /// The name of a queue: 1 to 120 of letters, digits and `_ - .`.
    QueueName, "queue name", 120, "_-."
);
name!(
    /// The id of a schedule: 1 to 200 of letters, digits and `_ - . : /`.
    ScheduleId, "schedule id", 200, "_-.:/"
);
name!(
    /// Whose a task is: a customer, an account, whatever limits count by; 1 to 200 of letters, digits and `_ - . : / @ +`.
    TaskKey, "key", 200, "_-.:/@+"
);
name!(
    /// One tenant's world, a prefix of every exchange, queue, key and row: 1 to 60 of letters, digits and `_ -`.
    Namespace, "namespace", 60, "_-"
);

impl QueueName {
    /// The queue of tasks that name none.
    pub fn default_queue() -> Self {
        Self(Arc::from("default"))
    }

    /// Where messages go that cannot be understood; no task may name it.
    pub fn undeliverable() -> Self {
        Self(Arc::from("undeliverable"))
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_space_is_refused_and_says_what_is_allowed() {
        let error = QueueName::new("my queue").unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"my queue\" is no queue name: ' ' is not allowed; use letters, digits and any of _ - ."
        );
    }

    #[test]
    fn empty_and_overlong_names_are_refused() {
        assert!(TaskName::new("").is_err());
        assert!(TaskName::new("x".repeat(201)).is_err());
        assert!(TaskName::new("x".repeat(200)).is_ok());
    }
}
