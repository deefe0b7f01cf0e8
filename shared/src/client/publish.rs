//! The publish: through the agenda, or straight to the broker.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::{Client, NewTask, Record};
use crate::clock;
use crate::id::TaskId;
use crate::ledger::{AddAnswer, Due, LedgerError, Mark, NewEntry};
use crate::limit::whose_turn_it_is;
use crate::message::{LimitExceeded, Message};
use crate::name::QueueName;
use crate::task::TaskState;
use crate::telemetry::Publishing;
use crate::transport::{Outgoing, PublishAnswer, TransportError};

/// How long the beat leaves a recorded task to the client that publishes it.
const COVER: Duration = Duration::from_secs(5);

/// Tasks in one round trip.
const BATCH: usize = 500;

/// The longest dedup id.
const MAX_DEDUP_BYTES: usize = 512;

/// A task that was accepted: it will reach succeeded, dead, cancelled or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its id; that of the task that holds its unique key, if there is one.
    pub id: TaskId,
    /// The state of the task that has this id, or holds its key, already: nothing new was made.
    pub duplicate_of: Option<TaskState>,
}

/// Why tasks were not accepted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// It can never be accepted as it is.
    #[error("{0}")]
    Invalid(String),
    /// It costs more than it may.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The queue takes no more.
    #[error("the queue {queue} refuses: {reason}")]
    QueueFull {
        /// Which.
        queue: QueueName,
        /// As the broker says.
        reason: String,
    },
    /// The broker did not confirm; the task may or may not be accepted.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The ledger did not answer; the task may or may not be accepted.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No confirmation in time; the task may or may not be accepted.
    #[error(
        "no confirmation within {0:?}; the task may or may not be accepted: publish it with a dedup id to be sure"
    )]
    TimedOut(Duration),
}

impl PublishError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "publish-invalid",
            Self::Limit(error) => error.page(),
            Self::QueueFull { .. } => "queue-full",
            Self::Transport(error) => error.page(),
            Self::Ledger(error) => error.page(),
            Self::TimedOut(_) => "publish-unconfirmed",
        }
    }
}

impl Client {
    /// Publishes many. On an error some of them may be accepted; with dedup ids it can be called again.
    pub async fn publish_many(&self, tasks: Vec<NewTask>) -> Result<Vec<Published>, PublishError> {
        self.publish_layered(tasks).await
    }

    /// Publishes many, inside of the client's layers.
    pub(super) async fn publish_checked(&self, tasks: Vec<NewTask>) -> Result<Vec<Published>, PublishError> {
        let mut entries = Vec::with_capacity(tasks.len());
        for task in tasks {
            entries.push(self.entry(task).await?);
        }
        let mut published = Vec::with_capacity(entries.len());
        for chunk in entries.chunks(BATCH.min(self.inner.options.in_flight)) {
            let permits = u32::try_from(chunk.len()).expect("a batch is small");
            let _in_flight =
                self.inner.in_flight.acquire_many(permits).await.expect("the semaphore is never closed");
            let timeout = self.inner.options.timeout;
            let answers = tokio::time::timeout(timeout, self.publish_batch(chunk)).await;
            published.extend(answers.map_err(|_| PublishError::TimedOut(timeout))??);
        }
        Ok(published)
    }

    /// Checks a task and gives it its id.
    async fn entry(&self, task: NewTask) -> Result<Entry, PublishError> {
        self.inner.options.limits.check_args(&task.args)?;
        if task.queue == QueueName::undeliverable() {
            return Err(PublishError::Invalid("the queue \"undeliverable\" is the broker's own".into()));
        }
        if let Some(unique) = &task.unique {
            unique.check().map_err(|error| PublishError::Invalid(error.to_string()))?;
        }
        let now = self.now().await;
        let id = match &task.dedup_id {
            Some(dedup) if dedup.is_empty() || dedup.len() > MAX_DEDUP_BYTES => {
                return Err(PublishError::Invalid(format!(
                    "a dedup id has 1 to {MAX_DEDUP_BYTES} bytes, this one has {}",
                    dedup.len()
                )));
            }
            Some(dedup) => TaskId::from_dedup(&self.inner.options.namespace, &task.name, dedup),
            None => {
                let clock = self.inner.clock.clock();
                TaskId::drawn(now.unwrap_or_else(|| clock.wall()), &**clock)
            }
        };
        let mut message = Message::new(id, task.name, task.queue, task.args);
        message.priority = task.priority;
        message.first_published = now;
        message.dedup_id = task.dedup_id;
        message.expires_at = task.expires.map(|due| resolve(due, now)).transpose()?;
        message.deadline_at = task.deadline.map(|due| resolve(due, now)).transpose()?;
        starts_in_time(task.due, &message, now)?;
        message.timeout = task.timeout;
        message.retry = task.retry;
        message.tags = task.tags;
        message.key = task.key;
        message.args_version = task.args_version;
        message.occurrence = task.planned;
        message.unique = task.unique;
        message.trace = task.trace.or_else(|| self.trace.clone());
        Ok(Entry { message, due: task.due })
    }

