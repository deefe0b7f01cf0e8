//! Waiting for an event that somebody else brings about.

use std::time::Duration;

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until it is so; fails the test with `what` after `within`. One look may itself wait.
pub async fn eventually(what: &str, within: Duration, mut look: impl AsyncFnMut() -> bool) {
    eventually_some(what, within, async || look().await.then_some(())).await;
}

/// Looks until there is something, and answers it; fails the test with `what` after `within`.
pub async fn eventually_some<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let found = tokio::time::timeout(within, found).await;
    found.unwrap_or_else(|_| panic!("not within {within:?}: {what}"))
}
