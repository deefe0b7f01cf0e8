//! Whether a beat does its work, and why not. Logs an outage when it begins and when it ends, not in between.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use upbeat_shared::clock::StoreClock;
use upbeat_shared::ledger::LedgerError;
use upbeat_shared::transport::TransportError;

/// Whether a beat does its work; stays valid while it runs and after.
#[derive(Clone, Debug)]
pub struct BeatHealth {
    pub(super) board: Arc<Board>,
}

impl BeatHealth {
    /// It heartbeats, plans and promotes.
    pub fn ready(&self) -> bool {
        self.why_not().is_none()
    }

    /// What keeps it from being ready, for a person.
    pub fn why_not(&self) -> Option<String> {
        self.board.why_not()
    }
}

/// Why one round of a beat's loop failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Broker(#[from] TransportError),
}

/// Who is at fault: one outage of a port fails many loops and is logged once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Port {
    Ledger,
    Broker,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ledger => "ledger",
            Self::Broker => "broker",
        })
    }
}

impl Fault {
    fn port(&self) -> Port {
        match self {
            Self::Ledger(_) => Port::Ledger,
            Self::Broker(_) => Port::Broker,
        }
    }

    /// It may pass by itself; of the others a person must hear each.
    fn may_pass(&self) -> bool {
        match self {
            Self::Ledger(error) => matches!(error, LedgerError::Unavailable(_)),
            Self::Broker(error) => {
                matches!(error, TransportError::Unavailable(_) | TransportError::ConsumerLost(_))
            }
        }
    }
}

/// The loops of a beat, as logs name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Heartbeat,
    Reap,
    Shards,
    Plan,
    Promote,
    Undeliverable,
    Overdue,
    Purge,
    Measure,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Reap => "reap",
            Self::Shards => "shards",
            Self::Plan => "plan",
            Self::Promote => "promote",
            Self::Undeliverable => "undeliverable",
            Self::Overdue => "overdue",
            Self::Purge => "purge",
            Self::Measure => "measure",
        }
    }

    /// A beat without it does not do what it is there for.
    fn is_vital(self) -> bool {
        match self {
            Self::Heartbeat | Self::Reap | Self::Shards | Self::Plan | Self::Promote => true,
            Self::Undeliverable | Self::Overdue | Self::Purge | Self::Measure => false,
        }
    }
}

/// Which loops fail at the moment, and by whose fault.
#[derive(Debug)]
pub(super) struct Board {
    clock: Arc<StoreClock>,
    /// Ready means also that a heartbeat was committed within this time.
    lease: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failing: BTreeMap<(Port, Part), String>,
    outages: BTreeMap<Port, Duration>,
    heartbeat: Option<Duration>,
    stopped: bool,
}

impl Board {
    pub(super) fn new(clock: Arc<StoreClock>, lease: Duration) -> Self {
        Self { clock, lease, state: Mutex::default() }
    }

    /// A round of this loop failed.
    pub(super) fn failed(&self, part: Part, fault: &Fault) {
        let now = self.clock.clock().monotonic();
        let culprit = fault.port();
        let mut state = self.state();
        let newly_failing = state.failing.insert((culprit, part), fault.to_string()).is_none();
        let outage_began = !state.outages.contains_key(&culprit);
        state.outages.entry(culprit).or_insert(now);
        drop(state);
        let part = part.name();
        match (fault.may_pass(), newly_failing, outage_began) {
            (true, _, true) => tracing::warn!(part, error = %fault, "an outage of the {culprit} began"),
            (false, true, _) => {
                tracing::error!(part, error = %fault, "the {culprit} will not do what the beat needs");
            }
            _ => tracing::debug!(part, error = %fault, "the {culprit} still fails"),
        }
    }

    /// A round of this loop did all it had to.
    pub(super) fn succeeded(&self, part: Part) {
        let now = self.clock.clock().monotonic();
        let mut state = self.state();
        if part == Part::Heartbeat {
            state.heartbeat = Some(now);
        }
        for port in [Port::Ledger, Port::Broker] {
            let failed = state.failing.remove(&(port, part)).is_some();
            if failed && !state.failing.keys().any(|(failing, _)| *failing == port) {
                let since = state.outages.remove(&port).unwrap_or(now);
                tracing::info!(lasted = ?now.saturating_sub(since), "the outage of the {port} ended");
            }
        }
    }

    /// The beat ended.
    pub(super) fn stopped(&self) {
        self.state().stopped = true;
    }

    fn why_not(&self) -> Option<String> {
        let now = self.clock.clock().monotonic();
        let state = self.state();
        if state.stopped {
            return Some("it was stopped".into());
        }
        let vital = state.failing.iter().find(|((_, part), _)| part.is_vital());
        if let Some(((_, part), why)) = vital {
            return Some(format!("{}: {why}", part.name()));
        }
        match state.heartbeat {
            None => Some("it has not reached the ledger yet".into()),
            Some(last) if now.saturating_sub(last) > self.lease => {
                Some(format!("its last heartbeat is {:?} old", now.saturating_sub(last)))
            }
            Some(_) => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the board panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::clock::SystemClock;

    fn board() -> Board {
        let clock = Arc::new(StoreClock::new(Arc::new(SystemClock::default())));
        Board::new(clock, Duration::from_secs(15))
    }

    fn down() -> Fault {
        Fault::Ledger(LedgerError::Unavailable("it was switched off".into()))
    }

    #[test]
    fn a_beat_is_ready_once_it_has_heartbeated() {
        let board = board();
        assert!(board.why_not().unwrap().contains("not reached the ledger"));
        board.succeeded(Part::Heartbeat);
        assert_eq!(board.why_not(), None);
    }

    #[test]
    fn a_vital_loop_that_fails_makes_it_unready_until_that_loop_succeeds() {
        let board = board();
        board.succeeded(Part::Heartbeat);
        board.failed(Part::Plan, &down());
        board.succeeded(Part::Heartbeat);
        assert_eq!(board.why_not().unwrap(), "plan: the ledger is not available: it was switched off");
        board.succeeded(Part::Plan);
        assert_eq!(board.why_not(), None);
    }

    #[test]
    fn a_purge_that_fails_leaves_it_ready() {
        let board = board();
        board.succeeded(Part::Heartbeat);
        board.failed(Part::Purge, &down());
        assert_eq!(board.why_not(), None);
    }

    #[test]
    fn a_stopped_beat_is_not_ready() {
        let board = board();
        board.succeeded(Part::Heartbeat);
        board.stopped();
        assert_eq!(board.why_not().unwrap(), "it was stopped");
    }
}