    /// As [`Client::entry`], for an outbox.
    #[cfg(any(feature = "embedded", feature = "postgres"))]
    pub(super) async fn checked(&self, task: NewTask) -> Result<(Message, Option<Due>), PublishError> {
        let Entry { message, due } = self.entry(task).await?;
        Ok((message, due))
    }

    /// The store's time; asked of the store if this client has not met it yet and can reach it.
    async fn now(&self) -> Option<Timestamp> {
        if let Some(now) = self.inner.clock.now() {
            return Some(now);
        }
        let sent = self.inner.clock.clock().monotonic();
        let now = self.inner.store.ledger.now().await.ok()?;
        self.inner.clock.observe(sent, now);
        Some(now)
    }

    async fn publish_batch(&self, entries: &[Entry]) -> Result<Vec<Published>, PublishError> {
        let recorded = |entry: &Entry| {
            // Only a row can hold a key.
            entry.due.is_some()
                || entry.message.unique.is_some()
                || self.record_of(&entry.message.queue) == Record::Publish
        };
        let (rows, direct): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| recorded(entry));
        let mut known = self.record(&rows).await?;
        self.send(&direct).await?;
        let answer = |entry: &Entry| {
            let known = recorded(entry).then(|| known.pop_front().expect("one answer a row")).flatten();
            match known {
                None => Published { id: entry.message.id, duplicate_of: None },
                Some((id, state)) => Published { id, duplicate_of: Some(state) },
            }
        };
        Ok(entries.iter().map(answer).collect())
    }

    fn record_of(&self, queue: &QueueName) -> Record {
        let options = &self.inner.options;
        if options.fair.contains(queue) {
            return Record::Publish;
        }
        options.record_by_queue.get(queue).copied().unwrap_or(options.record)
    }

    /// Writes rows first; then publishes and marks those that are due now. From the first step on they are accepted:
    /// whatever fails after it, a beat makes good. Answers for each which task there is instead, if there is one.
    async fn record(&self, rows: &[&Entry]) -> Result<VecDeque<Option<(TaskId, TaskState)>>, PublishError> {
        if rows.is_empty() {
            return Ok(VecDeque::new());
        }
        let answers = self.inner.store.agenda.add(rows.iter().map(|entry| entry.as_row()).collect()).await?;
        crate::failpoint!("client.publish.recorded");
        let mut now_due = Vec::new();
        let mut known = VecDeque::with_capacity(rows.len());
        for (entry, answer) in rows.iter().zip(answers) {
            known.push_back(match answer {
                AddAnswer::Exists(state) => Some((entry.message.id, state)),
                AddAnswer::Taken { by, state } => Some((by, state)),
                AddAnswer::Added(seq) => {
                    if entry.due.is_none() {
                        let mut message = entry.message.clone();
                        message.seq = seq;
                        now_due.push(message);
                    }
                    None
                }
            });
        }
        let now_due = self.take_turns(now_due).await;
        if !now_due.is_empty()
            && let Err(error) = self.hand_over(&now_due).await
        {
            tracing::debug!(%error, "published tasks wait on the agenda for a beat");
        }
        Ok(known)
    }

    /// Leaves out tasks of fair queues whose turn it is not: the ledger makes them due when it is.
    async fn take_turns(&self, messages: Vec<Message>) -> Vec<Message> {
        let fair = &self.inner.options.fair;
        if fair.is_empty() {
            return messages;
        }
        let turns: Vec<_> = messages.iter().map(|message| fair.turn(message)).collect();
        let asked: Vec<_> = turns.iter().flatten().cloned().collect();
        if asked.is_empty() {
            return messages;
        }
        let answers = self.inner.store.ledger.line_up(asked).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "tasks of fair queues wait on the agenda for a beat");
            Vec::new()
        });
        crate::failpoint!("client.publish.lined_up");
        whose_turn_it_is(messages, &turns, answers)
    }

    /// Publishes recorded tasks and marks them.
    async fn hand_over(&self, messages: &[Message]) -> Result<(), PublishError> {
        let answers = self.publish_declared(messages).await?;
        crate::failpoint!("client.publish.confirmed");
        let confirmed =
            messages.iter().zip(answers).filter(|(_, answer)| *answer == PublishAnswer::Confirmed);
        let marks = confirmed.map(|(message, _)| Mark { id: message.id, seq: message.seq }).collect();
        self.inner.store.agenda.mark(marks).await?;
        Ok(())
    }

    /// Publishes straight to the broker: accepted is what it confirmed.
    async fn send(&self, direct: &[&Entry]) -> Result<(), PublishError> {
        if direct.is_empty() {
            return Ok(());
        }
        let messages: Vec<Message> = direct.iter().map(|entry| entry.message.clone()).collect();
        let answers = self.publish_declared(&messages).await?;
        for (message, answer) in messages.iter().zip(answers) {
            let queue = message.queue.clone();
            match answer {
                PublishAnswer::Confirmed => {}
                PublishAnswer::Refused(reason) => return Err(PublishError::QueueFull { queue, reason }),
                PublishAnswer::Unroutable => {
                    return Err(PublishError::Invalid(format!("there is no queue {queue}")));
                }
            }
        }
        Ok(())
    }

    /// Publishes; declares queues that turn out to be missing, and tries those messages once more.
    async fn publish_declared(&self, messages: &[Message]) -> Result<Vec<PublishAnswer>, PublishError> {
        let outgoing =
            |message: &Message| Outgoing { queue: message.queue.clone(), message: message.encode() };
        let mut answers = self.hand_to_broker(messages.iter().map(outgoing).collect()).await?;
        let lost: Vec<usize> =
            (0..answers.len()).filter(|&index| answers[index] == PublishAnswer::Unroutable).collect();
        if !lost.is_empty() {
            let mut queues: Vec<QueueName> =
                lost.iter().map(|&index| messages[index].queue.clone()).collect();
            queues.sort();
            queues.dedup();
            self.inner.transport.declare(&queues).await?;
            let again = lost.iter().map(|&index| outgoing(&messages[index])).collect();
            for (index, answer) in lost.into_iter().zip(self.hand_to_broker(again).await?) {
                answers[index] = answer;
            }
        }
        Ok(answers)
    }

    async fn hand_to_broker(&self, batch: Vec<Outgoing>) -> Result<Vec<PublishAnswer>, TransportError> {
        let counted = Publishing::of(&batch);
        let answers = self.inner.transport.publish(batch).await?;
        counted.answered(&answers);
        Ok(answers)
    }
}

