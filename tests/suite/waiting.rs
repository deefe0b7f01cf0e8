//! Many who wait on one client: what that costs the ledger, and what they are told when it fails. Time stands still but where
//! everybody waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use upbeat_shared::client::{Client, WaitError};
use upbeat_shared::id::TaskId;
use upbeat_shared::ledger::LedgerError;
use upbeat_shared::task::TaskState;
use upbeat_tests::conformance::ledger::waiting::client;
use upbeat_tests::conformance::ledger::{LedgerWorld, Probe, Running};
use upbeat_tests::conformance::memory::Ledger;
use upbeat_tests::counted::Counted;
use upbeat_tests::message::message;

const MINUTE: Duration = Duration::from_secs(60);

struct Scene {
    worker: Probe,
    counted: Arc<Counted>,
    client: Client,
}

impl Scene {
    /// A client whose ledger tells it of ends.
    async fn hearing() -> Self {
        Self::new(false).await
    }

    /// A client that has to look for itself.
    async fn deaf() -> Self {
        Self::new(true).await
    }

    async fn new(is_deaf: bool) -> Self {
        let world = Ledger::create().await;
        let (counted, store) = Counted::before(world.store(), is_deaf);
        Self { worker: Probe::another(&world).await, counted, client: client(store) }
    }

    async fn run(&self) -> Running {
        self.worker.acquire_any(&message()).await
    }

