//! Being woken by the agenda, without a gap: listening begins before looking, so that what comes in between counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use upbeat_shared::ledger::Agenda;

/// Listens to the agenda since it was made.
pub(super) struct Wake {
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Wake {
    /// Listens from now on, for `at_most` that long.
    pub(super) async fn listen(agenda: &Arc<dyn Agenda>, at_most: Duration) -> Self {
        let agenda = agenda.clone();
        // An adapter that never answers must not stop the beat.
        let wait = async move {
            let wait = agenda.wait(at_most);
            let _ = tokio::time::timeout(at_most, wait).await;
        };
        let mut waiting: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(wait);
        // Polled once, it is in the adapter's hands.
        let ready = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
        Self { waiting: (!ready).then_some(waiting) }
    }

    /// Answers when something came onto the agenda since, or when the time is over.
    pub(super) async fn woken(self) {
        if let Some(waiting) = self.waiting {
            waiting.await;
        }
    }
}
