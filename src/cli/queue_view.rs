//! A queue as a person, and as a program reads it. Pure: gives text and values, prints nothing.

use serde_json::{Map, Value, json};
use upbeat_shared::ledger::QueueRecord;
use upbeat_shared::task::TaskState;
use upbeat_shared::transport::Depth;

use super::rates::Flow;
use super::table::{Cell, Look};

/// A queue as ledger and broker know it.
pub(crate) struct Queue {
    pub(crate) record: QueueRecord,
    pub(crate) depth: Option<Depth>,
    pub(crate) flow: Option<Flow>,
}

impl Queue {
    /// The broker does not tell how fast it moves.
    pub(crate) fn is_silent_on_rates(&self) -> bool {
        self.depth.is_none_or(|depth| depth.rates.is_none())
    }

    fn count(&self, state: TaskState) -> u64 {
        self.record.counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
    }
}

/// The states worth a column: those that most tasks go through, and the others where some queue has such tasks.
pub(crate) fn states(queues: &[Queue]) -> Vec<TaskState> {
    let always = |state| match state {
        TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Running
        | TaskState::Succeeded
        | TaskState::Dead => true,
        TaskState::Held | TaskState::Cancelled | TaskState::Expired => false,
    };
    let shown = |state: &TaskState| always(*state) || queues.iter().any(|queue| queue.count(*state) > 0);
    TaskState::ALL.into_iter().filter(shown).collect()
}

/// The columns of a listing with these states.
pub(crate) fn header(states: &[TaskState]) -> Vec<&'static str> {
    let heading = |state: &TaskState| match state {
        TaskState::Scheduled => "SCHEDULED",
        TaskState::Queued => "QUEUED",
        TaskState::Running => "RUNNING",
        TaskState::Held => "HELD",
        TaskState::Succeeded => "SUCCEEDED",
        TaskState::Dead => "DEAD",
        TaskState::Cancelled => "CANCELLED",
        TaskState::Expired => "EXPIRED",
    };
    let mut header = vec!["QUEUE", "READY", "UNACKED", "CONSUMERS", "IN/s", "OUT/s"];
    header.extend(states.iter().map(heading));
    header.push("STATUS");
    header
}

/// A row of such a listing.
pub(crate) fn cells(queue: &Queue, states: &[TaskState]) -> Vec<Cell> {
    let told = |number: Option<String>| Cell::number(number.unwrap_or_else(|| "-".to_owned()));
    let depth = |read: fn(&Depth) -> Option<u64>| {
        told(queue.depth.as_ref().and_then(read).map(|number| number.to_string()))
    };
    let flow = |read: fn(&Flow) -> f64| told(queue.flow.as_ref().map(|flow| rate(read(flow))));
    let mut cells = vec![
        Cell::plain(queue.record.name.as_str()),
        depth(|depth| Some(depth.ready)),
        depth(|depth| depth.unacknowledged),
        depth(|depth| depth.consumers),
        flow(|flow| flow.into),
        flow(|flow| flow.out),
    ];
    cells.extend(states.iter().map(|state| count(queue, *state)));
    cells.push(if queue.record.paused {
        Cell::new("paused", Look::Odd)
    } else {
        Cell::new("open", Look::Good)
    });
    cells
}

fn count(queue: &Queue, state: TaskState) -> Cell {
    let count = queue.count(state);
    if state == TaskState::Dead && count > 0 {
        return Cell::number(count).look(Look::Bad);
    }
    Cell::number(count)
}

/// Whole tasks where there are many, tenths where there are few.
fn rate(per_second: f64) -> String {
    if per_second >= 100.0 || per_second == 0.0 {
        format!("{per_second:.0}")
    } else {
        format!("{per_second:.1}")
    }
}

/// A line of `--json`.
pub(crate) fn json(queue: &Queue) -> Value {
    let counts: Map<String, Value> =
        TaskState::ALL.iter().map(|state| (state.as_str().to_owned(), queue.count(*state).into())).collect();
    let depth = queue.depth;
    json!({
        "name": queue.record.name.as_str(),
        "paused": queue.record.paused,
        "ready": depth.map(|depth| depth.ready),
        "unacknowledged": depth.and_then(|depth| depth.unacknowledged),
        "consumers": depth.and_then(|depth| depth.consumers),
        "in_per_second": queue.flow.map(|flow| flow.into),
        "out_per_second": queue.flow.map(|flow| flow.out),
        "rates_told_by": queue.flow.map(|flow| flow.told_by.as_str()),
        "tasks": counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rates::Teller;
    use upbeat_shared::name::QueueName;

    fn queue(counts: &[(TaskState, u64)], flow: Option<Flow>) -> Queue {
        let record = QueueRecord { name: QueueName::default_queue(), paused: false, counts: counts.to_vec() };
        Queue { record, depth: Some(Depth { ready: 7, ..Depth::default() }), flow }
    }

    fn row(queue: &Queue) -> String {
        let states = states(std::slice::from_ref(queue));
        let cells: Vec<String> = cells(queue, &states).iter().map(|cell| cell.paint(false)).collect();
        assert_eq!(cells.len(), header(&states).len());
        cells.join(" ")
    }

    #[test]
    fn what_nobody_tells_is_a_dash() {
        assert_eq!(row(&queue(&[], None)), "default 7 - - - - 0 0 0 0 0 open");
        let flow = Some(Flow { into: 1234.5, out: 0.25, told_by: Teller::Ledger });
        assert_eq!(row(&queue(&[], flow)), "default 7 - - 1234 0.2 0 0 0 0 0 open");
    }

    #[test]
    fn a_state_that_is_rare_gets_a_column_when_there_is_such_a_task() {
        assert!(!header(&states(&[queue(&[], None)])).contains(&"EXPIRED"));
        let queue = queue(&[(TaskState::Expired, 3)], None);
        assert!(header(&states(std::slice::from_ref(&queue))).contains(&"EXPIRED"));
        assert_eq!(row(&queue), "default 7 - - - - 0 0 0 0 0 3 open");
    }
}
