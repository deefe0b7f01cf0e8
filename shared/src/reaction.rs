//! What becomes of failures by their code, where a task says more than when to retry. Pure: decides nothing about runs.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::name::NameError;
use crate::retry::RetryPolicy;

/// The code of a run that was out of time.
pub const TIMEOUT: &str = "timeout";
/// The code of a handler that panicked.
pub const PANIC: &str = "panic";

/// Which failures are meant: those of one code, or of a class of codes.
///
/// | text | failures |
/// |---|---|
/// | `exit:75`, `exit` | of a command: this exit code, any |
/// | `signal:9`, `signal` | of a command: killed by this signal, by any |
/// | `not_started` | of a command: it could not be started |
/// | `http:429`, `http:5xx`, `http` | of a request: this status, one of these, any and none |
/// | `http:no_answer` | of a request: there was no answer |
/// | `timeout` | a run that was out of time |
/// | `panic` | a handler that panicked |
/// | `card_declined` | a handler's own: 1 to 64 letters, digits and `_ - .` |
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorClass(String);

impl ErrorClass {
    /// The longest code of a handler's own, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Checks a text against the table above.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = text.as_ref();
        match check(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(reason) => {
                let shown = text.chars().take(ErrorClass::MAX_BYTES).collect();
                Err(NameError { text: shown, noun: "error code", reason })
            }
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the colon; all of it where there is none.
    pub fn family(&self) -> &str {
        family(&self.0)
    }
}

fn family(code: &str) -> &str {
    code.split_once(':').map_or(code, |(family, _)| family)
}

fn check(text: &str) -> Result<(), String> {
    let number = |text: &str, least: u32, most: u32| {
        // No sign and no leading zero: a code has one spelling.
        let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        is_plain && text.parse().is_ok_and(|number: u32| (least..=most).contains(&number))
    };
    let (family, of) = text.split_once(':').map_or((text, None), |(family, of)| (family, Some(of)));
    let (is_known, rule) = match (family, of) {
        ("exit", Some(of)) => (number(of, 1, 255), "behind `exit:` stands an exit code from 1 to 255"),
        ("signal", Some(of)) => (number(of, 1, 64), "behind `signal:` stands a signal's number from 1 to 64"),
        ("http", Some(of)) => {
            let is_status = number(of, 100, 599) && !of.starts_with('2');
            let rule = "behind `http:` stands a status that is no success, such as 429, or 3xx, 4xx, 5xx or no_answer";
            (is_status || ["3xx", "4xx", "5xx", NO_ANSWER].contains(&of), rule)
        }
        (_, Some(_)) => (false, "only `exit`, `signal` and `http` have a colon behind them"),
        (own, None) => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
            let is_own = (1..=ErrorClass::MAX_BYTES).contains(&own.len()) && own.bytes().all(allowed);
            (is_own, "it has 1 to 64 letters, digits and any of _ - .")
        }
    };
    if is_known { Ok(()) } else { Err(rule.to_owned()) }
}

const NO_ANSWER: &str = "no_answer";

impl FromStr for ErrorClass {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What becomes of a failure. It wins over what the handler or the executor asked for, and over every retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The task is dead at once, whatever attempts are left.
    GiveUp,
    /// It runs again by this policy, whose `max_attempts` counts every failure of the task. A delay that the failure came
    /// with (an endpoint's `Retry-After`, a handler's own) is kept.
    Retry(RetryPolicy),
    /// It runs again after so long, while the task's own policy leaves an attempt.
    RetryAfter(Duration),
    /// It runs again after so long, and no attempt is counted: without a deadline, for ever.
    Snooze(Duration),
}

/// What becomes of a task's failures, where it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reactions(BTreeMap<ErrorClass, Reaction>);

impl Reactions {
    /// Says what becomes of a class of failures, in place of what was said before.
    pub fn set(&mut self, class: ErrorClass, reaction: Reaction) {
        self.0.insert(class, reaction);
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is said, by class.
    pub fn iter(&self) -> impl Iterator<Item = (&ErrorClass, Reaction)> {
        self.0.iter().map(|(class, reaction)| (class, *reaction))
    }

    /// What becomes of a failure with this code: by the most special class that it is in.
    ///
    /// ```
    /// use upbeat_shared::reaction::{Reaction, Reactions};
    ///
    /// let mut reactions = Reactions::default();
    /// reactions.set("http".parse()?, Reaction::GiveUp);
    /// reactions.set("http:5xx".parse()?, Reaction::RetryAfter(std::time::Duration::from_secs(60)));
    /// assert!(matches!(reactions.to("http:503"), Some(Reaction::RetryAfter(_))));
    /// assert_eq!(reactions.to("http:404"), Some(Reaction::GiveUp));
    /// assert_eq!(reactions.to("timeout"), None);
    /// # Ok::<(), upbeat_shared::name::NameError>(())
    /// ```
    pub fn to(&self, code: &str) -> Option<Reaction> {
        if self.0.is_empty() {
            return None;
        }
        let hundreds = code.strip_prefix("http:").and_then(|status| status.chars().next());
        let status_class = hundreds.filter(char::is_ascii_digit).map(|hundreds| format!("http:{hundreds}xx"));
        let classes = [Some(code), status_class.as_deref(), Some(family(code))];
        classes.into_iter().flatten().find_map(|class| self.0.get(&ErrorClass(class.to_owned())).copied())
    }
}

impl FromIterator<(ErrorClass, Reaction)> for Reactions {
    fn from_iter<I: IntoIterator<Item = (ErrorClass, Reaction)>>(said: I) -> Self {
        Self(said.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_class_counts() {
        let after = |seconds| Reaction::RetryAfter(Duration::from_secs(seconds));
        let said = [("http", 1), ("http:4xx", 2), ("http:429", 3), ("exit", 4), ("timeout", 5), ("busy", 6)];
        let reactions: Reactions =
            said.into_iter().map(|(class, seconds)| (class.parse().unwrap(), after(seconds))).collect();
        for (code, seconds) in [
            ("http:429", Some(3)),
            ("http:404", Some(2)),
            ("http:503", Some(1)),
            ("http:no_answer", Some(1)),
            ("exit:75", Some(4)),
            ("timeout", Some(5)),
            ("busy", Some(6)),
            ("signal:9", None),
            ("panic", None),
            ("", None),
        ] {
            assert_eq!(reactions.to(code), seconds.map(after), "{code}");
        }
    }

    #[test]
    fn a_class_that_no_failure_is_in_is_refused() {
        for good in [
            "exit:1",
            "exit:255",
            "exit",
            "signal:9",
            "http:5xx",
            "http:304",
            "http:no_answer",
            "timeout",
            "panic",
            "card_declined",
            "Card-1.x",
        ] {
            assert_eq!(ErrorClass::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "exit:0",
            "exit:256",
            "exit:075",
            "exit:+1",
            "exit:",
            "signal:0",
            "signal:65",
            "http:200",
            "http:2xx",
            "http:999",
            "http:50x",
            "https:500",
            "a b",
            "a:b",
            ":",
        ] {
            assert!(ErrorClass::new(bad).is_err(), "{bad}");
        }
        assert!(ErrorClass::new("x".repeat(65)).is_err());
        let error = ErrorClass::new("exitt:75").unwrap_err().to_string();
        assert_eq!(
            error,
            "\"exitt:75\" is no error code: only `exit`, `signal` and `http` have a colon behind them"
        );
    }
}
