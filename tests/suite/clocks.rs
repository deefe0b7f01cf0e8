//! Whatever is compared with now is compared with the store's time: members' clocks may be wrong, and the store's own may
//! be set, forwards and back.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use upbeat_shared::client::NewTask;
use upbeat_shared::clock::{Clock, SystemClock};
use upbeat_shared::id::TaskId;
use upbeat_shared::message::Payload;
use upbeat_shared::name::TaskName;
use upbeat_shared::occurrence::{OccurrenceRecord, ScheduleDefinition};
use upbeat_shared::retry::{Backoff, Jitter, RetryPolicy};
use upbeat_shared::task::TaskState;
use upbeat_tests::clock::OffsetClock;
use upbeat_tests::harness::{Cluster, Connections, LEASE, Runs, eventually};
use upbeat_tests::message::{schedule_id, task_name};

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// A store on the true time, or on a time that the test sets, and what ran on it.
struct Scene {
    true_clock: Arc<dyn Clock>,
    store_clock: Arc<OffsetClock>,
    cluster: Cluster,
    runs: Runs,
}

impl Scene {
    fn new() -> Self {
        let true_clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let store_clock = OffsetClock::new(true_clock.clone(), SignedDuration::ZERO);
        let cluster = Cluster::new(store_clock.clone());
        let runs = Runs::new(true_clock.clone());
        Self { true_clock, store_clock, cluster, runs }
    }

    /// The clock of a member that is wrong by so much.
    fn wrong(&self, by: SignedDuration) -> Arc<dyn Clock> {
        OffsetClock::new(self.true_clock.clone(), by)
    }

    async fn look(&self) -> Connections {
        self.cluster.connect(self.true_clock.clone()).await
    }

    /// Waits until so many different planned instants ran since `after`.
    async fn planned_runs(&self, count: usize, after: Timestamp) {
        let so_many = async || self.instants(after).len() >= count;
        eventually("the schedule fires", PATIENCE, so_many).await;
    }

    /// The planned instants after `after` that ran, in order.
    fn instants(&self, after: Timestamp) -> Vec<Timestamp> {
        let mut instants: Vec<_> = self.runs.planned().into_iter().map(|(at, _)| at).collect();
        instants.retain(|at| *at > after);
        instants.sort();
        instants
    }

    /// The instant of the newest planned run.
    fn newest(&self) -> Timestamp {
        self.instants(Timestamp::MIN).pop().expect("the schedule has fired")
    }

    fn nothing_ran_twice(&self) {
        let counts = self.runs.by_task();
        let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let instants = self.instants(Timestamp::MIN);
        let mut different = instants.clone();
        different.dedup();
        assert_eq!(instants, different, "an instant ran twice under different ids");
    }

    async fn nobody_was_lost(&self, members: usize) {
        let found = self.look().await.store.inspect.members().await.expect("the store lists");
        assert_eq!(found.len(), members, "{found:?}");
        assert!(found.iter().all(|member| !member.retired), "{found:?}");
    }
}

/// Every second, by the clock's full seconds.
fn every_second() -> ScheduleDefinition {
    let text = serde_json::json!({ "every": "1s", "task": { "name": "demo.task", "queue": "default" } });
    serde_json::from_value(text).expect("a definition as users write it")
}

fn task(name: &str, args: u64) -> NewTask {
    let name: TaskName = task_name(name);
    NewTask::new(name, Payload::json(&args).expect("a number"))
}

