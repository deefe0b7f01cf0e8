//! Windows of unique keys on their way to another ledger.

use std::time::Duration;

use upbeat_shared::clock::{earlier, later};
use upbeat_shared::id::{KeyId, Seq, TaskId};
use upbeat_shared::ledger::{AddAnswer, Due, KeyWindow, RestoreAnswer};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;
use uuid::Uuid;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::message::message;

suite! { $ moved_windows_conformance, LedgerWorld, ledger::moved_windows:
    windows_are_listed_soonest_first_and_page_by_page,
    a_window_that_is_over_and_a_key_of_an_unfinished_task_are_not_listed,
    a_restored_window_is_held_until_it_is_over,
    a_window_is_not_restored_over_whoever_has_the_key,
    a_window_that_is_over_is_not_restored,
}

const HOUR: Duration = Duration::from_secs(3600);

fn within(key: &str, window: Duration) -> Message {
    Message { unique: Some(Unique::by(key).within(window)), ..message() }
}

impl Probe {
    async fn windows(&self, after: Option<KeyWindow>, limit: usize) -> Vec<KeyWindow> {
        self.store.records.windows(after, limit).await.expect("the store lists")
    }

    async fn restore_window(&self, window: KeyWindow) -> RestoreAnswer {
        self.store.records.restore_windows(vec![window]).await.expect("the store restores")[0]
    }
}

fn key(message: &Message) -> KeyId {
    message.unique_key().expect("it has one")
}

async fn windows_are_listed_soonest_first_and_page_by_page(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut held = Vec::new();
    // The first three in one transaction: their windows are over at the same time.
    let together: Vec<Message> = ["a", "b", "c"].map(|key| within(key, HOUR * 2)).into();
    let entries = together.iter().map(|message| crate::message::entry(message, Due::In(HOUR)));
    ledger.store.agenda.add(entries.collect()).await.expect("the store adds");
    for (name, hours) in [("d", 1), ("e", 3)] {
        let message = within(name, HOUR * hours);
        ledger.add(&message, Due::In(HOUR)).await;
        held.push(message);
    }

    let (mut found, mut last) = (Vec::new(), None);
    loop {
        let page = ledger.windows(last, 2).await;
        found.extend(page.iter().copied());
        last = page.last().copied();
        if page.len() < 2 {
            break;
        }
    }

    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!((found[0].key, found[0].task), (key(&held[0]), held[0].id));
    assert_eq!((found[4].key, found[4].task), (key(&held[1]), held[1].id));
    let mut middle: Vec<KeyId> = found[1..4].iter().map(|window| window.key).collect();
    let mut expected: Vec<KeyId> = together.iter().map(key).collect();
    middle.sort();
    expected.sort();
    assert_eq!(middle, expected);
    let until = ledger.now().await;
    assert!(found[0].until > until && found[0].until <= later(until, HOUR), "{found:?}");
}

async fn a_window_that_is_over_and_a_key_of_an_unfinished_task_are_not_listed(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    ledger.add(&within("over", HOUR), Due::In(HOUR)).await;
    let unfinished = Message { unique: Some(Unique::by("unfinished")), ..message() };
    ledger.add(&unfinished, Due::In(HOUR)).await;
    world.forward(HOUR);
    assert_eq!(ledger.windows(None, 10).await, []);
}

async fn a_restored_window_is_held_until_it_is_over(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let wanted = within("k", HOUR);
    let until = later(ledger.now().await, HOUR);
    // Its task stayed behind: it had ended.
    let window = KeyWindow { key: key(&wanted), task: TaskId(Uuid::now_v7()), until };

    assert_eq!(ledger.restore_window(window).await, RestoreAnswer::Restored);

    assert_eq!(ledger.windows(None, 10).await, [window]);
    let taken = AddAnswer::Taken { by: window.task, state: TaskState::Succeeded };
    assert_eq!(ledger.add(&wanted, Due::In(HOUR)).await, taken);
    assert_eq!(ledger.restore_window(window).await, RestoreAnswer::Exists, "it is done again");
    world.forward(HOUR);
    assert_eq!(ledger.add(&wanted, Due::In(HOUR)).await, AddAnswer::Added(Seq(0)));
}

async fn a_window_is_not_restored_over_whoever_has_the_key(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let holder = Message { unique: Some(Unique::by("k")), ..message() };
    ledger.add(&holder, Due::In(HOUR)).await;
    let until = later(ledger.now().await, HOUR);
    let window = KeyWindow { key: key(&holder), task: TaskId(Uuid::now_v7()), until };

    assert_eq!(ledger.restore_window(window).await, RestoreAnswer::Exists);

    assert_eq!(ledger.windows(None, 10).await, []);
    ledger.cancel(holder.id).await;
    let next = Message { id: TaskId(Uuid::now_v7()), ..holder };
    assert_eq!(ledger.add(&next, Due::In(HOUR)).await, AddAnswer::Added(Seq(0)), "only its end counts");
}

async fn a_window_that_is_over_is_not_restored(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let until = earlier(ledger.now().await, HOUR);
    let window = KeyWindow { key: key(&within("k", HOUR)), task: TaskId(Uuid::now_v7()), until };
    assert_eq!(ledger.restore_window(window).await, RestoreAnswer::Exists);
}
