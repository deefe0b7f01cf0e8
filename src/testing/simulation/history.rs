//! What happened, in order. Kept small, and put into words only when somebody reads it: most simulations are never read.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};

use upbeat_shared::id::TaskId;

/// Entries that are kept, at most. A simulation that has more goes on without them.
const MAX_ENTRIES: usize = 1_000_000;

/// What an entry, or a call, speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct About {
    pub(super) first: Option<TaskId>,
    pub(super) more: usize,
    pub(super) text: Option<Box<str>>,
}

impl About {
    /// These tasks.
    pub(super) fn tasks(ids: impl IntoIterator<Item = TaskId>) -> Self {
        let mut ids = ids.into_iter();
        let first = ids.next();
        Self { first, more: ids.count(), text: None }
    }

    /// Something in words.
    pub(super) fn text(text: impl Into<Box<str>>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }
}

/// One line of a history.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Milliseconds of the simulation.
    pub(super) at: u64,
    pub(super) who: usize,
    pub(super) what: &'static str,
    pub(super) label: &'static str,
    pub(super) about: About,
}

/// Every entry of one simulation.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Mutex<Vec<Entry>>,
}

impl History {
    pub(super) fn note(&self, entry: Entry) {
        let mut entries = self.lock();
        if entries.len() < MAX_ENTRIES {
            entries.push(entry);
        }
    }

    /// In words, a line an entry. With `only`, those that speak of this task, and of members as such.
    pub(super) fn words(&self, names: &[String], only: Option<TaskId>) -> String {
        let mut text = String::new();
        for entry in self.lock().iter() {
            let Entry { at, who, what, label, about } = entry;
            if only.is_some() && about.first.is_some() && about.first != only {
                continue;
            }
            let name = names.get(*who).map_or("simulator", String::as_str);
            let _ = write!(text, "{:>9}.{:03} {name:<12} {what} {label}", at / 1000, at % 1000);
            if let Some(id) = about.first {
                let _ = write!(text, " {id}");
            }
            if about.more > 0 {
                let _ = write!(text, " and {} more", about.more);
            }
            if let Some(words) = &about.text {
                let _ = write!(text, " {words}");
            }
            text.push('\n');
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().expect("no holder of the entries panics")
    }
}
