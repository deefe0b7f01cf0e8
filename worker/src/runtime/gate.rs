//! Whether work may be taken from a queue now: the one place that says no, and why.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;
use upbeat_shared::name::QueueName;

/// Opens and closes the taking of work.
pub(crate) struct Gate {
    state: watch::Sender<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    stopping: bool,
    /// The ledger answers, and knows this worker: without it no work is taken.
    ledger: bool,
    paused: Arc<HashSet<QueueName>>,
}

impl State {
    fn open(&self, queue: &QueueName) -> bool {
        !self.stopping && self.ledger && !self.paused.contains(queue)
    }
}

impl Gate {
    /// Closed until the ledger answers.
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(State::default()) }
    }

    /// Closes for good.
    pub(crate) fn stop(&self) {
        self.state.send_modify(|state| state.stopping = true);
    }

    /// Whether it closed for good.
    pub(crate) fn stopping(&self) -> bool {
        self.state.borrow().stopping
    }

    /// Whether the ledger answers.
    pub(crate) fn ledger_up(&self) -> bool {
        self.state.borrow().ledger
    }

    /// Opens or closes; answers whether that is news.
    pub(crate) fn set_ledger(&self, up: bool) -> bool {
        self.state.send_if_modified(|state| std::mem::replace(&mut state.ledger, up) != up)
    }

    /// Closes these queues and no others; answers those that changed.
    pub(crate) fn set_paused(&self, paused: Vec<QueueName>) -> Vec<QueueName> {
        let mut changed = Vec::new();
        self.state.send_if_modified(|state| {
            let paused: HashSet<_> = paused.into_iter().collect();
            changed = paused.symmetric_difference(&state.paused).cloned().collect();
            if !changed.is_empty() {
                state.paused = Arc::new(paused);
            }
            !changed.is_empty()
        });
        changed
    }

    /// Whether nobody may take work from a queue.
    pub(crate) fn paused(&self, queue: &QueueName) -> bool {
        self.state.borrow().paused.contains(queue)
    }

    /// Whether work may be taken from a queue now.
    pub(crate) fn is_open(&self, queue: &QueueName) -> bool {
        self.state.borrow().open(queue)
    }

    /// Waits until work may be taken from a queue; `false` if it never will again.
    pub(crate) async fn opened(&self, queue: &QueueName) -> bool {
        let mut watched = self.state.subscribe();
        let state = watched.wait_for(|state| state.stopping || state.open(queue)).await;
        state.is_ok_and(|state| !state.stopping)
    }

    /// Waits until no work may be taken from a queue.
    pub(crate) async fn closed(&self, queue: &QueueName) {
        let mut watched = self.state.subscribe();
        // An error means that the gate is gone, and with it the worker: closed.
        let _ = watched.wait_for(|state| !state.open(queue)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    #[tokio::test]
    async fn it_opens_with_the_ledger_and_closes_for_paused_queues() {
        let gate = Gate::new();
        assert_eq!(gate.opened(&queue("a")).now_or_never(), None);
        assert!(gate.set_ledger(true));
        assert!(!gate.set_ledger(true), "no news");
        assert_eq!(gate.opened(&queue("a")).now_or_never(), Some(true));
        assert_eq!(gate.set_paused(vec![queue("a")]), [queue("a")]);
        assert_eq!(gate.opened(&queue("a")).now_or_never(), None);
        assert_eq!(gate.opened(&queue("b")).now_or_never(), Some(true));
        assert_eq!(gate.set_paused(Vec::new()), [queue("a")]);
        assert_eq!(gate.opened(&queue("a")).now_or_never(), Some(true));
    }

    #[tokio::test]
    async fn stopping_answers_everyone() {
        let gate = Gate::new();
        gate.stop();
        assert_eq!(gate.opened(&queue("a")).now_or_never(), Some(false));
        assert_eq!(gate.closed(&queue("a")).now_or_never(), Some(()));
    }
}