    /// Somebody who waits for it, by itself.
    fn waiter(&self, id: TaskId, timeout: Duration) -> tokio::task::JoinHandle<Result<TaskState, WaitError>> {
        let client = self.client.clone();
        tokio::spawn(async move { client.wait(id, timeout).await.map(|record| record.state) })
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_are_looked_after_together() {
    let scene = Scene::deaf().await;
    let run = scene.run().await;
    let others = (0..9_999).map(|_| message().id);
    let ids: Vec<TaskId> = std::iter::once(run.claim.id).chain(others).collect();
    let waiting = join_all(ids.iter().map(|id| scene.client.wait(*id, MINUTE)));
    let settled = async {
        tokio::time::sleep(MINUTE / 2).await;
        let before = scene.counted.questions();
        scene.worker.succeed(&run).await;
        before
    };

    let (ends, half) = tokio::join!(waiting, settled);

    assert_eq!(ends[0].as_ref().expect("it ended").state, TaskState::Succeeded);
    assert!(ends[1..].iter().all(|end| matches!(end, Err(WaitError::TimedOut { .. }))));
    assert_eq!((scene.counted.largest(), scene.counted.records()), (1000, 1));
    // Ten batches a look; after the first second, four looks a second.
    let most = 10 * (4 * 60 + 20);
    assert!(
        half > 10 && scene.counted.questions() <= most,
        "{half}, {} of {most}",
        scene.counted.questions()
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_ledger_tells_of_is_answered_at_once() {
    let scene = Scene::hearing().await;
    let run = scene.run().await;
    let waiter = scene.waiter(run.claim.id, MINUTE);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let asked = scene.counted.questions();

    scene.worker.succeed(&run).await;
    let answered = tokio::time::timeout(Duration::from_millis(15), waiter).await.expect("at once");

    assert_eq!(answered.expect("it does not panic").expect("it ended"), TaskState::Succeeded);
    assert_eq!(scene.counted.questions() - asked, 2, "its state, and its record");
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_for_those_who_have_left() {
    let scene = Scene::deaf().await;
    let waiters = [scene.waiter(message().id, MINUTE), scene.waiter(message().id, MINUTE)];
    tokio::time::sleep(Duration::from_secs(5)).await;
    for waiter in waiters {
        waiter.abort();
        waiter.await.expect_err("it was stopped");
    }
    let asked = scene.counted.questions();

    tokio::time::sleep(MINUTE).await;

    assert!(asked > 0);
    assert_eq!(scene.counted.questions(), asked);
    let run = scene.run().await;
    scene.worker.succeed(&run).await;
    let again = scene.waiter(run.claim.id, MINUTE).await.expect("it does not panic");
    assert_eq!(again.expect("it has ended"), TaskState::Succeeded, "the room opens again");
}

#[tokio::test(start_paused = true)]
async fn two_who_wait_for_one_task_are_both_answered() {
    let scene = Scene::hearing().await;
    let run = scene.run().await;
    let waiters = [scene.waiter(run.claim.id, MINUTE), scene.waiter(run.claim.id, MINUTE)];
    tokio::time::sleep(Duration::from_secs(1)).await;

    scene.worker.succeed(&run).await;

    for waiter in waiters {
        let state = waiter.await.expect("it does not panic").expect("it ended");
        assert_eq!(state, TaskState::Succeeded);
    }
    assert_eq!(scene.counted.records(), 1, "one record for both");
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_waited_out() {
    let scene = Scene::deaf().await;
    let run = scene.run().await;
    let waiter = scene.waiter(run.claim.id, MINUTE * 10);
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.counted.set_away(true);
    tokio::time::sleep(Duration::from_secs(50)).await;
    let asked = scene.counted.questions();
    assert!(asked < 200, "{asked}: looks become rarer");
    scene.worker.succeed(&run).await;
    assert!(!waiter.is_finished());

    scene.counted.set_away(false);

    let state = waiter.await.expect("it does not panic").expect("it ended");
    assert_eq!(state, TaskState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_the_end_of_the_time_or_of_a_minute_is_told() {
    let scene = Scene::deaf().await;
    scene.counted.set_away(true);
    let (short, long) = (scene.waiter(message().id, MINUTE / 2), scene.waiter(message().id, Duration::MAX));

    for waiter in [short, long] {
        let told = waiter.await.expect("it does not panic");
        assert!(matches!(told, Err(WaitError::Ledger(LedgerError::Unavailable(_)))), "{told:?}");
    }
    scene.counted.set_away(false);
    let late = scene.waiter(message().id, Duration::from_secs(1)).await.expect("it does not panic");
    assert!(matches!(late, Err(WaitError::TimedOut { .. })), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_fails_those_who_wait_for_it_alone() {
    let scene = Scene::hearing().await;
    let (spoilt, run) = (message().id, scene.run().await);
    scene.counted.spoil(spoilt);
    let (sound, failing) = (scene.waiter(run.claim.id, MINUTE), scene.waiter(spoilt, MINUTE));

    let told = failing.await.expect("it does not panic");
    assert!(matches!(told, Err(WaitError::Ledger(LedgerError::Invalid(_)))), "{told:?}");
    scene.worker.succeed(&run).await;
    let state = sound.await.expect("it does not panic").expect("it ended");
    assert_eq!(state, TaskState::Succeeded);
}

#[test]
fn waiting_goes_on_when_the_runtime_of_the_first_who_waited_ends() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is made");
    let (first, second) = (runtime(), runtime());
    let scene = first.block_on(Scene::hearing());
    let run = first.block_on(scene.run());
    let client = scene.client.clone();
    first.block_on(async {
        // It opens the room on its own runtime, which then goes.
        let early = client.wait(run.claim.id, Duration::from_millis(20)).await;
        assert!(matches!(early, Err(WaitError::TimedOut { .. })));
        drop(scene.waiter(run.claim.id, MINUTE));
        tokio::task::yield_now().await;
    });
    let waiting = second.spawn({
        let client = client.clone();
        let id = run.claim.id;
        async move { client.wait(id, MINUTE).await.map(|record| record.state) }
    });
    second.block_on(tokio::task::yield_now());

    drop(first);

    second.block_on(async {
        scene.worker.succeed(&run).await;
        let state = waiting.await.expect("it does not panic").expect("it ended");
        assert_eq!(state, TaskState::Succeeded);
    });
}

#[test]
fn the_room_is_open_to_the_next_when_its_runtime_ends_before_the_last_one_is_seen_to_have_left() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is made");
    let (first, second) = (runtime(), runtime());
    let scene = first.block_on(Scene::hearing());
    let run = first.block_on(scene.run());
    first.block_on(async {
        let early = scene.client.wait(run.claim.id, Duration::from_millis(20)).await;
        assert!(matches!(early, Err(WaitError::TimedOut { .. })));
    });

    drop(first);

    second.block_on(async {
        scene.worker.succeed(&run).await;
        let ended = tokio::time::timeout(MINUTE / 6, scene.client.wait(run.claim.id, MINUTE)).await;
        let record = ended.expect("somebody looks").expect("it ended");
        assert_eq!(record.state, TaskState::Succeeded);
    });
}
