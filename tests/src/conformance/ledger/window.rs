//! Unique keys that are held for a time, however soon their tasks end.

use std::time::Duration;

use upbeat_shared::id::Seq;
use upbeat_shared::ledger::{AddAnswer, Retention};
use upbeat_shared::task::TaskState;
use upbeat_shared::unique::Unique;

use super::unique::{HOUR, LATER, assert_free, assert_taken, keyed, replacing, unique, windowed};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;

suite! { $ window_conformance, LedgerWorld, ledger::window:
    a_window_holds_its_key_though_its_task_has_ended,
    a_window_that_is_over_frees_its_key_though_its_task_runs,
    a_window_is_replaced_while_its_task_waits,
    windows_and_unfinished_tasks_share_their_keys,
    windows_that_are_over_are_purged,
    a_purge_leaves_the_key_to_whoever_took_it_after_a_window,
    a_window_outlives_the_record_of_its_task,
}

async fn a_window_holds_its_key_though_its_task_has_ended(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = ledger.queued(&windowed(HOUR)).await;
    let run = ledger.acquire_any(&first).await;
    ledger.succeed(&run).await;
    world.forward(HOUR.saturating_sub(Duration::from_secs(60)));

    for asked in [windowed(HOUR), keyed(), replacing()] {
        let answer = ledger.add(&asked, LATER).await;
        assert_eq!(answer, AddAnswer::Taken { by: first.id, state: TaskState::Succeeded });
    }

    world.forward(Duration::from_secs(60));
    assert_eq!(ledger.add(&windowed(HOUR), LATER).await, AddAnswer::Added(Seq(0)));
}

async fn a_window_that_is_over_frees_its_key_though_its_task_runs(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = ledger.queued(&windowed(HOUR)).await;
    let run = ledger.acquire_any(&first).await;
    world.forward(HOUR);
    let second = keyed();

    assert_eq!(ledger.add(&second, LATER).await, AddAnswer::Added(Seq(0)));

    // The end of the first frees nothing of the second's.
    ledger.succeed(&run).await;
    assert_taken(&ledger, &second, TaskState::Scheduled).await;
}

async fn a_window_is_replaced_while_its_task_waits(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = windowed(HOUR);
    ledger.add(&first, LATER).await;
    world.forward(HOUR / 2);
    let second = unique(Unique::by("customer-7").within(HOUR).replacing());

    assert_eq!(ledger.add(&second, LATER).await, AddAnswer::Added(Seq(0)));

    assert_eq!(ledger.state(first.id).await, TaskState::Cancelled);
    world.forward(HOUR / 2 + Duration::from_secs(60));
    assert_taken(&ledger, &second, TaskState::Scheduled).await;
    world.forward(HOUR / 2);
    assert_free(&ledger).await;
}

async fn windows_and_unfinished_tasks_share_their_keys(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let unfinished = keyed();
    ledger.add(&unfinished, LATER).await;
    let answer = ledger.add(&windowed(HOUR), LATER).await;
    assert_eq!(answer, AddAnswer::Taken { by: unfinished.id, state: TaskState::Scheduled });
    ledger.cancel(unfinished.id).await;

    let window = windowed(HOUR);
    ledger.add(&window, LATER).await;
    assert_taken(&ledger, &window, TaskState::Scheduled).await;
    let second = replacing();
    assert_eq!(ledger.add(&second, LATER).await, AddAnswer::Added(Seq(0)));
    ledger.cancel(second.id).await;
    assert_free(&ledger).await;
}

async fn windows_that_are_over_are_purged(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for number in 0..5 {
        ledger.add(&unique(Unique::by(number.to_string()).within(HOUR)), LATER).await;
    }
    let lasts = unique(Unique::by("lasts").within(HOUR * 2));
    ledger.add(&lasts, LATER).await;
    let purge = async || {
        let report = ledger.store.inspect.purge(Retention::default(), 2).await.expect("the store purges");
        report.windows
    };
    assert_eq!(purge().await, 0);
    world.forward(HOUR);

    let mut purged = [0; 4];
    for report in &mut purged {
        *report = purge().await;
    }

    assert_eq!(purged, [2, 2, 1, 0]);
    let answer = ledger.add(&unique(Unique::by("lasts")), LATER).await;
    assert_eq!(answer, AddAnswer::Taken { by: lasts.id, state: TaskState::Scheduled });
}

async fn a_purge_leaves_the_key_to_whoever_took_it_after_a_window(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    ledger.add(&windowed(HOUR), LATER).await;
    world.forward(HOUR);
    let holder = keyed();
    assert_eq!(ledger.add(&holder, LATER).await, AddAnswer::Added(Seq(0)));

    ledger.store.inspect.purge(Retention::default(), 1000).await.expect("the store purges");

    assert_taken(&ledger, &holder, TaskState::Scheduled).await;
}

async fn a_window_outlives_the_record_of_its_task(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let Retention { ids, .. } = Retention::default();
    let first = ledger.queued(&windowed(ids * 3)).await;
    let run = ledger.acquire_any(&first).await;
    ledger.succeed(&run).await;
    world.forward(ids * 2);
    ledger.store.inspect.purge(Retention::default(), 1000).await.expect("the store purges");
    assert_eq!(ledger.find(first.id).await, None);

    for asked in [keyed(), replacing()] {
        let answer = ledger.add(&asked, LATER).await;
        assert_eq!(answer, AddAnswer::Taken { by: first.id, state: TaskState::Succeeded });
    }
}
