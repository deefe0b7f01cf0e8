//! Limits: how many tasks may run at once, and how often one may start, over all workers together. Policies and their
//! arithmetic; who has to wait is decided by the ledger.

mod fair;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::message::Message;
use crate::name::{QueueName, TaskName};

pub use fair::{FairPolicy, FairQueues, Turn, whose_turn_it_is};

/// So many starts a period, `"10/1m"`. They are spread evenly over the period: the first may start at once, the next when its
/// part of the period is over. A burst lets so many start together after a quiet time.
///
/// ```
/// use std::time::Duration;
/// use upbeat_shared::limit::Rate;
///
/// let rate: Rate = "10/1m".parse()?;
/// assert_eq!(rate.interval(), Duration::from_secs(6));
/// assert_eq!(rate.with_burst(5).burst(), 5);
/// # Ok::<(), upbeat_shared::limit::RateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period: Duration,
    burst: u32,
}

/// Why a text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no rate: {reason}")]
#[non_exhaustive]
pub struct RateError {
    /// What was given.
    pub text: String,
    /// The rule it broke.
    pub reason: &'static str,
}

impl RateError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "rate-invalid"
    }
}

impl Rate {
    /// The longest period: a year.
    pub const MAX_PERIOD: Duration = Duration::from_secs(365 * 24 * 3600);

    /// The most starts in a period, and the largest burst.
    pub const MAX_COUNT: u32 = 1_000_000;

    /// So many starts, 1 to a million, in a period of a millisecond to a year. `None` beyond.
    pub fn new(count: u32, period: Duration) -> Option<Self> {
        let fits = (1..=Self::MAX_COUNT).contains(&count)
            && (Duration::from_millis(1)..=Self::MAX_PERIOD).contains(&period);
        fits.then_some(Self { count, period, burst: 1 })
    }

    /// So many may start together after a quiet time; 1 (none) unless told.
    pub fn with_burst(self, burst: u32) -> Self {
        Self { burst: burst.clamp(1, Self::MAX_COUNT), ..self }
    }

    /// See [`with_burst`](Self::with_burst).
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// From one start to the next.
    pub fn interval(self) -> Duration {
        (self.period / self.count).max(Duration::from_micros(1))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let fail = |reason| RateError { text: text.chars().take(80).collect(), reason };
        let form = "write so many starts in a time, such as \"10/1m\"";
        let (count, period) = text.split_once('/').ok_or_else(|| fail(form))?;
        let count = count.trim().parse().map_err(|_| fail(form))?;
        let span: Span = period.trim().parse().map_err(|_| fail(form))?;
        let period = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok();
        let period = period.and_then(|period| Duration::try_from(period).ok()).ok_or_else(|| fail(form))?;
        Self::new(count, period)
            .ok_or_else(|| fail("it is 1 to 1000000 starts, in a time from a millisecond to a year"))
    }
}

/// As it was written.
impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::SignedDuration::try_from(self.period) {
            Ok(period) => write!(f, "{}/{period:#}", self.count),
            Err(_) => write!(f, "{}/{}s", self.count, self.period.as_secs()),
        }
    }
}

/// What limits a group of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitPolicy {
    /// So many run at once.
    pub running: Option<u32>,
    /// So often one starts.
    pub rate: Option<Rate>,
}

impl LimitPolicy {
    /// The most that a policy can let run at once: above, it is no limit.
    pub const MAX_RUNNING: u32 = 1_000_000;

    /// So many run at once, at least one.
    pub fn running(self, running: u32) -> Self {
        Self { running: Some(running.clamp(1, Self::MAX_RUNNING)), ..self }
    }

    /// So often one starts.
    pub fn rate(self, rate: Rate) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// Whether it limits nothing.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// The limits of all queues and tasks. The tasks of a name are one group, those of a name and key are one, and those of a
/// queue are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitPolicies {
    /// Of each queue.
    pub queues: BTreeMap<QueueName, LimitPolicy>,
    /// Of each task name.
    pub tasks: BTreeMap<TaskName, LimitPolicy>,
    /// Of each key of each task name.
    pub keys: BTreeMap<TaskName, LimitPolicy>,
}

