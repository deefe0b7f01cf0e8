//! One task runs once, however often it is published, planned, delivered or claimed.

use std::collections::HashMap;
use std::time::Duration;

use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::{Store, TaskFilter};
use upbeat_shared::member::MemberRecord;
use upbeat_shared::occurrence::OccurrenceRecord;
use upbeat_shared::task::TaskState;
use upbeat_tests::harness::{Endpoint, Process, Queue, count, eventually, tasks};
use upbeat_tests::message::schedule_id;

use super::scene::{EVERY_SECOND, PATIENCE, Scene};

#[tokio::test]
async fn the_same_dedup_id_published_1000_times_by_8_processes_runs_once() {
    let scene = Scene::new();
    let (beat, worker) = (scene.beat(), scene.worker());
    let publish = ["publish", "note", "--dedup-id", "order-17", "--count", "125"];

    let said = scene.world.run_all(&[publish.as_slice(); 8]).await;

    let ids: Vec<_> = said.into_iter().map(|said| said.ok().id()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let store = scene.world.store().await;
    scene.succeeded(&store, ids[0]).await;
    // Once more, now that it has ended.
    let again = scene.world.run(&publish).await.ok();
    assert_eq!(again.id(), ids[0]);
    let after = scene.world.publish(&["note"]).await;
    scene.succeeded(&store, after).await;
    worker.stop().await;
    beat.stop().await;
    assert_eq!(tasks(&store, TaskFilter::default()).await.len(), 2);
    assert_eq!(scene.journal.by_task("note").into_values().collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn the_same_occurrence_planned_by_two_beats_runs_once() {
    let scene = Scene::with(EVERY_SECOND);
    let (one, other) = (scene.beat(), scene.beat());
    let workers = [scene.worker(), scene.worker()];

    eventually("the schedule fires", PATIENCE, async || scene.instants().len() >= 3).await;
    // The other beat takes over its share; whatever both have planned meanwhile is the same.
    one.stop().await;
    let so_far = scene.instants().len();
    eventually("it fires on", PATIENCE, async || scene.instants().len() >= so_far + 3).await;

    other.stop().await;
    for worker in workers {
        worker.stop().await;
    }
    scene.everything_ran_once();
}

/// How many instants were fired; none may be left out.
async fn fired(store: &Store) -> usize {
    let id = schedule_id("every-second");
    let occurrences = store.catalog.occurrences(id, 1000).await.expect("the store shows");
    let second = |occurrence| match occurrence {
        OccurrenceRecord::Fired { planned_at, .. } => planned_at.as_second(),
        other => panic!("nothing was to be skipped: {other:?}"),
    };
    let seconds: Vec<i64> = occurrences.into_iter().map(second).collect();
    assert!(seconds.windows(2).all(|pair| pair[0] == pair[1] + 1), "{seconds:?}");
    seconds.len()
}

#[tokio::test]
async fn what_a_beat_planned_before_it_stood_still_is_not_fired_again() {
    let scene = Scene::with(EVERY_SECOND);
    let worker = scene.worker();
    // From its second plan on this one takes its time between working out what is due and telling the ledger.
    let args = ["beat", "-v"];
    let mut command = scene.world.command(&args);
    command.env("FAILPOINTS", "beat.plan.computed=1*off->sleep(5000)");
    let slow = scene.world.start_command(&args, command);
    let store = scene.world.store().await;
    eventually("the slow beat fires", PATIENCE, async || fired(&store).await > 0).await;
    // Not before: frozen between two plans, it would have nothing in hand, and begin anew with what it finds.
    let plans = || slow.log().matches("worked out what is due").count();
    eventually("the slow beat has its second plan in hand", PATIENCE, async || plans() >= 2).await;
    Queue::open(&scene.world.store_path()).freeze(&slow).await;
    let quick = scene.beat();
    // Among them those that the slow one has in hand.
    let before = fired(&store).await;
    eventually("the quick beat fires", PATIENCE, async || fired(&store).await >= before + 3).await;

    slow.thaw();

    slow.says("schedules were planned or changed by somebody else", PATIENCE).await;
    let so_far = fired(&store).await;
    eventually("it goes on", PATIENCE, async || fired(&store).await >= so_far + 2).await;
    slow.stop().await;
    let at_least = fired(&store).await;
    eventually("all of them ran", PATIENCE, async || scene.instants().len() >= at_least).await;
    quick.stop().await;
    worker.stop().await;
    scene.everything_ran_once();
}

/// What a worker says whose verdict comes too late.
const REFUSED: &str = "this run's verdict was refused";

/// A worker frozen past its lease while it runs a `hold`, and another that runs it now.
struct Overtaken {
    frozen: Process,
    other: Process,
    id: TaskId,
    /// The gate of the frozen one's run.
    first: String,
    /// The gate of the other's.
    second: String,
}

async fn frozen_past_its_lease(scene: &Scene) -> Overtaken {
    let frozen = scene.worker();
    let id = scene.world.publish(&["hold"]).await;
    let first = scene.held(id, 1).await;
    Queue::open(&scene.world.store_path()).freeze(&frozen).await;
    let other = scene.worker();
    let second = scene.held(id, 2).await;
    Overtaken { frozen, other, id, first, second }
}

#[tokio::test]
async fn a_worker_frozen_past_its_lease_cannot_settle_what_another_has_finished() {
    let scene = Scene::new();
    let beat = scene.beat();
    let Overtaken { frozen, other, id, first, second } = frozen_past_its_lease(&scene).await;
    scene.let_go(&second);
    let store = scene.world.store().await;
    let before = scene.succeeded(&store, id).await;

    scene.let_go(&first);
    frozen.thaw();
    frozen.says(REFUSED, PATIENCE).await;

    assert_eq!(scene.succeeded(&store, id).await, before, "its record is as it was");
    assert_eq!(before.message.crashes, 1);
    assert_eq!(count(&store, TaskState::Succeeded).await, 1, "it is counted once");
    frozen.stop().await;
    other.stop().await;
    beat.stop().await;
    assert_eq!(scene.journal.count(&["begin"]), 2);
}

#[tokio::test]
async fn a_worker_frozen_past_its_lease_cannot_settle_and_the_task_counts_once() {
    let scene = Scene::new();
    let beat = scene.beat();
    let Overtaken { frozen, other, id, first, second } = frozen_past_its_lease(&scene).await;
    let store = scene.world.store().await;
    let [running] = tasks(&store, TaskFilter::default()).await.try_into().expect("there is one task");
    // Its program ends well while it is frozen: it wakes with a success in its hands.
    scene.let_go(&first);
    scene.journal.wait("end", id, 1, PATIENCE).await;
    frozen.thaw();

    // It comes back as somebody new, while the other still runs the task.
    eventually("the frozen worker is back", PATIENCE, async || {
        let members = store.inspect.members().await.expect("the store lists");
        let of_it = |member: &&MemberRecord| member.info.name.ends_with(&format!(":{}", frozen.id()));
        members.iter().filter(of_it).any(|member| !member.retired)
    })
    .await;
    frozen.says(REFUSED, PATIENCE).await;
    let [still] = tasks(&store, TaskFilter::default()).await.try_into().expect("there is one task");
    assert_eq!(still, running, "the late verdict changed nothing");
    scene.let_go(&second);
    let record = scene.succeeded(&store, id).await;
    assert_eq!((record.message.crashes, record.message.attempts), (1, 0));
    assert_eq!((record.owner, record.fence), (running.owner, running.fence));

    // And it works again.
    other.stop().await;
    let after = scene.world.publish(&["note"]).await;
    scene.succeeded(&store, after).await;
    frozen.stop().await;
    beat.stop().await;
    assert_eq!(scene.succeeded(&store, id).await, record);
    assert_eq!(count(&store, TaskState::Succeeded).await, 2);
    assert_eq!(scene.journal.count(&["begin"]), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_share_20_000_tasks_and_each_runs_once() {
    const TASKS: usize = 20_000;
    const SLOTS: u32 = 50;
    // The largest prefetch: for tasks as short as these, a consumer takes up to four times its slots.
    const BOUND: u32 = SLOTS * 4;
    let endpoint = Endpoint::serve().await;
    let address = endpoint.address();
    let scene = Scene::new();
    let beat = scene.beat();
    let mut workers = Vec::new();
    for number in 1..=4 {
        let configuration = format!(
            "data = \"@/data\"\nworker = {{ concurrency = {SLOTS} }}\n\
             [tasks.count]\nhttp = \"{address}\"\nheaders = {{ x-worker = \"{number}\" }}\n"
        );
        let name = format!("worker-{number}.toml");
        scene.world.configure(&name, &configuration);
        let args = ["worker", "--config", &name];
        workers.push(scene.world.start(&args));
    }
    let said = scene.world.run(&["publish", "count", "--count", &TASKS.to_string(), "--quiet"]).await;
    said.ok();

    let queue = Queue::open(&scene.world.store_path());
    let mut most = Vec::new();
    eventually("every task has run", Duration::from_secs(180), async || {
        most.push(queue.held().into_iter().max().unwrap_or(0));
        endpoint.tasks() == TASKS
    })
    .await;

    let store = scene.world.store().await;
    eventually("every run is settled", PATIENCE, async || {
        count(&store, TaskState::Succeeded).await == TASKS as u64
    })
    .await;
    for worker in workers {
        worker.stop().await;
    }
    beat.stop().await;
    let runs = endpoint.runs();
    let twice: Vec<_> = runs.iter().filter(|(_, workers)| workers.len() != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let mut shares: HashMap<&str, usize> = HashMap::new();
    for worker in runs.values().flatten() {
        *shares.entry(worker).or_default() += 1;
    }
    assert!(shares.len() == 4 && shares.values().all(|share| *share > TASKS / 50), "{shares:?}");
    let most = most.into_iter().max().expect("it was looked at");
    assert!(most > 0 && most <= BOUND, "a process held {most} deliveries, and may hold {BOUND}");
    assert_eq!(count(&store, TaskState::Succeeded).await, TASKS as u64);
}

/// Tasks that run until the file `go` is there, or the world is gone; each worker has three slots.
const WAITING: &str = r#"
[tasks.wait]
command = ["sh", "-c", '''
echo "wait $UPBEAT_TASK_ID" >> @/journal
while [ -d @ ] && [ ! -e @/go ]; do sleep 0.05; done
''']
"#;

#[tokio::test]
async fn workers_that_are_busy_hold_no_more_than_they_have_slots_for() {
    const SLOTS: u32 = 3;
    let scene = Scene::with(WAITING);
    let beat = scene.beat();
    let args = ["worker", "--concurrency", "3"];
    let mut workers = vec![scene.world.start(&args), scene.world.start(&args)];
    scene.world.run(&["publish", "wait", "--count", "20"]).await.ok();
    eventually("two are busy", PATIENCE, async || scene.journal.count(&["wait"]) == 2 * SLOTS as usize).await;

    let queue = Queue::open(&scene.world.store_path());
    assert_eq!(queue.held(), [SLOTS; 2]);
    // What they have no slots for is for whoever comes.
    workers.push(scene.world.start(&args));
    eventually("three are busy", PATIENCE, async || scene.journal.count(&["wait"]) == 3 * SLOTS as usize)
        .await;
    assert_eq!(queue.held(), [SLOTS; 3]);

    scene.world.write("go", "");
    let store = scene.world.store().await;
    eventually("all are done", PATIENCE, async || count(&store, TaskState::Succeeded).await == 20).await;
    for worker in workers {
        worker.stop().await;
    }
    beat.stop().await;
    let runs = scene.journal.by_task("wait");
    assert!(runs.len() == 20 && runs.values().all(|count| *count == 1), "{runs:?}");
}
