//! Looking at tasks: by id, by filter, by page; queues and waiting for ends.

use std::collections::BTreeSet;
use std::time::Duration;

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Due, QueueRecord, TaskFilter, TaskPage};
use upbeat_shared::message::{Message, Planned};
use upbeat_shared::task::TaskState;
use uuid::Uuid;

use super::{LedgerWorld, Probe};
use crate::conformance::suite;
use crate::harness::eventually;
use crate::message::{message, message_for, queue, schedule_id, task_name};

suite! { $ inspect_conformance, LedgerWorld, ledger::inspect:
    get_answers_in_the_order_asked,
    the_newest_recorded_comes_first,
    a_filter_by_state_finds_those_states,
    a_filter_by_queue_name_schedule_or_tag_finds_only_theirs,
    a_tag_is_found_whole_and_as_it_is,
    a_filter_by_time_finds_what_was_recorded_since,
    every_condition_must_hold,
    pages_cover_everything_once,
    pages_stay_steady_while_tasks_are_added,
    a_queue_that_was_paused_is_listed_though_it_is_empty,
    whoever_waits_for_an_end_is_woken,
}

async fn list(ledger: &Probe, filter: TaskFilter) -> Vec<TaskId> {
    let page = ledger.store.inspect.list(filter, None, 1000).await.expect("the store lists");
    assert_eq!(page.next, None, "everything fits on one page");
    page.tasks.iter().map(|task| task.message.id).collect()
}

async fn scheduled(ledger: &Probe, message: Message) -> TaskId {
    ledger.add(&message, Due::In(Duration::from_secs(3600))).await;
    message.id
}

async fn get_answers_in_the_order_asked(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let (one, other) = (scheduled(&ledger, message()).await, scheduled(&ledger, message()).await);
    let unknown = TaskId(Uuid::now_v7());

    let asked = vec![other, unknown, one, other];
    let records = ledger.store.inspect.get(asked).await.expect("the store shows");

    let ids: Vec<_> = records.iter().map(|record| record.as_ref().map(|record| record.message.id)).collect();
    assert_eq!(ids, [Some(other), None, Some(one), Some(other)]);
}

async fn the_newest_recorded_comes_first(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, scheduled(&ledger, message()).await);
        world.forward(Duration::from_secs(1));
    }
    // What happens to a task later does not move it.
    ledger.cancel(ids[3]).await;

    assert_eq!(list(&ledger, TaskFilter::default()).await, ids);
}

async fn a_filter_by_state_finds_those_states(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let queued = ledger.queued(&message()).await.id;
    let waiting = scheduled(&ledger, message()).await;
    let running = ledger.acquire_any(&message()).await.claim.id;
    let mut expected = vec![
        (TaskState::Scheduled, vec![waiting]),
        (TaskState::Queued, vec![queued]),
        (TaskState::Running, vec![running]),
        (TaskState::Held, vec![]),
    ];
    for end in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        expected.push((end, vec![ledger.ended(end).await.id]));
    }

    for (state, ids) in &expected {
        let filter = TaskFilter { states: vec![*state], ..TaskFilter::default() };
        assert_eq!(list(&ledger, filter).await, *ids, "{state}");
    }
    let filter =
        TaskFilter { states: vec![TaskState::Running, TaskState::Scheduled], ..TaskFilter::default() };
    assert_eq!(list(&ledger, filter).await, [running, waiting]);
    assert_eq!(list(&ledger, TaskFilter::default()).await.len(), 7);
}

async fn a_filter_by_queue_name_schedule_or_tag_finds_only_theirs(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    scheduled(&ledger, message()).await;
    let in_queue = scheduled(&ledger, message_for("reports")).await;
    let named = scheduled(&ledger, Message { name: task_name("reports.send"), ..message() }).await;
    let planned = Planned {
        schedule_id: schedule_id("nightly"),
        planned_at: crate::message::instant("2026-05-06T03:00:00Z"),
    };
    let by_schedule = scheduled(&ledger, Message { occurrence: Some(planned), ..message() }).await;
    let tagged = scheduled(&ledger, Message { tags: vec!["eu".to_owned()], ..message() }).await;

    let all = TaskFilter::default;
    let found = async |filter: TaskFilter| list(&ledger, filter).await;
    assert_eq!(found(TaskFilter { queue: Some(queue("reports")), ..all() }).await, [in_queue]);
    assert_eq!(found(TaskFilter { name: Some(task_name("reports.send")), ..all() }).await, [named]);
    assert_eq!(found(TaskFilter { schedule: Some(schedule_id("nightly")), ..all() }).await, [by_schedule]);
    assert_eq!(found(TaskFilter { tag: Some("eu".to_owned()), ..all() }).await, [tagged]);
    assert_eq!(found(TaskFilter { queue: Some(queue("nothing-here")), ..all() }).await, []);
}