/// A limit that a task is under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// Which: every task that names it is counted together.
    pub id: String,
    /// So many of these tasks run at once.
    pub running: Option<u32>,
    /// So often one of these tasks starts.
    pub rate: Option<Rate>,
}

/// What a limit counts by; for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A key of a task name.
    Key,
    /// A task name.
    Task,
    /// A queue.
    Queue,
}

impl LimitKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Key, Self::Task, Self::Queue];

    /// In labels and in ids of limits.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Task => "task",
            Self::Queue => "queue",
        }
    }
}

impl LimitUse {
    /// A limit of this kind.
    pub fn new(kind: LimitKind, what: &str, policy: LimitPolicy) -> Self {
        Self { id: format!("{}:{what}", kind.as_str()), running: policy.running, rate: policy.rate }
    }

    /// What it counts by.
    pub fn kind(&self) -> LimitKind {
        let is =
            |kind: &LimitKind| self.id.split_once(':').is_some_and(|(prefix, _)| prefix == kind.as_str());
        LimitKind::ALL.into_iter().find(is).unwrap_or(LimitKind::Task)
    }
}

impl LimitPolicies {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.tasks.is_empty() && self.keys.is_empty()
    }

    /// The limits of a message, the narrowest group first: a task goes through them in this order, whoever claims it, so that
    /// no two tasks wait for each other.
    pub fn uses(&self, message: &Message) -> Vec<LimitUse> {
        let mut uses = Vec::new();
        if self.is_empty() {
            return uses;
        }
        let mut add = |kind, what: &str, policy: Option<&LimitPolicy>| {
            if let Some(policy) = policy.filter(|policy| !policy.is_none()) {
                uses.push(LimitUse::new(kind, what, *policy));
            }
        };
        let name = message.name.as_str();
        if let Some(key) = &message.key {
            add(LimitKind::Key, &format!("{name}:{key}"), self.keys.get(&message.name));
        }
        add(LimitKind::Task, name, self.tasks.get(&message.name));
        add(LimitKind::Queue, message.queue.as_str(), self.queues.get(&message.queue));
        uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Payload;

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for text in ["10/1m", "1/250ms", "1000/1s", "3/1h 30m"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rate_says_why() {
        for text in ["", "10", "10/", "/1m", "0/1m", "10/0s", "-1/1m", "10/1y", "10/1 week of fun", "10/400d"]
        {
            let error = text.parse::<Rate>().unwrap_err();
            assert!(error.to_string().contains("is no rate"), "{text}: {error}");
        }
    }

    #[test]
    fn the_narrowest_limit_comes_first() {
        let name = TaskName::new("mail.send").unwrap();
        let policy = LimitPolicy::default().running(2);
        let mut policies = LimitPolicies::default();
        policies.keys.insert(name.clone(), policy);
        policies.tasks.insert(name.clone(), policy);
        policies.queues.insert(QueueName::default_queue(), policy);
        let args = Payload::json(&1).unwrap();
        let id = "0198a2f0-0000-7000-8000-000000000001".parse().unwrap();
        let mut message = Message::new(id, name, QueueName::default_queue(), args);
        let ids = |message: &Message| -> Vec<String> {
            policies.uses(message).into_iter().map(|limit| limit.id).collect()
        };
        assert_eq!(ids(&message), ["task:mail.send", "queue:default"], "no key, no limit by key");
        message.key = Some("a:b".parse().unwrap());
        assert_eq!(ids(&message), ["key:mail.send:a:b", "task:mail.send", "queue:default"]);
        let kinds: Vec<_> = policies.uses(&message).iter().map(LimitUse::kind).collect();
        assert_eq!(kinds, LimitKind::ALL);
    }
}
