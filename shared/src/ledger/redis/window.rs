//! Unique keys that are held for a time, on their way from and to other ledgers.

use uuid::Uuid;

use super::error::Fault;
use super::packed::{Packed, Unpacked};
use super::reply;
use super::row::instant;
use super::script::Call;
use super::session::Session;
use crate::id::KeyId;
use crate::ledger::{KeyWindow, RestoreAnswer, restored};

/// So many are looked at in one go: everybody else waits for that long.
const BATCH: usize = 1000;

/// As a script packs one: key, task, until when.
const LENGTH: usize = 16 + 16 + 8;

/// Those that are over soonest first.
pub(super) async fn list(
    session: &Session,
    after: Option<KeyWindow>,
    limit: usize,
) -> Result<Vec<KeyWindow>, Fault> {
    let mut found: Vec<KeyWindow> = Vec::new();
    while found.len() < limit {
        let last = found.last().copied().or(after);
        let wanted = (limit - found.len()).min(BATCH);
        let mut args = session.begin(Call::Windows);
        args.number(last.map_or(0, |last| last.until.as_microsecond()))
            .push(last.map_or_else(Vec::new, |last| last.key.0.as_bytes().to_vec()))
            .number(i64::try_from(wanted).unwrap_or(i64::MAX));
        let bytes = reply::bytes(session.run(&args).await?)?;
        let some = bytes.len() / LENGTH;
        let mut from = Unpacked(&bytes);
        for _ in 0..some {
            let (key, task, until) = (KeyId(key(&mut from)?), from.id()?, instant(from.long()?));
            found.push(KeyWindow { key, task, until });
        }
        if some < wanted {
            break;
        }
    }
    Ok(found)
}

fn key(from: &mut Unpacked<'_>) -> Result<Uuid, Fault> {
    Ok(from.id()?.0)
}

/// Holds keys as another ledger did.
pub(super) async fn restore(session: &Session, windows: &[KeyWindow]) -> Result<Vec<RestoreAnswer>, Fault> {
    let mut args = session.begin(Call::RestoreWindows);
    for KeyWindow { key, task, until } in windows {
        let packed = Packed::default().bytes(key.0.as_bytes()).bytes(task.0.as_bytes());
        args.push(packed.long(until.as_microsecond()));
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    Ok(answers.iter().map(|answer| restored::answer(*answer == 1)).collect())
}