async fn a_tag_is_found_whole_and_as_it_is(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    let both = scheduled(&ledger, Message { tags: tags(&["a_b", "europe"]), ..message() }).await;
    let odd = scheduled(&ledger, Message { tags: tags(&["a%b", "it's"]), ..message() }).await;

    let found = async |tag: &str| {
        list(&ledger, TaskFilter { tag: Some(tag.to_owned()), ..TaskFilter::default() }).await
    };
    assert_eq!(found("europe").await, [both]);
    assert_eq!(found("a_b").await, [both], "no wildcard");
    assert_eq!(found("a%b").await, [odd]);
    assert_eq!(found("it's").await, [odd]);
    assert_eq!(found("eu").await, [], "a part of a tag is no tag");
    assert_eq!(found("%").await, []);
}

async fn a_filter_by_time_finds_what_was_recorded_since(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    scheduled(&ledger, message()).await;
    world.forward(Duration::from_secs(60));
    let since = ledger.now().await;
    let newer = scheduled(&ledger, message()).await;

    let filter = TaskFilter { since: Some(since), ..TaskFilter::default() };

    assert_eq!(list(&ledger, filter).await, [newer]);
}

async fn every_condition_must_hold(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let tagged = |queue_name: &str| Message { tags: vec!["eu".to_owned()], ..message_for(queue_name) };
    scheduled(&ledger, tagged("mail")).await;
    scheduled(&ledger, message_for("reports")).await;
    let cancelled = scheduled(&ledger, tagged("reports")).await;
    ledger.cancel(cancelled).await;
    let wanted = scheduled(&ledger, tagged("reports")).await;

    let filter = TaskFilter {
        states: vec![TaskState::Scheduled],
        queue: Some(queue("reports")),
        tag: Some("eu".to_owned()),
        name: Some(task_name("demo.task")),
        ..TaskFilter::default()
    };

    assert_eq!(list(&ledger, filter).await, [wanted]);
}

async fn pages_cover_everything_once(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut ids = BTreeSet::new();
    for number in 0..23 {
        let id = scheduled(&ledger, message_for(if number % 2 == 0 { "even" } else { "odd" })).await;
        if number % 2 == 0 {
            ids.insert(id);
        }
    }
    let filter = TaskFilter { queue: Some(queue("even")), ..TaskFilter::default() };
    let (mut seen, mut after, mut sizes) = (Vec::new(), None, Vec::new());
    loop {
        let page: TaskPage =
            ledger.store.inspect.list(filter.clone(), after, 4).await.expect("the store lists");
        sizes.push(page.tasks.len());
        seen.extend(page.tasks.iter().map(|task| task.message.id));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(sizes, [4, 4, 4]);
    assert_eq!(seen.len(), 12);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), ids);
}

async fn pages_stay_steady_while_tasks_are_added(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    let mut old = Vec::new();
    for _ in 0..4 {
        old.insert(0, scheduled(&ledger, message()).await);
    }
    let list = async |after| ledger.store.inspect.list(TaskFilter::default(), after, 2).await;
    let first = list(None).await.expect("the store lists");

    for _ in 0..3 {
        scheduled(&ledger, message()).await;
    }
    ledger.cancel(old[2]).await;

    let second = list(first.next).await.expect("the store lists");
    let ids = |page: &TaskPage| page.tasks.iter().map(|task| task.message.id).collect::<Vec<_>>();
    assert_eq!([ids(&first), ids(&second)].concat(), old, "neither twice nor left out");
}

async fn a_queue_that_was_paused_is_listed_though_it_is_empty(world: &impl LedgerWorld) {
    let ledger = Probe::of(world);
    scheduled(&ledger, message_for("mail")).await;
    let pause = async |name: &str, paused: bool| {
        ledger.store.inspect.pause(queue(name), paused).await.expect("the store pauses");
    };
    pause("empty", true).await;
    pause("mail", true).await;
    pause("mail", false).await;

    let queues = ledger.store.inspect.queues().await.expect("the store lists");

    let empty = QueueRecord { name: queue("empty"), paused: true, counts: vec![] };
    let mail = QueueRecord { name: queue("mail"), paused: false, counts: vec![(TaskState::Scheduled, 1)] };
    assert_eq!(queues, [empty, mail]);
}

async fn whoever_waits_for_an_end_is_woken(world: &impl LedgerWorld) {
    let (client, worker) = (Probe::of(world), Probe::another(world).await);
    let run = worker.acquire_any(&message()).await;
    let id = run.claim.id;
    // A wait may end early, and the end may come before the wait; what counts is that it takes no longer than a look.
    let ended = eventually("the end is seen", Duration::from_secs(10), async || {
        client.store.inspect.wait(Duration::from_millis(500)).await;
        client.state(id).await == TaskState::Succeeded
    });
    let settled = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        worker.succeed(&run).await;
    };
    tokio::join!(ended, settled);
}
