//! The agenda: what is put on it, when it is due, and who gets it.

use std::collections::BTreeSet;
use std::time::Duration;

use upbeat_shared::clock::{earlier, later};
use upbeat_shared::id::{Seq, TaskId};
use upbeat_shared::ledger::{AddAnswer, Due, DueReason, NewEntry};
use upbeat_shared::message::Message;
use upbeat_shared::task::TaskState;
use upbeat_shared::verdict::Verdict;

use super::probe::{LEASE, assert_between};
use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::harness::eventually;
use crate::message::{entry, full_message, message, message_for, queue};

suite! { $ agenda_conformance, LedgerWorld, ledger::agenda:
    an_entry_is_scheduled_with_its_whole_message,
    an_id_is_added_once,
    twins_in_a_batch_are_added_once,
    an_entry_is_due_when_its_time_has_come_and_not_before,
    a_delay_is_counted_from_the_stores_now,
    an_entry_due_in_the_past_is_due_at_once,
    the_longest_due_comes_first,
    a_limit_leaves_the_rest_for_the_next_look,
    two_beats_get_disjoint_entries,
    a_lease_that_ends_gives_the_entry_to_anyone,
    its_client_publishes_first_and_the_beat_covers_its_death,
    an_entry_past_its_expiry_expires_instead,
    the_batch_says_when_to_look_next,
    backlog_counts_what_waits_by_queue,
    whoever_waits_is_woken_by_a_new_entry,
    whoever_waits_is_woken_by_a_retry,
    a_wait_ends_by_itself,
}

async fn an_entry_is_scheduled_with_its_whole_message(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = full_message();
    let due_at = later(ledger.now().await, Duration::from_secs(60));

    assert_eq!(ledger.add(&message, Due::At(due_at)).await, AddAnswer::Added(Seq(0)));

    let record = ledger.record(message.id).await;
    assert_eq!(record.state, TaskState::Scheduled);
    assert_eq!(record.message, message);
    assert_eq!(record.due_at, Some(due_at));
    assert_eq!((record.fence, record.owner, record.started_at, record.finished_at), (None, None, None, None));
    world.forward(Duration::from_secs(60));
    let due = ledger.only_due().await;
    assert_eq!(due.message, message);
    assert_eq!((due.due_at, due.reason), (due_at, DueReason::Due));
}

async fn an_id_is_added_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let first = message();
    ledger.add(&first, Due::In(Duration::from_secs(60))).await;
    let record = ledger.record(first.id).await;
    let second = Message { id: first.id, ..message_for("other") };

    let answer = ledger.add(&second, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Exists(TaskState::Scheduled));
    assert_eq!(ledger.record(first.id).await, record, "what is there is left alone");

    world.forward(Duration::from_secs(60));
    let queued = ledger.promoted(first.id).await;
    let answer = ledger.add(&second, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Exists(TaskState::Queued));
    let run = ledger.acquire_any(&queued).await;
    let answer = ledger.add(&second, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Exists(TaskState::Running));
    ledger.succeed(&run).await;
    let answer = ledger.add(&second, Due::In(Duration::ZERO)).await;
    assert_eq!(answer, AddAnswer::Exists(TaskState::Succeeded));
    assert_eq!(ledger.due_ids(10).await, []);
}

async fn twins_in_a_batch_are_added_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (message(), message());
    let due = Due::In(Duration::ZERO);

    let answers = ledger
        .add_all(vec![entry(&other, due), entry(&one, due), entry(&other, due), entry(&one, due)])
        .await;

    let (added, exists) = (AddAnswer::Added(Seq(0)), AddAnswer::Exists(TaskState::Scheduled));
    assert_eq!(answers, [added, added, exists, exists]);
    assert_eq!(ledger.due_ids(10).await.len(), 2);
}

async fn an_entry_is_due_when_its_time_has_come_and_not_before(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    ledger.add(&message, Due::At(later(ledger.now().await, Duration::from_secs(60)))).await;

    world.forward(Duration::from_millis(59_000));
    assert_eq!(ledger.due_ids(10).await, []);
    world.forward(Duration::from_millis(1000));
    assert_eq!(ledger.due_ids(10).await, [message.id]);
}

