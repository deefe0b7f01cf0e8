//! Messages: stored, taken, acknowledged, given back.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use crate::message::{Priority, WireMessage};
use crate::name::QueueName;
use crate::sqlite::{SqliteError, Topic, Write};
use crate::transport::{Depth, Outgoing, PublishAnswer};

pub(super) fn declare(write: &Write<'_>, queues: &[QueueName]) -> Result<(), SqliteError> {
    let mut insert = write.prepare_cached("INSERT OR IGNORE INTO queue (name) VALUES (?1)")?;
    for queue in queues {
        insert.execute([queue.as_str()])?;
    }
    Ok(())
}

pub(super) fn queue_number(read: &Connection, queue: &QueueName) -> Result<Option<i64>, SqliteError> {
    let mut select = read.prepare_cached("SELECT number FROM queue WHERE name = ?1")?;
    Ok(select.query_row([queue.as_str()], |row| row.get(0)).optional()?)
}

pub(super) fn publish(write: &Write<'_>, batch: &[Outgoing]) -> Result<Vec<PublishAnswer>, SqliteError> {
    let mut insert = write.prepare_cached("INSERT INTO message (queue, rank, wire) VALUES (?1, ?2, ?3)")?;
    let mut known: Option<(&QueueName, Option<i64>)> = None;
    let mut answers = Vec::with_capacity(batch.len());
    for Outgoing { queue, message } in batch {
        let number = match known {
            Some((name, number)) if name == queue => number,
            _ => queue_number(write, queue)?,
        };
        known = Some((queue, number));
        let Some(number) = number else {
            answers.push(PublishAnswer::Unroutable);
            continue;
        };
        let wire = rmp_serde::to_vec(message).map_err(|error| SqliteError::Invalid(error.to_string()))?;
        insert.execute((number, rank(message), wire))?;
        answers.push(PublishAnswer::Confirmed);
    }
    write.touch(Topic::Queue);
    Ok(answers)
}

/// The index serves the lowest rank first.
fn rank(message: &WireMessage) -> u8 {
    let priority = message.priority.unwrap_or(Priority::default().get()).min(Priority::MAX);
    Priority::MAX - priority
}

/// A message that a session took.
pub(super) struct Taken {
    pub(super) number: i64,
    pub(super) redeliveries: u32,
    pub(super) message: WireMessage,
}

/// Takes the first messages of a queue for a session.
pub(super) fn take(
    write: &Write<'_>,
    queue: i64,
    session: i64,
    max: usize,
) -> Result<Vec<Taken>, SqliteError> {
    let mut select = write.prepare_cached(
        "SELECT number, redeliveries, wire FROM message WHERE queue = ?1 AND session IS NULL
         ORDER BY rank, number LIMIT ?2",
    )?;
    let mut rows = select.query((queue, i64::try_from(max).unwrap_or(i64::MAX)))?;
    let mut taken = Vec::new();
    while let Some(row) = rows.next()? {
        let wire: &[u8] =
            row.get_ref(2)?.as_blob().map_err(|error| SqliteError::Invalid(error.to_string()))?;
        // What cannot be read must not stop the queue: without a name it is undeliverable, and its bytes are kept there.
        let message = rmp_serde::from_slice(wire)
            .unwrap_or_else(|_| WireMessage { body: Bytes::copy_from_slice(wire), ..WireMessage::default() });
        taken.push(Taken { number: row.get(0)?, redeliveries: row.get(1)?, message });
    }
    drop(rows);
    let mut update = write.prepare_cached("UPDATE message SET session = ?2 WHERE number = ?1")?;
    for Taken { number, .. } in &taken {
        update.execute((number, session))?;
    }
    Ok(taken)
}

/// Forgets messages that this session still holds.
pub(super) fn acknowledge(write: &Write<'_>, session: i64, numbers: &[i64]) -> Result<(), SqliteError> {
    let mut delete = write.prepare_cached("DELETE FROM message WHERE number = ?1 AND session = ?2")?;
    for number in numbers {
        delete.execute((number, session))?;
    }
    Ok(())
}

/// Puts messages that this session still holds back where they were.
pub(super) fn give_back(write: &Write<'_>, session: i64, numbers: &[i64]) -> Result<(), SqliteError> {
    let mut update = write.prepare_cached(
        "UPDATE message SET session = NULL, redeliveries = redeliveries + 1 WHERE number = ?1 AND session = ?2",
    )?;
    for number in numbers {
        update.execute((number, session))?;
    }
    write.touch(Topic::Queue);
    Ok(())
}

pub(super) fn depth(read: &Connection, queue: &QueueName) -> Result<Option<Depth>, SqliteError> {
    let Some(number) = queue_number(read, queue)? else { return Ok(None) };
    let count = |sql: &str| -> Result<u64, SqliteError> {
        let count: i64 = read.prepare_cached(sql)?.query_row([number], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    let ready = count("SELECT count(*) FROM message WHERE queue = ?1 AND session IS NULL")?;
    let all = count("SELECT count(*) FROM message WHERE queue = ?1")?;
    Ok(Some(Depth { ready, unacknowledged: Some(all.saturating_sub(ready)), ..Depth::default() }))
}

pub(super) fn purge(write: &Write<'_>, queue: &QueueName) -> Result<u64, SqliteError> {
    let Some(number) = queue_number(write, queue)? else { return Ok(0) };
    let sql = "DELETE FROM message WHERE queue = ?1 AND session IS NULL";
    Ok(write.prepare_cached(sql)?.execute([number])? as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::message::{DecodeError, Limits, Message};
    use crate::name::Namespace;
    use crate::sqlite::SqliteFile;
    use crate::transport::Transport;
    use crate::transport::embedded::EmbeddedTransport;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_message_that_cannot_be_read_is_delivered_as_undeliverable_and_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock::default());
        let file = SqliteFile::open(&directory.path().join("a.sqlite3"), clock).unwrap();
        let transport = EmbeddedTransport::open(file.clone()).await.unwrap();
        let queue = QueueName::default_queue();
        transport.declare(std::slice::from_ref(&queue)).await.unwrap();
        let sound = WireMessage { kind: Some("a".into()), ..WireMessage::default() };
        let outgoing = Outgoing { queue: queue.clone(), message: sound.clone() };
        transport.publish(vec![outgoing.clone(), outgoing]).await.unwrap();
        let spoil =
            |write: &Write<'_>| Ok(write.execute("UPDATE message SET wire = x'c1' WHERE number = 1", [])?);
        assert_eq!(file.write(spoil).await.unwrap(), 1);

        let mut consumer = transport.consume(&queue, 2).await.unwrap();
        let mut deliveries = Vec::new();
        while deliveries.len() < 2 {
            deliveries.extend(consumer.next(2).await.unwrap());
        }

        let broken = &deliveries[0].message;
        assert_eq!(broken.body, Bytes::from_static(b"\xc1"), "its bytes are kept");
        let new_id = || crate::id::TaskId::from_foreign(&Namespace::default(), "new");
        let decoded = Message::decode(broken, &Namespace::default(), &queue, &Limits::default(), new_id);
        assert!(matches!(decoded, Err(DecodeError::NoName)), "{decoded:?}");
        assert_eq!(deliveries[1].message, sound);
        transport.close().await;
    }
}
