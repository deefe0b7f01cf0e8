//! Walks a listing page by page, so that no listing is held whole unless it is asked for.

use upbeat_shared::ledger::{LedgerError, PageCursor, Store, TaskFilter};
use upbeat_shared::task::TaskRecord;

/// Tasks in one round trip.
const PAGE: u64 = 500;

/// Where a walk is.
pub(crate) struct Pages<'a> {
    store: &'a Store,
    filter: TaskFilter,
    after: Option<PageCursor>,
    ended: bool,
}

/// The first tasks of a listing.
pub(crate) struct Taken {
    pub(crate) tasks: Vec<TaskRecord>,
    /// There are more of them.
    pub(crate) more: bool,
}

impl<'a> Pages<'a> {
    /// At the beginning.
    pub(crate) fn new(store: &'a Store, filter: TaskFilter) -> Self {
        Self { store, filter, after: None, ended: false }
    }

    /// The next page, of at most `most` tasks; `None` at the end.
    pub(crate) async fn next(&mut self, most: u64) -> Result<Option<Vec<TaskRecord>>, LedgerError> {
        if self.ended {
            return Ok(None);
        }
        let limit = usize::try_from(most.min(PAGE)).unwrap_or(usize::MAX);
        let page = self.store.inspect.list(self.filter.clone(), self.after, limit).await?;
        self.ended = page.next.is_none();
        self.after = page.next;
        Ok(Some(page.tasks).filter(|tasks| !tasks.is_empty()))
    }

    /// There is no further page.
    pub(crate) fn is_over(&self) -> bool {
        self.ended
    }

    /// At most `most` tasks from here on.
    pub(crate) async fn take(mut self, most: u64) -> Result<Taken, LedgerError> {
        let mut tasks: Vec<TaskRecord> = Vec::new();
        while (tasks.len() as u64) < most {
            let Some(page) = self.next(most - tasks.len() as u64).await? else { break };
            tasks.extend(page);
        }
        Ok(Taken { tasks, more: !self.ended })
    }
}