/// A checked task.
struct Entry {
    message: Message,
    due: Option<Due>,
}

impl Entry {
    fn as_row(&self) -> NewEntry {
        let (due, cover) = match self.due {
            Some(due) => (due, Duration::ZERO),
            None => (Due::In(Duration::ZERO), COVER),
        };
        NewEntry { message: self.message.clone(), due, cover }
    }
}

/// What is due only at its deadline never runs, and would lie on the agenda until then.
fn starts_in_time(due: Option<Due>, message: &Message, now: Option<Timestamp>) -> Result<(), PublishError> {
    let (Some(due), Some(deadline)) = (due, message.deadline_at) else { return Ok(()) };
    match resolve(due, now) {
        Ok(due) if due >= deadline => Err(PublishError::Invalid(format!(
            "it would be due at {due} and its deadline is {deadline}: it could never run"
        ))),
        // Without the store's time, the ledger finds out.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn resolve(due: Due, now: Option<Timestamp>) -> Result<Timestamp, PublishError> {
    match (due, now) {
        (Due::At(at), _) => Ok(clock::whole_micros(at)),
        (Due::In(delay), Some(now)) => Ok(clock::later(now, delay)),
        (Due::In(_), None) => Err(PublishError::Invalid(
            "an expiry or a deadline counted from now needs the store's time, and the store cannot be reached".into(),
        )),
    }
}