async fn a_delay_is_counted_from_the_stores_now(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (message, delay) = (message(), Duration::from_millis(1234));
    let before = ledger.now().await;

    ledger.add(&message, Due::In(delay)).await;

    let due_at = ledger.record(message.id).await.due_at;
    assert_between("due_at", due_at, before, ledger.now().await, delay);
}

async fn an_entry_due_in_the_past_is_due_at_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let message = message();
    let due_at = earlier(ledger.now().await, Duration::from_secs(3600));

    ledger.add(&message, Due::At(due_at)).await;

    assert_eq!(ledger.only_due().await.due_at, due_at, "the record shows when it was due");
}

async fn the_longest_due_comes_first(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut ids = Vec::new();
    for seconds in [3, 1, 4, 2, 5] {
        let message = message();
        ledger.add(&message, Due::In(Duration::from_secs(seconds))).await;
        ids.push((seconds, message.id));
    }
    ids.sort_unstable();
    world.forward(Duration::from_secs(10));

    let due = ledger.due_ids(10).await;

    assert_eq!(due, ids.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
}

async fn a_limit_leaves_the_rest_for_the_next_look(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let entries = (0..25).map(|_| entry(&message(), Due::In(Duration::ZERO)));
    ledger.add_all(entries.collect()).await;

    let mut seen = BTreeSet::new();
    for expected in [10, 10, 5, 0] {
        let batch = ledger.due(10).await;
        assert_eq!(batch.entries.len(), expected);
        seen.extend(batch.entries.iter().map(|entry| entry.message.id));
    }
    assert_eq!(seen.len(), 25);
}

async fn two_beats_get_disjoint_entries(world: &impl LedgerWorld) {
    let (one, other) = (Probe::of(world), Probe::another(world).await);
    let entries = (0..200).map(|_| entry(&message(), Due::In(Duration::ZERO)));
    one.add_all(entries.collect()).await;

    let all_of_it = |beat: Probe| async move {
        let mut ids: Vec<TaskId> = Vec::new();
        loop {
            let batch = beat.due_ids(7).await;
            if batch.is_empty() {
                return ids;
            }
            ids.extend(batch);
        }
    };
    let (mut ids, others) = tokio::join!(all_of_it(one), all_of_it(other));

    ids.extend(others);
    assert_eq!(ids.len(), 200, "no entry is leased twice");
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

async fn a_lease_that_ends_gives_the_entry_to_anyone(world: &impl LedgerWorld) {
    let (lost, other) = (Probe::of(world), Probe::another(world).await);
    let message = message();
    lost.add(&message, Due::In(Duration::ZERO)).await;
    assert_eq!(lost.due_ids(10).await, [message.id]);

    world.forward(LEASE.saturating_sub(Duration::from_secs(1)));
    assert_eq!(other.due_ids(10).await, []);
    world.forward(Duration::from_secs(1));
    assert_eq!(other.only_due().await.message, message, "its seq is what it was");
}

async fn its_client_publishes_first_and_the_beat_covers_its_death(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (message, cover) = (message(), Duration::from_secs(5));
    let before = ledger.now().await;
    let row = NewEntry { cover, ..entry(&message, Due::In(Duration::ZERO)) };

    ledger.add_all(vec![row]).await;

    let due_at = ledger.record(message.id).await.due_at;
    assert_between("due_at", due_at, before, ledger.now().await, Duration::ZERO);
    assert_eq!(ledger.due_ids(10).await, []);
    world.forward(cover);
    assert_eq!(ledger.due_ids(10).await, [message.id]);
}

async fn an_entry_past_its_expiry_expires_instead(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let expires_at = Some(later(ledger.now().await, Duration::from_secs(60)));
    let [in_time, late] = [(), ()].map(|()| Message { expires_at, ..message() });
    ledger.add(&in_time, Due::In(Duration::from_secs(59))).await;
    ledger.add(&late, Due::In(Duration::from_secs(61))).await;

    world.forward(Duration::from_secs(59));
    assert_eq!(ledger.promoted(in_time.id).await, in_time);
    world.forward(Duration::from_secs(2));

    assert_eq!(ledger.due_ids(10).await, []);
    let record = ledger.record(late.id).await;
    assert_eq!(record.state, TaskState::Expired);
    assert!(record.finished_at.is_some());
    assert_eq!(ledger.state(in_time.id).await, TaskState::Queued);
}

async fn the_batch_says_when_to_look_next(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    assert_eq!(ledger.due(10).await.next, None, "the agenda is empty");
    let [soon, later_on] = [10, 60].map(Duration::from_secs);
    ledger.add(&message(), Due::In(later_on)).await;
    let before = ledger.now().await;
    ledger.add(&message(), Due::In(soon)).await;

    let batch = ledger.due(10).await;

    assert!(batch.entries.is_empty());
    assert_between("now", Some(batch.now), before, ledger.now().await, Duration::ZERO);
    assert_between("next", batch.next, before, ledger.now().await, soon);
    world.forward(soon);
    let batch = ledger.due(1).await;
    assert_eq!(batch.entries.len(), 1);
    let next = batch.next.expect("another entry waits");
    assert!(next > batch.now && next <= later(batch.now, later_on), "{next}");
}

async fn backlog_counts_what_waits_by_queue(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    for _ in 0..3 {
        ledger.add(&message_for("mail"), Due::In(Duration::ZERO)).await;
    }
    ledger.add(&message_for("later"), Due::In(Duration::from_secs(3600))).await;
    let queued = ledger.due(1).await.entries.remove(0).message;
    assert!(ledger.mark(&queued).await);
    let gone = ledger.acquire_any(&message_for("gone")).await;
    ledger.settle(&gone, Verdict::Succeeded { result: None }).await;
    world.forward(Duration::from_secs(20));

    let backlog = ledger.store.agenda.backlog().await.expect("the store counts");

    let of = |name: &str| backlog.iter().find(|(of, _, _)| *of == queue(name));
    let (_, tasks, oldest) = of("mail").expect("tasks wait in it");
    assert_eq!(*tasks, 3, "two scheduled, one queued");
    assert!(*oldest >= Duration::from_secs(20) && *oldest < Duration::from_secs(60), "{oldest:?}");
    let (_, tasks, oldest) = of("later").expect("a task waits in it");
    assert_eq!((*tasks, *oldest), (1, Duration::ZERO), "nothing is late");
    assert!(of("gone").is_none_or(|(_, tasks, _)| *tasks == 0));
}

async fn whoever_waits_is_woken_by_a_new_entry(world: &impl LedgerWorld) {
    let (beat, client) = (Probe::of(world), Probe::another(world).await);
    let message = message();
    let woken = async {
        // A wait may end early; what counts is that nobody has to sit out the hour.
        eventually("the entry is seen", Duration::from_secs(10), async || {
            beat.store.agenda.wait(Duration::from_secs(3600)).await;
            beat.due_ids(1).await == [message.id]
        })
        .await;
    };
    let added = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.add(&message, Due::In(Duration::ZERO)).await;
    };
    tokio::join!(woken, added);
}

async fn whoever_waits_is_woken_by_a_retry(world: &impl LedgerWorld) {
    let (beat, worker) = (Probe::of(world), Probe::another(world).await);
    let run = worker.acquire_any(&message()).await;
    let woken = async {
        eventually("the retry is seen", Duration::from_secs(10), async || {
            beat.store.agenda.wait(Duration::from_secs(3600)).await;
            beat.due_ids(1).await == [run.claim.id]
        })
        .await;
    };
    let failed = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        worker.fail(&run, Duration::ZERO).await;
    };
    tokio::join!(woken, failed);
}

async fn a_wait_ends_by_itself(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let wait = ledger.store.agenda.wait(Duration::from_millis(50));
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it ends after what was given");
}
