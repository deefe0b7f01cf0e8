//! Two ledgers that are told the same: their answers must be the same, call by call.

use std::fmt::Debug;
use std::sync::Arc;

use tempfile::TempDir;
use upbeat_shared::id::OwnerId;
use upbeat_shared::ledger::memory::{MemoryLedger, MemoryOptions};
use upbeat_shared::ledger::{LedgerError, Store, TaskFilter};
use upbeat_shared::name::ScheduleId;
use upbeat_shared::task::TaskRecord;
use upbeat_tests::clock::HandClock;
use upbeat_tests::conformance::embedded::open_ledger;

/// One ledger and another.
pub(super) struct Twins {
    one: Store,
    other: Store,
    pub(super) clock: Arc<HandClock>,
    _folder: Option<TempDir>,
}

impl Twins {
    /// In memory, and on a file.
    pub(super) async fn in_memory_and_embedded() -> Self {
        let clock = HandClock::noon();
        let folder = TempDir::with_prefix("upbeat-twins-").expect("a folder can be made");
        let other = open_ledger(&folder.path().join("upbeat.db"), clock.clone()).await;
        Self { one: in_memory(&clock), other, clock, _folder: Some(folder) }
    }

    /// In memory, both of them.
    pub(super) fn in_memory() -> Self {
        let clock = HandClock::noon();
        Self { one: in_memory(&clock), other: in_memory(&clock), clock, _folder: None }
    }

    /// Asks both; answers what both answered.
    pub(super) async fn ask<T: Debug + PartialEq>(
        &self,
        what: &str,
        call: impl AsyncFn(&Store) -> Result<T, LedgerError>,
    ) -> T {
        let answer = call(&self.one).await.expect("the one ledger answers");
        let others = call(&self.other).await.expect("the other ledger answers");
        assert_eq!(answer, others, "{what}");
        answer
    }

    /// Asks both for a list; says where it differs first, for lists are long.
    async fn ask_all<T: Debug + PartialEq>(
        &self,
        what: &str,
        call: impl AsyncFn(&Store) -> Result<Vec<T>, LedgerError>,
    ) {
        let answer = call(&self.one).await.expect("the one ledger answers");
        let others = call(&self.other).await.expect("the other ledger answers");
        for (at, (one, other)) in answer.iter().zip(&others).enumerate() {
            assert_eq!(one, other, "{what}, at {at}");
        }
        assert_eq!(answer.len(), others.len(), "{what}");
    }

    /// Looks at everything there is to see.
    pub(super) async fn compare(&self, owners: &[OwnerId], schedules: &[ScheduleId]) {
        self.ask_all("every task", all_tasks).await;
        self.ask("queues", async |store| store.inspect.queues().await).await;
        self.ask("members", async |store| store.inspect.members().await).await;
        self.ask("the catalog", async |store| store.catalog.snapshot().await).await;
        let backlog = async |store: &Store| {
            let mut backlog = store.agenda.backlog().await?;
            // A queue where nothing waits may be told of.
            backlog.retain(|(_, tasks, _)| *tasks > 0);
            Ok(backlog)
        };
        self.ask("the backlog", backlog).await;
        for owner in owners {
            self.ask("what runs in an owner's name", async |store| store.ledger.mine(*owner).await).await;
        }
        for id in schedules {
            let occurrences = async |store: &Store| store.catalog.occurrences(id.clone(), 1000).await;
            self.ask("occurrences", occurrences).await;
        }
    }

    /// Every task by a filter, page by page.
    pub(super) async fn find(&self, filter: &TaskFilter) {
        let pages = async |store: &Store| pages(store, filter, 7).await;
        self.ask_all(&format!("{filter:?}"), pages).await;
    }
}

fn in_memory(clock: &Arc<HandClock>) -> Store {
    Store::from_adapter(MemoryLedger::new(clock.clone(), MemoryOptions::default()))
}

async fn all_tasks(store: &Store) -> Result<Vec<TaskRecord>, LedgerError> {
    Ok(pages(store, &TaskFilter::default(), 1000).await?.into_iter().flatten().collect())
}

async fn pages(store: &Store, filter: &TaskFilter, size: usize) -> Result<Vec<Vec<TaskRecord>>, LedgerError> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = store.inspect.list(filter.clone(), after, size).await?;
        pages.push(page.tasks);
        let Some(next) = page.next else { return Ok(pages) };
        after = Some(next);
    }
}