/// Beats, workers and a client whose clocks are wrong by this much: everything happens at its time, once.
async fn wrong_members(wrongs: &[SignedDuration]) {
    let scene = Scene::new();
    let (cluster, runs) = (&scene.cluster, &scene.runs);
    let mut members = Vec::new();
    for wrong in wrongs {
        members.push(cluster.beat(scene.wrong(*wrong)).await);
        members.push(cluster.worker(scene.wrong(*wrong), runs.registry()).await);
    }
    cluster.apply("every-second", every_second()).await;
    let began = scene.true_clock.wall();
    let client = cluster.client(scene.wrong(wrongs[0])).await;
    let mut delayed = Vec::new();
    for millis in [0, 400, 900, 1400, 2100] {
        let task = task("demo.task", 0).delay(Duration::from_millis(millis));
        delayed.push((client.publish(task).await.expect("it is accepted").id(), millis));
    }
    // Longer than a lease: its worker must not be declared lost.
    let long = LEASE + Duration::from_millis(1500);
    let long = task("takes.long", u64::try_from(long.as_millis()).expect("some seconds"));
    let long = client.publish(long).await.expect("it is accepted").id();
    let retry = RetryPolicy {
        max_attempts: 2,
        backoff: Backoff::Constant,
        delay: Duration::from_millis(700),
        max_delay: Duration::from_secs(1),
        jitter: Jitter::None,
    };
    let retried = client.publish(task("fails.once", 0).retry(retry)).await.expect("it is accepted").id();

    scene.planned_runs(4, began).await;
    let all: Vec<TaskId> = delayed.iter().map(|(id, _)| *id).chain([long, retried]).collect();
    for id in &all {
        let record = client.wait(*id, PATIENCE).await.expect("it ends");
        assert_eq!((record.state, record.message.crashes), (TaskState::Succeeded, 0), "{record:?}");
    }
    scene.nobody_was_lost(wrongs.len() * 2).await;
    for member in members {
        member.stop().await;
    }

    for (id, millis) in delayed {
        let run = runs.all().into_iter().find(|run| run.id == id).expect("it ran");
        let due_at = upbeat_shared::clock::later(began, Duration::from_millis(millis));
        assert!(run.at >= due_at, "due at {due_at}, it ran at {}", run.at);
    }
    for (planned_at, run) in runs.planned() {
        assert!(run.at >= planned_at, "planned at {planned_at}, it ran at {}", run.at);
    }
    let instants = scene.instants(began);
    let seconds = |at: &Timestamp| at.as_second();
    assert!(instants.windows(2).all(|pair| seconds(&pair[1]) == seconds(&pair[0]) + 1), "{instants:?}");
    let mut counts = runs.by_task();
    assert_eq!(counts.remove(&retried), Some(2), "it failed once");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    let attempts: Vec<_> = runs.all().into_iter().filter(|run| run.id == retried).collect();
    let waited = upbeat_shared::clock::until(attempts[0].at, attempts[1].at);
    assert!(waited >= Duration::from_millis(700), "the retry came after {waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_a_year_ahead_fire_nothing_early_nothing_twice_and_lose_nobody() {
    wrong_members(&[YEAR]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_an_hour_back_fire_nothing_late_nothing_twice_and_lose_nobody() {
    wrong_members(&[-HOUR]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_disagree_by_a_year_work_together() {
    wrong_members(&[YEAR, -HOUR]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stores_clock_set_back_while_it_runs_changes_nothing() {
    let scene = Scene::new();
    let beat = scene.cluster.beat(scene.true_clock.clone()).await;
    let worker = scene.cluster.worker(scene.true_clock.clone(), scene.runs.registry()).await;
    scene.cluster.apply("every-second", every_second()).await;
    scene.planned_runs(2, Timestamp::MIN).await;

    scene.store_clock.set(-HOUR * 2);

    let before = scene.newest();
    scene.planned_runs(3, before).await;
    let instants = scene.instants(Timestamp::MIN);
    let gapless = instants.windows(2).all(|pair| pair[1].as_second() == pair[0].as_second() + 1);
    assert!(gapless, "{instants:?}");
    scene.nothing_ran_twice();
    beat.stop().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stores_clock_set_forward_loses_nobody_and_accounts_for_every_occurrence() {
    let scene = Scene::new();
    let beat = scene.cluster.beat(scene.true_clock.clone()).await;
    let worker = scene.cluster.worker(scene.true_clock.clone(), scene.runs.registry()).await;
    scene.cluster.apply("every-second", every_second()).await;
    let client = scene.cluster.client(scene.true_clock.clone()).await;
    let long = task("takes.long", u64::try_from(LEASE.as_millis()).expect("some seconds") * 2);
    let long = client.publish(long).await.expect("it is accepted").id();
    let tomorrow = task("demo.task", 0).delay(Duration::from_secs(1800));
    let tomorrow = client.publish(tomorrow).await.expect("it is accepted").id();
    scene.planned_runs(2, Timestamp::MIN).await;
    let before = scene.newest();

    scene.store_clock.set(HOUR);

    scene.planned_runs(3, upbeat_shared::clock::later(before, Duration::from_secs(3590))).await;
    let ran = client.wait(tomorrow, PATIENCE).await.expect("its time has come");
    assert_eq!(ran.state, TaskState::Succeeded);
    let ran = client.wait(long, PATIENCE).await.expect("it ends");
    assert_eq!((ran.state, ran.message.crashes), (TaskState::Succeeded, 0), "the jump is nobody's lease");
    scene.nobody_was_lost(2).await;
    scene.nothing_ran_twice();
    beat.stop().await;
    worker.stop().await;

    // Fired, or skipped with the reason: from the first to the last there is no second without either.
    let store = scene.look().await.store;
    let listed = store.catalog.occurrences(schedule_id("every-second"), 10_000).await.expect("it lists");
    let covers = |record: &OccurrenceRecord| match record {
        OccurrenceRecord::Fired { planned_at, .. } | OccurrenceRecord::Merged { planned_at, .. } => {
            (planned_at.as_second(), planned_at.as_second(), 1)
        }
        OccurrenceRecord::Skipped(range) => (range.from.as_second(), range.until.as_second(), range.count),
    };
    let mut covered: Vec<_> = listed.iter().map(covers).collect();
    covered.sort_unstable();
    for pair in covered.windows(2) {
        assert_eq!(pair[1].0, pair[0].1 + 1, "{covered:?}");
    }
    let skipped: u64 = covered.iter().map(|(_, _, count)| count).sum();
    let span = covered[covered.len() - 1].1 - covered[0].0 + 1;
    assert_eq!(i64::try_from(skipped).expect("some thousands"), span, "{covered:?}");
    assert!(span > 3600, "the hour is among them: {covered:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_starts_hours_back_fires_on_and_nothing_twice() {
    let scene = Scene::new();
    let beat = scene.cluster.beat(scene.true_clock.clone()).await;
    let worker = scene.cluster.worker(scene.true_clock.clone(), scene.runs.registry()).await;
    scene.cluster.apply("every-second", every_second()).await;
    scene.planned_runs(2, Timestamp::MIN).await;
    beat.stop().await;
    worker.stop().await;
    let last = scene.newest();

    // The cursor stands two hours in the future now: it is brought back.
    scene.store_clock.set(-HOUR * 2);
    let beat = scene.cluster.beat(scene.true_clock.clone()).await;
    let worker = scene.cluster.worker(scene.true_clock.clone(), scene.runs.registry()).await;

    let earlier = last.checked_sub(HOUR).expect("an instant");
    let fires = async || scene.instants(Timestamp::MIN).iter().filter(|at| **at < earlier).count() >= 3;
    eventually("the schedule fires at the earlier time", PATIENCE, fires).await;
    scene.nothing_ran_twice();
    beat.stop().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_starts_minutes_back_waits_until_it_has_caught_up() {
    let scene = Scene::new();
    let beat = scene.cluster.beat(scene.true_clock.clone()).await;
    let worker = scene.cluster.worker(scene.true_clock.clone(), scene.runs.registry()).await;
    scene.cluster.apply("every-second", every_second()).await;
    scene.planned_runs(2, Timestamp::MIN).await;
    beat.stop().await;
    worker.stop().await;
    let last = scene.newest();

    scene.store_clock.set(SignedDuration::from_mins(-10));
    let beat = scene.cluster.beat(scene.true_clock.clone()).await;
    let worker = scene.cluster.worker(scene.true_clock.clone(), scene.runs.registry()).await;
    // That it does nothing can be seen only while something else happens: what is published now runs.
    let client = scene.cluster.client(scene.true_clock.clone()).await;
    for _ in 0..2 {
        let other = client.publish(task("takes.long", 1000)).await.expect("it is accepted").id();
        client.wait(other, PATIENCE).await.expect("it ends");
    }
    assert_eq!(scene.newest(), last, "the cursor waits; what it has passed is not repeated");

    scene.store_clock.set(SignedDuration::ZERO);

    scene.planned_runs(2, last).await;
    scene.nothing_ran_twice();
    beat.stop().await;
    worker.stop().await;
}
