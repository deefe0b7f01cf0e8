//! Messages as columns: what functions that make rows take, one array a column.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::error::Fault;
use super::row::{encode, int, text};
use crate::ledger::rule::joined_tags;
use crate::message::Message;

/// The columns that every new row takes from its message.
#[derive(Debug, Default)]
pub(super) struct Columns<'a> {
    pub(super) ids: Vec<Uuid>,
    names: Vec<&'a str>,
    queues: Vec<&'a str>,
    priorities: Vec<i16>,
    pub(super) seqs: Vec<i64>,
    attempts: Vec<i32>,
    crashes: Vec<i32>,
    expires: Vec<Option<i64>>,
    schedules: Vec<Option<&'a str>>,
    tags: Vec<Option<String>>,
    messages: Vec<Option<Vec<u8>>>,
}

impl<'a> Columns<'a> {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            ids: Vec::with_capacity(rows),
            names: Vec::with_capacity(rows),
            queues: Vec::with_capacity(rows),
            priorities: Vec::with_capacity(rows),
            seqs: Vec::with_capacity(rows),
            attempts: Vec::with_capacity(rows),
            crashes: Vec::with_capacity(rows),
            expires: Vec::with_capacity(rows),
            schedules: Vec::with_capacity(rows),
            tags: Vec::with_capacity(rows),
            messages: Vec::with_capacity(rows),
        }
    }

    /// Adds a row with its message.
    pub(super) fn push(&mut self, message: &'a Message) -> Result<(), Fault> {
        let encoded = encode(message)?;
        self.push_bare(message);
        if let Some(last) = self.messages.last_mut() {
            *last = Some(encoded);
        }
        Ok(())
    }

    /// Adds a row that keeps no message: there is nothing to run again.
    pub(super) fn push_bare(&mut self, message: &'a Message) {
        self.ids.push(message.id.0);
        self.names.push(message.name.as_str());
        self.queues.push(message.queue.as_str());
        self.priorities.push(i16::from(message.priority.get()));
        self.seqs.push(message.seq.0);
        self.attempts.push(int(message.attempts));
        self.crashes.push(int(message.crashes));
        self.expires.push(message.must_start_by().map(jiff::Timestamp::as_microsecond));
        self.schedules.push(message.occurrence.as_ref().map(|planned| planned.schedule_id.as_str()));
        self.tags.push(joined_tags(&message.tags).as_deref().map(text));
        self.messages.push(None);
    }

    /// In the order in which the functions take them.
    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.ids,
            &self.names,
            &self.queues,
            &self.priorities,
            &self.seqs,
            &self.attempts,
            &self.crashes,
            &self.expires,
            &self.schedules,
            &self.tags,
            &self.messages,
        ]
    }
}
