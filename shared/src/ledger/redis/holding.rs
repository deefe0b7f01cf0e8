//! What the namespace holds, for the doctor.

use redis::Value;

use super::error::Fault;
use super::reply;
use super::row::time;
use super::script::Call;
use super::session::Session;
use crate::ledger::holding::{Holding, Part};

/// In the order in which the script answers.
const PARTS: [Part; 5] = [Part::Tasks, Part::Details, Part::Occurrences, Part::UniqueKeys, Part::Members];

pub(super) async fn holdings(session: &Session) -> Result<Vec<Holding>, Fault> {
    let answers = reply::array(session.ask(Call::Holdings).await?)?;
    let holdings = PARTS.into_iter().zip(answers).map(|(part, answer)| {
        let [count, bytes, oldest] = reply::parts(answer)?;
        let bytes = if bytes == Value::Nil { None } else { Some(reply::count(&bytes)?) };
        Ok(Holding { part, count: reply::count(&count)?, bytes, oldest: time(reply::number(&oldest)?) })
    });
    holdings.collect()
}
