//! The claims in this worker's hands, by token: being claimed, running, or with a verdict not yet settled.
//!
//! A token is registered before its claim is sent and forgotten after its verdict is settled. So a row that runs in
//! this worker's name with a token that is not here was claimed by a request whose answer got lost: nobody runs it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio_util::sync::CancellationToken;
use upbeat_shared::id::{TaskId, Token};
use upbeat_shared::progress::Progress;

use crate::job::committed::Committed;
use crate::job::verdict::StopReason;
use crate::progress::Latest;

/// Every claim of this worker.
#[derive(Default)]
pub(crate) struct Held {
    /// With the run's control, once it runs.
    claims: Mutex<HashMap<Token, Option<Arc<Control>>>>,
}

/// Tells one run to stop.
pub(crate) struct Control {
    id: TaskId,
    progress: Arc<Latest>,
    committed: Arc<Committed>,
    cancel: CancellationToken,
    reason: OnceLock<StopReason>,
}

impl Control {
    pub(crate) fn new(id: TaskId) -> Self {
        Self {
            id,
            progress: Arc::default(),
            committed: Arc::default(),
            cancel: CancellationToken::new(),
            reason: OnceLock::new(),
        }
    }

    /// Tells the run to stop. The first reason stands.
    pub(crate) fn stop(&self, reason: StopReason) {
        // Only the first one can be set, and it is the one that is asked for.
        let _ = self.reason.set(reason);
        self.cancel.cancel();
    }

    /// Why it was told to stop, if it was.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    /// What the run says of how far it has come.
    pub(crate) fn progress(&self) -> &Arc<Latest> {
        &self.progress
    }

    /// Whether the run has settled itself.
    pub(crate) fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// Cancelled when the run is told to stop.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.cancel
    }
}

impl Held {
    /// Remembers tokens before they are sent.
    pub(crate) fn register(&self, tokens: impl Iterator<Item = Token>) {
        self.lock().extend(tokens.map(|token| (token, None)));
    }

    /// Their claims were acquired.
    pub(crate) fn acquired(&self, runs: impl Iterator<Item = (Token, Arc<Control>)>) {
        self.lock().extend(runs.map(|(token, control)| (token, Some(control))));
    }

    /// They were refused, given up or settled.
    pub(crate) fn forget(&self, tokens: impl Iterator<Item = Token>) {
        let mut claims = self.lock();
        for token in tokens {
            claims.remove(&token);
        }
    }

    /// Whether a token is in some claim, run or verdict here.
    pub(crate) fn holds(&self, token: Token) -> bool {
        self.lock().contains_key(&token)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How far the runs have come that say so, what was said last first: at most so many.
    pub(crate) fn progress(&self, max: usize) -> Vec<(TaskId, Progress)> {
        let claims = self.lock();
        let told = |control: &Arc<Control>| Some((control.progress.changed()?, control.clone()));
        let mut told: Vec<_> = claims.values().flatten().filter_map(told).collect();
        drop(claims);
        told.sort_by_key(|(changed, _)| std::cmp::Reverse(*changed));
        told.truncate(max);
        told.iter().filter_map(|(_, control)| Some((control.id, control.progress.get()?.1))).collect()
    }

    /// Tells the runs of these tasks to stop.
    pub(crate) fn stop(&self, ids: &[TaskId], reason: StopReason) {
        if !ids.is_empty() {
            self.stop_where(reason, |id| ids.contains(&id));
        }
    }

    /// Tells every run to stop.
    pub(crate) fn stop_all(&self, reason: StopReason) {
        self.stop_where(reason, |_| true);
    }

    fn stop_where(&self, reason: StopReason, which: impl Fn(TaskId) -> bool) {
        let claims = self.lock();
        let mut controls: Vec<_> =
            claims.values().flatten().filter(|control| which(control.id)).cloned().collect();
        // Cancelling wakes others: not with the lock held.
        drop(claims);
        // In an order that is the same in every run.
        controls.sort_by_key(|control| control.id);
        for control in controls {
            control.stop(reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Token, Option<Arc<Control>>>> {
        self.claims.lock().expect("no holder of the claims panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn id(number: u8) -> TaskId {
        format!("0198a2f0-0000-7000-8000-0000000000{number:02x}").parse().unwrap()
    }

    #[test]
    fn only_the_named_runs_are_stopped_and_the_first_reason_stands() {
        let held = Held::default();
        let controls = [1, 2].map(|number| Arc::new(Control::new(id(number))));
        held.register([Token(1), Token(2), Token(3)].into_iter());
        held.acquired(
            controls
                .iter()
                .enumerate()
                .map(|(n, control)| (Token(i64::try_from(n).unwrap() + 1), control.clone())),
        );
        held.stop(&[id(1)], StopReason::Cancelled);
        held.stop_all(StopReason::Shutdown);
        assert_eq!(controls[0].reason(), Some(StopReason::Cancelled));
        assert_eq!(controls[1].reason(), Some(StopReason::Shutdown));
    }

    #[test]
    fn what_was_said_last_is_told_first_and_no_more_than_asked_for() {
        use crate::progress::Reporter;
        let held = Held::default();
        let controls = [1, 2, 3, 4].map(|number| Arc::new(Control::new(id(number))));
        let tokens = (1..).map(Token);
        held.acquired(tokens.zip(controls.iter().cloned()));
        for (control, second) in [(0, 1), (1, 3), (3, 2), (0, 4)] {
            let reporter = Reporter { latest: controls[control].progress().clone(), news: None };
            reporter.tell(Duration::from_secs(second), Progress::new(second, None, ""));
        }
        let told = |max| held.progress(max).into_iter().map(|(id, told)| (id, told.done)).collect::<Vec<_>>();
        assert_eq!(told(9), [(id(1), 4), (id(2), 3), (id(4), 2)]);
        assert_eq!(told(2), [(id(1), 4), (id(2), 3)]);
    }

    #[test]
    fn a_token_is_held_from_before_its_claim_until_it_is_forgotten() {
        let held = Held::default();
        held.register([Token(7)].into_iter());
        assert!(held.holds(Token(7)));
        held.forget([Token(7)].into_iter());
        assert!(!held.holds(Token(7)));
    }
}
