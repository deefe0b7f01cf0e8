//! Whether this process can do its work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use upbeat_shared::ledger::Store;
use upbeat_shared::transport::Transport;

/// How long broker and ledger may take to answer before they count as away.
const PATIENCE: Duration = Duration::from_secs(2);

type Ask = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// Asks the roles of this process, the ledger and the broker.
#[derive(Clone)]
pub(crate) struct Readiness {
    store: Store,
    transport: Arc<dyn Transport>,
    roles: Vec<(&'static str, Ask)>,
}

impl Readiness {
    /// Of a process without roles.
    pub(crate) fn new(store: Store, transport: Arc<dyn Transport>) -> Self {
        Self { store, transport, roles: Vec::new() }
    }

    /// Adds a role. `ask` answers what keeps it from its work; nothing if it does it.
    pub(crate) fn role(&mut self, name: &'static str, ask: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        self.roles.push((name, Arc::new(ask)));
    }

    /// What keeps this process from its work; nothing if it does it.
    pub(crate) async fn why_not(&self) -> Vec<String> {
        let mut why: Vec<String> = Vec::new();
        for (name, ask) in &self.roles {
            why.extend(ask().into_iter().map(|reason| format!("{name}: {reason}")));
        }
        let (ledger, broker) = tokio::join!(within(self.store.ledger.now()), within(self.transport.ping()),);
        why.extend(ledger.err().map(|reason| format!("ledger: {reason}")));
        why.extend(broker.err().map(|reason| format!("broker: {reason}")));
        why
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").finish_non_exhaustive()
    }
}

async fn within<T, E: fmt::Display>(call: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}
