//! Who is woken by an operation.

use std::time::Duration;

use tokio::sync::watch;

/// What an operation may have changed that somebody waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// The agenda or the catalog.
    pub(super) agenda: bool,
    /// Some task ended.
    pub(super) ended: bool,
}

/// Counts what happened of each kind.
#[derive(Debug, Default)]
pub(super) struct Signals {
    agenda: watch::Sender<u64>,
    ended: watch::Sender<u64>,
}

impl Signals {
    pub(super) fn raise(&self, touched: Touched) {
        if touched.agenda {
            self.agenda.send_modify(|count| *count += 1);
        }
        if touched.ended {
            self.ended.send_modify(|count| *count += 1);
        }
    }

    /// How often the agenda was raised.
    pub(super) fn agenda(&self) -> u64 {
        *self.agenda.borrow()
    }

    /// Waits until the agenda was raised after the count `seen`; or for `at_most`.
    pub(super) async fn agenda_after(&self, seen: u64, at_most: Duration) {
        let mut signal = self.agenda.subscribe();
        // Elapsed or raised, the caller looks again.
        drop(tokio::time::timeout(at_most, signal.wait_for(|count| *count != seen)).await);
    }

    /// Waits until some task ends: `true`; or for `at_most`.
    pub(super) async fn next_end(&self, at_most: Duration) -> bool {
        let mut signal = self.ended.subscribe();
        tokio::time::timeout(at_most, signal.changed()).await.is_ok()
    }
}
