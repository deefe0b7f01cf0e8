//! Turns in fair queues, and where limits stand.

use std::collections::BTreeMap;

use super::error::Fault;
use super::packed::{Packed, Unpacked};
use super::reply;
use super::script::Call;
use super::session::Session;
use crate::ledger::LimitRecord;
use crate::ledger::limit::{Standing, fair_limit, longest, step, turn_note};
use crate::limit::Turn;

pub(super) async fn line_up(session: &Session, turns: &[Turn]) -> Result<Vec<bool>, Fault> {
    let mut args = session.begin(Call::LineUp);
    for turn in turns {
        let numbers = Packed::of_id(turn.id).long(turn.seq.0).int(turn.slots).long(step(turn.weight));
        args.push(numbers.text(&fair_limit(turn)).text(&turn.tenant).text(&turn_note(turn)));
    }
    let answers = reply::bytes(session.run(&args).await?)?;
    let mut from = Unpacked(&answers);
    turns.iter().map(|_| Ok(from.byte()? == 1)).collect()
}

/// So many limits are looked at in one go: everybody else waits for that long.
const LOOKS: i64 = 500;

/// Where limits stand, those with the longest lines first.
pub(super) async fn list(session: &Session, most: usize) -> Result<Vec<LimitRecord>, Fault> {
    // One that is looked at twice, because others came meanwhile, is listed once.
    let mut found = BTreeMap::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut args = session.begin(Call::Standings);
        args.push(cursor.as_str()).number(LOOKS);
        let [next, some] = reply::parts(session.run(&args).await?)?;
        for one in reply::array(some)? {
            let record = read(&reply::bytes(one)?)?;
            found.insert(record.id.clone(), record);
        }
        cursor = reply::text(next)?;
        if cursor == "0" {
            return Ok(longest(found.into_values().collect(), most));
        }
    }
}

fn read(bytes: &[u8]) -> Result<LimitRecord, Fault> {
    let mut from = Unpacked(bytes);
    let (now, taken, waiting) = (from.long()?, from.long()?, from.long()?);
    let id = from.text()?.to_owned();
    // Less than none: only a rate limits.
    let slots = from.int()?.cast_signed();
    let standing = Standing {
        running: u32::try_from(slots).ok(),
        taken: u32::try_from(taken).unwrap_or(u32::MAX),
        free_at: from.long()?,
        interval: from.long()?,
    };
    Ok(standing.record(id, waiting.unsigned_abs(), now))
}
