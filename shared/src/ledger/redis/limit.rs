//! Turns in fair queues.

use super::error::Fault;
use super::packed::{Packed, Unpacked};
use super::reply;
use super::script::Call;
use super::session::Session;
use crate::ledger::limit::{fair_limit, step, turn_note};
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
