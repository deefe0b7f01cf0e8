//! A limit's line as a person, and as a program reads it. Pure: gives text and values, prints nothing.

use jiff::Timestamp;
use serde_json::{Value, json};
use upbeat_shared::ledger::LimitRecord;
use upbeat_shared::task::rfc3339_micros;

use super::moment::relative;
use super::table::{Cell, Look};

/// The columns of a listing.
pub(crate) const HEADER: [&str; 5] = ["LIMIT", "SLOTS", "TAKEN", "IN LINE", "NEXT INSTANT"];

/// A row of it.
pub(crate) fn cells(now: Timestamp, limit: &LimitRecord) -> Vec<Cell> {
    let waiting = Cell::number(limit.waiting);
    vec![
        Cell::plain(limit.id.as_str()),
        Cell::number(limit.slots.map_or_else(|| "-".to_owned(), |slots| slots.to_string())),
        Cell::number(limit.taken),
        if limit.waiting > 0 { waiting.look(Look::Odd) } else { waiting },
        limit.free_at.map_or_else(|| Cell::faint("-"), |at| Cell::plain(relative(now, at))),
    ]
}

/// A line of `--json`.
pub(crate) fn json(limit: &LimitRecord) -> Value {
    json!({
        "limit": limit.id,
        "slots": limit.slots,
        "taken": limit.taken,
        "in_line": limit.waiting,
        "next_instant": limit.free_at.map(rfc3339_micros),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(limit: &LimitRecord) -> String {
        let now = "2026-05-01T12:00:00Z".parse().unwrap();
        let cells: Vec<String> = cells(now, limit).iter().map(|cell| cell.paint(false)).collect();
        assert_eq!(cells.len(), HEADER.len());
        cells.join(" ")
    }

    #[test]
    fn what_a_limit_does_not_have_is_a_dash() {
        let id = "task:mail.send".to_owned();
        let slots = LimitRecord { id: id.clone(), slots: Some(4), taken: 4, waiting: 17, free_at: None };
        assert_eq!(row(&slots), "task:mail.send 4 4 17 -");
        let at = "2026-05-01T12:00:30Z".parse().unwrap();
        let rate = LimitRecord { id, slots: None, taken: 0, waiting: 0, free_at: Some(at) };
        assert_eq!(row(&rate), "task:mail.send - 0 0 in 30s");
        assert_eq!(json(&rate)["next_instant"], "2026-05-01T12:00:30.000000Z");
    }
}
