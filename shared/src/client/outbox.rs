//! Publishing in a transaction of the user's own: a task goes through the client's layers and checks as any other, and is then
//! written by whoever holds the transaction. Never publishes to a broker: a beat promotes what was committed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::layer::PublishNext;
use super::{Client, NewTask, PublishError, Publishable, Published, TaskHandle};
use crate::ledger::{AddAnswer, Due, NewEntry};

/// Where tasks go that were checked, in place of the ledger and the broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox(Arc<Mutex<Vec<NewEntry>>>);

/// A task that was checked and is to be written.
pub(crate) struct Prepared {
    client: Client,
    /// What the layers made of the task: one entry, unless they say otherwise.
    pub(crate) entries: Vec<NewEntry>,
    published: Published,
}

impl Client {
    /// Sees a task through layers and checks.
    pub(crate) async fn prepare<T: Publishable>(&self, task: T) -> Result<Prepared, PublishError> {
        let outbox = Outbox::default();
        let mut answers =
            PublishNext::into_outbox(self, &outbox).publish(vec![task.into_new_task()?]).await?;
        let published = answers.pop().expect("one answer for one task");
        let entries = std::mem::take(&mut *outbox.lock());
        Ok(Prepared { client: self.clone(), entries, published })
    }

    /// What is inside of the innermost layer.
    pub(super) async fn collect(
        &self,
        outbox: &Outbox,
        tasks: Vec<NewTask>,
    ) -> Result<Vec<Published>, PublishError> {
        let mut published = Vec::with_capacity(tasks.len());
        for task in tasks {
            let (message, due) = self.checked(task).await?;
            published.push(Published { id: message.id, duplicate_of: None });
            let due = due.unwrap_or(Due::In(Duration::ZERO));
            outbox.lock().push(NewEntry { message, due, cover: Duration::ZERO });
        }
        Ok(published)
    }
}

impl Outbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<NewEntry>> {
        self.0.lock().expect("no holder of the outbox panics")
    }
}

impl Prepared {
    /// Its entries were written, and this was answered.
    pub(crate) fn written<T>(mut self, answers: &[AddAnswer]) -> TaskHandle<T> {
        let own = self.entries.iter().zip(answers).find(|(entry, _)| entry.message.id == self.published.id);
        match own {
            Some((_, AddAnswer::Exists(state))) => self.published.duplicate_of = Some(*state),
            Some((_, AddAnswer::Taken { by, state })) => {
                self.published = Published { id: *by, duplicate_of: Some(*state) };
            }
            Some((_, AddAnswer::Added(_))) | None => {}
        }
        TaskHandle::new(self.client, self.published)
    }
}
